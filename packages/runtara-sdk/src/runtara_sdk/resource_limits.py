"""What a program may use: the bounds that an image or a start asks for."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from runtara_sdk.errors import InvalidInputError

_KIBIBYTE = 1024
_MEBIBYTE = 1024**2
_TEBIBYTE = 1024**4

_BOUNDS: Mapping[str, tuple[float, float]] = {
    "memory_bytes": (16 * _MEBIBYTE, 1024 * _TEBIBYTE),
    "cpu_cores": (0.01, 10_000),
    "processes": (1, 4_194_304),
    "file_size_bytes": (64 * _KIBIBYTE, 1024 * _TEBIBYTE),
    "open_files": (32, 1_048_576),
    "tmp_bytes": (64 * _KIBIBYTE, _TEBIBYTE),
    "output_bytes": (4 * _KIBIBYTE, _TEBIBYTE),
}
"""Least and most of each. With less no program starts."""

_SUFFIXES = {
    "": 1,
    "B": 1,
    **{f"{letter}iB": 1024**power for power, letter in enumerate("KMGT", 1)},
    **{f"{letter}B": 1000**power for power, letter in enumerate(("k", "M", "G", "T"), 1)},
}


@dataclass(frozen=True, slots=True)
class ResourceLimits:
    """Bounds of each launch; None leaves one to whoever comes next: the image, the environment, the runner.

    Attributes:
        memory_bytes: memory of the program, 16 MiB or more.
        cpu_cores: processor time per wall-clock time, 0.5 = half a core.
        processes: processes and threads at once.
        file_size_bytes: size of any one file that the program writes.
        open_files: open file descriptors of a process.
        tmp_bytes: size of `/tmp`.
        output_bytes: what is kept of stdout and of stderr each; older output goes first.
    """

    memory_bytes: int | None = None
    cpu_cores: float | None = None
    processes: int | None = None
    file_size_bytes: int | None = None
    open_files: int | None = None
    tmp_bytes: int | None = None
    output_bytes: int | None = None

    def given(self) -> dict[str, Any]:
        """The bounds that are not None, by name."""
        values = ((field.name, getattr(self, field.name)) for field in fields(self))
        return {name: value for name, value in values if value is not None}

    def over(self, others: ResourceLimits) -> ResourceLimits:
        """These bounds, and those of `others` where there is none here."""
        return replace(others, **self.given())

    def require_usable(self, what: str = "limits") -> None:
        """Raise `InvalidInputError`, naming bound and value, unless a program can live with every bound."""
        for name, value in self.given().items():
            least, most = _BOUNDS[name]
            is_number = type(value) is int or (name == "cpu_cores" and type(value) is float and math.isfinite(value))
            if not is_number:
                kind = "a number" if name == "cpu_cores" else "a whole number"
                raise InvalidInputError(f"{what}.{name} is {value!r}, which is not {kind}")
            if not least <= value <= most:
                raise InvalidInputError(
                    f"{what}.{name} is {format_limit(name, value)}: "
                    f"give one from {format_limit(name, least)} to {format_limit(name, most)}"
                )

    def encode(self) -> str:
        """The bounds that are given, as a JSON object."""
        return json.dumps(self.given(), separators=(",", ":"))

    @classmethod
    def from_json(cls, value: Any, what: str = "limits") -> ResourceLimits:
        """From a JSON object, members that are not known ignored; raises `InvalidInputError`."""
        if not isinstance(value, dict):
            raise InvalidInputError(f"{what} is not a JSON object")
        known = {field.name for field in fields(cls)}
        limits = cls(**{name: bound for name, bound in value.items() if name in known})
        limits.require_usable(what)
        return limits


UNLIMITED = ResourceLimits()
"""No bound is asked for."""


def format_limit(name: str, value: float) -> str:
    """A bound for people: bytes in the largest unit that divides them."""
    if not name.endswith("_bytes"):
        return f"{value:g}" if isinstance(value, float) else str(value)
    for unit in ("TiB", "GiB", "MiB", "KiB"):
        if value >= _SUFFIXES[unit] and value % _SUFFIXES[unit] == 0:
            return f"{int(value // _SUFFIXES[unit])} {unit}"
    return f"{int(value)} bytes"


def parse_bytes(text: str) -> int:
    """Bytes of `1048576`, `512MiB`, `1.5 GiB` or `2GB`; raises ValueError for any other text."""
    digits = text.rstrip("BGKMTik ")
    factor = _SUFFIXES.get(text[len(digits) :].strip())
    if factor is None:
        raise ValueError(f"{text!r} is no size: write 512MiB, 1GiB or a number of bytes")
    try:
        value = float(digits) if "." in digits else int(digits)
        return int(value * factor)
    except (ValueError, OverflowError):
        raise ValueError(f"{text!r} is no size: write 512MiB, 1GiB or a number of bytes") from None
