"""Reading spreadsheets: `from-xlsx` and `get-sheets`."""

from __future__ import annotations

import io
import zipfile
from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, Field
from runtara_sdk.agents import AgentError, CapabilityContext, Example, KnownError, capability
from runtara_sdk.agents.files import FILE_ERRORS, FileInput, read_file

if TYPE_CHECKING:
    from python_calamine import CalamineWorkbook

DECODE_ERROR = "XLSX_DECODE_ERROR"
PARSE_ERROR = "XLSX_PARSE_ERROR"
SHEET_NOT_FOUND = "XLSX_SHEET_NOT_FOUND"
EXTRA_MISSING = "XLSX_EXTRA_MISSING"
TOO_LARGE = "XLSX_TOO_LARGE"

READ_ERRORS = (
    *FILE_ERRORS,
    KnownError.permanent(DECODE_ERROR, "It is no spreadsheet."),
    KnownError.permanent(PARSE_ERROR, "A sheet cannot be read."),
    KnownError.permanent(TOO_LARGE, "It becomes larger than may be.", "limit"),
    KnownError.permanent(EXTRA_MISSING, "The libraries of spreadsheets are not installed."),
)

_MOST_CELLS = 20_000_000
_UNPACKED_BYTES = 1024**3


class SheetInput(BaseModel):
    """A spreadsheet."""

    data: FileInput = Field(title="Data", description="The file: XLSX, XLS, XLSB or ODS.")
    max_bytes: int = Field(default=100 * 1024 * 1024, ge=1, le=2**31, description="A larger file is an error.")


class FromXlsxInput(SheetInput):
    """Which sheet, and how."""

    sheet: str | int | None = Field(
        default=None, description="Its name, or its number from 0 as `#0`; the first one when left out."
    )
    has_headers: bool = Field(default=True, description="Whether the first row names the columns.")
    skip_empty_rows: bool = Field(default=True, description="Whether rows without any value are left out.")
    skip_rows: int = Field(default=0, ge=0, le=1_000_000, description="Rows before the header.")
    limit: int | None = Field(default=None, ge=0, description="At most so many rows.")


@capability(
    id="from-xlsx",
    aliases=("parse",),
    display_name="Parse Spreadsheet",
    description="Reads a sheet into objects, one a row, with typed cells; dates become ISO 8601 texts.",
    known_errors=(*READ_ERRORS, KnownError.permanent(SHEET_NOT_FOUND, "There is no such sheet.", "sheet")),
    examples=[Example({"data": {"$file": "in/orders.xlsx"}, "sheet": "Orders"}, needs="a spreadsheet")],
)
def from_xlsx(inputs: FromXlsxInput, context: CapabilityContext) -> list[Any]:
    """The rows."""
    workbook = open_workbook(inputs, context)
    name = _sheet_name(workbook, inputs.sheet)
    try:
        rows = workbook.get_sheet_by_name(name).to_python(skip_empty_area=False)
    except Exception as error:  # noqa: BLE001 - the library has many of its own
        raise AgentError.permanent(PARSE_ERROR, f"sheet {name!r}: {str(error)[:200]}") from None
    if sum(len(row) for row in rows[:1]) * len(rows) > _MOST_CELLS:
        raise too_large("cells", _MOST_CELLS)
    rows = rows[inputs.skip_rows :]
    names: list[str] | None = None
    found: list[Any] = []
    for row in rows:
        if inputs.skip_empty_rows and all(cell in ("", None) for cell in row):
            continue
        values = [cell_value(cell) for cell in row]
        if inputs.has_headers and names is None:
            names = _header(values)
            continue
        if inputs.limit is not None and len(found) >= inputs.limit:
            break
        found.append(values if names is None else dict(zip(names, values, strict=False)))
        if not len(found) % 1000:
            context.check()
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
    examples=[Example({"data": {"$file": "in/orders.xlsx"}}, needs="a spreadsheet")],
)
def get_sheets(inputs: SheetInput, context: CapabilityContext) -> list[SheetInfo]:
    """The sheets."""
    workbook = open_workbook(inputs, context)
    sheets = []
    for index, name in enumerate(workbook.sheet_names):
        try:
            sheet = workbook.get_sheet_by_name(name)
        except Exception as error:  # noqa: BLE001 - the library has many of its own
            raise AgentError.permanent(PARSE_ERROR, f"sheet {name!r}: {str(error)[:200]}") from None
        row, column = sheet.end or (-1, -1)  # of the last cell; there is none in an empty sheet
        sheets.append(SheetInfo(name=name, index=index, rows=row + 1, columns=column + 1))
    return sheets


def open_workbook(inputs: SheetInput, context: CapabilityContext) -> CalamineWorkbook:
    """Open a spreadsheet; raises `AgentError` when it is none, or what it unpacks to is too large."""
    try:
        from python_calamine import CalamineWorkbook
    except ImportError:
        raise extra_missing() from None
    content = read_file(inputs.data, context, limit_bytes=inputs.max_bytes)
    if content.startswith(b"PK"):
        _check_unpacked(content)
    try:
        return CalamineWorkbook.from_filelike(io.BytesIO(content))
    except Exception as error:  # noqa: BLE001 - the library has many of its own
        raise AgentError.permanent(DECODE_ERROR, f"it is no spreadsheet: {str(error)[:200]}") from None


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


def _check_unpacked(content: bytes) -> None:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            unpacked = sum(item.file_size for item in archive.infolist())
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise AgentError.permanent(DECODE_ERROR, f"it is no spreadsheet: {str(error)[:200]}") from None
    if unpacked > min(_UNPACKED_BYTES, 1024 * 1024 + len(content) * 200):
        raise too_large("bytes when it is unpacked", _UNPACKED_BYTES)
