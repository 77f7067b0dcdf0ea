"""Rows as records: objects by column, or arrays, with the policy for bad rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from pydantic import BaseModel, Field
from runtara_sdk.agents import AgentError

from runtara_agents_csv_xml.csv_format.options import MOST_COLUMNS
from runtara_agents_csv_xml.csv_format.rows import CsvSource, header_of, parse_error
from runtara_agents_csv_xml.csv_format.values import Reader, UnfitError, readers

FIELD_NOT_FOUND = "CSV_FIELD_NOT_FOUND"

MOST_BAD_ROWS = 1000
"""How many bad rows are told one by one; the others are counted."""

Record = dict[str, Any] | list[Any]


class BadRow(BaseModel):
    """A row that was left out, or mended."""

    row: int = Field(description="Number of the row; the header is row 1.")
    reason: str
    fields: list[str] | None = Field(default=None, description="The row as it stands, when it was left out.")


class Records:
    """The records of a CSV file.

    Args:
        source: an open file.
        needs_types: whether a declared type of a column that is not there is an error.

    Attributes:
        columns: their names, in order; empty where rows are arrays.
        bad_rows: those that were left out or mended, the first `MOST_BAD_ROWS`.
        bad_count: how many there were.
    """

    def __init__(self, source: CsvSource, *, needs_types: bool = True) -> None:
        self.source = source
        self._needs_types = needs_types
        self.bad_rows: list[BadRow] = []
        self.bad_count = 0
        self._rows = source.rows()
        options = source.options
        self.columns = header_of(source, self._rows) if options.use_header or options.columns else []
        self._read: list[Reader] | None = None
        self._width = 0
        self._has_blank = False
        self._order: list[int] = []
        if self.columns:
            self._begin(self.columns)

    def begin_at(self, offset: int, row: int) -> None:
        """Go on behind the row of this number, which ends at this offset."""
        self._rows = self.source.rows(offset, row)

    def __iter__(self) -> Iterator[Record]:
        if self.columns and self._read is None and not self._order and not self._has_blank:
            columns, width, rows = self.columns, self._width, self._rows
            for row in rows:  # the most common case, without detours
                if len(row) == width:
                    yield dict(zip(columns, row, strict=False))
                else:
                    yield from self._checked([row])
        else:
            yield from self._checked(self._rows)

    def _checked(self, rows: Iterable[list[str]]) -> Iterator[Record]:
        options, source = self.source.options, self.source
        fails = options.on_bad_row == "error"
        for row in rows:
            if not self._width:
                if len(row) > MOST_COLUMNS:
                    raise parse_error(source.row, f"there are more than {MOST_COLUMNS} columns")
                self._begin([f"Column {number}" for number in range(1, len(row) + 1)])
            values: list[Any] = row
            if len(row) != self._width:
                reason = f"it has {len(row)} fields, and should have {self._width}"
                if fails:
                    raise parse_error(source.row, reason, expected=self._width, found=len(row))
                if not self._mended(reason, row):
                    continue
                values = (row + [None] * (self._width - len(row)))[: self._width]
            if self._read is not None:
                try:
                    values = [
                        None if text is None else read(text) for read, text in zip(self._read, values, strict=True)
                    ]
                except UnfitError:
                    column, error = self._first_unfit(values)
                    reason = f"column {column} must be {error}"
                    if fails:
                        raise parse_error(source.row, reason, column=column) from None
                    if not self._mended(reason, row):
                        continue
                    values = self._fitting(values)
            yield self._record(values)

    def _begin(self, columns: list[str]) -> None:
        self._width = len(columns)
        missing = [name for name in self.source.options.types if name not in columns]
        if missing and self._needs_types:
            raise AgentError.permanent(
                FIELD_NOT_FOUND,
                f"`types` names the column {missing[0][:100]!r}, which is not there: the columns are "
                f"{', '.join(repr(name[:100]) for name in columns[:20])}",
                attributes={"column": missing[0][:100]},
            )
        self._read = readers(columns, self.source.options)
        self._has_blank = "" in columns and bool(self.columns)
        if self.source.options.duplicate_columns == "first":
            self._order = list(range(len(columns) - 1, -1, -1))  # of several, the one that is set last counts

    def _record(self, values: list[Any]) -> Record:
        if not self.columns:
            return list(values)
        if self._order:
            kept = {self.columns[index]: values[index] for index in self._order}
            record = {name: kept[name] for name in self.columns}
        else:
            record = dict(zip(self.columns, values, strict=True))
        if self._has_blank:
            record.pop("", None)
        return record

    def _mended(self, reason: str, row: list[str]) -> bool:
        """Note a bad row; whether it is to be kept after all."""
        pads = self.source.options.on_bad_row == "pad"
        self.bad_count += 1
        if len(self.bad_rows) < MOST_BAD_ROWS:
            fields = None if pads else [text[:200] for text in row[:100]]
            self.bad_rows.append(BadRow(row=self.source.row, reason=reason, fields=fields))
        return pads

    def _first_unfit(self, values: list[Any]) -> tuple[str, str]:
        for index, text in enumerate(values):
            try:
                if text is not None and self._read is not None:
                    self._read[index](text)
            except UnfitError as error:
                return self._name(index), str(error)
        raise AssertionError("one of the fields did not fit")

    def _fitting(self, values: list[Any]) -> list[Any]:
        fitted: list[Any] = []
        for read, text in zip(self._read or (), values, strict=True):
            try:
                fitted.append(None if text is None else read(text))
            except UnfitError:
                fitted.append(None)
        return fitted

    def _name(self, index: int) -> str:
        return repr(self.columns[index]) if index < len(self.columns) else str(index + 1)
