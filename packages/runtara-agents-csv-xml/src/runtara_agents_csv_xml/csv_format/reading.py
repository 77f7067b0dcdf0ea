"""Reading CSV: `from-csv` and `get-header`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any, Literal

from pydantic import BaseModel, Field
from runtara_sdk.agents import (
    AgentError,
    CapabilityContext,
    EffectClass,
    Example,
    FileReference,
    KnownError,
    capability,
)
from runtara_sdk.agents.conditions import ConditionInput, read_condition
from runtara_sdk.agents.files import FILE_ERRORS, WORKSPACE_ERRORS
from runtara_sdk.workflow.json_text import encode_json

from runtara_agents_csv_xml.csv_format.json_lines import MEDIA_TYPE, write_json_lines
from runtara_agents_csv_xml.csv_format.options import ReadOptions
from runtara_agents_csv_xml.csv_format.records import FIELD_NOT_FOUND, BadRow, Record, Records
from runtara_agents_csv_xml.csv_format.rows import ENCODING_ERROR, INVALID_DELIMITER, PARSE_ERROR, open_csv
from runtara_agents_csv_xml.csv_format.values import inferred
from runtara_agents_csv_xml.sources import INPUT_MISSING

EMPTY_FILE = "CSV_EMPTY_FILE"
TOO_LARGE = "CSV_TOO_LARGE"
OPTION_INVALID = "CSV_INVALID_OPTION"

READ_ERRORS = (
    *FILE_ERRORS,
    KnownError.permanent(INPUT_MISSING, "Neither or both of `data` and `text` are given.", "inputs"),
    KnownError.permanent(ENCODING_ERROR, "The bytes are not of the encoding, or it is unknown.", "row", "byte"),
    KnownError.permanent(PARSE_ERROR, "A row is no CSV, or does not fit the others.", "row"),
    KnownError.permanent(FIELD_NOT_FOUND, "`types` names a column that is not there.", "column"),
    KnownError.permanent(INVALID_DELIMITER, "The delimiter is the quote, too."),
)

_LARGEST_RESULT_BYTES = 64 * 1024 * 1024
_BATCH_ROWS = 1000

ORDERS = "sku;qty\nA1;2\nB2;30\n"


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
    effect=EffectClass.IDEMPOTENT,  # a file of the workspace may be written
    known_errors=(
        *READ_ERRORS,
        *WORKSPACE_ERRORS,
        KnownError.permanent(OPTION_INVALID, "Two options do not go together."),
        KnownError.permanent(TOO_LARGE, "The rows are too large for the data of a workflow.", "limit_bytes"),
        KnownError.permanent("CONDITION_INVALID", "`where` is no condition.", "place"),
    ),
    examples=[
        Example(
            inputs={"text": ORDERS, "delimiter": ";"},
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
            files={"in/orders.csv": ORDERS},
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
        rows = _bounded(wanted)
    if inputs.output == "rows" and inputs.on_bad_row != "collect":
        return rows
    return _report(records, len(rows), rows=rows)


def _bounded(records: Iterable[Record]) -> list[Record]:
    """The records; raises `AgentError` when no result can hold them."""
    rows: list[Record] = []
    size, remaining = 0, iter(records)
    while batch := list(islice(remaining, _BATCH_ROWS)):
        rows += batch
        size += len(encode_json(batch))
        if size > _LARGEST_RESULT_BYTES:
            reason = (
                f"the rows are more than {_LARGEST_RESULT_BYTES} bytes: use output `file`, `where`, or csv-read-chunk"
            )
            raise AgentError.permanent(TOO_LARGE, reason, attributes={"limit_bytes": _LARGEST_RESULT_BYTES})
    return rows


def _report(records: Records, count: int, **where: Any) -> CsvReport:
    return CsvReport(
        count=count,
        columns=records.columns,
        bad_rows=records.bad_rows,
        bad_row_count=records.bad_count,
        **where,
    )


Kind = Literal["String", "Integer", "Double", "Boolean"]


class HeaderInput(ReadOptions):
    """What is looked at."""

    sample_rows: int = Field(default=100, ge=1, le=10_000, description="Rows that the types are guessed from.")
    output: Literal["object", "array"] = Field(
        default="object",
        description="`object`: {name: type}. `array`: [{name, type}], which keeps columns of one name apart.",
    )


class ColumnInfo(BaseModel):
    """A column."""

    name: str
    type: Kind = Field(description="Of all values of the sample.")


_KINDS: tuple[tuple[Kind, Callable[[Any], bool]], ...] = (
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
    examples=[Example(inputs={"text": ORDERS, "delimiter": ";"}, output={"sku": "String", "qty": "Integer"})],
)
def get_header(inputs: HeaderInput, context: CapabilityContext) -> dict[str, str] | list[ColumnInfo]:
    """Names and types, in the order of the columns."""
    with open_csv(inputs, context) as source:
        rows = source.rows()
        names = next(rows, None) if inputs.use_header else None
        sample = list(islice(rows, inputs.sample_rows))
    if names is None:
        if not sample:
            if inputs.use_header:
                return {} if inputs.output == "object" else []
            raise AgentError.permanent(EMPTY_FILE, "there is no row to name columns after")
        names = [f"Column {number}" for number in range(1, len(sample[0]) + 1)]
    columns = [ColumnInfo(name=name or str(index), type=_kind(sample, index)) for index, name in enumerate(names)]
    return columns if inputs.output == "array" else {column.name: column.type for column in columns}


def _kind(sample: list[list[str]], index: int) -> Kind:
    values = [inferred(row[index]) for row in sample if index < len(row) and row[index] != ""]
    return next((name for name, is_one in _KINDS if values and all(map(is_one, values))), "String")
