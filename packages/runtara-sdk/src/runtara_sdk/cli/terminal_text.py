"""Text of programs for a terminal: nothing in it moves the cursor, changes colours or hides what is there."""

from __future__ import annotations

import codecs
import sys

_KEPT = frozenset("\n\t")
_LONGEST_LINE_BYTES = 64 * 1024


def escaped(text: str) -> str:
    """Control characters, and those that reorder text, as visible escapes; line ends and tabs stay."""
    return "".join(
        character if character in _KEPT or character.isprintable() else _escape(character) for character in text
    )


def _escape(character: str) -> str:
    number = ord(character)
    if number < 0x100:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


class OutputPrinter:
    """Prints bytes of a program as whole lines: as they are, or escaped where standard output is a terminal.

    `prefix` begins each line.
    """

    def __init__(self, *, prefix: str = "", is_terminal: bool | None = None) -> None:
        self._prefix = prefix.encode()
        self._is_terminal = sys.stdout.isatty() if is_terminal is None else is_terminal
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._pending = b""

    def write(self, data: bytes) -> None:
        """Print the lines that are complete now, and what is too long to wait for the rest."""
        lines = _lines(self._pending + data)
        self._pending = b""
        if lines and not lines[-1].endswith(b"\n") and len(lines[-1]) < _LONGEST_LINE_BYTES:
            self._pending = lines.pop()
        for line in lines:
            self._print(line)
        sys.stdout.flush()

    def finish(self) -> None:
        """Print what has no line end."""
        if self._pending:
            self._print(self._pending + b"\n")
            self._pending = b""
            sys.stdout.flush()

    def _print(self, line: bytes) -> None:
        if not self._is_terminal:
            sys.stdout.buffer.write(self._prefix + line)
            return
        text = self._decoder.decode(line).removesuffix("\n").removesuffix("\r")
        sys.stdout.write(self._prefix.decode() + escaped(text) + "\n")


def _lines(data: bytes) -> list[bytes]:
    parts = data.split(b"\n")
    lines = [part + b"\n" for part in parts[:-1]]
    return [*lines, parts[-1]] if parts[-1] else lines
