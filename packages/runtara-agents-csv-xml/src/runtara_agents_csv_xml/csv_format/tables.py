"""From values to the text of CSV, in pieces."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Literal

from pydantic import AliasChoices, BaseModel, Field, field_validator
from runtara_sdk.agents import AgentError
from runtara_sdk.written_decimal import WrittenDecimal, dump_json, plain_text

from runtara_agents_csv_xml.csv_format.options import MOST_COLUMNS

WRITE_ERROR = "CSV_WRITE_ERROR"

_FORMULAS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # noqa: RUF001 - spreadsheets read wide ones
_NUMBER = re.compile(r"[+-]?[0-9][0-9.,' ]*%?")
"""What begins like a formula and cannot be one."""

_PIECE_CHARACTERS = 1024 * 1024
_ROWS_BETWEEN_LOOKS = 256
_BREAK = "\r\n"
"""The writer quotes what holds one of these characters."""
_QUOTING: dict[str, Literal[0, 1, 2, 3]] = {
    "minimal": csv.QUOTE_MINIMAL,
    "all": csv.QUOTE_ALL,
    "text": csv.QUOTE_NONNUMERIC,
    "none": csv.QUOTE_NONE,
}
_PLAIN = frozenset({str, int, float})
"""Types that the writer writes as they are to be written."""


class Column(BaseModel):
    """A column: where its values come from, and what it is called."""

    name: str = Field(description="Key of the objects.")
    header: str | None = Field(default=None, description="Name in the header; the key when left out.")


class TableOptions(BaseModel):
    """How rows are written."""

    columns: list[str | Column] | None = Field(
        default=None,
        max_length=MOST_COLUMNS,
        description="Which columns, in which order, under which names; the keys of all objects in the order in which "
        "they first appear, when left out.",
        examples=[["sku", {"name": "qty", "header": "Quantity"}]],
    )
    use_header: bool = Field(
        default=True,
        validation_alias=AliasChoices("use_header", "has_headers"),
        description="Whether the first row names the columns.",
    )
    delimiter: str = Field(default=",", description="One character.")
    quote_char: str = Field(default='"', description="One character; doubled within quotes.")
    escape_char: str | None = Field(default=None, description="One character before what is not quoted (quoting none).")
    quoting: Literal["minimal", "all", "text", "none"] = Field(
        default="minimal", description="Which fields are quoted: those that need it, all, all texts, none."
    )
    line_terminator: Literal["\n", "\r\n"] = Field(default="\n", description="Between rows, and after the last one.")
    null_value: str = Field(default="", description="What stands for null.")
    formula_guard: Literal["off", "escape", "reject"] = Field(
        default="off",
        description="What becomes of texts that a spreadsheet would take for formulas (they begin with = + - @, a tab "
        "or a line break, and are no numbers): `escape` puts an apostrophe before them, `reject` is an error. Off, as "
        "it changes data that programs read; set it for files that people open.",
    )

    @field_validator("delimiter", "quote_char", "escape_char")
    @classmethod
    def _one_character(cls, value: str | None) -> str | None:
        if value is not None and (len(value) != 1 or value in "\r\n\0"):
            raise ValueError("it must be one character, and no line break")
        return value


class Table:
    """Rows that become CSV.

    Args:
        options: how they are written.
        columns: which; None where no row is an object and none has a name.

    Attributes:
        rows: how many have been written, without the header.
    """

    def __init__(self, options: TableOptions, columns: list[Column] | None) -> None:
        if options.delimiter in (options.quote_char, options.escape_char):
            raise write_error("delimiter and quote_char or escape_char are the same character")
        self._options = options
        self._columns = columns
        self._names = [column.name for column in columns or ()]
        self._written: list[str] = []
        self._writer = csv.writer(
            _Sink(self._written),
            delimiter=options.delimiter,
            quotechar=options.quote_char,
            escapechar=options.escape_char,
            quoting=_QUOTING[options.quoting],
            lineterminator=_BREAK,
        )
        self.rows = 0

    def header(self) -> str:
        """The text of the header; empty where none is wanted, or nothing is known to stand in it."""
        if not self._options.use_header or self._columns is None:
            return ""
        self._write(self._guarded([column.header or column.name for column in self._columns]))
        return self._take()

    def text(self, records: Iterable[Any], check: Callable[[], object]) -> Iterator[str]:
        """The text of the rows in pieces.

        Args:
            records: objects, arrays or scalars.
            check: called between pieces of work.

        Raises:
            AgentError: CSV_WRITE_ERROR that names the row.
        """
        names, guards = self._names, self._options.formula_guard != "off"
        plain = _PLAIN | {type(None)} if self._options.quoting == "minimal" and not self._options.null_value else _PLAIN
        until_look = _ROWS_BETWEEN_LOOKS
        for record in records:
            self.rows += 1
            fields = list(map(record.get, names)) if isinstance(record, dict) else self._cells(record)
            if not fields:
                continue
            if not plain.issuperset(map(type, fields)):
                fields = [self._field(value) for value in fields]
            self._write(self._guarded(fields) if guards else fields)
            until_look -= 1
            if not until_look:
                until_look = _ROWS_BETWEEN_LOOKS
                check()
                if sum(map(len, self._written)) >= _PIECE_CHARACTERS:
                    yield self._take()
        yield self._take()

    def _write(self, fields: list[Any]) -> None:
        try:
            self._writer.writerow(fields)
        except csv.Error as error:
            raise write_error(f"{error}: give escape_char, or another quoting", self.rows) from None

    def _take(self) -> str:
        """What has been written since the last time, with the line ends that are wanted."""
        ending = self._options.line_terminator
        rows = self._written if ending == _BREAK else [row[:-2] + ending for row in self._written]
        text = "".join(rows)
        self._written.clear()
        if "\0" in text:
            raise write_error("a NUL character in or before this row cannot be written", self.rows)
        return text

    def _cells(self, record: Any) -> list[Any]:
        if isinstance(record, list):
            return [*record, *[None] * (len(self._names) - len(record))]
        return [record]

    def _field(self, value: Any) -> Any:
        if value is None:
            return self._options.null_value
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, WrittenDecimal):
            return plain_text(value)
        if isinstance(value, str):
            return value
        # Numbers stay numbers for the writer, which quotes texts alone where it is told to.
        return value if isinstance(value, int | float) else dump_json(value, ensure_ascii=False, separators=(",", ":"))

    def _guarded(self, fields: list[Any]) -> list[Any]:
        mode = self._options.formula_guard
        if mode == "off" or not any(map(_is_formula, fields)):
            return fields
        if mode == "reject":
            reason = "a text begins like a formula of a spreadsheet (formula_guard `reject`)"
            raise write_error(reason, self.rows)
        return [f"'{field}" if _is_formula(field) else field for field in fields]


class _Sink:
    """What the writer takes for a file."""

    def __init__(self, rows: list[str]) -> None:
        self.write = rows.append


def columns_of(options: TableOptions, records: Iterable[Any]) -> list[Column] | None:
    """The columns that are given, or those of all records; None when there is no record.

    Raises:
        AgentError: the records have different shapes, or there are too many columns.
    """
    if options.columns is not None:
        return [Column(name=each) if isinstance(each, str) else each for each in options.columns]
    keys: dict[str, None] = {}
    known: frozenset[str] = frozenset()
    width, has_scalars = 0, False
    for record in records:
        if isinstance(record, dict):
            if not known.issuperset(record):
                keys.update(dict.fromkeys(record))
                known = frozenset(keys)
        elif isinstance(record, list):
            width = max(width, len(record))
        else:
            has_scalars = True
        if max(len(keys), width) > MOST_COLUMNS:
            raise write_error(f"there are more than {MOST_COLUMNS} columns")
    if sum([bool(keys), bool(width), has_scalars]) > 1:
        raise write_error("objects, arrays and scalars cannot be rows of one table: give all rows the same shape")
    if width:
        return [Column(name=str(index), header=f"Column {index + 1}") for index in range(width)]
    if has_scalars:
        return [Column(name="value")]
    return [Column(name=name) for name in keys] if keys else None


def write_error(reason: str, row: int | None = None) -> AgentError:
    """The error of what cannot be written."""
    place = f"row {row}: " if row else ""
    return AgentError.permanent(WRITE_ERROR, f"{place}{reason}", attributes={"row": row})


def _is_formula(field: Any) -> bool:
    if not isinstance(field, str) or not (field.startswith(_FORMULAS) or field.lstrip().startswith(_FORMULAS)):
        return False
    return _NUMBER.fullmatch(field) is None
