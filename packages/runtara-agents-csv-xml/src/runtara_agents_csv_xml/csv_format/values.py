"""From the text of a field to a value: as declared, or as it reads."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, datetime
from typing import Any

from runtara_sdk.workflow.json_text import decode_json
from runtara_sdk.written_decimal import read_decimal

from runtara_agents_csv_xml.csv_format.options import ColumnType, ReadOptions

INTEGER = re.compile(r"-?(?:0|[1-9][0-9]{0,999})")
NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,999})(?:\.[0-9]{1,999})?(?:[eE][+-]?[0-9]{1,3})?")
_LOOSE_INTEGER = re.compile(r"[+-]?[0-9]{1,999}")
_LOOSE_NUMBER = re.compile(r"[+-]?(?:[0-9]{1,999}(?:\.[0-9]{0,999})?|\.[0-9]{1,999})(?:[eE][+-]?[0-9]{1,3})?")
_BOOLEANS = {"true": True, "false": False, "1": True, "0": False, "yes": True, "no": False}

Reader = Callable[[str], Any]


class UnfitError(ValueError):
    """A field that is not of the type of its column; the text completes "must be"."""


def inferred(text: str) -> Any:
    """A number or a boolean where the text is one in JSON; the text itself otherwise: `007` and `TRUE` stay."""
    first = text[:1]
    if first.isdigit() or first == "-":
        if INTEGER.fullmatch(text):
            return int(text)
        if NUMBER.fullmatch(text):
            try:
                return read_decimal(text)
            except ValueError:  # beyond the range of a double
                return text
    elif text == "true":
        return True
    elif text == "false":
        return False
    return text


def readers(columns: list[str], options: ReadOptions) -> list[Reader] | None:
    """How each column is read; None where all of them are texts as they stand."""
    if not options.types and not options.infer_types and not options.null_values:
        return None
    nulls = frozenset(options.null_values)
    return [_reader(options.types.get(name), options, nulls) for name in columns]


def _reader(declared: ColumnType | None, options: ReadOptions, nulls: frozenset[str]) -> Reader:
    if declared is not None:
        read = _READERS[declared]
    elif options.infer_types:
        read = inferred
    else:
        read = str
    if not nulls and declared in (None, "string"):
        return read

    def value(text: str) -> Any:
        if text in nulls:
            return None
        if declared not in (None, "string") and not text.strip():
            return None  # nothing stands there
        return read(text)

    return value


def _integer(text: str) -> int:
    stripped = text.strip()
    if not _LOOSE_INTEGER.fullmatch(stripped):
        raise UnfitError("an integer")
    return int(stripped)


def _number(text: str) -> float:
    stripped = text.strip()
    if not _LOOSE_NUMBER.fullmatch(stripped):
        raise UnfitError("a number with a decimal point")
    if _LOOSE_INTEGER.fullmatch(stripped):
        return int(stripped)
    try:
        return read_decimal(stripped)
    except ValueError:
        raise UnfitError("a number that a double can hold") from None


def _boolean(text: str) -> bool:
    found = _BOOLEANS.get(text.strip().lower())
    if found is None:
        raise UnfitError("a boolean: true/1/yes or false/0/no")
    return found


def _date(text: str) -> str:
    stripped = text.strip()
    try:
        if len(stripped) <= 10:
            return date.fromisoformat(stripped).isoformat()
        return datetime.fromisoformat(stripped).isoformat()
    except ValueError:
        raise UnfitError("a date as in ISO 8601 (2026-11-27)") from None


def _json(text: str) -> Any:
    try:
        return decode_json(text)
    except ValueError:
        raise UnfitError("a JSON text") from None


_READERS: dict[ColumnType, Reader] = {
    "string": str,
    "integer": _integer,
    "number": _number,
    "boolean": _boolean,
    "date": _date,
    "json": _json,
}
