"""Answers as text for people: times, durations, tables, values on one line."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from runtara_sdk.written_decimal import dump_json

MAXIMUM_CELL_CHARACTERS = 200
"""Longest text of a cell or a payload; ids are never cut."""


def duration(milliseconds: int) -> str:
    """A length of time in its two largest units, such as `2 d 4 h` or `350 ms`."""
    parts = []
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1000), ("ms", 1)):
        if milliseconds >= size:
            parts.append(f"{milliseconds // size} {unit}")
            milliseconds %= size
    return " ".join(parts[:2]) or "0 ms"


def size(count: int) -> str:
    """A number of bytes."""
    for unit, unit_bytes in (("MiB", 1 << 20), ("KiB", 1 << 10)):
        if count >= unit_bytes:
            return f"{count / unit_bytes:.1f} {unit}"
    return f"{count} B"


def json_text(value: Any, *, indent: int | None = 2) -> str:
    """JSON for standard output; half characters, which no encoding has, are escaped."""
    return storable(dump_json(value, ensure_ascii=False, indent=indent))


def storable(text: str) -> str:
    """Text without half characters: they are written as escapes, which JSON reads again."""
    return text.encode("utf-8", "backslashreplace").decode()


def one_line(value: Any, *, longest: int = MAXIMUM_CELL_CHARACTERS) -> str:
    """A value on one line that a terminal shows as it is: texts plain, anything else as JSON; cut when too long."""
    text = value if isinstance(value, str) else dump_json(value, ensure_ascii=False)
    text = " ".join(text.split())
    text = "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)
    return text if len(text) <= longest else f"{text[:longest]}..."


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Aligned columns under headings."""
    lines = [list(headings), *(list(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(headings))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]


def fields(pairs: Iterable[tuple[str, str | None]]) -> list[str]:
    """A line for each name and value; what has no value is left out."""
    known = [(name, value) for name, value in pairs if value is not None]
    width = max((len(name) for name, _ in known), default=0)
    return [f"{name.ljust(width)}  {value}" for name, value in known]
