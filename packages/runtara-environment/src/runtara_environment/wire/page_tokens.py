"""Tokens of pages: where the next page of a list begins, for whoever asks for it with the same filter.

A token holds the place of the last row of a page, not a number of rows, so that rows which come or go meanwhile
neither repeat nor leave out others. It is bound to the list, its filter and its order by a digest, which also tells a
token that was cut or changed. It is no secret and grants nothing: the filter and the tenant of each request are applied
again.
"""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import Message
from runtara_sdk.errors import InvalidInputError

Key = tuple[int | str | None, ...]

_MAX_TOKEN_CHARACTERS = 8_000
_NOT_OF_THE_FILTER = ("page_token", "limit", "offset")


@dataclass(frozen=True, slots=True)
class PageToken:
    """The key of the last row of the page before, and the number of all rows when the first page was asked for."""

    key: Key
    total_count: int


def read_page_token(call: Any, kinds: tuple[type | tuple[type, ...], ...]) -> PageToken | None:
    """The token of a list call; None for the first page. `kinds` are the types of the parts of a key.

    Raises `InvalidInputError` when the token is not one that this list gave for this filter, or goes with an offset.
    """
    if not call.page_token:
        return None
    if call.offset:
        raise InvalidInputError("offset and page_token exclude each other: leave one of them out")
    refusal = InvalidInputError(
        "page_token does not belong to this list: give the token of the page before, with the same filter and order"
    )
    if len(call.page_token) > _MAX_TOKEN_CHARACTERS:
        raise refusal
    try:
        digest, total_count, *key = json.loads(base64.b64decode(call.page_token, altchars=b"-_", validate=True))
    except (ValueError, TypeError, RecursionError):
        raise refusal from None
    if digest != _digest(call, total_count, key) or len(key) != len(kinds):
        raise refusal
    if type(total_count) is not int or not all(map(isinstance, key, kinds)):
        raise refusal
    return PageToken(tuple(key), total_count)


def page_token(call: Any, key: Key, total_count: int) -> str:
    """The token of the page behind a row."""
    content = [_digest(call, total_count, list(key)), total_count, *key]
    return base64.urlsafe_b64encode(json.dumps(content).encode()).decode()


def _digest(call: Message, total_count: object, key: list[Any]) -> str:
    filtered = type(call)()
    filtered.CopyFrom(call)
    for field in _NOT_OF_THE_FILTER:
        filtered.ClearField(field)
    content = [type(call).__name__, filtered.SerializeToString(deterministic=True).hex(), total_count, key]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:24]
