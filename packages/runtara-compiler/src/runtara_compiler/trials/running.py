"""Running cases against the generated program."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from types import ModuleType

from runtara_sdk.errors import InvalidInputError
from runtara_sdk.testing.trial import TrialOutcome, try_workflow
from runtara_sdk.workflow import Workflow

from runtara_compiler.compilation import CompilationInput, generate_source
from runtara_compiler.trials.cases import Case
from runtara_compiler.trials.comparison import differences


@dataclass(frozen=True, slots=True)
class CaseResult:
    """How a case went.

    Attributes:
        name: of the case.
        differences: what was not as expected, one a line; none when the case holds.
        outcome: what came out; None when the trial itself failed.
        seconds: real time that it took.
    """

    name: str
    differences: tuple[str, ...]
    outcome: TrialOutcome | None
    seconds: float

    @property
    def holds(self) -> bool:
        """Whether everything was as expected."""
        return not self.differences


def load_workflow(compilation: CompilationInput) -> Workflow:
    """The workflow of the module that would be compiled; raises as `compile_scenario` does."""
    module = ModuleType("runtara_trial")
    exec(compile(generate_source(compilation), f"<{compilation.origin}>", "exec"), module.__dict__)  # noqa: S102 - our own code
    workflow: Workflow = module.workflow
    return workflow


async def run_case(workflow: Workflow, case: Case) -> CaseResult:
    """Run one case."""
    began = time.perf_counter()
    try:
        outcome = await try_workflow(workflow, case.trial())
    except InvalidInputError as error:
        return CaseResult(case.name, (error.message,), None, time.perf_counter() - began)
    found = tuple(differences(case.expect, outcome))
    return CaseResult(case.name, found, outcome, time.perf_counter() - began)


async def run_cases(workflow: Workflow, cases: Iterable[Case]) -> list[CaseResult]:
    """Run cases one after the other."""
    return [await run_case(workflow, case) for case in cases]
