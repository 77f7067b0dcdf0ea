"""Telling what is wrong with a CSV file: `csv-validate`."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, Field
from runtara_sdk.agents import AgentError, CapabilityContext, Example, KnownError, capability
from runtara_sdk.workflow.json_text import encode_json

from runtara_agents_csv_xml.csv_format.options import ReadOptions
from runtara_agents_csv_xml.csv_format.reading import OPTION_INVALID, READ_ERRORS
from runtara_agents_csv_xml.csv_format.records import Record, Records
from runtara_agents_csv_xml.csv_format.rows import PARSE_ERROR, open_csv

_MOST_KEYS = 1_000_000


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
        self.bad_rows = 0
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
    looks_at_values = bool(inputs.required_values or inputs.unique)
    columns: list[str] = []
    checked = inputs.model_copy(update={"on_bad_row": "collect"})
    with open_csv(checked, context) as source:
        records = Records(source, needs_types=False)
        columns = records.columns
        for name in dict.fromkeys([*inputs.required_columns, *inputs.types, *inputs.required_values, *inputs.unique]):
            if name not in columns:
                findings.add(1, name, "the column is missing")
        seen: dict[bytes, int] = {}
        try:
            for record in _with_bad_rows(records, findings):
                count += 1
                if looks_at_values and isinstance(record, dict):
                    _check_values(record, source.row, inputs, findings, seen)
        except AgentError as error:
            if error.code != PARSE_ERROR:
                raise
            findings.add(source.row + 1, None, error.message.partition(": ")[2])
        _tell_bad_rows(records, findings)
        count += records.bad_count
        findings.count += records.bad_count - findings.bad_rows
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
        if records.bad_rows:
            _tell_bad_rows(records, findings)
        yield record


def _tell_bad_rows(records: Records, findings: _Findings) -> None:
    for bad in records.bad_rows:
        findings.add(bad.row, None, bad.reason)
        findings.bad_rows += 1
    records.bad_rows.clear()


def _digest(values: list[Any]) -> bytes:
    return hashlib.blake2b(encode_json(values), digest_size=12).digest()


def _check_values(
    record: dict[str, Any], row: int, inputs: ValidateInput, findings: _Findings, seen: dict[bytes, int]
) -> None:
    for name in inputs.required_values:
        if name in record and record[name] in (None, ""):
            findings.add(row, name, "the field is empty")
    if inputs.unique:
        first = seen.setdefault(_digest([record.get(name) for name in inputs.unique]), row)
        if len(seen) > _MOST_KEYS:
            raise AgentError.permanent(OPTION_INVALID, f"`unique` is for files of at most {_MOST_KEYS} rows")
        if first != row:
            findings.add(row, inputs.unique[0], f"the same values stand in row {first}")
