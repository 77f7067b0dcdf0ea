"""What the capabilities of the agent `text` share."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field
from runtara_sdk.agents import AgentError, KnownError

INPUT_MISSING = "TEXT_INPUT_MISSING"
INVALID_REGEX = "TEXT_INVALID_REGEX"
TOO_LARGE = "TEXT_TOO_LARGE"

MISSING = KnownError.permanent(INPUT_MISSING, "An input that is needed is not given.", "input")
TOO_LARGE_ERROR = KnownError.permanent(TOO_LARGE, "The result would be too long.", "limit")

LONGEST_RESULT = 50_000_000


class TextInput(BaseModel):
    """A text; null counts as the empty one."""

    text: str | None = Field(default=None, title="Text", description="The text.", examples=["Hello world"])

    @property
    def given(self) -> str:
        """The text, never null."""
        return self.text or ""


def required(name: str, value: str | None) -> str:
    """An input that is needed; raises permanent TEXT_INPUT_MISSING."""
    if value is None:
        raise AgentError.permanent(INPUT_MISSING, f"{name} is missing", attributes={"input": name})
    return value


def checked_length(characters: int) -> None:
    """Raise permanent TEXT_TOO_LARGE for a result that would be too long."""
    if characters > LONGEST_RESULT:
        raise AgentError.permanent(
            TOO_LARGE,
            f"the result would have more than {LONGEST_RESULT} characters",
            attributes={"limit": LONGEST_RESULT},
        )


def pattern_of(pattern: str | None, *, case_insensitive: bool = False) -> Any:
    """A compiled regular expression: its time grows with the text alone, so there are no look-arounds.

    Raises:
        AgentError: permanent TEXT_INPUT_MISSING or TEXT_INVALID_REGEX.
    """
    import re2  # type: ignore[import-untyped]  # it has no types, and most workflows do not need it

    given = required("pattern", pattern)
    options = re2.Options()
    options.log_errors = False
    options.max_mem = 10 * 1024 * 1024
    options.case_sensitive = not case_insensitive
    try:
        return re2.compile(given, options=options)
    except (re2.error, UnicodeEncodeError) as error:
        reason = error.args[0].decode() if error.args and isinstance(error.args[0], bytes) else str(error)
        raise AgentError.permanent(
            INVALID_REGEX,
            f"the pattern is no regular expression (without look-arounds and back-references): {reason[:200]}",
            attributes={"pattern": given[:200].encode(errors="replace").decode(), "regex_error": reason[:200]},
        ) from None


REGEX_ERRORS = (
    MISSING,
    KnownError.permanent(INVALID_REGEX, "The pattern is no regular expression.", "pattern", "regex_error"),
)
