"""JSON from outside: what enters a run is read once, strictly, and refused in one line.

Python's parser is more generous than JSON: it takes NaN and numbers that no double can hold, half surrogate pairs that
no UTF-8 can write, and any depth up to the interpreter's own limit. Let in, these fail later, in the middle of a run.
"""

from __future__ import annotations

import json
import re
from typing import Any

from runtara_sdk.errors import InvalidInputError
from runtara_sdk.written_decimal import read_decimal

MAX_NESTING = 200
"""Deepest nesting of objects and arrays in inputs and results."""

_SURROGATE_ESCAPE = re.compile(r"\\u[dD][89a-fA-F]")


def parse_strict_json(text: str | bytes, source: str, *, hint: str = "") -> Any:
    """The value of a JSON text in UTF-8, with or without a byte order mark.

    Args:
        text: the JSON.
        source: what it is, begins every message.
        hint: ends the message about text that is no JSON at all.

    Raises:
        InvalidInputError: no JSON, numbers out of range, half a surrogate pair, or nested deeper than `MAX_NESTING`.
    """
    try:
        decoded = text.decode("utf-8") if isinstance(text, bytes) else text
        decoded.encode("utf-8")
    except UnicodeError:
        raise InvalidInputError(f"{source} is not JSON: it is not UTF-8 text") from None
    try:
        value = json.loads(decoded.removeprefix("\ufeff"), parse_constant=_refuse, parse_float=read_decimal)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise InvalidInputError(f"{source} is not JSON: {error.msg} at {place}{hint}") from None
    except RecursionError:
        raise InvalidInputError(f"{source} is nested deeper than {MAX_NESTING} levels") from None
    except ValueError as error:
        # The interpreter's own message about long integers speaks of its settings.
        reason = "an integer has too many digits" if "digits" in str(error) else str(error)
        raise InvalidInputError(f"{source} is not JSON: {reason}") from None
    if decoded.count("{") + decoded.count("[") > MAX_NESTING and exceeds_nesting(value):
        raise InvalidInputError(f"{source} is nested deeper than {MAX_NESTING} levels")
    if _SURROGATE_ESCAPE.search(decoded) and _holds_half_a_character(value):
        raise InvalidInputError(f"{source} holds a text with half a surrogate pair")
    return value


def exceeds_nesting(value: Any) -> bool:
    """Whether objects and arrays are nested deeper than `MAX_NESTING`."""
    level = [value]
    for _ in range(MAX_NESTING):
        level = [
            item
            for outer in level
            if isinstance(outer, dict | list)
            for item in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(item, dict | list)
        ]
        if not level:
            return False
    return True


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is no JSON number")


def _holds_half_a_character(value: Any) -> bool:
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        return True
    return False
