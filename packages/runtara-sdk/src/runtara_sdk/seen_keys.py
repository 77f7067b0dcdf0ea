"""Which checkpoint ids a process may have recorded something under, in bounded memory.

A program that is the first to advance its instance finds nothing that it has not recorded itself, so it need not ask
the store for the others. This is a Bloom filter: what was added is always in it, and now and then something else seems
to be, which costs a question.
"""

from __future__ import annotations

_BITS = 1 << 20
_MASK = _BITS - 1


class SeenKeys:
    """A set of texts that forgets none; 128 KiB, with one in a hundred mistaken after a hundred thousand."""

    def __init__(self) -> None:
        self._bits = bytearray(_BITS >> 3)

    def add(self, key: str) -> bool:
        """Add a key; returns whether it seems to have been there."""
        bits, number, seen = self._bits, hash(key), True
        for _ in range(3):
            place, bit = (number & _MASK) >> 3, 1 << (number & 7)
            if not bits[place] & bit:
                bits[place] |= bit
                seen = False
            number >>= 20
        return seen
