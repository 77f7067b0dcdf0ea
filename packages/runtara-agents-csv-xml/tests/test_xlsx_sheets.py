"""Spreadsheets: written, read again, and refused."""

from __future__ import annotations

import base64
import io
import json
import sys
import zipfile
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import xlsxwriter
from hypothesis import given, settings
from hypothesis import strategies as st
from runtara_agents_csv_xml import xlsx_agent
from runtara_sdk.agents import AgentError, CapabilityContext
from runtara_sdk.agents.workspace import Workspace


async def run(capability: str, context: CapabilityContext | None = None, **inputs: Any) -> Any:
    return await xlsx_agent.invoke(capability, inputs, context)


async def code_of(capability: str, **inputs: Any) -> str:
    with pytest.raises(AgentError) as caught:
        await run(capability, **inputs)
    return caught.value.code


def workbook() -> str:
    buffer = io.BytesIO()
    with xlsxwriter.Workbook(buffer) as book:
        dates = book.add_format({"num_format": "yyyy-mm-dd hh:mm"})
        first, second = book.add_worksheet("Orders"), book.add_worksheet("More")
        first.write_row(0, 0, ["sku", "qty", "price", "paid", "at"])
        first.write_row(1, 0, ["A1", 2, 1.5, True])
        first.write_datetime(1, 4, datetime(2026, 11, 27, 9, 30), dates)  # noqa: DTZ001 - cells have no zone
        first.write_row(3, 0, ["B2", 3, 2, False])
        second.write(0, 0, "x")
    return base64.b64encode(buffer.getvalue()).decode()


async def test_cells_have_types() -> None:
    data = workbook()
    assert await run("from-xlsx", data=data) == [
        {"sku": "A1", "qty": 2, "price": 1.5, "paid": True, "at": "2026-11-27T09:30:00"},
        {"sku": "B2", "qty": 3, "price": 2, "paid": False, "at": None},
    ]
    assert len(await run("from-xlsx", data=data, skip_empty_rows=False)) == 3
    assert await run("from-xlsx", data=data, sheet="More", has_headers=False) == [["x"]]
    assert await run("from-xlsx", data=data, sheet="#1", has_headers=False) == [["x"]]
    assert await run("from-xlsx", data=data, sheet=1, has_headers=False) == [["x"]]
    assert await run("from-xlsx", data=data, limit=1, skip_rows=1, has_headers=False) != []
    assert await run("get-sheets", data=data) == [
        {"name": "Orders", "index": 0, "rows": 4, "columns": 5},
        {"name": "More", "index": 1, "rows": 1, "columns": 1},
    ]


async def test_what_cannot_be_read() -> None:
    data = workbook()
    assert await code_of("from-xlsx", data=data, sheet="Nothing") == "XLSX_SHEET_NOT_FOUND"
    assert await code_of("from-xlsx", data=data, sheet="#7") == "XLSX_SHEET_NOT_FOUND"
    assert await code_of("from-xlsx", data=list(b"no spreadsheet")) == "XLSX_DECODE_ERROR"
    assert await code_of("from-xlsx", data=list(b"PK\x03\x04 damaged")) == "XLSX_DECODE_ERROR"
    assert await code_of("from-xlsx", data=data, max_bytes=10) == "FILE_TOO_LARGE"
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/worksheets/sheet1.xml", b"0" * 50_000_000)
    assert await code_of("from-xlsx", data=base64.b64encode(bomb.getvalue()).decode()) == "XLSX_TOO_LARGE"


async def test_texts_stay_texts(tmp_path: Path) -> None:
    context = CapabilityContext(workspace=Workspace(tmp_path))
    rows = [{"a": "=1+1", "b": "https://example.com", "c": "007", "d": {"x": 1}, "e": 2**60}]
    file = await run("to-xlsx", context, value=rows, output="file", path="out.xlsx")
    (read,) = await run("from-xlsx", context, data=file)
    assert read == {"a": "=1+1", "b": "https://example.com", "c": "007", "d": '{"x": 1}', "e": str(2**60)}
    sheets = [{"name": "one", "rows": [[1, 2]]}, {"name": "two", "rows": [{"b": 1, "a": 2}], "columns": ["a"]}]
    both = await run("to-xlsx", sheets=sheets)
    assert await run("from-xlsx", data=both, sheet="one", has_headers=False) == [[1, 2]]
    assert await run("from-xlsx", data=both, sheet="two") == [{"a": 2}]


async def test_large_sheets_go_through_files(tmp_path: Path) -> None:
    context = CapabilityContext(workspace=Workspace(tmp_path))
    rows = [{"id": number, "name": f"=name {number}"} for number in range(3000)]
    (tmp_path / "in.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    written = await run("to-xlsx", context, data={"$file": "in.jsonl"}, output="file", path="out.xlsx")
    read = await run("from-xlsx", context, data=written, output="file", path="back.jsonl")
    assert (read["count"], read["file"]["$file"]) == (3000, "back.jsonl")
    lines = (tmp_path / "back.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == rows
    some = await run("to-xlsx", context, data={"$file": "in.jsonl"}, columns=["name"], sheet_name="N")
    assert await run("from-xlsx", context, data=some, sheet="N", limit=1) == [{"name": "=name 0"}]
    assert await code_of("from-xlsx", data=written, output="file") == "XLSX_INVALID_OPTION"
    assert await code_of("to-xlsx", value=[], data=[1]) == "XLSX_WRITE_ERROR"


async def test_what_cannot_be_written() -> None:
    assert await code_of("to-xlsx", value=[], sheet_name="a/b") == "XLSX_WRITE_ERROR"
    assert await code_of("to-xlsx", value=[["x" * 40_000]]) == "XLSX_WRITE_ERROR"
    assert await code_of("to-xlsx", sheets=[{"name": "a", "rows": []}, {"name": "A", "rows": []}]) == "XLSX_WRITE_ERROR"
    assert await code_of("to-xlsx") == "XLSX_WRITE_ERROR"
    assert await code_of("to-xlsx", value=[], output="file") == "XLSX_WRITE_ERROR"


@pytest.mark.parametrize("missing", ["python_calamine", "xlsxwriter"])
async def test_without_the_libraries_the_extra_is_named(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    capability = {"python_calamine": "from-xlsx", "xlsxwriter": "to-xlsx"}[missing]
    inputs: dict[str, Any] = {"data": [1]} if capability == "from-xlsx" else {"value": []}
    assert await code_of(capability, **inputs) == "XLSX_EXTRA_MISSING"


TEXTS = st.text(st.characters(blacklist_categories=("Cs", "Cc")), min_size=1, max_size=8).filter(
    lambda text: not text.startswith("_x") and "_x" not in text and text.isprintable()
)
CELLS = TEXTS | st.integers(-(2**50), 2**50) | st.booleans()


@settings(max_examples=40)
@given(st.lists(st.fixed_dictionaries({"a": CELLS, "b": CELLS}), min_size=1, max_size=6))
async def test_what_is_written_is_read(rows: list[dict[str, Any]]) -> None:
    assert await run("from-xlsx", data=await run("to-xlsx", value=rows)) == rows
