"""Writing CSV: shapes, columns, quoting, formulas, files and appending."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from runtara_agents_csv_xml import csv_agent
from runtara_sdk.agents import AgentError, CapabilityContext
from runtara_sdk.agents.workspace import Workspace


@pytest.fixture
def context(tmp_path: Path) -> CapabilityContext:
    return CapabilityContext(workspace=Workspace(tmp_path / "w"), idempotency_key="k")


async def write(value: Any = None, context: CapabilityContext | None = None, **options: Any) -> Any:
    return await csv_agent.invoke("to-csv", {"value": value, **options}, context)


async def code_of(value: Any = None, **options: Any) -> str:
    with pytest.raises(AgentError) as caught:
        await write(value, **options)
    return caught.value.code


async def test_shapes() -> None:
    assert await write([{"b": 1, "a": "x,y"}]) == 'b,a\n1,"x,y"\n'
    assert await write([{"a": 1}, {"b": 2}]) == "a,b\n1,\n,2\n"
    assert await write({"a": None, "b": True, "c": [1, {"d": 2}]}) == 'a,b,c\n,true,"[1,{""d"":2}]"\n'
    assert await write([[1, 2], [3]]) == "Column 1,Column 2\n1,2\n3,\n"
    assert await write([1, "x", None]) == 'value\n1\nx\n""\n'
    assert await write([]) == ""
    assert await write([{"a": 1.5e300, "b": -0.0}]) == "a,b\n1.5e+300,-0.0\n"
    assert await code_of([{"a": 1}, [1]]) == "CSV_WRITE_ERROR"


async def test_columns_and_quoting() -> None:
    rows = [{"a": 1, "b": "x", "c": "left out"}]
    columns = [{"name": "b", "header": "B!"}, "a", "missing"]
    assert await write(rows, columns=columns) == "B!,a,missing\nx,1,\n"
    assert await write(rows, columns=["a"], use_header=False, line_terminator="\r\n") == "1\r\n"
    assert await write(rows, columns=["a", "b"], quoting="text") == '"a","b"\n1,"x"\n'
    assert await write(rows, columns=["a", "b"], quoting="all", quote_char="'") == "'a','b'\n'1','x'\n"
    assert await code_of([{"a": "x,y"}], quoting="none") == "CSV_WRITE_ERROR"
    assert await write([{"a": "x,y"}], quoting="none", escape_char="\\") == "a\nx\\,y\n"
    assert await write([{"a": None}], null_value="NULL") == "a\nNULL\n"


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "\t=1", "\r=1"])
async def test_formulas(text: str) -> None:
    assert text.strip() in await write([{"a": text}])
    assert f"'{text}" in (await write([{"a": text}], formula_guard="escape")).replace('"', "")
    assert await code_of([{"a": text}], formula_guard="reject") == "CSV_WRITE_ERROR"
    assert await write([{"a": -1}], formula_guard="reject") == "a\n-1\n"


async def test_outputs(context: CapabilityContext) -> None:
    rows = [{"a": "é"}]
    assert await write(rows, output="bytes", encoding="latin-1") == list(b"a\n\xe9\n")
    assert await write(rows, output="bytes", bom=True) == list(b"\xef\xbb\xbfa\n\xc3\xa9\n")
    assert (await write(rows, output="data"))["content"] == "YQrDqQo="
    assert bytes(await write(rows, output="bytes", encoding="utf-16")).decode("utf-16") == "a\né\n"
    assert await code_of([{"a": "€"}], output="bytes", encoding="ascii") == "CSV_WRITE_ERROR"
    assert await code_of(rows, output="bytes", encoding="nothing") == "CSV_WRITE_ERROR"
    written = await write(rows, context, output="file", path="a/b.csv")
    assert (written["rows"], written["size"], written["file"]["$file"]) == (1, 5, "a/b.csv")
    assert await code_of(rows, output="file") == "CSV_WRITE_ERROR"
    assert await code_of(rows, append=True) == "CSV_WRITE_ERROR"


async def test_rows_are_appended_once(context: CapabilityContext) -> None:
    workspace = context.require_workspace()
    options: dict[str, Any] = {"output": "file", "path": "log.csv", "append": True, "columns": ["a"]}
    steps = [CapabilityContext(workspace=workspace, idempotency_key=f"step-{number}") for number in range(3)]
    for number, step in enumerate(steps):
        for _ in range(2):  # the second time after a crash
            result = await write([{"a": number}], step, **options)
            assert result["rows"] == 1
    with workspace.open("log.csv") as stream:
        assert stream.read() == b"a\n0\n1\n2\n"
    assert (await write([{"a": 9}], steps[2], **options))["size"] == 10  # other rows are no repetition


FIELDS = st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\0"), max_size=8)


@given(
    st.lists(st.fixed_dictionaries({"a": FIELDS, "b,": FIELDS}), min_size=1, max_size=8),
    st.sampled_from([",", ";", "\t", "|"]),
    st.sampled_from(["minimal", "all", "text"]),
    st.sampled_from(["UTF-8", "UTF-16", "UTF-32"]),
)
async def test_what_is_written_is_read(rows: list[dict[str, str]], delimiter: str, quoting: str, encoding: str) -> None:
    data = await write(rows, delimiter=delimiter, quoting=quoting, encoding=encoding, output="bytes")
    read = {"data": data, "delimiter": delimiter, "skip_empty_lines": False}
    assert await csv_agent.invoke("from-csv", read) == rows


VALUES = st.integers() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False)


@given(st.lists(st.fixed_dictionaries({"n": VALUES}), min_size=1))
async def test_typed_values_come_back(rows: list[dict[str, Any]]) -> None:
    assert await csv_agent.invoke("from-csv", {"text": await write(rows), "infer_types": True}) == rows
