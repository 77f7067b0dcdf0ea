"""The path language of the transform capabilities.

An optional prefix `$.`, then keys of objects or decimal indexes of arrays, separated by dots: `items.0.sku`. The empty
path (and `$`) is the value itself. What is missing on the way reads as null.
"""

from __future__ import annotations

from typing import Any


def read_path(value: Any, path: str) -> Any:
    """The value at `path`, or None when something on the way is missing or null."""
    path = path.removeprefix("$.")
    if path in {"", "$"}:
        return value
    for part in path.split("."):
        if isinstance(value, dict):
            value = value.get(part)
        elif isinstance(value, list) and part.isascii() and part.isdecimal() and len(part) < 10:
            index = int(part)
            value = value[index] if index < len(value) else None
        else:
            return None
    return value
