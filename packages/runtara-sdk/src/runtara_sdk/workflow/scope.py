"""Where a graph runs: what its checkpoint keys start with, and where its loops stand."""

from __future__ import annotations

import re
from dataclasses import dataclass

_SEPARATORS = re.compile(r"[%:/\[]")


@dataclass(frozen=True, slots=True)
class Scope:
    """The place of one graph run.

    Attributes:
        base: first part of every checkpoint key: `<scenario id>::<instance id>` for the root graph.
        path: ids of the steps whose bodies enclose the graph, outermost first; empty for a root and a child.
        loop_indices: positions of the enclosing iterations, outermost first.
        scope_id: names the scope in debug events; None for the root graph.
        parent_scope_id: the enclosing scope, if any.
    """

    base: str
    path: tuple[str, ...] = ()
    loop_indices: tuple[int, ...] = ()
    scope_id: str | None = None
    parent_scope_id: str | None = None

    def key(self, kind: str, *parts: str) -> str:
        """A checkpoint key: base, enclosing steps, kind of the step, parts and, within loops, the positions.

        Steps of different bodies may have the same id, so the enclosing steps are part of the key.
        """
        enclosing = ["/".join(map(plain_part, self.path))] if self.path else []
        key = "::".join((self.base, *enclosing, kind, *map(plain_part, parts)))
        return key + self._positions("::")

    def signal_id(self, instance_id: str, step_id: str) -> str:
        """The id under which a signal for a WaitForSignal step is sent."""
        return f"{instance_id}/{self.base}/{step_id}" + self._positions("/")

    def container_id(self, step_id: str) -> str:
        """The scope of a step that runs graphs of its own, as debug events name it."""
        return f"sc_{step_id}" if self.scope_id is None else f"{self.scope_id}_{step_id}"

    def iteration(self, step_id: str, index: int) -> Scope:
        """The scope of one pass of a body."""
        container = self.container_id(step_id)
        return Scope(self.base, (*self.path, step_id), (*self.loop_indices, index), f"{container}_{index}", container)

    def body(self, step_id: str) -> Scope:
        """The scope of a body that runs once."""
        container = self.container_id(step_id)
        return Scope(self.base, (*self.path, step_id), self.loop_indices, container, self.scope_id)

    def child(self, step_id: str, *, is_root: bool) -> Scope:
        """The scope of a child scenario that a step starts; `is_root` says that this one is of no child itself."""
        enclosing = "".join(f"{plain_part(part)}/" for part in self.path)
        joint = "::" if is_root else "__"
        base = f"{self.base}{joint}{enclosing}{plain_part(step_id)}{self._positions('')}"
        container = self.container_id(step_id)
        return Scope(base, (), (), container, self.scope_id)

    def _positions(self, before: str) -> str:
        return f"{before}[{','.join(map(str, self.loop_indices))}]" if self.loop_indices else ""


def plain_part(text: str) -> str:
    """An id as part of a key: what separates the parts of a key is escaped, so that no two keys are the same."""
    return _SEPARATORS.sub(lambda found: f"%{ord(found[0]):02X}", text)
