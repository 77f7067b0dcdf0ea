"""WaitForSignal: what a request is about. The step itself holds a graph: see `language.graph`."""

from __future__ import annotations

from pydantic import Field

from runtara_compiler.language.base import LanguageModel
from runtara_compiler.language.mapping import InputMapping

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
