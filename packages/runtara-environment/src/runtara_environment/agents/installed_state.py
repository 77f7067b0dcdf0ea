"""What is installed, as far as names, sizes and times of change tell: whether a listing of agents is still true."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

_METADATA_SUFFIXES = (".dist-info", ".egg-info")


@dataclass(frozen=True, slots=True)
class InstalledState:
    """A look at installed distributions and at files; equal to another one when nothing has changed.

    Attributes:
        entries: path, size in bytes and time of change in nanoseconds of each; -1 for what is not there.
    """

    entries: frozenset[tuple[str, int, int]]

    @classmethod
    def look(cls, sources: Iterable[str]) -> InstalledState:
        """The state of all distributions on the search path, and of the files `sources`. Blocks for milliseconds."""
        return cls(frozenset(_entry(path) for paths in (_metadata(), sources) for path in paths))

    def has_changed_between(self, begin_ns: int, end_ns: int) -> bool:
        """Whether the last change of any of it lies in a span of time, in nanoseconds since the Unix epoch."""
        return any(begin_ns <= changed_at <= end_ns for _, _, changed_at in self.entries)


def _entry(path: str) -> tuple[str, int, int]:
    try:
        status = os.stat(path)  # noqa: PTH116 - hundreds of texts
    except OSError:
        return path, -1, -1
    return path, status.st_size, status.st_mtime_ns


def _metadata() -> Iterator[str]:
    """The folders that installers write, and the entry points in them."""
    for folder in sys.path:
        try:
            names = os.listdir(folder or ".")  # noqa: PTH208
        except OSError:
            continue
        for name in names:
            if name.lower().endswith(_METADATA_SUFFIXES):
                yield f"{folder}/{name}"
                yield f"{folder}/{name}/entry_points.txt"
