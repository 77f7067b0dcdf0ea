"""Writing spreadsheets: `to-xlsx`."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO, Literal, cast

from pydantic import AliasChoices, BaseModel, Field
from runtara_sdk.agents import (
    AgentError,
    CapabilityContext,
    EffectClass,
    Example,
    FileData,
    FileReference,
    KnownError,
    capability,
)
from runtara_sdk.agents.files import FILE_ERRORS, WORKSPACE_ERRORS, FileInput, open_file
from runtara_sdk.agents.workspace import copy_stream
from runtara_sdk.written_decimal import dump_json

from runtara_agents_csv_xml.csv_format.json_lines import LINE_INVALID, read_json_lines
from runtara_agents_csv_xml.xlsx_format.reading import EXTRA_MISSING, TOO_LARGE, extra_missing, too_large

WRITE_ERROR = "XLSX_WRITE_ERROR"
MEDIA_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"

_MOST_ROWS = 1_048_576
_MOST_COLUMNS = 16_384
_LONGEST_TEXT = 32_767
_MEMORY_BYTES = 8 * 1024 * 1024
_LARGEST_DATA = 50 * 1024 * 1024
_FORBIDDEN = frozenset("[]:*?/\\")


class Sheet(BaseModel):
    """One sheet."""

    name: str = Field(default="Sheet1", min_length=1, max_length=31, description="Of the sheet.")
    rows: list[Any] = Field(description="Objects, arrays or scalars.")
    columns: list[str] | None = Field(default=None, description="Which keys, in which order; all when left out.")


class ToXlsxInput(BaseModel):
    """What is written."""

    value: list[Any] | None = Field(
        default=None, title="Value", description="The rows of one sheet.", examples=[[{"sku": "A1", "qty": 2}]]
    )
    data: FileInput = Field(
        default=None,
        title="Data",
        description="A file of JSON lines, in place of `value`: for what is too large for the data of a workflow.",
    )
    sheets: list[Sheet] = Field(default_factory=list, description="Several sheets, in place of `value`.")
    columns: list[str] | None = Field(default=None, description="Of `value` or `data`: which keys, in which order.")
    sheet_name: str = Field(default="Sheet1", min_length=1, max_length=31, description="For `value` or `data`.")
    use_header: bool = Field(
        default=True,
        validation_alias=AliasChoices("use_header", "has_headers"),
        description="Whether the first row names the columns.",
    )
    output: Literal["data", "file"] = Field(
        default="data", description="`data`: {content, filename, mimeType}. `file`: a file of the workspace at `path`."
    )
    path: str | None = Field(default=None, description="Where `output` `file` goes.", examples=["out/orders.xlsx"])


@capability(
    id="to-xlsx",
    aliases=("generate",),
    display_name="Generate Spreadsheet",
    description="Writes rows as an XLSX file. Texts stay texts: none becomes a formula or a link.",
    side_effects=True,
    idempotent=True,
    effect=EffectClass.IDEMPOTENT,
    deterministic=False,
    known_errors=(
        *FILE_ERRORS,
        *WORKSPACE_ERRORS,
        KnownError.permanent(LINE_INVALID, "A line of `data` is no JSON.", "line"),
        KnownError.permanent(WRITE_ERROR, "A name of a sheet or a value cannot be written.", "sheet"),
        KnownError.permanent(TOO_LARGE, "There are more rows, columns or bytes than may be.", "limit"),
        KnownError.permanent(EXTRA_MISSING, "The libraries of spreadsheets are not installed."),
    ),
    examples=[Example({"value": [{"sku": "A1", "qty": 2}], "output": "file", "path": "out/orders.xlsx"})],
)
def to_xlsx(inputs: ToXlsxInput, context: CapabilityContext) -> FileData | FileReference:
    """The file, or where it lies."""
    try:
        import xlsxwriter  # type: ignore[import-untyped]  # it has neither stubs nor types
    except ImportError:
        raise extra_missing() from None
    if inputs.output == "file" and inputs.path is None:
        raise _write_error("output `file` needs `path`, a path in the workspace")
    if [inputs.value is None, inputs.data is None, not inputs.sheets].count(False) != 1:
        raise _write_error("give one of `value`, `data` and `sheets`")
    sheets = inputs.sheets or [Sheet(name=inputs.sheet_name, rows=inputs.value or [], columns=inputs.columns)]
    with tempfile.SpooledTemporaryFile(_MEMORY_BYTES) as packed, tempfile.TemporaryDirectory() as directory:
        target = cast("BinaryIO", packed)
        options = {
            "constant_memory": True,
            "tmpdir": directory,
            "strings_to_formulas": False,
            "strings_to_urls": False,
            "strings_to_numbers": False,
            "nan_inf_to_errors": False,
        }
        workbook = xlsxwriter.Workbook(target, options)
        names: set[str] = set()
        for sheet in sheets:
            _check_name(sheet.name, names)
            rows = _Lines(inputs.data, context) if inputs.data is not None else sheet.rows
            _write_sheet(workbook.add_worksheet(sheet.name), sheet, rows, context, use_header=inputs.use_header)
        workbook.close()
        size = target.tell()
        target.seek(0)
        if inputs.path is not None and inputs.output == "file":
            with context.require_workspace().create(inputs.path) as stored:
                copy_stream(target, stored.write, context.check)
                return FileReference.of(stored.commit(), mime_type=MEDIA_TYPE)
        if size > _LARGEST_DATA:
            raise too_large("bytes: write it to the workspace", _LARGEST_DATA)
        return FileData.of(target.read(), filename="data.xlsx", mime_type=MEDIA_TYPE)


class _Lines:
    """The records of a file of JSON lines, as often as they are wanted."""

    def __init__(self, data: Any, context: CapabilityContext) -> None:
        self._data = data
        self._context = context

    def __iter__(self) -> Iterator[Any]:
        with open_file(self._data, self._context) as file:
            for record, _ in read_json_lines(file.stream):
                yield record


def _write_sheet(
    worksheet: Any, sheet: Sheet, rows: Iterable[Any], context: CapabilityContext, *, use_header: bool
) -> None:
    columns = sheet.columns
    if columns is None:
        keys: dict[str, None] = {}
        for number, row in enumerate(rows):
            if isinstance(row, dict):
                keys.update(dict.fromkeys(row))
            if not number % 1000:
                context.check()
        columns = list(keys)
    if len(columns) > _MOST_COLUMNS:
        raise too_large("columns", _MOST_COLUMNS)
    number = 0
    if use_header and columns:
        _write_row(worksheet, 0, list(columns), sheet.name)
        number = 1
    for row in rows:
        if number >= _MOST_ROWS:
            raise too_large("rows", _MOST_ROWS)
        cells = _cells(row, columns)
        if len(cells) > _MOST_COLUMNS:
            raise too_large("columns", _MOST_COLUMNS)
        _write_row(worksheet, number, cells, sheet.name)
        number += 1
        if not number % 1000:
            context.check()


def _cells(row: Any, columns: list[str]) -> list[Any]:
    if isinstance(row, dict):
        return [row.get(name) for name in columns]
    return row if isinstance(row, list) else [row]


def _write_row(worksheet: Any, number: int, cells: list[Any], sheet: str) -> None:
    for column, cell in enumerate(cells):
        if cell is None:
            continue
        if isinstance(cell, bool):
            worksheet.write_boolean(number, column, cell)
        elif isinstance(cell, int | float):
            if abs(cell) >= 2**53 and isinstance(cell, int):
                worksheet.write_string(number, column, str(cell))  # a spreadsheet would round it
            else:
                worksheet.write_number(number, column, cell)
        else:
            text = cell if isinstance(cell, str) else dump_json(cell, ensure_ascii=False)
            if len(text) > _LONGEST_TEXT:
                raise _write_error(f"row {number + 1}: a text is longer than {_LONGEST_TEXT} characters", sheet)
            worksheet.write_string(number, column, text)


def _check_name(name: str, names: set[str]) -> None:
    if _FORBIDDEN & set(name) or name.startswith("'") or name.endswith("'") or not name.isprintable():
        raise _write_error("its name may hold none of [ ] : * ? / \\ and no apostrophe at its ends", name)
    if name.lower() in names:
        raise _write_error("its name is there twice", name)
    names.add(name.lower())


def _write_error(reason: str, sheet: str | None = None) -> AgentError:
    place = f"sheet {sheet!r}: " if sheet else ""
    return AgentError.permanent(WRITE_ERROR, f"{place}{reason}", attributes={"sheet": sheet})
