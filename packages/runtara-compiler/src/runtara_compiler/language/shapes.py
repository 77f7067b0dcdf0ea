"""What is known of the outputs of a step before it runs: names and what can be read below them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Leaf:
    """A text, a number, a boolean: nothing can be read below it."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """Anything."""


@dataclass(frozen=True, slots=True)
class Record:
    """An object with exactly these members."""

    members: Mapping[str, Shape]


@dataclass(frozen=True, slots=True)
class Items:
    """An array of such items."""

    item: Shape


Shape: TypeAlias = Leaf | Unknown | Record | Items

LEAF = Leaf()
UNKNOWN = Unknown()


def record(**members: Shape) -> Record:
    """An object with exactly these members."""
    return Record(members)
