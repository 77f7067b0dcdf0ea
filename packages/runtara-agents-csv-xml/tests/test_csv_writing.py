"""Writing CSV: shapes, columns, quoting, formulas, files and appending."""

from __future__ import annotations

import asyncio
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


FORMULAS = ["=1+1", "+1+cmd|' /C calc'!A0", "-1-1", "-", "@x", "\t=1", "\r=1", "\n=1", "  =1", "\uff1d1", '=H("x")']


@pytest.mark.parametrize("text", FORMULAS)
async def test_formulas(text: str) -> None:
    rows = [{"a": text, "b": "x"}]
    assert await csv_agent.invoke("from-csv", {"text": await write(rows)}) == rows  # nothing is changed unasked
    guarded = await write(rows, formula_guard="escape")
    assert await csv_agent.invoke("from-csv", {"text": guarded}) == [{"a": f"'{text}", "b": "x"}]
    header = await write([{text: 1}], formula_guard="escape")
    assert await csv_agent.invoke("get-header", {"text": header}) == {f"'{text}": "Integer"}
    with pytest.raises(AgentError) as caught:
        await write([{"a": "x"}, {"a": text}], formula_guard="reject")
    assert (caught.value.code, caught.value.attributes["row"]) == ("CSV_WRITE_ERROR", "2")
    assert text not in caught.value.message


@pytest.mark.parametrize("value", [-1, -1.5, "-1.5", "+41 44 123 45 67", "-12.000,50", "-5%", "a=1", ""])
async def test_what_is_no_formula(value: Any) -> None:
    assert await write([{"a": value, "b": 1}], formula_guard="reject") == await write([{"a": value, "b": 1}])


async def test_nul_and_equal_characters_are_refused() -> None:
    assert await code_of([{"a": "x\0"}]) == "CSV_WRITE_ERROR"
    assert await code_of([{"a": "x"}], delimiter='"') == "CSV_WRITE_ERROR"


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


APPENDED: dict[str, Any] = {"output": "file", "path": "log.csv", "append": True, "columns": ["a"]}


def steps(context: CapabilityContext, count: int) -> list[CapabilityContext]:
    workspace = context.require_workspace()
    return [CapabilityContext(workspace=workspace, idempotency_key=f"step-{number}") for number in range(count)]


def content_of(context: CapabilityContext) -> bytes:
    with context.require_workspace().open("log.csv") as stream:
        return stream.read()


async def test_rows_are_appended_once(context: CapabilityContext) -> None:
    all_steps = steps(context, 3)
    for number, step in enumerate(all_steps):
        for _ in range(2):  # the second time after a crash
            result = await write([{"a": number}], step, **APPENDED)
            assert result["rows"] == 1
    assert content_of(context) == b"a\n0\n1\n2\n"
    for number, step in enumerate(all_steps):
        await write([{"a": number}], step, **APPENDED)
    assert content_of(context) == b"a\n0\n1\n2\n"
    assert (await write([{"a": 9}], all_steps[2], **APPENDED))["size"] == 10  # other rows are no repetition


async def test_equal_rows_of_two_steps_have_one_header(context: CapabilityContext) -> None:
    for step in steps(context, 2):
        await write([{"a": 1}], step, bom=True, **APPENDED)
    assert content_of(context) == b"\xef\xbb\xbfa\n1\n1\n"


@pytest.mark.parametrize("is_first", [True, False])
@pytest.mark.parametrize("left", range(8))
async def test_rows_that_were_torn_by_a_crash(left: int, is_first: bool, context: CapabilityContext) -> None:
    begun, other = steps(context, 2)
    await write([{"a": "12"}, {"a": "34"}], begun, **APPENDED)
    whole = content_of(context)
    path = context.require_workspace().path("log.csv")
    path.write_bytes(whole[:left])  # as a process leaves it that dies while it writes
    for step, rows in (
        [(begun, ["12", "34"]), (other, ["56"])] if is_first else [(other, ["56"]), (begun, ["12", "34"])]
    ):
        await write([{"a": row} for row in rows], step, **APPENDED)
    assert content_of(context) == (b"a\n12\n34\n56\n" if is_first else b"a\n56\n12\n34\n")


async def test_steps_side_by_side_write_one_header(context: CapabilityContext) -> None:
    await asyncio.gather(*(write([{"a": number}], step, **APPENDED) for number, step in enumerate(steps(context, 20))))
    lines = content_of(context).decode().split()
    assert lines[0] == "a"
    assert sorted(map(int, lines[1:])) == list(range(20))


async def test_json_lines_keep_their_numbers(context: CapabilityContext) -> None:
    path = context.require_workspace().path("in.jsonl")
    lines = [
        '{"a": 12345678901234567890123}',
        "",
        '{"a": "\\ud83d\\ude00"}',
        '{"a": 1.10}',
        '{"a": [1.50]}',
        '{"b": null}',
    ]
    path.write_text("\n".join(lines))
    text = await write(context=context, data={"$file": "in.jsonl"}, columns=["a"])
    assert text == 'a\n12345678901234567890123\n\U0001f600\n1.1\n[1.50]\n""\n'
    path.write_text('{"a": 1}\n{"a": NaN}\n')
    with pytest.raises(AgentError) as caught:
        await write(context=context, data={"$file": "in.jsonl"})
    assert (caught.value.code, caught.value.attributes["line"]) == ("JSON_LINES_INVALID", "2")


async def test_append_needs_columns(context: CapabilityContext) -> None:
    assert await code_of([{"a": 1}], context=context, output="file", path="x.csv", append=True) == "CSV_WRITE_ERROR"


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
