"""Rows of CSV with their numbers and their places in the file, one after the other, never all at once."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

from runtara_sdk.agents import AgentError, CapabilityContext

from runtara_agents_csv_xml.csv_format.delimiters import find_delimiter
from runtara_agents_csv_xml.csv_format.options import MOST_COLUMNS, ReadOptions
from runtara_agents_csv_xml.sources import encoding_of, open_source

PARSE_ERROR = "CSV_PARSE_ERROR"
ENCODING_ERROR = "CSV_ENCODING_ERROR"
INVALID_DELIMITER = "CSV_INVALID_DELIMITER"

_LONGEST_LINE_BYTES = 64 * 1024 * 1024
_WIDE = frozenset({"utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"})
_ROWS_BETWEEN_CHECKS = 1000


@dataclass(slots=True)
class CsvSource:
    """An open CSV file.

    Attributes:
        stream: its bytes.
        encoding: name of the codec.
        begins_at: offset of the first byte behind mark, skipped lines and `sep=`.
        delimiter: the one that counts.
        row: number of the row that was read last; the header is row 1.
        position: offset behind that row, bytes; known for encodings of which a line feed is one byte.
    """

    stream: BinaryIO
    encoding: str
    options: ReadOptions
    context: CapabilityContext
    begins_at: int = 0
    delimiter: str = ","
    row: int = 0
    position: int = 0
    _line: Callable[[], Iterator[str]] = field(init=False)

    def close(self) -> None:
        """Close the file."""
        self.stream.close()

    def __enter__(self) -> CsvSource:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def has_positions(self) -> bool:
        """Whether a reader can begin at any row."""
        return self.encoding not in _WIDE

    def rows(self, offset: int | None = None, first_row: int = 0) -> Iterator[list[str]]:
        """The rows from an offset on, or from the beginning.

        Raises:
            AgentError: CSV_PARSE_ERROR or CSV_ENCODING_ERROR, with row and place.
        """
        self.stream.seek(self.begins_at if offset is None else offset)
        self.position, self.row = self.stream.tell(), first_row
        options = self.options
        trims, skips_empty = options.trim_whitespace, options.skip_empty_lines
        before_check = _ROWS_BETWEEN_CHECKS
        csv.field_size_limit(max(csv.field_size_limit(), options.max_field_characters))
        reader = csv.reader(
            self._lines(),
            delimiter=self.delimiter,
            quotechar=options.quote_char,
            escapechar=options.escape_char,
            strict=True,
        )
        try:
            for row in reader:
                if not row:  # a blank line
                    continue
                self.row += 1
                if trims:
                    row = [text.strip() for text in row]
                if skips_empty and len(row) == 1 and not row[0].strip():
                    continue
                yield row
                before_check -= 1
                if not before_check:
                    self.context.check()
                    before_check = _ROWS_BETWEEN_CHECKS
        except csv.Error as error:
            raise parse_error(self.row + 1, _reason(error, options)) from None
        except UnicodeDecodeError as error:
            raise self._undecodable(error) from None

    def _lines(self) -> Iterator[str]:
        comment, longest = self.options.comment_char, self.options.max_field_characters
        for line in self._decoded_lines():
            if comment is not None and line.startswith(comment):
                continue
            if len(line) > longest:
                self._check_length(line, longest)
            yield line

    def _decoded_lines(self) -> Iterator[str]:
        if self.encoding in _WIDE:
            wrapper = io.TextIOWrapper(self.stream, self.encoding, newline="")
            try:
                yield from wrapper
            finally:
                wrapper.detach()
            return
        encoding, stream = self.encoding, self.stream
        while line := stream.readline(_LONGEST_LINE_BYTES):
            if len(line) == _LONGEST_LINE_BYTES:
                raise parse_error(self.row + 1, f"a line is longer than {_LONGEST_LINE_BYTES} bytes")
            text = line.decode(encoding)
            if "\r" in text and text.find("\r") < len(text) - 2:
                # Line ends of old Macs, or a carriage return within quotes: csv tells which.
                for piece in text.splitlines(keepends=True) if _only_breaks(text) else _pieces(text):
                    self.position += len(piece.encode(encoding))
                    yield piece
            else:
                self.position += len(line)
                yield text

    def _check_length(self, line: str, longest: int) -> None:
        if any(len(part) > longest for part in line.split(self.delimiter)):
            raise parse_error(self.row + 1, f"a field is longer than {longest} characters (max_field_characters)")

    def _undecodable(self, error: UnicodeDecodeError) -> AgentError:
        place = (self.stream.tell() if self.encoding in _WIDE else self.position) + (
            error.start - len(error.object) if self.encoding in _WIDE else error.start
        )
        return AgentError.permanent(
            ENCODING_ERROR,
            f"row {self.row + 1}: byte {place} is not {self.encoding}: give the right encoding",
            attributes={"row": self.row + 1, "byte": place, "encoding": self.encoding},
        )


def _only_breaks(text: str) -> bool:
    """Whether `splitlines` breaks a text at carriage returns and line feeds alone."""
    return not any(mark in text for mark in "\v\f\x1c\x1d\x1e\x85\u2028\u2029")


def _pieces(text: str) -> Iterator[str]:
    begin = 0
    while begin < len(text):
        at = text.find("\r", begin)
        if at < 0 or at + 1 == len(text):
            yield text[begin:]
            return
        end = at + 2 if text[at + 1] == "\n" else at + 1
        yield text[begin:end]
        begin = end


def open_csv(options: ReadOptions, context: CapabilityContext) -> CsvSource:
    """Open what an input names: find encoding, delimiter and the first row.

    Raises:
        AgentError: the input cannot be read.
    """
    stream, is_text = open_source(options.data, options.text, context)
    try:
        encoding = encoding_of(stream, options.encoding, is_text=is_text, code=ENCODING_ERROR)
        if "\n".encode(encoding) != b"\n" and encoding not in _WIDE:
            raise AgentError.permanent(ENCODING_ERROR, f"CSV in the encoding {encoding} cannot be read")
        source = CsvSource(stream, encoding, options, context)
        _skip_lines(source)
        source.begins_at = stream.tell()
        source.delimiter = options.delimiter
        if options.delimiter == "auto":
            source.delimiter, source.begins_at = find_delimiter(source.stream, encoding, options, source.begins_at)
        if source.delimiter == options.quote_char:
            raise AgentError.permanent(INVALID_DELIMITER, "delimiter and quote_char are the same character")
    except BaseException:
        stream.close()
        raise
    return source


def _skip_lines(source: CsvSource) -> None:
    ending = "\n".encode(source.encoding)
    for _ in range(source.options.skip_rows):
        if not source.stream.readline(_LONGEST_LINE_BYTES):
            return
        if ending[:1] == b"\n":
            source.stream.read(len(ending) - 1)  # the rest of a wide line feed


def header_of(source: CsvSource, rows: Iterator[list[str]]) -> list[str]:
    """The names of the columns, by option or from the first row, which is taken; empty for an empty file.

    Raises:
        AgentError: there are too many columns, or two of one name where that is an error.
    """
    options = source.options
    given = next(rows, None) if options.use_header else None
    names = options.columns if options.columns is not None else given
    if names is None:
        return []
    if len(names) > MOST_COLUMNS:
        raise parse_error(source.row, f"there are more than {MOST_COLUMNS} columns")
    if given is not None and options.columns is not None and len(given) != len(options.columns):
        raise parse_error(source.row, f"the header has {len(given)} names, and `columns` {len(options.columns)}")
    return list(names) if options.duplicate_columns in ("last", "first") else _distinct(names, source)


def _distinct(names: list[str], source: CsvSource) -> list[str]:
    found: dict[str, int] = {}
    distinct = []
    for name in names:
        found[name] = found.get(name, 0) + 1
        if found[name] > 1 and name and source.options.duplicate_columns == "error":
            raise parse_error(source.row, f"two columns are called {name[:100]!r}")
        new = name
        while name and found[name] > 1 and (new := f"{name}_{found[name]}") in found:
            found[name] += 1
        distinct.append(new)
    return distinct


def parse_error(row: int, reason: str, **attributes: object) -> AgentError:
    """The error of a row that is no CSV, or not of this file's."""
    return AgentError.permanent(PARSE_ERROR, f"row {row}: {reason}", attributes={"row": row, **attributes})


def _reason(error: csv.Error, options: ReadOptions) -> str:
    text = str(error)
    if "unexpected end" in text:
        return f"a quote ({options.quote_char}) is not closed"
    if "expected after" in text:
        return f"something stands between a closing quote ({options.quote_char}) and the delimiter"
    if "field larger" in text:
        return f"a field is longer than {options.max_field_characters} characters (max_field_characters)"
    return text
