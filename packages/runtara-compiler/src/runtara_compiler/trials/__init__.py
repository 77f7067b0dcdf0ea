"""Trying a scenario at the author's desk: cases with inputs, stand-ins and expectations, in time that jumps.

`runtara test` is this package's command. The program that is tried is the one that the compiler generates.
"""

from runtara_compiler.trials.cases import Case, CaseFile, read_case_file
from runtara_compiler.trials.running import CaseResult, run_case, run_cases

__all__ = ["Case", "CaseFile", "CaseResult", "read_case_file", "run_case", "run_cases"]
