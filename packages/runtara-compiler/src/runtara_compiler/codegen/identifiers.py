"""Identifiers for things that a scenario names freely."""

from __future__ import annotations

import builtins
import keyword
import re

_LONGEST = 48
_NOT_A_WORD = re.compile(r"[^0-9A-Za-z]+")
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_RESERVED = frozenset(dir(builtins)) | frozenset(keyword.kwlist) | frozenset(keyword.softkwlist)


def snake_case(text: str) -> str:
    """Lower-case ASCII words joined by underscores; may be empty."""
    words = _NOT_A_WORD.sub("_", _HUMP.sub("_", text)).strip("_").lower()
    return words[:_LONGEST].rstrip("_")


class Identifiers:
    """Gives out identifiers that differ from each other, from builtins, keywords and the names taken before."""

    def __init__(self, taken: frozenset[str]) -> None:
        self._taken = set(taken)

    def choose(self, text: str, kind: str) -> str:
        """The identifier nearest to `text`; `kind` stands in where the text offers none, or makes it differ."""
        wanted = snake_case(text)
        if not wanted or wanted[0].isdigit():
            wanted = f"{kind}_{wanted}".rstrip("_")
        candidates = [wanted, f"{wanted}_{kind}"]
        number = 2
        while self._is_taken(candidates[0]):
            candidates.pop(0)
            if not candidates:
                candidates = [f"{wanted}_{number}"]
                number += 1
        self._taken.add(candidates[0])
        return candidates[0]

    def _is_taken(self, name: str) -> bool:
        return name in self._taken or name in _RESERVED
