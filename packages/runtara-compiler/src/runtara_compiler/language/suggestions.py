"""Did you mean …? The nearest of the known names."""

from __future__ import annotations

from collections.abc import Iterable

MAXIMUM_NAME_CHARACTERS = 100
MAXIMUM_CANDIDATES = 1000


def suggest(name: str, candidates: Iterable[str]) -> str | None:
    """The candidate nearest to a name by edit distance in lower case, if at most half the name's length plus two.

    One that has nothing in common with the name is none. Of equally near ones the first in alphabetical order is given.
    Very long names and lists are cut, so that hostile input stays cheap.
    """
    wanted = name[:MAXIMUM_NAME_CHARACTERS].lower()
    nearest: str | None = None
    limit = len(wanted) // 2 + 3
    for candidate in sorted(candidates)[:MAXIMUM_CANDIDATES]:
        lowered = candidate[:MAXIMUM_NAME_CHARACTERS].lower()
        if abs(len(lowered) - len(wanted)) >= limit:
            continue
        distance = edit_distance(wanted, lowered)
        if distance < min(limit, max(len(wanted), len(lowered))):
            nearest, limit = candidate, distance
    return nearest


def edit_distance(left: str, right: str) -> int:
    """Levenshtein's distance: insertions, deletions and replacements of one character each."""
    previous = list(range(len(right) + 1))
    for row, left_character in enumerate(left, start=1):
        current = [row]
        for column, right_character in enumerate(right, start=1):
            replaced = previous[column - 1] + (left_character != right_character)
            current.append(min(replaced, previous[column] + 1, current[column - 1] + 1))
        previous = current
    return previous[-1]


def did_you_mean(name: str, candidates: Iterable[str]) -> str:
    """The end of a message: the suggestion with its leading separator, or an empty text."""
    found = suggest(name, candidates)
    return f"; did you mean {str(found)!r}?" if found is not None else ""


def listing(names: Iterable[str], *, most: int = 20) -> str:
    """Sorted names for a message, cut after `most`; "none" when there are none."""
    ordered = sorted(names)
    shown = ", ".join(ordered[:most])
    if len(ordered) > most:
        shown += f" and {len(ordered) - most} more"
    return shown or "none"
