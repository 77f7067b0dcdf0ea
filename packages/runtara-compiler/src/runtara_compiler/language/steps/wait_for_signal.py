"""WaitForSignal: an answer from outside."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from runtara_compiler.language.base import LanguageModel, Milliseconds
from runtara_compiler.language.mapping import InputMapping, MappingValue
from runtara_compiler.language.schema import SchemaMap
from runtara_compiler.language.steps.base import BaseStep

if TYPE_CHECKING:
    from runtara_compiler.language.scenario import ExecutionGraph

DEFAULT_POLL_INTERVAL_MS = 1000


class WaitAction(LanguageModel):
    """What a request is about.

    Attributes:
        key: name of the kind of request, the same in each run.
        correlation: values to find the request by.
        context: values to show with it.
    """

    key: str | None = None
    correlation: InputMapping = Field(default_factory=dict)
    context: InputMapping = Field(default_factory=dict)


class WaitForSignalStep(BaseStep):
    """Asks, and waits durably for the answer.

    Attributes:
        on_wait: graph that runs once before the question is asked.
        timeout_ms: bound of the wait; without one it has no end.
        poll_interval_ms: kept for the editor; the program is told of the answer at once.
        response_schema: what the answer must fit.
        action: what the request says beside that, for whoever lists and answers requests.
    """

    record_extras: ClassVar[frozenset[str]] = frozenset({"signal_id"})

    step_type: Literal["WaitForSignal"] = "WaitForSignal"
    on_wait: ExecutionGraph | None = None
    timeout_ms: MappingValue | None = None
    poll_interval_ms: Milliseconds = DEFAULT_POLL_INTERVAL_MS
    response_schema: SchemaMap = Field(default_factory=dict)
    action: WaitAction | None = None
