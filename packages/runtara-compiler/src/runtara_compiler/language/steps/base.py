"""What every step has."""

from __future__ import annotations

from typing import ClassVar

from runtara_compiler.language.base import Constant, LanguageModel
from runtara_compiler.language.shapes import UNKNOWN, Shape

DEFAULT_MAX_RETRIES = 3
DEFAULT_RETRY_DELAY_MS = 1000


class BaseStep(LanguageModel):
    """What every step has.

    Attributes:
        position: of the editor, opaque.
        durable: whether what the step does is recorded; one without records is done again by every run.
        breakpoint: whether a run in debug mode stops before the step until it is resumed.
    """

    unnamed: ClassVar[str] = "Unnamed"
    is_fallible: ClassVar[bool] = True
    """Whether the step may have `onError` edges."""
    output_shape: ClassVar[Shape] = UNKNOWN
    """What is known of `steps.<id>.outputs`."""
    record_extras: ClassVar[frozenset[str]] = frozenset()
    """Members of the record beside `outputs`."""

    id: str
    name: str | None = None
    position: Constant = None
    durable: bool = True
    breakpoint: bool = False

    @property
    def display_name(self) -> str:
        """The name to show; steps without one share a stock name."""
        return self.name if self.name is not None else self.unnamed

    @property
    def outcomes(self) -> tuple[str, ...]:
        """Labels of the edges of which a run takes one, according to what the step finds; none for most steps."""
        return ()
