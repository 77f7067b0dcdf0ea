"""Whether a scenario ends the same wherever its program dies.

The program is run undisturbed, and then once for each place where it can die: before and after every call by which it
changes something in the store. There it is killed, and launched again. Result, events and effects must be those of the
undisturbed run.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

from runtara_sdk.testing.memory_store import KillPoint
from runtara_sdk.testing.trial import Trial, TrialOutcome, try_workflow
from runtara_sdk.workflow import Workflow
from runtara_sdk.written_decimal import dump_json

MAXIMUM_POINTS = 10_000
"""Of a longer run, as many places at equal distances are tried."""


@dataclass(frozen=True, slots=True)
class PointResult:
    """What a death at one place changed: none, or any of `result`, `events`, `effects`.

    `repeated` are the calls of capabilities that were under way and made again.
    """

    point: KillPoint
    changed: tuple[str, ...]
    repeated: int


@dataclass(frozen=True, slots=True)
class Verification:
    """The undisturbed run, and what each death changed.

    Attributes:
        undisturbed: how the run ends when nothing dies.
        results: one for each place, in order.
    """

    undisturbed: TrialOutcome
    results: tuple[PointResult, ...]

    @property
    def holds(self) -> bool:
        """Whether no death changed anything."""
        return not any(result.changed for result in self.results)


RunTrial = Callable[[Trial], Awaitable[TrialOutcome]]


async def verify_workflow(workflow: Workflow, trial: Trial) -> Verification:
    """As `verify_program`, in this process: everything of the program stops, and the store refuses what is left."""
    return await verify_program(lambda trial: try_workflow(workflow, trial), trial)


async def verify_program(
    run: RunTrial, trial: Trial, *, progress: Callable[[int, int], None] = lambda _done, _of: None
) -> Verification:
    """Run a trial undisturbed and with a death at each place; `progress` hears how many are done, of how many."""
    undisturbed = await run(trial)
    points = [KillPoint(call, after) for call in range(1, undisturbed.store_calls + 1) for after in (False, True)]
    points = points[:: max(1, -(-len(points) // MAXIMUM_POINTS))]
    results = []
    for number, point in enumerate(points, start=1):
        killed = await run(replace(trial, kill=point))
        results.append(PointResult(point, tuple(_changes(undisturbed, killed)), killed.repeated_calls))
        progress(number, len(points))
    return Verification(undisturbed, tuple(results))


def _changes(undisturbed: TrialOutcome, killed: TrialOutcome) -> list[str]:
    compared = {"result": _end, "events": _told, "effects": _effects}
    return [name for name, of in compared.items() if of(undisturbed) != of(killed)]


def _end(outcome: TrialOutcome) -> tuple[Any, ...]:
    # How often a call was tried is counted from the last start on.
    error = None if outcome.error is None else {**outcome.error, "attempts": None}
    return outcome.status, outcome.output, error, outcome.passed_ms


def _told(outcome: TrialOutcome) -> set[str]:
    """What the events say; a program that starts anew may say a line of its log again."""
    return {dump_json({**event, "timestamp_ms": None}, sort_keys=True) for event in outcome.events}


def _effects(outcome: TrialOutcome) -> list[str]:
    return sorted(
        dump_json([call.capability, call.step_id, call.inputs], sort_keys=True, default=str) for call in outcome.calls
    )
