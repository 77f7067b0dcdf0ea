"""The path language of the transform capabilities.

    customer.name          a member of a member; an optional `$.` before it says the same
    items.0.sku            elements of arrays by position, also items[0].sku; items[-1] is the last one
    customer['full name']  a key as it is, whatever it holds
    items[*].sku           of every element (or member): an array of what is found

The empty path, and `$`, is the value itself. What is missing on the way reads as null, or is an error where the caller
asks for it.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, Final

from runtara_sdk.agents import AgentError, KnownError

INVALID_PATH = "TRANSFORM_INVALID_PATH"
PATH_NOT_FOUND = "TRANSFORM_PATH_NOT_FOUND"

PATH_ERRORS = (
    KnownError.permanent(INVALID_PATH, "A path is malformed, or leads through something that has no members.", "path"),
    KnownError.permanent(PATH_NOT_FOUND, "Nothing is at a path that must be there.", "path"),
)

_SHOWN = 100
_TOKEN = re.compile(
    r"""\.?(?P<name>[^.\[\]'"]+)
        |\[(?P<position>-?\d{1,9})\]
        |\[(?P<every>\*)\]
        |\['(?P<single>.*?)'\]
        |\["(?P<double>.*?)"\]""",
    re.VERBOSE | re.ASCII | re.DOTALL,
)


class _Every:
    """All elements or members."""


EVERY: Final = _Every()

Part = str | int | _Every


def read_path(value: Any, path: str, *, strict: bool = False) -> Any:
    """The value at `path`; None when something on the way is missing, or `AgentError` when `strict`."""
    found = _read(value, parse_path(path))
    if found is _MISSING:
        if strict:
            text = f"nothing is at the path {path[:_SHOWN]!r}"
            raise AgentError.permanent(PATH_NOT_FOUND, text, attributes={"path": path[:_SHOWN]})
        return None
    return found


def write_path(target: Any, path: str, value: Any) -> Any:
    """A copy of `target` with `value` at `path`; objects that are missing on the way are made."""
    parts = parse_path(path)
    return _written(target, parts, value, path) if parts else value


@lru_cache(maxsize=4096)
def parse_path(path: str) -> tuple[Part, ...]:
    """The parts of a path; raises `AgentError`."""
    text = path.removeprefix("$.") if path.startswith("$.") else path.removeprefix("$")
    if "{{" in text:
        raise invalid_path(path, "is a template; this takes paths such as customer.name")
    parts: list[Part] = []
    at = 0
    while at < len(text):
        token = _TOKEN.match(text, at)
        # A name stands first or after a dot; nothing else follows a dot.
        if token is None or (token["name"] is not None) != ((at == 0 and text[0] != "[") or text[at] == "."):
            raise invalid_path(path, f"is malformed at character {at + 1}")
        kind = token.lastgroup or "name"
        text_of = token[kind]
        parts.append(
            EVERY if text_of == "*" and kind in ("name", "every") else text_of if kind != "position" else int(text_of)
        )
        at = token.end()
    return tuple(parts)


def invalid_path(path: str, what: str) -> AgentError:
    """The error of a path that cannot be used."""
    return AgentError.permanent(INVALID_PATH, f"the path {path[:_SHOWN]!r} {what}", attributes={"path": path[:_SHOWN]})


_MISSING: Final = object()


def _read(value: Any, parts: tuple[Part, ...]) -> Any:
    for number, part in enumerate(parts):
        if isinstance(part, _Every):
            if not isinstance(value, dict | list):
                return _MISSING
            rest = parts[number + 1 :]
            found = [_read(item, rest) for item in (value.values() if isinstance(value, dict) else value)]
            if any(isinstance(after, _Every) for after in rest):
                found = [item for inner in found if inner is not _MISSING for item in inner]
            return [None if item is _MISSING else item for item in found]
        value = _member(value, part)
        if value is _MISSING:
            return _MISSING
    return value


def _member(value: Any, part: str | int) -> Any:
    if isinstance(value, dict):
        return value.get(str(part), _MISSING)
    if isinstance(value, list):
        position = _position(part)
        if position is not None and -len(value) <= position < len(value):
            return value[position]
    return _MISSING


def _position(part: str | int) -> int | None:
    if isinstance(part, int):
        return part
    return int(part) if part.isascii() and part.isdecimal() and len(part) < 10 else None


def _written(target: Any, parts: tuple[Part, ...], value: Any, path: str) -> Any:
    part, rest = parts[0], parts[1:]
    if isinstance(part, _Every):
        raise invalid_path(path, "names many places; a value is written to one")
    if isinstance(target, dict) or target is None or target is _MISSING:
        written = dict(target) if isinstance(target, dict) else {}
        inner = written.get(str(part), _MISSING)
        written[str(part)] = _written(inner, rest, value, path) if rest else value
        return written
    if isinstance(target, list):
        position = _position(part)
        if position is None or not -len(target) <= position <= len(target):
            raise invalid_path(path, f"has no place {part!r} in an array of {len(target)}")
        items = [*target, _MISSING] if position == len(target) else list(target)
        items[position] = _written(items[position], rest, value, path) if rest else value
        return items
    raise invalid_path(path, f"leads through {json_type(target)} at {part!r}, which has no members")


def json_type(value: Any) -> str:
    """The name of a JSON value's type."""
    if value is None:
        return "null"
    for name, kind in (("boolean", bool), ("number", int | float), ("string", str), ("array", list)):
        if isinstance(value, kind):
            return name
    return "object"
