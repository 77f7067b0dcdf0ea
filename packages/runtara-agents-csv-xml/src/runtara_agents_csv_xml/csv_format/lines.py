"""The lines of a CSV file as text, taken in blocks, with the places of their ends.

Bytes are split before they are decoded where a line feed is one byte, so that wrong bytes and their places are exact.
Lines end with LF, CRLF or CR, also within quotes: the reader of CSV puts those together again.
"""

from __future__ import annotations

import codecs
import io
from collections.abc import Callable, Iterator
from itertools import chain
from typing import BinaryIO

WIDE = frozenset({"utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"})
"""Encodings of which a line feed is several bytes."""

LONGEST_LINE_BYTES = 64 * 1024 * 1024
_FIRST_BLOCK_BYTES = 16 * 1024
_BLOCK_BYTES = 256 * 1024


class LineError(Exception):
    """A line that cannot be read.

    Attributes:
        reason: completes "row 7: ".
        byte: place in the file.
        is_encoding: whether its bytes are wrong; it is too long otherwise.
    """

    def __init__(self, reason: str, byte: int, *, is_encoding: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.byte = byte
        self.is_encoding = is_encoding


class Lines:
    """The lines from where a stream stands.

    Args:
        stream: of bytes.
        encoding: of its text.
        check: called between blocks.
        longest: characters of a line from which on `is_too_long` is asked.
        is_too_long: whether a field of the line is too long.
    """

    def __init__(
        self,
        stream: BinaryIO,
        encoding: str,
        check: Callable[[], object],
        *,
        longest: int,
        is_too_long: Callable[[str], bool],
    ) -> None:
        self._stream = stream
        self._encoding = encoding
        self._check = check
        self._longest = longest
        self._is_too_long = is_too_long
        self._offset = stream.tell()
        self._first = 0
        self._block: list[str] = []
        self._size = _FIRST_BLOCK_BYTES

    def __iter__(self) -> Iterator[str]:
        return chain.from_iterable(self._blocks())

    def end_of(self, count: int) -> int:
        """The offset behind the first `count` lines; these must be all that were taken, not fewer."""
        taken = "".join(self._block[: count - self._first])
        return self._offset + len(taken.encode(self._encoding))

    def _blocks(self) -> Iterator[list[str]]:
        pieces = self._wide_pieces() if self._encoding in WIDE else self._pieces()
        for text in pieces:
            self._offset = self.end_of(self._first + len(self._block))
            self._first += len(self._block)
            self._block = io.StringIO(text, newline="").readlines()
            if len(text) > self._longest and max(map(len, self._block)) > self._longest:
                for index, line in enumerate(self._block):
                    if self._is_too_long(line):
                        yield self._block[:index]
                        reason = f"a field is longer than {self._longest} characters (max_field_characters)"
                        raise LineError(reason, self.end_of(self._first + index))
            yield self._block
            self._check()

    def _pieces(self) -> Iterator[str]:
        """Texts of whole lines. What is wrong with a line is told when all lines before it have been taken."""
        begin, carried = self._offset, b""
        while block := self._read(len(carried)):
            data = carried + block
            # A CR at the end may be half of a line end.
            cut = (data.rfind(b"\n") + 1) or (data.rfind(b"\r", 0, len(data) - 1) + 1)
            if cut:
                yield from self._decoded(data[:cut], begin)
            elif len(data) > LONGEST_LINE_BYTES:
                raise _line_too_long(begin)
            carried = data[cut:]
            begin += cut
        if carried:
            yield from self._decoded(carried, begin)

    def _read(self, carried: int) -> bytes:
        """The next block: small at first, as a header or a chunk may be all that is wanted; then as long as a line."""
        block = self._stream.read(max(self._size, carried))
        self._size = min(2 * self._size, _BLOCK_BYTES)
        return block

    def _decoded(self, data: bytes, begin: int) -> Iterator[str]:
        wrong, reason = data.find(b"\0"), "NUL: the file is in UTF-16 without a mark, damaged, or no text"
        try:
            text = data.decode(self._encoding)
        except UnicodeDecodeError as error:
            text = ""
            if wrong < 0 or error.start < wrong:
                wrong, reason = error.start, f"not {self._encoding}: give the right encoding"
        if wrong < 0:
            yield text
            return
        before = max(data.rfind(b"\n", 0, wrong), data.rfind(b"\r", 0, wrong)) + 1
        if before:
            yield data[:before].decode(self._encoding)
        raise LineError(f"byte {begin + wrong} is {reason}", begin + wrong, is_encoding=True)

    def _wide_pieces(self) -> Iterator[str]:
        decoder = codecs.getincrementaldecoder(self._encoding)()
        carried, place, failed = "", self._offset, None
        while failed is None:
            block = self._read(len(carried))
            try:
                text = carried + decoder.decode(block, final=not block)
            except UnicodeDecodeError as error:
                wrong = place + len(block) - len(error.object) + error.start
                failed = LineError(
                    f"byte {wrong} is not {self._encoding}: give the right encoding", wrong, is_encoding=True
                )
                text = carried + error.object[: error.start].decode(self._encoding)
            place += len(block)
            cut = (text.rfind("\n") + 1) or (text.rfind("\r", 0, len(text) - 1) + 1)
            if not block:
                cut = len(text)
            elif not cut and len(text) > LONGEST_LINE_BYTES:
                raise _line_too_long(place)
            if cut:
                yield text[:cut]
            carried = text[cut:]
            if not block:
                break
        if failed is not None:
            raise failed


def _line_too_long(begin: int) -> LineError:
    return LineError(f"a line is longer than {LONGEST_LINE_BYTES} bytes: is it CSV?", begin)
