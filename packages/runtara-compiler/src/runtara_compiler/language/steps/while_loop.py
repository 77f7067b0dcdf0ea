"""While: the bounds of the loop. The step itself holds a graph: see `language.graph`."""

from __future__ import annotations

from pydantic import Field

from runtara_compiler.language.base import Count, LanguageModel, Milliseconds
from runtara_compiler.language.mapping import InputMapping

DEFAULT_MAX_ITERATIONS = 10


class WhileConfig(LanguageModel):
    """Bounds of the loop, and further variables of its body."""

    max_iterations: Count = DEFAULT_MAX_ITERATIONS
    timeout_ms: Milliseconds | None = Field(None, alias="timeout")
    variables: InputMapping = Field(default_factory=dict)
