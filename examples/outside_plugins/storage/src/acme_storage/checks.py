"""What may be stored at all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from runtara_core.storage import MAX_WATCHED
from runtara_sdk.errors import InvalidInputError

Row = TypeVar("Row")

MAX_DURATION_MS = 2**52
MAX_PAGE = 1_000
_BOUNDS = {"instance_id": 255, "tenant_id": 255, "checkpoint_id": 2_000, "event_key": 2_000}


def require_name(kind: str, value: str) -> None:
    """Refuse an empty, overlong or unstorable name."""
    require_text(kind, value)
    if not 0 < len(value.encode()) <= _BOUNDS[kind]:
        raise InvalidInputError(f"{kind} must have 1 to {_BOUNDS[kind]} bytes")


def require_text(kind: str, value: str | None) -> None:
    """Refuse text that databases do."""
    if value is not None and ("\0" in value or any("\ud800" <= character <= "\udfff" for character in value)):
        raise InvalidInputError(f"{kind}: text with NUL or a lone surrogate cannot be stored")


def require_duration(milliseconds: int) -> None:
    """Refuse what is not a duration."""
    if not 0 <= milliseconds <= MAX_DURATION_MS:
        raise InvalidInputError(f"{milliseconds} ms is not a duration")


def page(rows: Sequence[Row], limit: int, offset: int) -> tuple[Row, ...]:
    """A page of rows."""
    if limit < 0 or offset < 0:
        raise InvalidInputError("limit and offset must not be negative")
    return tuple(rows[offset : offset + min(limit, MAX_PAGE)])


def tail(text: str, bound: int) -> str:
    """The end of a program's text in a storable form."""
    return text[-bound:].replace("\0", "\N{REPLACEMENT CHARACTER}").encode(errors="replace").decode()


def require_few(items: Sequence[object]) -> None:
    if len(items) > MAX_WATCHED:
        raise InvalidInputError(f"{len(items)} are more than {MAX_WATCHED}")
