"""Spreadsheets that become too large are refused before they are read, which would end the process."""

from __future__ import annotations

import base64
import io
import zipfile
from typing import Any

import pytest
import xlsxwriter
from hypothesis import given, settings
from hypothesis import strategies as st
from runtara_agents_csv_xml import xlsx_agent
from runtara_agents_csv_xml.xlsx_format.example import SPREADSHEET
from runtara_sdk.agents import AgentError

SHEET = "xl/worksheets/s.xml"
MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"


def with_part(name: str, content: str | bytes) -> str:
    """The spreadsheet of the examples with another part."""
    buffer = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(base64.b64decode(SPREADSHEET))) as source,
        zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as target,
    ):
        for item in source.namelist():
            if item != name:
                target.writestr(item, source.read(item))
        target.writestr(name, content)
    return base64.b64encode(buffer.getvalue()).decode()


def sheet(rows: str) -> str:
    return with_part(SHEET, f'<worksheet xmlns="{MAIN}"><sheetData>{rows}</sheetData></worksheet>')


async def read(data: str, **options: Any) -> Any:
    return await xlsx_agent.invoke("from-xlsx", {"data": data, "has_headers": False, **options})


async def code_of(data: str, **options: Any) -> str:
    with pytest.raises(AgentError) as caught:
        await read(data, **options)
    with pytest.raises(AgentError) as again:
        await xlsx_agent.invoke("get-sheets", {"data": data})
    assert again.value.code == caught.value.code
    return caught.value.code


@pytest.mark.parametrize(
    "rows",
    [
        '<row r="1"><c r="A1"><v>1</v></c></row><row r="1048576"><c r="XFD1048576"><v>1</v></c></row>',
        "<row r='1'><c r = 'A1'><v>1</v></c></row><row r='1048576'><c\n r='xfd1048576'><v>1</v></c></row>",
        '<row r="1"><c><v>1</v></c></row><row r="1048576">' + "<c><v>1</v></c>" * 300 + "</row>",
        '<row r="1048576">' + "<c><v>1</v></c>" * 20 + "</row>" + '<row r="1"><c r="KN1"><v>1</v></c></row>',
    ],
)
async def test_cells_in_opposite_corners(rows: str) -> None:
    assert await code_of(sheet(rows)) == "XLSX_TOO_LARGE"


async def test_references_that_hide() -> None:
    assert await code_of(sheet('<row r="1"><c r="&#65;1"><v>1</v></c></row>')) == "XLSX_DECODE_ERROR"
    wide = f'<worksheet xmlns="{MAIN}"><sheetData/></worksheet>'.encode("utf-16")
    assert await code_of(with_part(SHEET, wide)) == "XLSX_DECODE_ERROR"


async def test_what_only_looks_large() -> None:
    far = '<row r="1"><c r="A1"><v>1</v></c></row><row r="1048576" ht="12"/>'
    assert await read(sheet(far)) == [[1]]
    unnamed = "<row><c><v>1</v></c><c><v>2</v></c></row>" * 3
    assert await read(sheet(unnamed)) == [[1, 2]] * 3
    many = with_part("xl/calcChain.xml", f'<calcChain xmlns="{MAIN}"><c r="A1"/><c r="XFD1048576"/></calcChain>')
    assert len(await read(many)) == 2


async def test_a_size_that_is_a_lie() -> None:
    data = bytearray(base64.b64decode(with_part("xl/media/image.xml", b"<x>" + b" " * 60_000_000)))
    at = data.rindex(b"PK\x01\x02")  # the entry of the last part in the directory
    data[at + 24 : at + 28] = (1000).to_bytes(4, "little")
    assert await code_of(base64.b64encode(data).decode()) in ("XLSX_TOO_LARGE", "XLSX_DECODE_ERROR")


OFFICE = "urn:oasis:names:tc:opendocument:xmlns:"


def document(rows: str) -> str:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        archive.writestr("META-INF/manifest.xml", f'<m:manifest xmlns:m="{OFFICE}manifest:1.0"></m:manifest>')
        archive.writestr(
            "content.xml",
            f'<office:document-content xmlns:office="{OFFICE}office:1.0" xmlns:table="{OFFICE}table:1.0" '
            f'xmlns:text="{OFFICE}text:1.0"><office:body><office:spreadsheet><table:table table:name="One">{rows}'
            "</table:table></office:spreadsheet></office:body></office:document-content>",
        )
    return base64.b64encode(buffer.getvalue()).decode()


CELL = '<table:table-cell office:value-type="float" office:value="1"{}><text:p>1</text:p></table:table-cell>'
BLANK = '<table:table-cell table:number-columns-repeated="16383"/>'


async def test_repetitions_of_an_open_document() -> None:
    row = "<table:table-row{}>{}</table:table-row>"
    blank = row.format(
        ' table:number-rows-repeated="1048575"', '<table:table-cell table:number-columns-repeated="16384"/>'
    )
    plain = document(row.format("", CELL.format("") + BLANK) + blank)
    assert [cells[0] for cells in await read(plain)] == [1]
    wide = CELL.format(' table:number-columns-repeated="16384"')
    assert await code_of(document(row.format(' table:number-rows-repeated="1048576"', wide))) == "XLSX_TOO_LARGE"
    assert await code_of(document(row.format("", wide) + blank + row.format("", CELL.format("")))) == "XLSX_TOO_LARGE"


async def test_the_bound_may_be_moved() -> None:
    buffer = io.BytesIO()
    with xlsxwriter.Workbook(buffer) as book:
        book.add_worksheet().write_row(0, 0, range(100))
    data = base64.b64encode(buffer.getvalue()).decode()
    assert await read(data, max_cells=100) == [list(range(100))]
    with pytest.raises(AgentError) as caught:
        await read(data, max_cells=99)
    assert "max_cells" in caught.value.message


@settings(max_examples=200, deadline=None)
@given(st.sampled_from([SHEET, "xl/workbook.xml", "xl/styles.xml", None]), st.integers(0, 2000), st.binary(max_size=12))
async def test_damaged_files_are_errors(part: str | None, at: int, damage: bytes) -> None:
    content = base64.b64decode(SPREADSHEET)
    if part is not None:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            inner = archive.read(part)
        at %= len(inner)
        content = base64.b64decode(with_part(part, inner[:at] + damage + inner[at + len(damage) :]))
    else:
        at %= len(content)
        content = content[:at] + damage + content[at + len(damage) :]
    for capability in ("from-xlsx", "get-sheets"):
        try:
            await xlsx_agent.invoke(capability, {"data": base64.b64encode(content).decode()})
        except AgentError as error:
            assert error.code.startswith("XLSX_")
