"""Decimals that keep their text on the way through a run.

A JSON number with a fraction is read as a double, and most doubles print the text that they came from: `1.5`, `0.1`.
Where they do not, `1.10` or one of more than 17 digits, the text is what the author or the other side wrote: amounts,
rates, versions. Such a number is kept as a `WrittenDecimal`: a double for whatever calculates, and its own text
wherever it is passed on.
"""

from __future__ import annotations

import json
import math
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from decimal import Decimal

LONGEST_NUMBER = 4096
"""Characters of the longest number that is read; the interpreter refuses to parse much longer digit strings."""

_SHOWN_CHARACTERS = 40
# In JSON that is being written a decimal is a text between two marks, which no value can know.
_MARK = f"decimal:{os.urandom(16).hex()}:"
_OPENING, _CLOSING = f'"{_MARK}', f'{_MARK}"'


class WrittenDecimal(float):
    """A JSON number whose double prints another text than the one it was read from.

    Compares, calculates and hashes as the double; what is calculated from it is a double.

    Attributes:
        text: the number as it was written, a JSON number.
    """

    __slots__ = ("text",)

    is_used = False
    """Whether there has been one in this process: JSON without any is written the short way."""

    text: str

    def __new__(cls, text: str) -> WrittenDecimal:
        number = super().__new__(cls, text)
        number.text = text
        WrittenDecimal.is_used = True
        return number

    def __repr__(self) -> str:
        return self.text

    def __getnewargs__(self) -> tuple[str]:  # type: ignore[override]  # a copy is made from the text
        return (self.text,)


def read_decimal(text: str) -> float:
    """The number of a JSON text with a fraction or an exponent, for `json.loads(parse_float=...)`.

    Raises `ValueError` for what no double can hold and for more than `LONGEST_NUMBER` characters.
    """
    value = float(text)
    if repr(value) == text:
        return value
    if not math.isfinite(value) or len(text) > LONGEST_NUMBER:
        raise ValueError(f"the number {text[:_SHOWN_CHARACTERS]} is out of range")
    return WrittenDecimal(text)


def exact_number(value: float) -> Decimal:
    """A number as it is written: by its own text, or by the shortest one that gives the double."""
    from decimal import Decimal  # few runs calculate with one

    return Decimal(repr(value) if isinstance(value, float) else value)


def plain_text(value: float) -> str:
    """The text that a number shares with all others that equal it: `1.1` for 1.10, `2.0` for 2.00."""
    shortest = repr(float(value))
    return shortest if exact_number(float(value)) == exact_number(value) else str(exact_number(value).normalize())


def dump_json(value: Any, **options: Any) -> str:
    """As `json.dumps`, with decimals as they were written."""
    if not WrittenDecimal.is_used:
        return json.dumps(value, **options)
    try:
        marked = _marked(value)
    except RecursionError:
        return json.dumps(value, **options)  # says what is wrong with the value
    text = json.dumps(marked, **options)
    return text if marked is value else text.replace(_OPENING, "").replace(_CLOSING, "")


def _marked(value: Any) -> Any:
    """A copy with texts between marks for its decimals; what holds none stays what it is."""
    if isinstance(value, WrittenDecimal):
        return f"{_MARK}{value.text}{_MARK}"
    if isinstance(value, dict):
        items = {key: _marked(item) for key, item in value.items()}
        return items if any(items[key] is not item for key, item in value.items()) else value
    if isinstance(value, list | tuple):
        copied = [_marked(item) for item in value]
        return copied if any(one is not other for one, other in zip(copied, value, strict=True)) else value
    return value
