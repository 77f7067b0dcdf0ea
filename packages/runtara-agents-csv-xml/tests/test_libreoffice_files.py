"""Files that LibreOffice 7.4 saved, from one table: spreadsheets in three formats, CSV in three encodings."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from runtara_agents_csv_xml import csv_agent, xlsx_agent

DIRECTORY = Path(__file__).with_name("libreoffice")


def content(name: str) -> str:
    return base64.b64encode((DIRECTORY / name).read_bytes()).decode()


@pytest.mark.parametrize("name", ["orders.xlsx", "orders.ods", "orders.xls"])
async def test_spreadsheets(name: str) -> None:
    data = content(name)
    assert await xlsx_agent.invoke("get-sheets", {"data": data}) == [
        {"name": "Orders", "index": 0, "rows": 3, "columns": 7},
        {"name": "Notes", "index": 1, "rows": 1, "columns": 1},
    ]
    rows = await xlsx_agent.invoke("from-xlsx", {"data": data})
    assert rows == [
        {
            "id": 1,
            "name": 'Zoë, "the" Großhändler',
            "ordered": "2024-02-29",
            "price": 19.9,
            "count": 3,
            "total": pytest.approx(59.7),  # a formula: its value, as LibreOffice computed it
            "paid": 1,
        },
        {"id": 2, "name": "two\nlines", "ordered": None, "price": 0.5, "count": 2, "total": 1, "paid": 0},
    ]
    assert await xlsx_agent.invoke("from-xlsx", {"data": data, "sheet": "Notes", "has_headers": False}) == [["€ note"]]


@pytest.mark.parametrize(
    ("name", "encoding"),
    [
        ("semicolons-utf-8.csv", "utf-8"),
        ("tabs-windows-1252.csv", "windows-1252"),
        ("commas-utf-16.csv", "utf-8"),  # the byte order mark wins
    ],
)
async def test_csv(name: str, encoding: str) -> None:
    options = {"encoding": encoding, "delimiter": "auto", "infer_types": True, "null_values": [""]}
    assert await csv_agent.invoke("from-csv", {"data": content(name), **options}) == [
        {
            "id": 1,
            "name": 'Zoë, "the" Großhändler',
            "ordered": "2024-02-29",
            "price": 19.9,
            "count": 3,
            "total": 59.7,
            "paid": 1,
        },
        {"id": 2, "name": "two\nlines", "ordered": None, "price": 0.5, "count": 2, "total": 1, "paid": 0},
    ]
