"""Rules of what is constant: durations, retries, counts, patterns. What a run would refuse is refused here."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from runtara_compiler.language.base import LanguageModel
from runtara_compiler.language.diagnostics import Diagnostic
from runtara_compiler.language.graph import SplitStep, WaitForSignalStep, WhileStep
from runtara_compiler.language.json_source import describe, json_type, quoted
from runtara_compiler.language.mapping import Immediate, MappingValue, Reference
from runtara_compiler.language.paths import PathSyntaxError, Segment, parse_path
from runtara_compiler.language.steps import AgentStep, BaseStep, DelayStep, FinishStep, GroupByStep, SwitchStep
from runtara_compiler.language.steps.switch import MatchType, SwitchCase
from runtara_compiler.validation.findings import duration, step_finding

MANY_RETRIES = 50
MANY_AT_A_TIME = 100
MANY_ITERATIONS = 10_000
LONG_MS = 3_600_000
LONGEST_MS = 100 * 365 * 24 * 3600 * 1000
"""No duration is longer than a hundred years."""


def check_constants(step: BaseStep) -> Iterator[Diagnostic]:
    """The findings of one step."""
    config = getattr(step, "config", None)
    for part, place in ((step, ()), (config, ("config",))):
        if isinstance(part, LanguageModel):
            yield from _check_limits(step.id, part, place)
    match step:
        case AgentStep() if step.compensation is not None:
            yield step_finding("W061", step.id, "accepted, but nothing executes it", "compensation")
        case DelayStep():
            yield from _check_duration(step.id, step.duration_ms, "durationMs")
        case WaitForSignalStep() if step.timeout_ms is not None:
            yield from _check_duration(step.id, step.timeout_ms, "timeoutMs")
        case FinishStep():
            yield from _check_outputs(step)
        case GroupByStep():
            yield from _check_key(step)
        case SplitStep():
            yield from _check_split(step)
        case SwitchStep():
            yield from _check_cases(step)
        case WhileStep() if step.config.max_iterations > MANY_ITERATIONS:
            text = f"{step.config.max_iterations} iterations; more than {MANY_ITERATIONS} are seldom meant"
            yield step_finding("W033", step.id, text, "config", "maxIterations")


def _check_limits(step_id: str, part: Any, place: tuple[Segment, ...]) -> Iterator[Diagnostic]:
    """Retries and timeouts, wherever a step type keeps them."""
    retries, delay_ms = getattr(part, "max_retries", 0), getattr(part, "retry_delay_ms", 0)
    timeout_ms = getattr(part, "timeout_ms", None)
    if retries > MANY_RETRIES:
        text = f"{retries} retries; more than {MANY_RETRIES} are seldom meant"
        yield step_finding("W030", step_id, text, *place, "maxRetries")
    if delay_ms > LONG_MS:
        text = f"{duration(delay_ms)} between attempts is more than {duration(LONG_MS)}"
        yield step_finding("W031", step_id, text, *place, "retryDelay")
    if not isinstance(timeout_ms, int):
        return
    if timeout_ms == 0 or timeout_ms > LONGEST_MS:
        text = f"a timeout lies between 1 ms and 100 years, found {timeout_ms} ms"
        yield step_finding("E023", step_id, text, *place, "timeout")
    elif timeout_ms > LONG_MS:
        text = f"{duration(timeout_ms)} is more than {duration(LONG_MS)}"
        yield step_finding("W034", step_id, text, *place, "timeout")


def _check_duration(step_id: str, value: MappingValue, field: str) -> Iterator[Diagnostic]:
    if not isinstance(value, Immediate):
        return
    if json_type(value.value) not in ("integer", "number"):
        text = f"must be a number of milliseconds, found {describe(value.value)}"
        yield step_finding("E023", step_id, text, field)
    elif isinstance(value.value, int | float) and value.value > LONGEST_MS:
        yield step_finding("E023", step_id, f"is longer than 100 years: {describe(value.value)}", field)
    elif isinstance(value.value, int | float) and value.value < 0:
        if field == "timeoutMs":
            yield step_finding("E023", step_id, f"must not be negative, found {describe(value.value)}", field)
        else:
            yield step_finding("W035", step_id, f"{describe(value.value)} is negative and counts as 0", field)


def _check_outputs(step: FinishStep) -> Iterator[Diagnostic]:
    for name, value in step.input_mapping.items():
        if isinstance(value, Reference) and not value.value.strip():
            yield step_finding("E118", step.id, f"the output {quoted(name)} has no source", "inputMapping", name)


def _check_key(step: GroupByStep) -> Iterator[Diagnostic]:
    try:
        parse_path(step.config.key)
    except PathSyntaxError as error:
        text = f"the path {quoted(step.config.key)} is malformed: {error.reason}"
        yield step_finding("E011", step.id, text, "config", "key")


def _check_split(step: SplitStep) -> Iterator[Diagnostic]:
    config = step.config
    if config.parallelism > MANY_AT_A_TIME:
        text = f"{config.parallelism} elements at a time; more than {MANY_AT_A_TIME} are seldom meant"
        yield step_finding("W032", step.id, text, "config", "parallelism")
    if config.parallelism > 1 and config.sequential:
        text = f"'sequential' is set, so the elements run one after the other, not {config.parallelism} at a time"
        yield step_finding("W073", step.id, text, "config", "parallelism")
    value = config.value
    if isinstance(value, Immediate) and not isinstance(value.value, list):
        allowed = config.allow_null if value.value is None else config.convert_single_value
        if not allowed:
            yield step_finding("E023", step.id, f"must be an array, found {describe(value.value)}", "config", "value")


def _check_cases(step: SwitchStep) -> Iterator[Diagnostic]:
    for index, case in enumerate(step.config.cases):
        if isinstance(case.match, Immediate) and (wanted := _wanted_match(case, case.match.value)) is not None:
            text = f"{case.match_type} compares with {wanted}, found {describe(case.match.value)}"
            yield step_finding("E023", step.id, text, "config", "cases", index, "match")


def _wanted_match(case: SwitchCase, match: Any) -> str | None:
    """What the match of a case should be, when it can never match as it stands."""
    kind = case.match_type
    if kind is MatchType.BETWEEN and not (isinstance(match, list) and len(match) == 2):
        return "an array [minimum, maximum]"
    if kind is MatchType.RANGE and not (isinstance(match, dict) and match.keys() <= {"gte", "gt", "lte", "lt"}):
        return "an object with any of 'gte', 'gt', 'lte', 'lt'"
    if kind in (MatchType.IN, MatchType.NOT_IN) and not isinstance(match, list):
        return "an array"
    if kind in (MatchType.STARTS_WITH, MatchType.ENDS_WITH) and not isinstance(match, str):
        return "a string"
    return None
