"""What an instance of the storm does, and what is done to it: drawn at random, with an end that can be told before."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

Command = Literal["pause", "shutdown"]
COMMANDS: tuple[Command, ...] = ("pause", "shutdown")

MOST_TOGETHER = 3

NEVER = "never"
"""The gate that nobody opens."""


@dataclass(frozen=True, slots=True)
class Course:
    """The course of one instance.

    Attributes:
        parts: for the program: ["step", name], ["keep", name], ["retry", name, failures], ["sleep", name, seconds],
            ["gate", name] (a custom signal with the name as its payload), ["together", part, ...].
        commands: what the instance is told on its way, each after so many lines of its witness.
        early: gates that are opened before the program has come to them.
        is_cancelled: at its last gate, which nobody opens.
    """

    parts: tuple[list[Any], ...]
    commands: tuple[tuple[int, Command], ...]
    early: frozenset[str]
    is_cancelled: bool

    @property
    def gates(self) -> list[str]:
        """That are to be opened, in the order in which the program comes to them."""
        return [part[1] for part in _flat(self.parts) if part[0] == "gate" and part[1] != NEVER]

    @property
    def status(self) -> str:
        """At the end."""
        return "cancelled" if self.is_cancelled else "completed"

    @property
    def output(self) -> bytes | None:
        """At the end, as it is stored."""
        if self.is_cancelled:
            return None
        return json.dumps({"done": [part[1] for part in _flat(self.parts)]}, separators=(",", ":")).encode()

    @property
    def recorded(self) -> set[str]:
        """The checkpoints that must be there at the end."""
        found = set()
        for kind, name, *_ in _flat(self.parts):
            if name != NEVER:
                found.add(f"step::{name}" if kind in ("step", "retry") else name)
        return found


def draw_course(dice: random.Random) -> Course:
    """The next course of `dice`; it begins with a step, so that three lines of its witness come whatever follows."""
    names = (f"part-{number}" for number in range(100))
    kinds = dice.choices(("step", "keep", "retry", "sleep", "gate", "together"), k=dice.randint(3, 6))
    parts = [["step", next(names)], *(_part(dice, kind, names) for kind in kinds)]
    is_cancelled = dice.random() < 0.2
    if is_cancelled:
        parts.append(["gate", NEVER])
    commands = tuple((dice.randint(1, 3), dice.choice(COMMANDS)) for _ in range(dice.randint(0, 2)))
    gates = [part[1] for part in _flat(parts) if part[0] == "gate" and part[1] != NEVER]
    early = frozenset(gate for gate in gates if dice.random() < 0.5)
    return Course(tuple(parts), commands, early, is_cancelled)


def _part(dice: random.Random, kind: str, names: Iterator[str]) -> list[Any]:
    if kind == "together":
        inner = dice.choices(("step", "keep", "retry", "sleep", "gate"), k=dice.randint(2, MOST_TOGETHER))
        return ["together", *(_part(dice, each, names) for each in inner)]
    name = next(names)
    if kind == "sleep":
        return [kind, name, round(dice.uniform(0.05, 1.5), 2)]
    if kind == "retry":
        return [kind, name, dice.randint(1, 2)]
    return [kind, name]


def _flat(parts: Any) -> Iterator[list[Any]]:
    for part in parts:
        if part[0] == "together":
            yield from _flat(part[1:])
        else:
            yield part
