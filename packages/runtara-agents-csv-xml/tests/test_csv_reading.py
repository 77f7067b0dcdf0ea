"""Reading CSV: dialects, encodings, types, bad rows, chunks."""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from runtara_agents_csv_xml import csv_agent
from runtara_agents_csv_xml.csv_format.options import ReadOptions
from runtara_agents_csv_xml.csv_format.rows import open_csv
from runtara_sdk.agents import AgentError, CapabilityContext
from runtara_sdk.agents.workspace import Workspace

TABLE = [{"sku": "A1", "note": 'say "hi"'}, {"sku": "ä;2", "note": "two\nlines"}]


@pytest.fixture
def context(tmp_path: Path) -> CapabilityContext:
    return CapabilityContext(workspace=Workspace(tmp_path / "w"), idempotency_key="k")


def put(context: CapabilityContext, name: str, content: bytes) -> dict[str, str]:
    with context.require_workspace().create(name) as file:
        file.write(content)
        file.commit()
    return {"$file": name}


async def run(capability: str, context: CapabilityContext | None = None, **inputs: Any) -> Any:
    return await csv_agent.invoke(capability, inputs, context)


async def error_of(capability: str, context: CapabilityContext | None = None, **inputs: Any) -> AgentError:
    with pytest.raises(AgentError) as caught:
        await run(capability, context, **inputs)
    return caught.value


FILES = {
    "rfc": 'sku,note\r\nA1,"say ""hi"""\r\n"ä;2","two\nlines"\r\n'.encode(),
    "excel, German": codecs.BOM_UTF8 + 'sku;note\r\nA1;"say ""hi"""\r\n"ä;2";"two\nlines"\r\n'.encode(),
    "excel, Unicode text": codecs.BOM_UTF16_LE
    + 'sku\tnote\r\nA1\t"say ""hi"""\r\nä;2\t"two\nlines"\r\n'.encode("utf-16-le"),
    "excel with its sep line": 'sep=;\r\nsku;note\r\nA1;"say ""hi"""\r\n"ä;2";"two\nlines"\r\n'.encode(),
    "LibreOffice, all quoted": '"sku","note"\n"A1","say ""hi"""\n"ä;2","two\nlines"\n'.encode(),
    "tabs": 'sku\tnote\nA1\t"say ""hi"""\nä;2\t"two\nlines"'.encode(),
    "bars and blank lines": '\nsku|note\n\nA1|"say ""hi"""\nä;2|"two\nlines"\n\n'.encode(),
}


@pytest.mark.parametrize("name", FILES)
async def test_files_of_other_programs(name: str, context: CapabilityContext) -> None:
    data = put(context, "in.csv", FILES[name])
    assert await run("from-csv", context, data=data, delimiter="auto") == TABLE
    assert list(await run("get-header", context, data=data, delimiter="auto")) == ["sku", "note"]


async def test_old_line_ends(context: CapabilityContext) -> None:
    data = put(context, "in.csv", b'a,b\r1,"x\ry"\r3,4\r')
    assert await run("from-csv", context, data=data) == [{"a": "1", "b": "x\ry"}, {"a": "3", "b": "4"}]


@pytest.mark.parametrize("dialect", csv.list_dialects())
async def test_dialects_of_python(dialect: str) -> None:
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, ["sku", "note"], dialect=dialect)
    writer.writeheader()
    writer.writerows(TABLE)
    assert await run("from-csv", text=buffer.getvalue(), dialect=dialect) == TABLE


async def test_encodings() -> None:
    data = list("name\n€ café\n".encode("cp1252"))
    for name in ("latin-1", "ISO-8859-1", "Windows-1252", "cp1252"):
        assert await run("from-csv", data=data, encoding=name) == [{"name": "€ café"}]
    error = await error_of("from-csv", data=data)
    assert (error.code, error.attributes["row"], error.attributes["byte"]) == ("CSV_ENCODING_ERROR", "2", "5")
    assert (await error_of("from-csv", data=data, encoding="base64")).code == "CSV_ENCODING_ERROR"
    wide = list(codecs.BOM_UTF16_BE + "a\nb\n".encode("utf-16-be"))
    assert await run("from-csv", data=wide) == [{"a": "b"}]
    skipped = list(codecs.BOM_UTF16_LE + "no\na\nb\n".encode("utf-16-le"))
    assert await run("from-csv", data=skipped, skip_rows=1) == [{"a": "b"}]


async def test_values_are_texts_unless_something_else_is_said() -> None:
    text = "a,b,c,d,e\n1,1.10,true,,007\n"
    assert await run("from-csv", text=text) == [{"a": "1", "b": "1.10", "c": "true", "d": "", "e": "007"}]
    (inferred,) = await run("from-csv", text=text, infer_types=True, null_values=[""])
    assert inferred == {"a": 1, "b": 1.10, "c": True, "d": None, "e": "007"}
    types = {"a": "number", "b": "number", "c": "boolean", "d": "date", "e": "integer"}
    (typed,) = await run("from-csv", text=text, schema=types)
    assert typed == {"a": 1, "b": 1.10, "c": True, "d": None, "e": 7}


@pytest.mark.parametrize(
    ("text", "policy", "row", "reason"),
    [
        ("a,b\n1,2\n3\n", "error", "3", "1 fields, and should have 2"),
        ("a,b\n1,2,3\n", "error", "2", "3 fields"),
        ('a,b\n1,"2\n', "error", "2", "is not closed"),
        ('a,b\n1,"2"3\n', "error", "2", "between a closing quote"),
        ("a,b\n1,x\n", "error", "2", "column 'b' must be an integer"),
    ],
)
async def test_bad_rows_are_named(text: str, policy: str, row: str, reason: str) -> None:
    error = await error_of("from-csv", text=text, on_bad_row=policy, types={"b": "integer"})
    assert (error.code, error.attributes["row"]) == ("CSV_PARSE_ERROR", row)
    assert reason in error.message


async def test_bad_rows_may_be_left_out_mended_or_told() -> None:
    text = "a,b\n1,2\n3\n4,5,6\n7,x\n8,9\n"
    options = {"text": text, "types": {"b": "integer"}}
    good = [{"a": "1", "b": 2}, {"a": "8", "b": 9}]
    assert await run("from-csv", **options, on_bad_row="skip") == good
    assert await run("from-csv", **options, on_bad_row="pad") == [
        {"a": "1", "b": 2},
        {"a": "3", "b": None},
        {"a": "4", "b": 5},
        {"a": "7", "b": None},
        {"a": "8", "b": 9},
    ]
    report = await run("from-csv", **options, on_bad_row="collect")
    assert (report["rows"], report["bad_row_count"]) == (good, 3)
    assert [(bad["row"], bad["fields"]) for bad in report["bad_rows"]] == [
        (3, ["3"]),
        (4, ["4", "5", "6"]),
        (5, ["7", "x"]),
    ]


async def test_columns() -> None:
    assert await run("from-csv", text="a,,a\n1,2,3\n") == [{"a": "3"}]
    assert await run("from-csv", text="a,b,a\n1,2,3\n", duplicate_columns="first") == [{"a": "1", "b": "2"}]
    assert await run("from-csv", text="a,a\n1,2\n", duplicate_columns="rename") == [{"a": "1", "a_2": "2"}]
    assert (await error_of("from-csv", text="a,a\n1,2\n", duplicate_columns="error")).code == "CSV_PARSE_ERROR"
    assert await run("from-csv", text="1,2\n", use_header=False) == [["1", "2"]]
    assert await run("from-csv", text="1,2\n", use_header=False, columns=["a", "b"]) == [{"a": "1", "b": "2"}]
    assert await run("from-csv", text="x,y\n1,2\n", columns=["a", "b"]) == [{"a": "1", "b": "2"}]
    assert await run("from-csv", text="#note\na\n# more\n1\n", comment_char="#") == [{"a": "1"}]
    assert await run("from-csv", text=" a , b \n 1 ,2\n", trim_whitespace=True) == [{"a": "1", "b": "2"}]
    assert await run("from-csv", text="") == []


@pytest.mark.parametrize("given", ["auto", None, ";"])
async def test_the_line_of_spreadsheets_that_names_the_delimiter(given: str | None) -> None:
    options = {} if given is None else {"delimiter": given}
    assert await run("from-csv", text="sep=;\r\na;b\r\n1;2\r\n", **options) == [{"a": "1", "b": "2"}]


async def test_comments_are_lines_between_rows() -> None:
    text = '#one\na,b\n#two\n1,"x\n#no comment"\n#three\n2,y\n'
    rows = [{"a": "1", "b": "x\n#no comment"}, {"a": "2", "b": "y"}]
    assert await run("from-csv", text=text, comment_char="#") == rows
    chunks = await chunks_of(1, text=text, comment_char="#")
    assert chunks == [[row] for row in rows]


@pytest.mark.parametrize("before", [1, 3000])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le"])
async def test_wrong_bytes_are_named_by_row_and_place(before: int, encoding: str, context: CapabilityContext) -> None:
    good = ("a,b\n" + "".join(f"{number},{'é' * 50}\n" for number in range(before)) + "x,").encode(encoding)
    wrong = b"\xff" if encoding == "utf-8" else b"\x00\xdc"
    data = put(context, "in.csv", good + wrong + "\nz,z\n".encode(encoding))
    for capability in ("from-csv", "csv-read-chunk", "csv-validate"):
        error = await error_of(capability, context, data=data, encoding=encoding, limit=100_000)
        assert (error.code, error.attributes["row"]) == ("CSV_ENCODING_ERROR", str(before + 2))
        assert error.attributes["byte"] == str(len(good))


async def test_nul_is_no_text(context: CapabilityContext) -> None:
    unmarked = put(context, "wide.csv", "a,b\n1,2\n".encode("utf-16-le"))
    error = await error_of("from-csv", context, data=unmarked)
    assert (error.code, error.attributes["byte"]) == ("CSV_ENCODING_ERROR", "1")
    assert "UTF-16" in error.message
    assert await run("from-csv", context, data=unmarked, encoding="utf-16") == [{"a": "1", "b": "2"}]
    error = await error_of("from-csv", text="a\n1\n2\0\n")
    assert (error.attributes["row"], error.attributes["byte"]) == ("3", "5")


async def test_an_open_quote_ends_at_the_limit(context: CapabilityContext) -> None:
    text = 'a,b\n1,"open\n' + "2,3\n" * 100_000
    error = await error_of("from-csv", context, text=text, max_field_characters=10_000)
    assert (error.code, error.attributes["row"]) == ("CSV_PARSE_ERROR", "2")
    error = await error_of("from-csv", context, text=text)
    assert "is not closed" in error.message


async def test_types_of_columns_that_are_not_there() -> None:
    error = await error_of("from-csv", text="sku,qty\n1,2\n", types={"quantity": "integer"})
    assert (error.code, error.attributes["column"]) == ("CSV_FIELD_NOT_FOUND", "quantity")
    assert "'sku', 'qty'" in error.message


async def test_results_are_bounded() -> None:
    text = "a\n" + f"{'x' * 900_000}\n" * 80
    error = await error_of("from-csv", text=text + "y\n" * 2000)
    assert (error.code, "output `file`" in error.message) == ("CSV_TOO_LARGE", True)
    chunk = await run("csv-read-chunk", text="a\n" + f"{'x' * 90_000}\n" * 1000)
    assert (200 <= chunk["count"] < 500, chunk["done"]) == (True, False)


async def test_limits() -> None:
    error = await error_of("from-csv", text="a\n" + "x" * 2_000_000, max_field_characters=1000)
    assert (error.code, error.attributes["row"]) == ("CSV_PARSE_ERROR", "2")
    for use_header in (True, False):
        error = await error_of("from-csv", text=",".join("x" * 20_000), use_header=use_header)
        assert (error.code, "more than 16384 columns" in error.message) == ("CSV_PARSE_ERROR", True)
    assert (await error_of("from-csv", text="a", data="YQ==")).code == "INPUT_MISSING"


async def test_header_types() -> None:
    text = "i,d,b,s,n,mixed\n1,1,true,007,,1\n2,2.5,false,x,,true\n"
    assert await run("get-header", text=text) == {
        "i": "Integer",
        "d": "Double",
        "b": "Boolean",
        "s": "String",
        "n": "String",
        "mixed": "String",
    }
    assert await run("get-header", text="1,x\n", use_header=False) == {"Column 1": "Integer", "Column 2": "String"}
    columns = await run("get-header", text="b,a,a\n1,x,2.5\n", output="array")
    assert [(column["name"], column["type"]) for column in columns] == [
        ("b", "Integer"),
        ("a", "String"),
        ("a", "Double"),
    ]
    assert (await error_of("get-header", text="", use_header=False)).code == "CSV_EMPTY_FILE"
    assert await run("get-header", text="") == {}


async def test_validation_tells_everything() -> None:
    report = await run(
        "csv-validate",
        text='id,n\n1,x\n1,2\n,3\n4\n5,"6\n',
        types={"n": "integer"},
        required_columns=["id", "name"],
        required_values=["id"],
        unique=["id"],
    )
    told = [(error["row"], error["column"], error["message"]) for error in report["errors"]]
    assert told == [
        (1, "name", "the column is missing"),
        (2, None, "column 'n' must be an integer"),
        (4, "id", "the field is empty"),
        (5, None, "it has 1 fields, and should have 2"),
        (6, None, 'a quote (") is not closed'),
    ]
    assert not report["valid"]
    many = await run("csv-validate", text="a,b\n" + "x\n" * 3000 + "1,2\n", max_errors=5)
    assert (many["row_count"], many["error_count"], len(many["errors"])) == (3001, 3000, 5)
    missing = await run("csv-validate", text="a\n1\n", types={"b": "integer"}, unique=["c"], required_values=["d"])
    assert [error["column"] for error in missing["errors"]] == ["b", "d", "c"]
    repeated = await run("csv-validate", text="id\n1\n2\n1\n", unique=["id"], max_errors=1)
    assert repeated["errors"][0]["message"] == "the same values stand in row 2"


FIELDS = st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\0"), max_size=6)
LINE_ENDS = st.sampled_from(["\n", "\r\n"])
ENCODINGS = st.sampled_from(["utf-8", "utf-16-le", "utf-16-be", "utf-32-le", "gb18030"])


@given(st.text(st.sampled_from('aé,"\r\n \u2028\x0b'), max_size=30), ENCODINGS)
def test_rows_are_those_of_the_reader_of_python(text: str, encoding: str) -> None:
    def rows_of(read: Callable[[], Iterable[list[str]]]) -> list[list[str]] | None:
        try:
            return [row for row in read() if row]
        except (csv.Error, AgentError):
            return None

    options = ReadOptions(data=list(text.encode(encoding)), encoding=encoding, skip_empty_lines=False)
    with open_csv(options, CapabilityContext()) as source:
        found = rows_of(source.rows)
    assert found == rows_of(lambda: csv.reader(io.StringIO(text, newline=""), strict=True))


async def chunks_of(limit: int, **read: Any) -> list[list[Any]]:
    found, offset, row, done = [], 0, 0, False
    while not done:
        chunk = await run("csv-read-chunk", **read, limit=limit, offset=offset, row=row)
        assert (len(chunk["rows"]), chunk["bad_rows"]) == (chunk["count"], [])
        assert chunk["next_offset"] > offset or chunk["done"]
        found.append(chunk["rows"])
        offset, row, done = chunk["next_offset"], chunk["next_row"], chunk["done"]
    return found


@given(st.lists(st.lists(FIELDS, min_size=2, max_size=2), min_size=1, max_size=12), LINE_ENDS, ENCODINGS)
async def test_chunks_are_the_whole(rows: list[list[str]], line_end: str, encoding: str) -> None:
    text = await run("to-csv", value=rows, use_header=False, line_terminator=line_end)
    read = {"data": list(text.encode(encoding)), "encoding": encoding, "use_header": False}
    whole = await run("from-csv", **read)
    for limit in range(1, len(rows) + 2):
        chunks = await chunks_of(limit, **read)
        assert [row for chunk in chunks for row in chunk] == whole
        assert all(len(chunk) == limit for chunk in chunks[:-1])


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le", "cp1252"])
async def test_chunks_of_a_file_of_many_blocks(line_end: str, encoding: str, context: CapabilityContext) -> None:
    lines = ["id,note", *(f'{number},"é{line_end}{"x" * (number % 97)}"' for number in range(9000))]
    data = put(context, "in.csv", (line_end.join(lines) + line_end).encode(encoding))
    read = {"context": context, "data": data, "encoding": encoding}
    whole = await run("from-csv", **read)
    assert (len(whole), whole[-1]["id"], whole[97]["note"]) == (9000, "8999", f"é{line_end}")
    chunks = await chunks_of(1777, **read)
    assert [row for chunk in chunks for row in chunk] == whole
    assert [len(chunk) for chunk in chunks] == [1777] * 5 + [115]


async def test_a_large_file_is_filtered_through_the_workspace(context: CapabilityContext) -> None:
    lines = "".join(f"{number};{number % 10}\n" for number in range(20_000))
    data = put(context, "in.csv", ("id;n\n" + lines).encode())
    where = {
        "type": "operation",
        "op": "EQ",
        "arguments": [{"valueType": "reference", "value": "n"}, {"valueType": "immediate", "value": 3}],
    }
    report = await run(
        "from-csv", context, data=data, delimiter=";", infer_types=True, where=where, output="file", path="work/x.jsonl"
    )
    assert (report["count"], report["rows"], report["columns"]) == (2000, None, ["id", "n"])
    chunk = await run("csv-read-chunk", context, data=report["file"], format="json-lines", limit=2)
    assert (chunk["rows"], chunk["done"]) == ([{"id": 3, "n": 3}, {"id": 13, "n": 3}], False)
    out = await run("to-csv", context, data=report["file"], output="file", path="out.csv", delimiter=";")
    assert out["rows"] == 2000
    again = await run("from-csv", context, data=out["file"], delimiter=";", infer_types=True)
    assert again[:2] == chunk["rows"]
    assert (await error_of("from-csv", context, data=data, output="file")).code == "CSV_INVALID_OPTION"
