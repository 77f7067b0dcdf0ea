"""Option values that are JSON or name a file of it: `JSON`, `@FILE`, or `@-` for standard input."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from runtara_sdk.errors import InvalidInputError
from runtara_sdk.strict_json import parse_strict_json

_LARGEST_BYTES = 64 * 1024 * 1024


def read_text(value: str, option: str) -> str:
    """The text behind the value of `option`; raises `InvalidInputError` naming option, file and remedy."""
    if not value.startswith("@"):
        return value
    name = value[1:]
    if not name:
        raise InvalidInputError(f"{option}: a file name is missing behind @: give @FILE, or @- for standard input")
    try:
        if name == "-":
            return sys.stdin.read(_LARGEST_BYTES)
        path = Path(name)
        if path.stat().st_size > _LARGEST_BYTES:
            raise InvalidInputError(f"{option}: {name} is larger than 64 MiB: keep bulk data elsewhere")
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise InvalidInputError(f"{option}: {name}: {error.strerror or error}: give a file that can be read") from error
    except UnicodeDecodeError as error:
        raise InvalidInputError(f"{option}: {name} is not UTF-8 text: {error.reason}") from error


def read_json(value: str, option: str) -> Any:
    """The JSON behind the value of `option`; raises `InvalidInputError` naming option, file, place and remedy."""
    text = read_text(value, option)
    if value.startswith("@"):
        return parse_strict_json(text, f"{option}: {value[1:]}")
    return parse_strict_json(text, option, hint=" (a file is given as @FILE)")
