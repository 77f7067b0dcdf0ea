"""The scenario document: the wrapper of a graph."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import Field

from runtara_compiler.language.base import LanguageModel
from runtara_compiler.language.diagnostics import Diagnostic
from runtara_compiler.language.graph import ExecutionGraph

LANGUAGE_VERSION = "3.0.0"


class MemoryTier(StrEnum):
    """A hint of how much memory a run needs; kept, nothing applies it."""

    S = "S"
    M = "M"
    L = "L"
    XL = "XL"


class Scenario(LanguageModel):
    """A loaded scenario.

    Attributes:
        durable: whether anything is recorded; without it a run that is killed begins anew, children included.
        debug_mode: whether the run emits an event at the start and end of each step.
        origin: where the document came from, for messages; not part of the document.
        load_warnings: what loading noticed, old names for one; `validate` puts them into its report.
    """

    synonyms: ClassVar[dict[str, str]] = {"trackEvents": "debugMode"}
    execution_graph: ExecutionGraph
    memory_tier: Annotated[MemoryTier, Field(strict=False)] = MemoryTier.XL
    debug_mode: bool = False
    durable: bool = True
    origin: str = Field("scenario", exclude=True)
    load_warnings: tuple[Diagnostic, ...] = Field((), exclude=True)

    @property
    def name(self) -> str:
        """The graph's name, or an empty text."""
        return self.execution_graph.name or ""
