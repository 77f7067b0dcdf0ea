"""Comparing what came out with what was expected; each difference is a line for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from runtara_sdk.models import InstanceStatus
from runtara_sdk.testing.trial import TrialOutcome
from runtara_sdk.written_decimal import dump_json

from runtara_compiler.language.paths import format_path
from runtara_compiler.trials.cases import Expectation

MAXIMUM_DIFFERENCES = 20
_SHOWN_CHARACTERS = 200

Place = tuple[str | int, ...]


def differences(expected: Expectation, outcome: TrialOutcome) -> list[str]:
    """Every difference, at most `MAXIMUM_DIFFERENCES`; none when the case holds."""
    found = [line for line, _ in zip(_all(expected, outcome), range(MAXIMUM_DIFFERENCES), strict=False)]
    if found and outcome.error is not None and expected.error is None:
        found.append(f"the error was: {_shown(outcome.error)}")
    return found


def _all(expected: Expectation, outcome: TrialOutcome) -> Iterator[str]:
    status = _expected_status(expected)
    if status is not None and outcome.status is not status:
        waiting = f", waiting for {outcome.waiting_for}" if outcome.waiting_for else ""
        yield f"status: expected {status.value}, found {outcome.status.value}{waiting}"
    if expected.expects_output and outcome.status is InstanceStatus.COMPLETED:
        yield from unequal(expected.output, outcome.output, ("output",))
    if expected.error is not None:
        yield from missing(expected.error, outcome.error, ("error",))
    yield from _missing_events(expected.events, outcome.events)
    if expected.calls is not None:
        calls = [{"capability": call.capability, "step": call.step_id, "inputs": call.inputs} for call in outcome.calls]
        if len(calls) != len(expected.calls):
            yield f"calls: expected {len(expected.calls)}, found {len(calls)}: {_shown([c['step'] for c in calls])}"
        for index, (wanted, call) in enumerate(zip(expected.calls, calls, strict=False)):
            yield from missing(wanted, call, ("calls", index))
    if expected.passed is not None and outcome.passed_ms != expected.passed:
        yield f"passed: expected {expected.passed} ms, found {outcome.passed_ms} ms"
    if expected.launches is not None and outcome.launches != expected.launches:
        yield f"launches: expected {expected.launches}, found {outcome.launches}"


def _expected_status(expected: Expectation) -> InstanceStatus | None:
    if expected.status is not None:
        return expected.status
    if expected.expects_output:
        return InstanceStatus.COMPLETED
    return InstanceStatus.FAILED if expected.error is not None else None


def _missing_events(wanted: Sequence[Mapping[str, Any]], events: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    position = 0
    for index, event in enumerate(wanted):
        while position < len(events) and any(missing(event, events[position], ())):
            position += 1
        if position == len(events):
            types = [found.get("type") for found in events]
            yield f"events[{index}]: expected {_shown(event)}, which did not come (events: {_shown(types)})"
            return
        position += 1


def unequal(expected: Any, found: Any, place: Place) -> Iterator[str]:
    """Where two JSON values differ; numbers are compared by value, and never equal a boolean."""
    if isinstance(expected, dict) and isinstance(found, dict):
        for key in expected.keys() | found.keys():
            if key not in found:
                yield f"{format_path((*place, key))}: expected {_shown(expected[key])}, found nothing"
            elif key not in expected:
                yield f"{format_path((*place, key))}: expected nothing, found {_shown(found[key])}"
            else:
                yield from unequal(expected[key], found[key], (*place, key))
    elif isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        for index, (left, right) in enumerate(zip(expected, found, strict=True)):
            yield from unequal(left, right, (*place, index))
    elif not _same(expected, found):
        yield f"{format_path(place)}: expected {_shown(expected)}, found {_shown(found)}"


def missing(expected: Any, found: Any, place: Place) -> Iterator[str]:
    """Where a value lacks what is expected; an object may have further members."""
    if isinstance(expected, Mapping):
        if not isinstance(found, Mapping):
            yield f"{format_path(place)}: expected {_shown(expected)}, found {_shown(found)}"
            return
        for key, item in expected.items():
            if key not in found:
                yield f"{format_path((*place, key))}: expected {_shown(item)}, found nothing"
            else:
                yield from missing(item, found[key], (*place, key))
    elif isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        for index, (left, right) in enumerate(zip(expected, found, strict=True)):
            yield from missing(left, right, (*place, index))
    elif not _same(expected, found):
        yield f"{format_path(place)}: expected {_shown(expected)}, found {_shown(found)}"


def _same(left: Any, right: Any) -> bool:
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    return bool(left == right)


def _shown(value: Any) -> str:
    text = dump_json(value, ensure_ascii=False, default=str)
    return text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "..."
