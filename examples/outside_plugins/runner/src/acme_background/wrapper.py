"""Gives its process a lower priority and becomes the program: `python -I -S wrapper.py REFUSAL PROGRAM ARGUMENTS...`.

A program that cannot be executed is told by the file REFUSAL, which holds the number of the error. The process that
executes the program is the one that was launched, so its identity, its limits and its open files stay as they are.
"""

from __future__ import annotations

import os
import sys

NICENESS = 5
NOT_EXECUTED = 127


def main() -> None:
    """Do as the module says."""
    refusal, *argv = sys.argv[1:]
    os.nice(NICENESS)
    try:
        os.execv(argv[0], argv)
    except OSError as error:
        with open(refusal, "w", encoding="ascii") as file:  # noqa: PTH123 - pathlib takes longer to import than all this
            file.write(str(error.errno))
        sys.exit(NOT_EXECUTED)


if __name__ == "__main__":
    main()
