"""Where a graph runs: what its checkpoint keys start with, and where its loops stand."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Scope:
    """The place of one graph run.

    Attributes:
        base: first part of every checkpoint key: `<scenario id>::<instance id>` for the root graph.
        loop_indices: positions of the enclosing iterations, outermost first.
        scope_id: names the scope in debug events; None for the root graph.
        parent_scope_id: the enclosing scope, if any.
    """

    base: str
    loop_indices: tuple[int, ...] = ()
    scope_id: str | None = None
    parent_scope_id: str | None = None

    def key(self, *parts: str) -> str:
        """A checkpoint key: base, parts and, within loops, the positions."""
        key = "::".join((self.base, *parts))
        if self.loop_indices:
            key += f"::[{','.join(map(str, self.loop_indices))}]"
        return key
