"""WaitForSignal: an answer from outside."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field, JsonValue

from runtara_compiler.language.base import Milliseconds
from runtara_compiler.language.mapping import MappingValue
from runtara_compiler.language.schema import SchemaMap
from runtara_compiler.language.steps.base import BaseStep

if TYPE_CHECKING:
    from runtara_compiler.language.scenario import ExecutionGraph

DEFAULT_POLL_INTERVAL_MS = 1000


class WaitForSignalStep(BaseStep):
    """Asks, and waits durably for the answer.

    Attributes:
        on_wait: graph that runs once before the question is asked.
        timeout_ms: bound of the wait; without one it has no end.
        poll_interval_ms: kept for the editor; the program is told of the answer at once.
        response_schema: what the answer must fit.
    """

    not_compiled: ClassVar[dict[str, JsonValue]] = {**BaseStep.not_compiled, "action": None}
    record_extras: ClassVar[frozenset[str]] = frozenset({"signal_id"})

    step_type: Literal["WaitForSignal"] = "WaitForSignal"
    on_wait: ExecutionGraph | None = None
    timeout_ms: MappingValue | None = None
    poll_interval_ms: Milliseconds = DEFAULT_POLL_INTERVAL_MS
    response_schema: SchemaMap = Field(default_factory=dict)
