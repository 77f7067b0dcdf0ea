"""Making diagnostics that name their step and place in one manner."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from runtara_compiler.language.diagnostics import Diagnostic, diagnostic
from runtara_compiler.language.json_source import quoted
from runtara_compiler.language.paths import Segment, format_path


def step_finding(code: str, step_id: str, text: str, *place: Segment) -> Diagnostic:
    """A finding at a place inside a step: `step 'id': place: text`."""
    inner = format_path(place)
    message = f"step {quoted(step_id)}: {inner + ': ' if inner else ''}{text}"
    return diagnostic(code, message, step_id=step_id, path=format_path(("steps", step_id, *place)))


def graph_finding(code: str, text: str, *place: Segment) -> Diagnostic:
    """A finding that concerns no single step."""
    return diagnostic(code, text, path=format_path(place) or None)


def inside(place: Sequence[Segment], found: Diagnostic) -> Diagnostic:
    """A finding about a graph that stands inside a step, at its place in the scenario."""
    if not place:
        return found
    outer = format_path(place)
    where = " in ".join(quoted(str(place[index])) for index in range(len(place) - 2, 0, -3))
    inner = found.path or ""
    joint = "" if not inner or inner.startswith("[") else "."
    return replace(found, message=f"in {where}: {found.message}", path=f"{outer}{joint}{inner}")


def names(items: Sequence[str]) -> str:
    """Step ids for a message, in the order given, at most ten of them."""
    shown = ", ".join(quoted(item) for item in items[:10])
    return f"{shown} and {len(items) - 10} more" if len(items) > 10 else shown


def duration(milliseconds: int) -> str:
    """A duration for people: in ms below a second, otherwise in s, min or h with one decimal."""
    for unit, size in (("h", 3_600_000), ("min", 60_000), ("s", 1000)):
        if milliseconds >= size:
            return f"{milliseconds / size:.1f} {unit}"
    return f"{milliseconds} ms"
