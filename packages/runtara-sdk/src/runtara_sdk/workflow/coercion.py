"""Type hints of references: fit a value to `string`, `integer`, `number`, `boolean`, `json` or `file`, or fail."""

from __future__ import annotations

import math
import re
from contextlib import suppress
from typing import Any

from runtara_sdk.written_decimal import WrittenDecimal, dump_json, exact_number, read_decimal

_INTEGER = re.compile(r"[+-]?\d+", re.ASCII)
_NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_JSON_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?", re.ASCII)
_LARGEST_EXACT = 2**53  # every integer up to it has a double of its own
_LONGEST_NUMBER = 4096  # the interpreter refuses to parse much longer digit strings
_SHOWN_CHARACTERS = 80


class CoercionError(ValueError):
    """The value has no counterpart of the wanted type."""


def coerce(value: Any, hint: str) -> Any:
    """Fit `value` to the type hint; null passes. Raises `CoercionError` naming value and type.

    Text becomes a number only when all of it is one, decimals keep the text that they have, integers that no double
    holds stay integers, fractions are cut off for `integer`, and a boolean is true for the texts `true` and `1`, for
    numbers other than zero and for containers that hold something.
    """
    if value is None or hint in ("json", "file"):
        return value
    if hint == "string":
        return as_text(value)
    if hint == "boolean":
        return value in ("true", "1") if isinstance(value, str) else bool(value)
    if hint == "integer":
        whole = _as_integer(value)
        if whole is not None:
            return whole
    elif hint == "number" and not isinstance(value, bool):
        number = parse_number(value) if isinstance(value, str) else value
        if isinstance(number, int):
            # A larger one may have no double: it stays exact.
            return float(number) if abs(number) <= _LARGEST_EXACT else number
        if isinstance(number, float) and math.isfinite(number):
            return number
    raise CoercionError(f"{shown(value)} cannot be coerced to {hint}")


def _as_integer(value: Any) -> int | None:
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        if isinstance(value, WrittenDecimal):
            return int(exact_number(value))
        return math.trunc(value) if math.isfinite(value) else None
    if isinstance(value, str) and len(value) <= _LONGEST_NUMBER and _INTEGER.fullmatch(value):
        return int(value)
    return None


def as_text(value: Any) -> str:
    """Text as it is, everything else as compact JSON."""
    if isinstance(value, str):
        return value
    return dump_json(value, ensure_ascii=False, separators=(",", ":"))


def parse_number(text: str) -> int | float | None:
    """The number that all of `text` spells (no surrounding space), or None."""
    if len(text) > _LONGEST_NUMBER or not _NUMBER.fullmatch(text):
        return None
    if _INTEGER.fullmatch(text):
        return int(text)
    if _JSON_NUMBER.fullmatch(text) is None:  # `.5`, `5.`, `+0.5`
        return float(text)
    with suppress(ValueError):
        return read_decimal(text)
    return None


def shown(value: Any) -> str:
    """A value as messages show it: its JSON, cut when it is long."""
    text = dump_json(value, ensure_ascii=False, separators=(",", ":"))
    return text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "..."
