"""Reading spreadsheets: `from-xlsx` and `get-sheets`."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterable, Iterator
from datetime import date, datetime, time, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal

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
from runtara_sdk.agents.files import FILE_ERRORS, WORKSPACE_ERRORS, FileInput, read_file
from runtara_sdk.workflow.json_text import encode_json

from runtara_agents_csv_xml.csv_format.json_lines import MEDIA_TYPE as JSON_LINES
from runtara_agents_csv_xml.csv_format.json_lines import write_json_lines
from runtara_agents_csv_xml.xlsx_format.example import SPREADSHEET
from runtara_agents_csv_xml.xlsx_format.extents import ExtentError, check_extents

if TYPE_CHECKING:
    from python_calamine import CalamineWorkbook

DECODE_ERROR = "XLSX_DECODE_ERROR"
PARSE_ERROR = "XLSX_PARSE_ERROR"
SHEET_NOT_FOUND = "XLSX_SHEET_NOT_FOUND"
EXTRA_MISSING = "XLSX_EXTRA_MISSING"
TOO_LARGE = "XLSX_TOO_LARGE"
OPTION_INVALID = "XLSX_INVALID_OPTION"

READ_ERRORS = (
    *FILE_ERRORS,
    KnownError.permanent(DECODE_ERROR, "It is no spreadsheet."),
    KnownError.permanent(PARSE_ERROR, "A sheet cannot be read."),
    KnownError.permanent(TOO_LARGE, "It becomes larger than may be.", "limit"),
    KnownError.permanent(EXTRA_MISSING, "The libraries of spreadsheets are not installed."),
)

_UNPACKED_BYTES = 1024**3
_UNSUSPICIOUS_BYTES = 16 * 1024 * 1024
_GREATEST_RATIO = 200
_LARGEST_RESULT_BYTES = 64 * 1024 * 1024
_BATCH_ROWS = 1000


class SheetInput(BaseModel):
    """A spreadsheet."""

    data: FileInput = Field(title="Data", description="The file: XLSX, XLS, XLSB or ODS.")
    max_bytes: int = Field(default=100 * 1024 * 1024, ge=1, le=2**31, description="A larger file is an error.")
    max_cells: int = Field(
        default=5_000_000,
        ge=1,
        le=200_000_000,
        description="A sheet that spans more, empty cells among them, is an error; each takes some 60 bytes of memory.",
    )


class FromXlsxInput(SheetInput):
    """Which sheet, and how."""

    sheet: str | int | None = Field(
        default=None, description="Its name, or its number from 0 as `#0`; the first one when left out."
    )
    has_headers: bool = Field(default=True, description="Whether the first row names the columns.")
    skip_empty_rows: bool = Field(default=True, description="Whether rows without any value are left out.")
    skip_rows: int = Field(default=0, ge=0, le=1_000_000, description="Rows before the header.")
    limit: int | None = Field(default=None, ge=0, description="At most so many rows.")
    output: Literal["rows", "file"] = Field(
        default="rows", description="`rows`: an array. `file`: JSON lines in the workspace at `path`."
    )
    path: str | None = Field(default=None, description="Where `output` `file` goes.", examples=["work/orders.jsonl"])


class RowsFile(BaseModel):
    """Where the rows are."""

    file: FileReference = Field(description="JSON lines in the workspace.")
    count: int = Field(description="How many rows there are.")


@capability(
    id="from-xlsx",
    aliases=("parse",),
    display_name="Parse Spreadsheet",
    description="Reads a sheet into objects, one a row, with typed cells; dates become ISO 8601 texts.",
    effect=EffectClass.IDEMPOTENT,  # a file of the workspace may be written
    known_errors=(
        *READ_ERRORS,
        *WORKSPACE_ERRORS,
        KnownError.permanent(SHEET_NOT_FOUND, "There is no such sheet.", "sheet"),
        KnownError.permanent(OPTION_INVALID, "Output `file` needs a path."),
    ),
    examples=[
        Example({"data": SPREADSHEET, "sheet": "Orders"}, output=[{"sku": "A1", "qty": 2, "on": "2026-11-27"}]),
        Example(
            {"data": {"$file": "in/orders.xlsx"}, "output": "file", "path": "work/orders.jsonl"},
            output={
                "file": {
                    "$file": "work/orders.jsonl",
                    "filename": "orders.jsonl",
                    "size": 21,
                    "sha256": "132122d1e3e209215d92c60c49efcb7228131396b7d612f820729098a7bbe0e9",
                    "mimeType": "application/x-ndjson",
                },
                "count": 1,
            },
            needs="a spreadsheet in the workspace",
        ),
    ],
)
def from_xlsx(inputs: FromXlsxInput, context: CapabilityContext) -> list[Any] | RowsFile:
    """The rows."""
    if inputs.output == "file" and inputs.path is None:
        raise AgentError.permanent(OPTION_INVALID, "output `file` needs `path`, a path in the workspace")
    with open_workbook(inputs, context) as workbook:
        name = _sheet_name(workbook, inputs.sheet)
        with _translated(PARSE_ERROR, f"sheet {name!r}"):
            sheet = workbook.get_sheet_by_name(name)
            rows = islice(_rows(sheet.iter_rows(), inputs, context), inputs.limit)
            if inputs.output == "file":
                stored, count = write_json_lines(inputs.path or "", rows, context)
                return RowsFile(file=FileReference.of(stored, mime_type=JSON_LINES), count=count)
            return _bounded(rows)


def _rows(cells: Iterable[list[Any]], inputs: FromXlsxInput, context: CapabilityContext) -> Iterator[Any]:
    names: list[str] | None = None
    for number, row in enumerate(cells):
        if number < inputs.skip_rows:
            continue
        if not number % _BATCH_ROWS:
            context.check()
        if inputs.skip_empty_rows and all(cell in ("", None) for cell in row):
            continue
        values = [cell_value(cell) for cell in row]
        if inputs.has_headers and names is None:
            names = _header(values)
            continue
        yield values if names is None else dict(zip(names, values, strict=False))


def _bounded(rows: Iterable[Any]) -> list[Any]:
    """The rows; raises `AgentError` when no result can hold them."""
    found: list[Any] = []
    size, remaining = 0, iter(rows)
    while batch := list(islice(remaining, _BATCH_ROWS)):
        found += batch
        size += len(encode_json(batch))
        if size > _LARGEST_RESULT_BYTES:
            raise too_large("bytes of rows: use output `file`, or `limit`", _LARGEST_RESULT_BYTES)
    return found


class SheetInfo(BaseModel):
    """One sheet."""

    name: str
    index: int = Field(description="From 0.")
    rows: int
    columns: int


@capability(
    id="get-sheets",
    display_name="Get Sheets",
    description="Lists the sheets of a spreadsheet with their sizes.",
    known_errors=READ_ERRORS,
    examples=[Example({"data": SPREADSHEET}, output=[{"name": "Orders", "index": 0, "rows": 2, "columns": 3}])],
)
def get_sheets(inputs: SheetInput, context: CapabilityContext) -> list[SheetInfo]:
    """The sheets."""
    sheets = []
    with open_workbook(inputs, context) as workbook:
        for index, name in enumerate(workbook.sheet_names):
            with _translated(PARSE_ERROR, f"sheet {name!r}"):
                row, column = workbook.get_sheet_by_name(name).end or (-1, -1)  # of the last cell
            sheets.append(SheetInfo(name=name, index=index, rows=row + 1, columns=column + 1))
            context.check()
    return sheets


@contextlib.contextmanager
def open_workbook(inputs: SheetInput, context: CapabilityContext) -> Iterator[CalamineWorkbook]:
    """A spreadsheet; raises `AgentError` when it is none, or would become too large."""
    try:
        from python_calamine import CalamineWorkbook
    except ImportError:
        raise extra_missing() from None
    content = read_file(inputs.data, context, limit_bytes=inputs.max_bytes)
    if content.startswith(b"PK"):
        try:
            check_extents(
                content,
                most_bytes=min(_UNPACKED_BYTES, _UNSUSPICIOUS_BYTES + _GREATEST_RATIO * len(content)),
                most_cells=inputs.max_cells,
                check=context.check,
            )
        except ExtentError as error:
            option = " (max_cells)" if error.what == "cells" else ""
            raise too_large(f"{error.what} when it is unpacked{option}", error.limit) from None
        except AgentError:
            raise
        except Exception as error:  # noqa: BLE001 - damaged archives raise whatever their methods raise
            raise AgentError.permanent(DECODE_ERROR, f"it is no spreadsheet: {str(error)[:200]}") from None
    with _translated(DECODE_ERROR, "it is no spreadsheet"):
        workbook = CalamineWorkbook.from_filelike(io.BytesIO(content))
    with workbook:
        yield workbook


@contextlib.contextmanager
def _translated(code: str, what: str) -> Iterator[None]:
    """Errors of the library as `AgentError`; a panic of it is none of Python's ordinary exceptions."""
    try:
        yield
    except AgentError:
        raise
    except BaseException as error:
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        raise AgentError.permanent(code, f"{what}: {str(error)[:200]}") from None


def extra_missing() -> AgentError:
    """The error where the libraries are not installed."""
    return AgentError.permanent(
        EXTRA_MISSING, "spreadsheets need further libraries: pip install 'runtara-agents-csv-xml[xlsx]'"
    )


def too_large(what: str, limit: int) -> AgentError:
    """The error of a spreadsheet that holds too much."""
    return AgentError.permanent(TOO_LARGE, f"it has more than {limit} {what}", attributes={"limit": limit})


def cell_value(cell: Any) -> Any:
    """A cell as a JSON value: whole numbers are integers, dates and times ISO 8601 texts, empty cells null."""
    if cell == "" or cell is None:
        return None
    if isinstance(cell, bool | str | int):
        return cell
    if isinstance(cell, float):
        return int(cell) if cell.is_integer() and abs(cell) < 2**53 else cell
    if isinstance(cell, datetime):
        return cell.isoformat()
    if isinstance(cell, date | time):
        return cell.isoformat()
    return cell.total_seconds() if isinstance(cell, timedelta) else str(cell)


def _header(values: list[Any]) -> list[str]:
    return [str(value) if value is not None else f"Column {index + 1}" for index, value in enumerate(values)]


def _sheet_name(workbook: CalamineWorkbook, wanted: str | int | None) -> str:
    names = workbook.sheet_names
    if wanted is None and names:
        return names[0]
    if isinstance(wanted, str) and wanted in names:
        return wanted
    number = wanted if isinstance(wanted, int) else _number(wanted)
    if number is not None and 0 <= number < len(names):
        return names[number]
    known = ", ".join(repr(name) for name in names[:20])
    raise AgentError.permanent(
        SHEET_NOT_FOUND,
        f"there is no sheet {str(wanted)[:100]!r}: it has {known}",
        attributes={"sheet": str(wanted)[:100]},
    )


def _number(wanted: str | None) -> int | None:
    text = (wanted or "").removeprefix("#")
    return int(text) if (wanted or "").startswith("#") and text.isdecimal() and len(text) < 6 else None
