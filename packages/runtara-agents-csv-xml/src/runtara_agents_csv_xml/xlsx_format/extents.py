"""How large a spreadsheet becomes, found before it is read.

The reader lays a sheet out as a full table from its first cell to its last one, and ends the process where memory does
not suffice. A file of a few kilobytes may hold two cells in opposite corners, or unpack to gigabytes; so the parts of
the archive are unpacked piece by piece here, and counted.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Callable, Iterator
from typing import IO, Any, BinaryIO, cast

_PIECE_BYTES = 1024 * 1024
_LONGEST_TAG_BYTES = 64 * 1024
_MOST_PARTS = 10_000
_CELL = re.compile(rb"\sr\s*=\s*[\"']\$?([A-Za-z]{1,4})\$?([0-9]{1,9})[\"']")
_ROW = re.compile(rb"\sr\s*=\s*[\"']([0-9]{1,9})[\"']")
_ENTITY = re.compile(rb"\sr\s*=\s*(?:\"[^\"<&]*|'[^'<&]*)&")
_ROW_TAG = re.compile(rb"[<:]row[\s/>]")
_CELL_TAGS = (b"<c ", b"<c>", b"<c/", b":c ", b":c>", b":c/", b"<c\n", b"<c\t", b"<c\r")
_TABLE = "{urn:oasis:names:tc:opendocument:xmlns:table:1.0}"
_OFFICE = "{urn:oasis:names:tc:opendocument:xmlns:office:1.0}"
_WIDE_BEGINNINGS = (b"\xff\xfe", b"\xfe\xff", b"<\0", b"\0<")
_ROW_RECORD = 0
_CELL_RECORDS = range(1, 12)
_SHEET_RECORD = 129


class ExtentError(Exception):
    """A spreadsheet that becomes too large.

    Attributes:
        what: bytes or cells.
        limit: how many may be.
    """

    def __init__(self, what: str, limit: int) -> None:
        super().__init__(f"more than {limit} {what}")
        self.what = what
        self.limit = limit


def check_extents(content: bytes, *, most_bytes: int, most_cells: int, check: Callable[[], object]) -> None:
    """Look at a spreadsheet that is an archive: XLSX, XLSB or ODS.

    Args:
        content: of the file.
        most_bytes: what all parts may unpack to.
        most_cells: how many cells a sheet may span.
        check: called between pieces of work.

    Raises:
        ExtentError: it becomes too large.
        Exception: of various kinds, where it is damaged or locked.
    """
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        parts = archive.infolist()
        if len(parts) > _MOST_PARTS:
            raise ExtentError("parts", _MOST_PARTS)
        if sum(part.file_size for part in parts) > most_bytes:
            raise ExtentError("bytes", most_bytes)
        unpacked = 0
        for part in parts:
            with archive.open(part) as stream:
                counted = _Counted(stream, most_bytes - unpacked, most_bytes, check)
                # Relations, not names, say which parts are sheets: all are looked at.
                if part.filename == "content.xml":
                    cells = _cells_of_document(counted, most_cells)
                elif part.filename.lower().endswith(".bin"):
                    cells = _cells_of_records(counted)
                else:
                    cells = _cells_of_xml(counted)
                if cells > most_cells:
                    raise ExtentError("cells", most_cells)
                while counted.read(_PIECE_BYTES):
                    pass
            unpacked += counted.size


class _Counted(io.RawIOBase):
    """A part while it is unpacked: what it says of its size need not be true."""

    def __init__(self, stream: IO[bytes], remaining: int, limit: int, check: Callable[[], object]) -> None:
        self._stream = stream
        self._remaining = remaining
        self._limit = limit
        self._check = check
        self.size = 0

    def read(self, size: int = -1) -> bytes:
        piece = self._stream.read(_PIECE_BYTES if size < 0 else min(size, _PIECE_BYTES))
        self.size += len(piece)
        if self.size > self._remaining:
            raise ExtentError("bytes", self._limit)
        self._check()
        return piece


def _cells_of_xml(stream: _Counted) -> int:
    """The cells of an XLSX sheet, from its first row and column to its last one; 0 for another part."""
    sheet, carried = _XmlSheet(), b""
    while piece := stream.read(_PIECE_BYTES):
        if piece[:2] in _WIDE_BEGINNINGS and stream.size == len(piece):
            raise ValueError("a part is not in UTF-8")
        data = carried + piece
        cut = data.rfind(b"<")
        carried = data[cut:] if cut > len(data) - _LONGEST_TAG_BYTES else b""
        sheet.look(data[: len(data) - len(carried)])
    sheet.look(carried)
    return sheet.rows.length * sheet.columns.length if sheet.is_sheet else 0


class _XmlSheet:
    """What the tags of a sheet say of its size; cells and rows without a reference follow each other."""

    def __init__(self) -> None:
        self.rows = _Span()
        self.columns = _Span()
        self.is_sheet = False
        self._row_tags = 0
        self._cells_of_row = 0

    def look(self, data: bytes) -> None:
        """Take the next tags into account."""
        self.is_sheet = self.is_sheet or b"sheetData" in data
        if _ENTITY.search(data):
            raise ValueError("a reference of a cell is written with entities")
        references = _CELL.findall(data)
        for letters in {letters for letters, _ in references}:
            self.columns.add(_column(letters))
        if references:
            numbers = [int(number) for _, number in references]
            self.rows.add(min(numbers))
            self.rows.add(max(numbers))
        row_tags = len(_ROW_TAG.findall(data))
        if sum(map(data.count, _CELL_TAGS)) > len(references):
            counts = [sum(map(row.count, _CELL_TAGS)) for row in _ROW_TAG.split(data)]
            counts[0] += self._cells_of_row
            self._cells_of_row = counts[-1]
            self.columns.add(1)
            self.columns.add(max(counts))
            for number in _ROW.findall(data):
                self.rows.add(int(number))
            self.rows.add(self._row_tags + row_tags)
        self._row_tags += row_tags


def _column(letters: bytes) -> int:
    number = 0
    for letter in letters.upper():
        number = number * 26 + letter - 64
    return number


def _cells_of_records(stream: _Counted) -> int:
    """The cells of an XLSB sheet, a sequence of records: number, size, content."""
    rows, columns = _Span(), _Span()
    for index, (kind, data) in enumerate(_records(stream)):
        if index == 0 and kind != _SHEET_RECORD:
            return 0  # another part
        if len(data) < 4:
            continue
        if kind == _ROW_RECORD:
            rows.add(int.from_bytes(data[:4], "little"))
        elif kind in _CELL_RECORDS:
            columns.add(int.from_bytes(data[:4], "little"))
    return rows.length * columns.length


def _records(stream: _Counted) -> Iterator[tuple[int, bytes]]:
    buffered = cast("BinaryIO", io.BufferedReader(_Readable(stream), _PIECE_BYTES))
    while True:
        kind, size = _variable(buffered, 2), _variable(buffered, 4)
        if kind is None or size is None:
            return
        yield kind, buffered.read(min(size, 4))
        remaining = size - 4
        while remaining > 0 and (skipped := buffered.read(min(remaining, _PIECE_BYTES))):
            remaining -= len(skipped)


def _variable(stream: BinaryIO, most: int) -> int | None:
    value = 0
    for index in range(most):
        byte = stream.read(1)
        if not byte:
            return None
        value |= (byte[0] & 0x7F) << 7 * index
        if byte[0] < 0x80:
            break
    return value


class _Readable(io.RawIOBase):
    """Counted bytes for a buffer."""

    def __init__(self, stream: _Counted) -> None:
        self._stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, target: bytearray | memoryview) -> int:  # type: ignore[override]  # the buffer passes its own
        piece = self._stream.read(len(target))
        target[: len(piece)] = piece
        return len(piece)


def _cells_of_document(stream: _Counted, most_cells: int) -> int:
    """The cells of the largest table of an ODS document, repetitions counted; ends early beyond the bound."""
    from lxml import etree

    largest = cells = width = first = 0
    events = etree.iterparse(
        stream,
        events=("start", "end"),
        tag=(f"{_TABLE}table", f"{_TABLE}table-row"),
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
    )
    rows = 0
    try:
        for event, element in events:
            if element.tag == f"{_TABLE}table":
                if event == "start":
                    rows = first = width = 0
                else:
                    element.clear()
                continue
            if event == "start":
                continue
            repeated = _repeated(element, "number-rows-repeated")
            used = _used_width(element)
            rows += repeated
            if used:
                width = max(width, used)
                first = first or rows - repeated + 1
                cells = (rows - first + 1) * width
                largest = max(largest, cells)
            element.clear()
            while element.getprevious() is not None:
                del element.getparent()[0]
            if largest > most_cells:
                return largest
    except etree.XMLSyntaxError as error:
        raise ValueError(str(error)) from None
    return largest


def _used_width(row: Any) -> int:
    """Columns of a row up to the last cell that holds something."""
    width = used = 0
    for cell in row:
        width += _repeated(cell, "number-columns-repeated")
        if len(cell) or cell.get(f"{_OFFICE}value-type") is not None:
            used = width
    return used


def _repeated(element: Any, name: str) -> int:
    text = element.get(f"{_TABLE}{name}", "1")
    return max(1, int(text)) if text.isdecimal() and len(text) < 10 else 1


class _Span:
    def __init__(self) -> None:
        self._least: int | None = None
        self._greatest = 0

    def add(self, number: int) -> None:
        self._least = number if self._least is None else min(self._least, number)
        self._greatest = max(self._greatest, number)

    @property
    def length(self) -> int:
        return 0 if self._least is None else self._greatest - self._least + 1
