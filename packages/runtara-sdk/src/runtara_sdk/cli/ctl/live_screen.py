"""Lines that are replaced in place on a terminal."""

from __future__ import annotations

import os
import shutil
import sys

import click

_NO_WRAP, _WRAP = "\x1b[?7l", "\x1b[?7h"


def is_live() -> bool:
    """Whether standard output is a terminal that can move its cursor."""
    return sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"


class LiveScreen:
    """Shows lines in the place of those shown before.

    Lines are cut at the edge of the terminal, and no more are shown than fit, so the place is always known. Nothing of
    the terminal is changed beyond one frame, so however the process ends, the terminal is as it was.
    """

    def __init__(self) -> None:
        self._shown = 0

    def show(self, lines: list[str], *footer: str) -> None:
        """Replace what is shown; where not all fits, the end of `lines` is left out."""
        room = max(2, shutil.get_terminal_size().lines - 1 - len(footer))
        if len(lines) > room:
            lines = [*lines[: room - 1], f"... {len(lines) - room + 1} lines more"]
        lines = [*lines, *footer]
        back = f"\x1b[{self._shown}F" if self._shown else ""
        click.echo(f"{_NO_WRAP}{back}\x1b[J" + "".join(f"{line}\n" for line in lines) + _WRAP, nl=False, color=True)
        self._shown = len(lines)
