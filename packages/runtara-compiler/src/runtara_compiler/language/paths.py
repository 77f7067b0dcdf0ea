"""Paths of references: `data.order.lines[0].sku`, `steps['full name'].outputs.items.-1`.

A path is a root name followed by segments:

* `.name`: a name; it may hold any character but dots, brackets and braces, and no white space at its ends;
* `['key']` or `["key"]`: an opaque key, taken as it stands up to the closing quote and bracket (no escapes);
* `[n]`: a position, negative from the end.

Names and quoted keys become `str`, bracketed positions `int`. A reader of values applies one rule to both: on
an array, an `int` or a `str` that is a decimal integer is a position; on an object either is a key, as text.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import TypeAlias

Segment: TypeAlias = str | int

MAXIMUM_PATH_CHARACTERS = 4096
MAXIMUM_POSITION_DIGITS = 15

_POSITION = re.compile(r"-?[0-9]+")
_PLAIN_NAME = re.compile(r"[^\W\d][\w-]*")


class PathSyntaxError(ValueError):
    """A path is malformed; `reason` says how, without repeating the path."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path!r}: {reason}")
        self.path = path
        self.reason = reason


@lru_cache(maxsize=4096)
def parse_path(path: str) -> tuple[Segment, ...]:
    """Split a reference path into its segments; the first is the name of the root.

    Raises:
        PathSyntaxError: the path is empty, too long or malformed.
    """
    if not path.strip():
        raise PathSyntaxError(path, "the path is empty")
    if len(path) > MAXIMUM_PATH_CHARACTERS:
        raise PathSyntaxError(path[:40] + "…", f"the path exceeds {MAXIMUM_PATH_CHARACTERS} characters")
    segments: list[Segment] = []
    position = 0
    name_expected = True
    while position < len(path) or name_expected:
        if name_expected:
            name, position = _read_name(path, position)
            segments.append(name)
            name_expected = False
        elif path[position] == ".":
            position += 1
            name_expected = True
        elif path[position] == "[":
            segment, position = _read_bracket(path, position)
            segments.append(segment)
        else:
            raise PathSyntaxError(path, f"expected '.' or '[' at character {position + 1}")
    return tuple(segments)


def format_path(segments: Sequence[Segment]) -> str:
    """Write segments as a path: names that need it in quotes, positions in brackets."""
    parts: list[str] = []
    for segment in segments:
        if isinstance(segment, int):
            parts.append(f"[{segment}]")
        elif _PLAIN_NAME.fullmatch(segment):
            parts.append(f".{segment}" if parts else segment)
        else:
            quote = '"' if "']" in segment or segment.endswith("'") else "'"
            parts.append(f"[{quote}{segment}{quote}]")
    return "".join(parts)


def _read_name(path: str, start: int) -> tuple[str, int]:
    end = start
    while end < len(path) and path[end] not in ".[]":
        end += 1
    name = path[start:end]
    if not name:
        raise PathSyntaxError(path, f"empty segment at character {start + 1}")
    if "{" in name or "}" in name:
        raise PathSyntaxError(path, "template syntax is not allowed in a reference; write the bare path")
    if name != name.strip():
        raise PathSyntaxError(path, f"the segment {name!r} has white space at its end; quote it: [{name!r}]")
    return name, end


def _read_bracket(path: str, start: int) -> tuple[Segment, int]:
    quote = path[start + 1 : start + 2]
    if quote in {"'", '"'} and quote:
        # The end is quote and bracket together, so that a key may hold the quote itself.
        end = path.find(quote + "]", start + 2)
        if end < 0:
            raise PathSyntaxError(path, f"the key quoted at character {start + 1} is not closed by {quote}]")
        return path[start + 2 : end], end + 2
    end = path.find("]", start)
    if end < 0:
        raise PathSyntaxError(path, f"the bracket at character {start + 1} is not closed")
    text = path[start + 1 : end]
    if not _POSITION.fullmatch(text):
        raise PathSyntaxError(path, f"[{text}] is neither a position nor a quoted key")
    if len(text) > MAXIMUM_POSITION_DIGITS:
        raise PathSyntaxError(path, f"the position [{text[:20]}…] is out of any range")
    return int(text), end + 1
