"""Tables for people that are printed a page at a time: columns keep their places, headings come once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


class Table:
    """Aligned columns under headings. A column is as wide as the widest cell so far."""

    def __init__(self, headings: Sequence[str]) -> None:
        self._headings = list(headings)
        self._widths = [0] * len(headings)
        self._has_headings = False

    def lines(self, rows: Iterable[Sequence[str]]) -> list[str]:
        """The rows as lines, the headings before the first ones."""
        lines = [list(row) for row in rows]
        if not self._has_headings:
            lines.insert(0, self._headings)
            self._has_headings = True
        for line in lines:
            self._widths = [max(width, len(cell)) for width, cell in zip(self._widths, line, strict=True)]
        return [
            "  ".join(cell.ljust(width) for cell, width in zip(line, self._widths, strict=True)).rstrip()
            for line in lines
        ]
