"""Rows of CSV with their numbers and their places in the file, one after the other, never all at once."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import BinaryIO

from runtara_sdk.agents import AgentError, CapabilityContext

from runtara_agents_csv_xml.csv_format.delimiters import find_delimiter
from runtara_agents_csv_xml.csv_format.lines import WIDE, LineError, Lines
from runtara_agents_csv_xml.csv_format.options import MOST_COLUMNS, ReadOptions
from runtara_agents_csv_xml.sources import encoding_of, open_source

PARSE_ERROR = "CSV_PARSE_ERROR"
ENCODING_ERROR = "CSV_ENCODING_ERROR"
INVALID_DELIMITER = "CSV_INVALID_DELIMITER"


@dataclass(slots=True)
class CsvSource:
    """An open CSV file.

    Attributes:
        stream: its bytes.
        encoding: name of the codec.
        begins_at: offset of the first byte behind mark, skipped lines and `sep=`.
        delimiter: the one that counts.
        row: number of the row that was read last; the header is row 1.
    """

    stream: BinaryIO
    encoding: str
    options: ReadOptions
    context: CapabilityContext
    begins_at: int = 0
    delimiter: str = ","
    row: int = 0
    _begins_at_row: bool = True
    _counted: int = 0
    _taken: Callable[[], int] = int
    _lines: Lines | None = None

    def close(self) -> None:
        """Close the file."""
        self._lines, self._taken = None, int  # it knows this object, too: blocks would wait for the collector of cycles
        self.stream.close()

    def __enter__(self) -> CsvSource:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def position(self) -> int:
        """The offset behind the row that was read last, bytes."""
        return self.begins_at if self._lines is None else self._lines.end_of(self._taken())

    def rows(self, offset: int | None = None, first_row: int = 0) -> Iterator[list[str]]:
        """The rows from an offset on, or from the beginning.

        Raises:
            AgentError: CSV_PARSE_ERROR or CSV_ENCODING_ERROR, with row and place.
        """
        self.stream.seek(self.begins_at if offset is None else offset)
        self.row = first_row
        options, longest = self.options, self.options.max_field_characters
        csv.field_size_limit(max(csv.field_size_limit(), longest))
        # The limit is one for all readers of the process: fields over several lines may need a look of their own.
        measures = csv.field_size_limit() > longest
        lines = self._lines = self._lines_from_here()
        self._counted, comment = 0, options.comment_char
        reader = csv.reader(
            lines if comment is None else self._without_comments(lines, comment),
            delimiter=self.delimiter,
            quotechar=options.quote_char,
            escapechar=options.escape_char,
            strict=True,
        )
        self._taken = (lambda: reader.line_num) if comment is None else (lambda: self._counted)
        trims, skips_empty = options.trim_whitespace, options.skip_empty_lines
        is_plain = comment is None and not trims and not measures
        try:
            for row in reader:
                if is_plain and len(row) > 1:
                    self.row += 1
                    yield row
                    continue
                self._begins_at_row = True
                if not row:  # a blank line
                    continue
                self.row += 1
                if trims:
                    row = [text.strip() for text in row]
                if measures and max(map(len, row)) > longest:
                    raise self._field_too_long()
                if skips_empty and len(row) == 1 and not row[0].strip():
                    continue
                yield row
        except csv.Error as error:
            raise parse_error(self.row + 1, _reason(error, options)) from None
        except LineError as error:
            raise self._line_error(error) from None

    def skip_lines(self, count: int) -> None:
        """Let the rows begin behind so many lines."""
        if count:
            lines = self._lines_from_here()
            try:
                skipped = sum(1 for _ in islice(lines, count))
            except LineError as error:
                raise self._line_error(error) from None
            self.begins_at = lines.end_of(skipped)
            self.stream.seek(self.begins_at)

    def _lines_from_here(self) -> Lines:
        return Lines(
            self.stream,
            self.encoding,
            self.context.check,
            longest=self.options.max_field_characters,
            is_too_long=self._is_too_long,
        )

    def _without_comments(self, lines: Iterable[str], mark: str) -> Iterator[str]:
        """The lines that are no comments; within quotes there are none."""
        self._begins_at_row = True
        for line in lines:
            self._counted += 1
            if self._begins_at_row and line.startswith(mark):
                continue
            self._begins_at_row = False
            yield line

    def _is_too_long(self, line: str) -> bool:
        longest = self.options.max_field_characters
        return len(line) > longest and any(len(part) > longest for part in line.split(self.delimiter))

    def _line_error(self, error: LineError) -> AgentError:
        row = self.row + 1
        if not error.is_encoding:
            return parse_error(row, error.reason)
        return AgentError.permanent(
            ENCODING_ERROR,
            f"row {row}: {error.reason}",
            attributes={"row": row, "byte": error.byte, "encoding": self.encoding},
        )

    def _field_too_long(self) -> AgentError:
        longest = self.options.max_field_characters
        return parse_error(self.row + 1, f"a field is longer than {longest} characters (max_field_characters)")


def open_csv(options: ReadOptions, context: CapabilityContext) -> CsvSource:
    """Open what an input names: find encoding, delimiter and the first row.

    Raises:
        AgentError: the input cannot be read.
    """
    stream, is_text = open_source(options.data, options.text, context)
    try:
        encoding = encoding_of(stream, options.encoding, is_text=is_text, code=ENCODING_ERROR)
        if "\n".encode(encoding) != b"\n" and encoding not in WIDE:
            raise AgentError.permanent(ENCODING_ERROR, f"CSV in the encoding {encoding} cannot be read")
        source = CsvSource(stream, encoding, options, context)
        source.begins_at = stream.tell()
        source.skip_lines(options.skip_rows)
        source.delimiter, source.begins_at = find_delimiter(stream, encoding, options, source.begins_at)
        if len({source.delimiter, options.quote_char, options.escape_char}) < 3:
            raise AgentError.permanent(
                INVALID_DELIMITER, "delimiter, quote_char and escape_char must be three different characters"
            )
    except BaseException:
        stream.close()
        raise
    return source


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
