"""Reading CSV: `from-csv`, `csv-read-chunk`, `get-header`, `csv-validate`."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any, Literal

from pydantic import BaseModel, Field
from runtara_sdk.agents import AgentError, CapabilityContext, Example, FileReference, KnownError, capability
from runtara_sdk.agents.conditions import ConditionInput, read_condition
from runtara_sdk.agents.files import FILE_ERRORS, WORKSPACE_ERRORS
from runtara_sdk.workflow.json_text import encode_json

from runtara_agents_csv_xml.csv_format.json_lines import LINE_INVALID, MEDIA_TYPE, read_json_lines, write_json_lines
from runtara_agents_csv_xml.csv_format.options import ReadOptions
from runtara_agents_csv_xml.csv_format.records import BadRow, Record, Records
from runtara_agents_csv_xml.csv_format.rows import ENCODING_ERROR, INVALID_DELIMITER, PARSE_ERROR, open_csv
from runtara_agents_csv_xml.csv_format.values import inferred
from runtara_agents_csv_xml.sources import INPUT_MISSING, open_source

EMPTY_FILE = "CSV_EMPTY_FILE"
OPTION_INVALID = "CSV_INVALID_OPTION"

READ_ERRORS = (
    *FILE_ERRORS,
    KnownError.permanent(INPUT_MISSING, "Neither or both of `data` and `text` are given.", "inputs"),
    KnownError.permanent(ENCODING_ERROR, "The bytes are not of the encoding, or it is unknown.", "row", "byte"),
    KnownError.permanent(PARSE_ERROR, "A row is no CSV, or does not fit the others.", "row"),
    KnownError.permanent(INVALID_DELIMITER, "The delimiter is the quote, too."),
)

MOST_KEYS = 5_000_000

_ORDERS = "sku;qty\nA1;2\nB2;30\n"


class FromCsvInput(ReadOptions):
    """What is read, and what of it is wanted."""

    limit: int | None = Field(default=None, ge=0, description="At most so many rows, counted after `where`.")
    where: ConditionInput | None = Field(
        default=None, title="Where", description="Only rows for which it holds; references read the columns."
    )
    output: Literal["rows", "report", "file"] = Field(
        default="rows",
        description="`rows`: an array. `report`: {rows, count, columns, bad_rows, ...}, as for on_bad_row `collect`. "
        "`file`: JSON lines in the workspace at `path`, for files of any size.",
    )
    path: str | None = Field(default=None, description="Where `output` `file` goes.", examples=["work/orders.jsonl"])


class CsvReport(BaseModel):
    """The rows, or where they are, and what was wrong."""

    rows: list[Any] | None = Field(default=None, description="The rows; null where they are in a file.")
    file: FileReference | None = Field(default=None, description="JSON lines in the workspace.")
    count: int = Field(description="How many rows there are.")
    columns: list[str] = Field(description="Names of the columns, in order.")
    bad_rows: list[BadRow] = Field(description="Rows that were left out or mended, the first 1000.")
    bad_row_count: int = Field(description="How many there were.")


@capability(
    id="from-csv",
    aliases=("parse",),
    display_name="Parse CSV",
    description="Reads CSV into objects, one a row.",
    known_errors=(
        *READ_ERRORS,
        *WORKSPACE_ERRORS,
        KnownError.permanent(OPTION_INVALID, "Two options do not go together."),
        KnownError.permanent("CONDITION_INVALID", "`where` is no condition.", "place"),
    ),
    examples=[
        Example(
            inputs={"text": _ORDERS, "delimiter": ";"},
            output=[{"sku": "A1", "qty": "2"}, {"sku": "B2", "qty": "30"}],
        ),
        Example(
            inputs={
                "data": {"$file": "in/orders.csv"},
                "delimiter": "auto",
                "types": {"qty": "integer"},
                "where": {
                    "type": "operation",
                    "op": "GT",
                    "arguments": [
                        {"valueType": "reference", "value": "item.qty"},
                        {"valueType": "immediate", "value": 10},
                    ],
                },
            },
            output=[{"sku": "B2", "qty": 30}],
            files={"in/orders.csv": _ORDERS},
        ),
    ],
)
def from_csv(inputs: FromCsvInput, context: CapabilityContext) -> list[Any] | CsvReport:
    """The rows."""
    if inputs.output == "file" and inputs.path is None:
        raise AgentError.permanent(OPTION_INVALID, "output `file` needs `path`, a path in the workspace")
    with open_csv(inputs, context) as source:
        records = Records(source)
        wanted: Iterable[Record] = records
        if inputs.where is not None:
            wanted = filter(read_condition(inputs.where, "where"), wanted)
        if inputs.limit is not None:
            wanted = islice(wanted, inputs.limit)
        if inputs.output == "file":
            stored, count = write_json_lines(inputs.path or "", wanted, context)
            return _report(records, count, file=FileReference.of(stored, mime_type=MEDIA_TYPE))
        rows = list(wanted)
    if inputs.output == "rows" and inputs.on_bad_row != "collect":
        return rows
    return _report(records, len(rows), rows=rows)


def _report(records: Records, count: int, **where: Any) -> CsvReport:
    return CsvReport(
        count=count,
        columns=records.columns,
        bad_rows=records.bad_rows,
        bad_row_count=records.bad_count,
        **where,
    )


class ReadChunkInput(ReadOptions):
    """Which part of a file."""

    offset: int = Field(default=0, ge=0, description="`next_offset` of the chunk before; 0 for the first one.")
    row: int = Field(default=0, ge=0, description="`next_row` of the chunk before, for the numbers in messages.")
    limit: int = Field(default=1000, ge=1, le=100_000, description="At most so many rows.")
    format: Literal["csv", "json-lines"] = Field(
        default="csv", description="`json-lines`: one JSON value a line, as `from-csv` and `xml-extract` write them."
    )


class Chunk(BaseModel):
    """Rows, and where the next ones begin."""

    rows: list[Any]
    count: int = Field(description="How many rows these are.")
    columns: list[str] = Field(description="Names of the columns, in order.")
    next_offset: int = Field(description="Where the next chunk begins, in bytes.")
    next_row: int = Field(description="The number of the last row that was read.")
    done: bool = Field(description="Whether nothing follows.")
    bad_rows: list[BadRow] = Field(description="Rows that were left out or mended.")


@capability(
    id="csv-read-chunk",
    aliases=("read-chunk",),
    display_name="Read CSV Chunk",
    description="Reads some rows of a large file, and says where the next ones begin; costs what the chunk costs.",
    known_errors=(*READ_ERRORS, KnownError.permanent(LINE_INVALID, "A line is no JSON.", "line", "byte")),
    examples=[
        Example(
            inputs={"data": {"$file": "in/orders.csv"}, "delimiter": ";", "limit": 1},
            output={
                "rows": [{"sku": "A1", "qty": "2"}],
                "count": 1,
                "columns": ["sku", "qty"],
                "next_offset": 13,
                "next_row": 2,
                "done": False,
                "bad_rows": [],
            },
            files={"in/orders.csv": _ORDERS},
        ),
        Example(
            inputs={"data": {"$file": "in/orders.csv"}, "delimiter": ";", "offset": 13, "row": 2},
            output={
                "rows": [{"sku": "B2", "qty": "30"}],
                "count": 1,
                "columns": ["sku", "qty"],
                "next_offset": 19,
                "next_row": 3,
                "done": True,
                "bad_rows": [],
            },
            files={"in/orders.csv": _ORDERS},
        ),
    ],
)
def csv_read_chunk(inputs: ReadChunkInput, context: CapabilityContext) -> Chunk:
    """The chunk."""
    if inputs.format == "json-lines":
        return _json_chunk(inputs, context)
    with open_csv(inputs, context) as source:
        records = Records(source)
        if inputs.offset:
            records.begin_at(inputs.offset, inputs.row)
        rows = list(islice(records, inputs.limit))
        next_offset = source.position if rows or not inputs.offset else inputs.offset
        done = len(rows) < inputs.limit or not _rest(source.stream, next_offset)
        return Chunk(
            rows=rows,
            count=len(rows),
            columns=records.columns,
            next_offset=next_offset,
            next_row=source.row,
            done=done,
            bad_rows=records.bad_rows,
        )


def _rest(stream: Any, offset: int) -> bool:
    """Whether anything but blank lines follows; looks at a bounded piece, so a true may be too much."""
    stream.seek(offset)
    return bool(stream.read(4096).strip(b"\r\n"))


def _json_chunk(inputs: ReadChunkInput, context: CapabilityContext) -> Chunk:
    stream, _ = open_source(inputs.data, inputs.text, context)
    with stream:
        stream.seek(inputs.offset)
        found = list(islice(read_json_lines(stream), inputs.limit))
        next_offset = found[-1][1] if found else inputs.offset
        return Chunk(
            rows=[record for record, _ in found],
            count=len(found),
            columns=[],
            next_offset=next_offset,
            next_row=inputs.row + len(found),
            done=len(found) < inputs.limit or not _rest(stream, next_offset),
            bad_rows=[],
        )


class HeaderInput(ReadOptions):
    """What is looked at."""

    sample_rows: int = Field(default=100, ge=1, le=10_000, description="Rows that the types are guessed from.")


_KINDS: tuple[tuple[str, Callable[[Any], bool]], ...] = (
    ("Boolean", lambda value: isinstance(value, bool)),
    ("Integer", lambda value: isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63),
    ("Double", lambda value: isinstance(value, int | float) and not isinstance(value, bool)),
)


@capability(
    id="get-header",
    display_name="Get CSV Header",
    description="Tells the columns of CSV with types guessed from the first rows: String, Integer, Double or Boolean.",
    known_errors=(
        *READ_ERRORS,
        KnownError.permanent(EMPTY_FILE, "There is no row, and no header that would name columns."),
    ),
    examples=[Example(inputs={"text": _ORDERS, "delimiter": ";"}, output={"sku": "String", "qty": "Integer"})],
)
def get_header(inputs: HeaderInput, context: CapabilityContext) -> dict[str, str]:
    """Names and types, in the order of the columns."""
    with open_csv(inputs, context) as source:
        rows = source.rows()
        names = next(rows, None) if inputs.use_header else None
        sample = list(islice(rows, inputs.sample_rows))
    if names is None:
        if not sample:
            if inputs.use_header:
                return {}
            raise AgentError.permanent(EMPTY_FILE, "there is no row to name columns after")
        names = [f"Column {number}" for number in range(1, len(sample[0]) + 1)]
    return {name or str(index): _kind(sample, index) for index, name in enumerate(names)}


def _kind(sample: list[list[str]], index: int) -> str:
    values = [inferred(row[index]) for row in sample if index < len(row) and row[index] != ""]
    return next((name for name, is_one in _KINDS if values and all(map(is_one, values))), "String")


class ValidateInput(ReadOptions):
    """What every row must be."""

    required_columns: list[str] = Field(default_factory=list, description="Columns that must be there.")
    required_values: list[str] = Field(default_factory=list, description="Columns of which no field may be empty.")
    unique: list[str] = Field(
        default_factory=list, description="Columns whose values together name a row; repetitions are told."
    )
    max_errors: int = Field(default=100, ge=1, le=10_000, description="So many are told; the rest is counted.")


class Violation(BaseModel):
    """One thing that is wrong."""

    row: int = Field(description="Number of the row; the header is row 1.")
    column: str | None = Field(description="The column, where it is one.")
    message: str


class ValidateOutput(BaseModel):
    """What was found."""

    valid: bool
    row_count: int = Field(description="Rows without the header.")
    columns: list[str]
    error_count: int
    errors: list[Violation] = Field(description="The first `max_errors`.")


class _Findings:
    def __init__(self, longest: int) -> None:
        self.count = 0
        self.told: list[Violation] = []
        self._longest = longest

    def add(self, row: int, column: str | None, message: str) -> None:
        self.count += 1
        if len(self.told) < self._longest:
            self.told.append(Violation(row=row, column=column, message=message))


@capability(
    id="csv-validate",
    aliases=("validate",),
    display_name="Validate CSV",
    description="Tells every row that does not fit: fields, types, missing and repeated values; never fails for them.",
    known_errors=(*READ_ERRORS, KnownError.permanent(OPTION_INVALID, "`unique` would need too much memory.")),
    examples=[
        Example(
            inputs={"text": "sku,qty\nA1,2\nB2,x\n", "types": {"qty": "integer"}},
            output={
                "valid": False,
                "row_count": 2,
                "columns": ["sku", "qty"],
                "error_count": 1,
                "errors": [{"row": 3, "column": None, "message": "column 'qty' must be an integer"}],
            },
        )
    ],
)
def csv_validate(inputs: ValidateInput, context: CapabilityContext) -> ValidateOutput:
    """Look at every row."""
    findings = _Findings(inputs.max_errors)
    count = 0
    columns: list[str] = []
    checked = inputs.model_copy(update={"on_bad_row": "collect"})
    with open_csv(checked, context) as source:
        records = Records(source)
        columns = records.columns
        for name in inputs.required_columns:
            if name not in columns:
                findings.add(1, name, "the column is missing")
        seen: dict[bytes, int] = {}
        try:
            for record in _with_bad_rows(records, findings):
                count += 1
                if isinstance(record, dict):
                    _check_values(record, source.row, inputs, findings, seen)
        except AgentError as error:
            if error.code != PARSE_ERROR:
                raise
            findings.add(source.row + 1, None, error.message.partition(": ")[2])
        _tell_bad_rows(records, findings)
        count += records.bad_count
    return ValidateOutput(
        valid=not findings.count,
        row_count=count,
        columns=columns,
        error_count=findings.count,
        errors=sorted(findings.told, key=lambda each: each.row),
    )


def _with_bad_rows(records: Records, findings: _Findings) -> Iterator[Record]:
    """The records; bad rows are told as they come, so that few are kept."""
    for record in records:
        _tell_bad_rows(records, findings)
        yield record


def _tell_bad_rows(records: Records, findings: _Findings) -> None:
    for bad in records.bad_rows:
        findings.add(bad.row, None, bad.reason)
    records.bad_rows.clear()


def _digest(values: list[Any]) -> bytes:
    return hashlib.blake2b(encode_json(values), digest_size=12).digest()


def _check_values(
    record: dict[str, Any], row: int, inputs: ValidateInput, findings: _Findings, seen: dict[bytes, int]
) -> None:
    for name in inputs.required_values:
        if record.get(name) in (None, ""):
            findings.add(row, name, "the field is empty")
    if inputs.unique:
        first = seen.setdefault(_digest([record.get(name) for name in inputs.unique]), row)
        if len(seen) > MOST_KEYS:
            raise AgentError.permanent(OPTION_INVALID, f"`unique` is for files of at most {MOST_KEYS} rows")
        if first != row:
            findings.add(row, inputs.unique[0], f"the same values stand in row {first}")
