"""Type hints of references: fit a value to `string`, `integer`, `number`, `boolean`, `json` or `file`, or fail."""

from __future__ import annotations

import json
import math
import re
from contextlib import suppress
from typing import Any

_INTEGER = re.compile(r"[+-]?\d+", re.ASCII)
_NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_LONGEST_NUMBER = 4096  # the interpreter refuses to parse much longer digit strings
_SHOWN_CHARACTERS = 80


class CoercionError(ValueError):
    """The value has no counterpart of the wanted type."""


def coerce(value: Any, hint: str) -> Any:
    """Fit `value` to the type hint; null passes. Raises `CoercionError` naming value and type.

    Text becomes a number only when all of it is one, fractions are cut off for `integer`, and a boolean is true for
    the texts `true` and `1`, for numbers other than zero and for containers that hold something.
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
        if isinstance(number, int | float):
            with suppress(OverflowError):
                double = float(number)
                if math.isfinite(double):
                    return double
    raise CoercionError(f"{shown(value)} cannot be coerced to {hint}")


def _as_integer(value: Any) -> int | None:
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return math.trunc(value) if math.isfinite(value) else None
    if isinstance(value, str) and len(value) <= _LONGEST_NUMBER and _INTEGER.fullmatch(value):
        return int(value)
    return None


def as_text(value: Any) -> str:
    """Text as it is, everything else as compact JSON."""
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def parse_number(text: str) -> int | float | None:
    """The number that all of `text` spells (no surrounding space), or None."""
    if len(text) > _LONGEST_NUMBER or not _NUMBER.fullmatch(text):
        return None
    return int(text) if _INTEGER.fullmatch(text) else float(text)


def shown(value: Any) -> str:
    """A value as messages show it: its JSON, cut when it is long."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "..."
