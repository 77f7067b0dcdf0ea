"""The file of cases that `runtara test` reads.

{"cases": [{
"name": "a large order is approved by a person",
"input": {"order": {"total": 900}},
"capabilities": {"http/http-request": [{"error": {"code": "BUSY", "category": "transient"}}, {"output": {"ok": true}}]},
"signals": [{"step": "approve", "payload": {"approved": true}, "after": "2d"}],
"expect": {"output": {"status": "accepted"}, "events": [{"type": "workflow_log", "message": "asked"}]}
}]}
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, ValidationError
from runtara_sdk.errors import InvalidInputError
from runtara_sdk.models import InstanceStatus
from runtara_sdk.testing.trial import SentSignal, Trial
from runtara_sdk.testing.trial_world import Answer
from runtara_sdk.written_decimal import read_decimal

from runtara_compiler.language.base import Constant, LanguageModel, Sequence
from runtara_compiler.language.paths import format_path

MAXIMUM_SHOWN = 20

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|min|h|d)")
_UNITS_MS = {"ms": 1, "s": 1000, "min": 60_000, "h": 3_600_000, "d": 86_400_000}


def duration_ms(value: Any) -> Any:
    """Milliseconds of `2d`, `1.5h`, `30min`, `10s`, `500ms` or a number of milliseconds; anything else is refused."""
    if not isinstance(value, str):
        return value
    found = _DURATION.fullmatch(value.strip())
    if found is None:
        raise ValueError("must be a duration such as 2d, 1.5h, 30min, 10s or 500ms")
    return round(float(found[1]) * _UNITS_MS[found[2]])


Duration = Annotated[int, BeforeValidator(duration_ms), Field(ge=0)]


class CaseAnswer(LanguageModel):
    """What stands in for one call: a result or an error object."""

    output: Constant = None
    error: dict[str, Constant] | None = None

    def answer(self) -> Answer:
        """The same for a trial."""
        return Answer(self.output, self.error)


def _as_list(value: Any) -> Any:
    return value if isinstance(value, list) else [value]


Answers = Annotated[Sequence[CaseAnswer], BeforeValidator(_as_list)]
"""One answer for all calls, or a list: the last one answers all further calls."""


class CaseSignal(LanguageModel):
    """An answer to a WaitForSignal step, named by its id, or a signal by its id."""

    step: str | None = None
    signal_id: str | None = None
    payload: Constant = None
    after: Duration = 0


class Expectation(LanguageModel):
    """What must come out; what is left out may be anything.

    Attributes:
        output: the result, exactly.
        error: members that the error object must have, at any depth.
        status: of the instance; `completed` when an output is expected, `failed` when an error is.
        events: custom events that must come, in this order; each names the members that it must have.
        calls: all calls of capabilities, in order; each names the members that it must have.
        passed: the time that must have passed for the instance.
        launches: how often the program must have been started.
    """

    output: Constant = None
    error: dict[str, Constant] | None = None
    status: Annotated[InstanceStatus, Field(strict=False)] | None = None
    events: Sequence[dict[str, Constant]] = ()
    calls: Sequence[dict[str, Constant]] | None = None
    passed: Duration | None = None
    launches: int | None = None

    @property
    def expects_output(self) -> bool:
        """Whether an output is given, be it null."""
        return "output" in self.model_fields_set


class Case(LanguageModel):
    """One case."""

    name: str
    input: Constant = Field(default_factory=dict)
    variables: dict[str, Constant] = Field(default_factory=dict)
    capabilities: dict[str, Answers] = Field(default_factory=dict)
    children: dict[str, Answers] = Field(default_factory=dict)
    connections: dict[str, dict[str, Constant]] = Field(default_factory=dict)
    signals: Sequence[CaseSignal] = ()
    expect: Expectation

    def trial(self) -> Trial:
        """The same as a trial."""
        return Trial(
            data=self.input,
            variables=self.variables,
            capabilities={name: [item.answer() for item in items] for name, items in self.capabilities.items()},
            children={name: [item.answer() for item in items] for name, items in self.children.items()},
            connections=self.connections,
            signals=[SentSignal(sent.payload, sent.step, sent.signal_id, sent.after) for sent in self.signals],
        )


class CaseFile(LanguageModel):
    """All cases of a scenario."""

    cases: Sequence[Case]


def read_case_file(path: Path) -> CaseFile:
    """Read a file of cases; raises `InvalidInputError` with everything that is wrong, one a line."""
    try:
        document = json.loads(path.read_bytes(), parse_float=read_decimal)
    except OSError as error:
        raise InvalidInputError(f"{path}: cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise InvalidInputError(f"{path}: is not JSON: {error}") from error
    return parse_cases(document, str(path))


def parse_cases(document: Any, origin: str) -> CaseFile:
    """Cases from parsed JSON: an object with `cases`, or the list alone."""
    if isinstance(document, list):
        document = {"cases": document}
    try:
        found = CaseFile.model_validate(document)
    except ValidationError as error:
        lines = [f"{origin}: {format_path(item['loc'])}: {item['msg']}" for item in error.errors()[:MAXIMUM_SHOWN]]
        raise InvalidInputError("\n".join(lines)) from error
    names = [case.name for case in found.cases]
    twice = sorted({name for name in names if names.count(name) > 1})
    if not names:
        raise InvalidInputError(f"{origin}: holds no cases")
    if twice:
        raise InvalidInputError(f"{origin}: the name {twice[0]!r} is given to several cases")
    return found
