"""Reference paths: `data.lines[0].sku`, `steps.fetch.outputs.items.-1`, `data['full name']`.

The syntax is the one that the compiler validates: a quoted key is one key whatever it holds, up to its closing quote
and bracket. On an array a whole number is a position, negative from the end; on an object every segment is a key. What
is missing resolves to null; a name that addresses into an array is an error.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, NamedTuple

_TOKEN = re.compile(
    r"""\.?(?P<name>[^.\[\]]+)
        |\[(?P<position>-?\d+)\]
        |\['(?P<single>.*?)'\]
        |\["(?P<double>.*?)"\]""",
    re.VERBOSE | re.ASCII | re.DOTALL,
)
_LONGEST_POSITION = 1_000
_POSITION = re.compile(r"-?\d{1,15}", re.ASCII)


class Segment(NamedTuple):
    """One step of a path: the key, and the position when it can be read as one."""

    key: str
    position: int | None


class PathError(ValueError):
    """The path is malformed, or addresses an array by name."""


@lru_cache(maxsize=4096)
def parse_path(path: str) -> tuple[Segment, ...]:
    """Split a path into its segments; raises `PathError` naming path and place."""
    segments: list[Segment] = []
    at = 0
    while at < len(path):
        token = _TOKEN.match(path, at)
        # A name stands first or after a dot; nothing else may stand first.
        if token is None or (token["name"] is not None) != (at == 0 or path[at] == "."):
            raise PathError(f"path {path!r} is malformed at character {at + 1}")
        key = token[token.lastgroup or "name"]
        if token.lastgroup == "position" and len(key) <= _LONGEST_POSITION:
            key = str(int(key))  # [007] and [7] are one place
        segments.append(Segment(key, int(key) if _POSITION.fullmatch(key) else None))
        at = token.end()
    if not segments or path[0] == ".":
        raise PathError(f"path {path!r} does not start with a name")
    return tuple(segments)


def resolve_path(path: str, roots: dict[str, Any]) -> Any:
    """The value at `path`, or None when anything on the way is missing."""
    value: Any = roots
    for segment in parse_path(path):
        if isinstance(value, dict):
            value = value.get(segment.key)
        elif isinstance(value, list):
            if segment.position is None:
                raise PathError(f"path {path!r} addresses an array by the name {segment.key!r}; use a position")
            inside = -len(value) <= segment.position < len(value)
            value = value[segment.position] if inside else None
        else:
            return None
    return value
