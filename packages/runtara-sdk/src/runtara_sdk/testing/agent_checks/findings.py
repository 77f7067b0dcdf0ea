"""What a check finds: every problem that there is, not only the first one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

_MOST = 20
"""An agent that does one thing wrong everywhere needs no more lines to be told."""


class ProblemsFoundError(AssertionError):
    """An agent does not keep a promise.

    Attributes:
        problems: one sentence each: where, what is wrong, and what to do.
    """

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class Findings:
    """The problems of one check, each once."""

    def __init__(self) -> None:
        self._problems: dict[str, None] = {}

    def add(self, problem: str) -> None:
        """Note a problem."""
        self._problems.setdefault(problem)

    def require(self, condition: bool, problem: str) -> bool:
        """Note a problem unless the condition holds; the condition is returned."""
        if not condition:
            self.add(problem)
        return condition

    def texts(self) -> tuple[str, ...]:
        """The problems, and how many more there are."""
        problems = tuple(self._problems)
        left = len(problems) - _MOST
        return problems if left <= 0 else (*problems[:_MOST], f"and {left} more of this kind")


@contextmanager
def findings() -> Iterator[Findings]:
    """Collect problems; at the end raise `ProblemsFoundError` if there are any."""
    found = Findings()
    yield found
    if problems := found.texts():
        raise ProblemsFoundError(problems)
