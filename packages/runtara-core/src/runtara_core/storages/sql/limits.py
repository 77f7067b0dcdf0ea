"""Bounds of what is stored, checked before a transaction starts, the same on every database."""

from __future__ import annotations

from collections.abc import Sequence

from runtara_sdk.errors import InvalidInputError
from runtara_sdk.models import MAX_CHECKPOINTS, NewCheckpoint

MAX_INSTANCE_ID_BYTES = 255
MAX_TENANT_ID_BYTES = 255
# Instance and checkpoint id share one index entry, for which PostgreSQL has 2704 bytes.
MAX_CHECKPOINT_ID_BYTES = 2_000
MAX_CALL_KEY_BYTES = 64
MAX_PAGE = 1_000
MAX_WAITS_BESIDE = 1_000
MAX_CLAIM_BYTES = 32 * 1024 * 1024
"""Beyond so many bytes of inputs no further launch is claimed at once, so that an answer fits a frame."""

MAX_DURATION_MS = 2**52
MAX_STDERR_CHARACTERS = 8 * 1024
MAX_ERROR_CHARACTERS = 64 * 1024


def require_instance_id(instance_id: str) -> None:
    """Refuse an instance id that cannot be stored."""
    _require_text("instance_id", instance_id, MAX_INSTANCE_ID_BYTES)


def require_tenant_id(tenant_id: str) -> None:
    """Refuse a tenant id that cannot be stored."""
    _require_text("tenant_id", tenant_id, MAX_TENANT_ID_BYTES)


def require_checkpoint_id(checkpoint_id: str) -> None:
    """Refuse a checkpoint id that cannot be stored."""
    _require_text("checkpoint_id", checkpoint_id, MAX_CHECKPOINT_ID_BYTES)


def require_call_key(call_key: bytes) -> None:
    """Refuse a call key that is longer than any client makes it."""
    if len(call_key) > MAX_CALL_KEY_BYTES:
        raise InvalidInputError(f"call_key has {len(call_key)} bytes: at most {MAX_CALL_KEY_BYTES} are accepted")


def require_new_checkpoints(new: Sequence[NewCheckpoint]) -> None:
    """Refuse none, too many, and those of which one cannot be stored; the error names its place, from 1 on."""
    if not new:
        raise InvalidInputError("no checkpoint is named: give at least one")
    require_few(new, MAX_CHECKPOINTS, "checkpoints")
    for number, each in enumerate(new, 1):
        try:
            require_checkpoint_id(each.checkpoint_id)
            require_call_key(each.call_key)
            if not is_storable(each.checkpoint_id):
                raise InvalidInputError("checkpoint_id holds a NUL or half a character: leave it out")
        except InvalidInputError as error:
            raise InvalidInputError(f"checkpoint {number} of {len(new)}: {error.message}") from None


def is_storable(text: str) -> bool:
    """Whether every database can hold a text: no NUL, no lone surrogate."""
    if "\0" in text:
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def require_event_key(event_key: str) -> None:
    """Refuse an event key that cannot be stored."""
    _require_text("event_key", event_key, MAX_CHECKPOINT_ID_BYTES)


def require_few(items: Sequence[object], bound: int, what: str) -> None:
    """Refuse more than one statement should be given."""
    if len(items) > bound:
        raise InvalidInputError(f"{len(items)} {what} are more than {bound}: ask in several calls")


def bounded_page(limit: int, offset: int) -> tuple[int, int]:
    """Limit and offset of a page: at most 1000 rows; negative values are refused."""
    if limit < 0 or offset < 0:
        raise InvalidInputError(f"limit {limit} and offset {offset} of a page must not be negative")
    return min(limit, MAX_PAGE), offset


def storable_text(text: str, bound: int) -> str:
    """Text from a program's output, cut to its last `bound` characters and without what databases refuse."""
    return text[-bound:].replace("\0", "\N{REPLACEMENT CHARACTER}").encode(errors="replace").decode()


def _require_text(name: str, value: str, max_bytes: int) -> None:
    if not value:
        raise InvalidInputError(f"{name} must not be empty")
    if len(value) > max_bytes or (not value.isascii() and len(value.encode(errors="surrogatepass")) > max_bytes):
        raise InvalidInputError(f"{name} {value[:40]!r}... is longer than {max_bytes} bytes: shorten it")
