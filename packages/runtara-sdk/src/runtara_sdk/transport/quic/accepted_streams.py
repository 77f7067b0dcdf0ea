"""Which of a peer's streams were accepted already."""

from __future__ import annotations


class AcceptedStreams:
    """The numbers of all streams ever accepted, which mostly form one run from zero: a mark and what lies beyond it."""

    def __init__(self) -> None:
        self._next = 0
        self._beyond: set[int] = set()

    @property
    def scattered(self) -> int:
        """Number of those beyond the mark."""
        return len(self._beyond)

    def add(self, number: int) -> bool:
        """Whether the number is new."""
        if number == self._next and not self._beyond:
            self._next += 1
            return True
        if number < self._next or number in self._beyond:
            return False
        self._beyond.add(number)
        while self._next in self._beyond:
            self._beyond.discard(self._next)
            self._next += 1
        return True
