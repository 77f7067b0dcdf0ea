"""Reading XML: the form of values, safety, XPath, streams, schemas."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from runtara_agents_csv_xml import csv_agent, xml_agent
from runtara_sdk.agents import AgentError, CapabilityContext
from runtara_sdk.agents.workspace import Workspace


@pytest.fixture
def context(tmp_path: Path) -> CapabilityContext:
    return CapabilityContext(workspace=Workspace(tmp_path / "w"))


async def run(capability: str, context: CapabilityContext | None = None, **inputs: Any) -> Any:
    return await xml_agent.invoke(capability, inputs, context)


async def parse(text: str | bytes, **options: Any) -> Any:
    if isinstance(text, bytes):
        return await run("from-xml", data=list(text), **options)
    return await run("from-xml", text=text, **options)


async def error_of(capability: str, context: CapabilityContext | None = None, **inputs: Any) -> AgentError:
    with pytest.raises(AgentError) as caught:
        await run(capability, context, **inputs)
    return caught.value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('<o id="5"><l>1</l><l>2</l><n/></o>', {"o": {"@attributes": {"id": "5"}, "l": ["1", "2"], "n": {}}}),
        ("<p>Hi <b>x</b> there</p>", {"p": {"b": "x", "@text": "Hi there"}}),
        ("<a><![CDATA[1 < 2 & so]]></a>", {"a": "1 < 2 & so"}),
        ("<a>&lt;&#65;&amp;</a>", {"a": "<A&"}),
        ('<s:a xmlns:s="urn:s"><s:b s:c="1">x</s:b></s:a>', {"a": {"b": {"@attributes": {"c": "1"}, "@text": "x"}}}),
        ("<!--c--><?pi x?><a><!-- no -->b<?pi y?>c</a>", {"a": "b c"}),
        ("<a> \n </a>", {"a": {}}),
        ("<a><b> x </b></a>", {"a": {"b": "x"}}),
        ('<a x="1"> t </a>', {"a": {"@attributes": {"x": "1"}, "@text": "t"}}),
    ],
)
async def test_the_form_of_values(text: str, value: Any) -> None:
    assert await parse(text) == value


async def test_options() -> None:
    text = '<a x="1"><b>7</b>t</a>'
    assert await parse(text, include_attributes=False, preserve_text=False) == {"a": {"b": {}}}
    assert await parse(text, attribute_key="$", text_key="_") == {"a": {"$": {"x": "1"}, "b": "7", "_": "t"}}
    assert await parse(text, force_array=["b"], infer_types=True) == {
        "a": {"@attributes": {"x": 1}, "b": [7], "@text": "t"}
    }
    assert await parse("<a><b/><c/></a>", force_array=["*"]) == {"a": {"b": [{}], "c": [{}]}}
    assert await parse('<a xmlns="urn:s"><b/></a>', keep_namespaces=True) == {"{urn:s}a": {"{urn:s}b": {}}}
    assert await parse("<p>Hi <b>x</b> there</p>", ordered=True) == {"p": {"@children": ["Hi", {"b": "x"}, "there"]}}
    assert await parse("<a> <b/> </a>", trim_text=False) == {"a": {"b": {}, "@text": "   "}}


@pytest.mark.parametrize(
    ("encoding", "declared"),
    [
        ("utf-8", "UTF-8"),
        ("latin-1", "ISO-8859-1"),
        ("utf-16", "UTF-16"),
        ("cp1252", "windows-1252"),
        ("utf-8-sig", "UTF-8"),
    ],
)
async def test_declared_encodings(encoding: str, declared: str) -> None:
    text = f'<?xml version="1.0" encoding="{declared}"?><a>é</a>'
    assert await parse(text.encode(encoding)) == {"a": "é"}


async def test_encodings_that_are_given_or_wrong() -> None:
    assert await parse("<a>é€</a>".encode("cp1252"), encoding="latin-1") == {"a": "é€"}
    wrong = b'<?xml version="1.0" encoding="UTF-8"?><a>\xe9</a>'
    assert await parse(wrong, encoding="windows-1252") == {"a": "é"}
    assert (await error_of("from-xml", data=list(wrong))).code in {"XML_ENCODING_ERROR", "XML_PARSE_ERROR"}
    assert (await error_of("from-xml", data=list(b"<a/>"), encoding="nothing")).code == "XML_ENCODING_ERROR"


@pytest.mark.parametrize("text", ["", "x", "<a>", "<a></b>", "<a/><b/>", "<a b/>", "<a>&undefined;</a>", "<1/>"])
async def test_what_is_no_xml_has_a_place(text: str) -> None:
    error = await error_of("from-xml", text=text)
    assert error.code == "XML_PARSE_ERROR"
    assert "line" in error.attributes


@pytest.fixture
def watched() -> Iterator[tuple[str, list[str]]]:
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(404)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Quiet."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    server.server_close()


async def test_entities_and_the_network_are_out_of_reach(watched: tuple[str, list[str]], tmp_path: Path) -> None:
    address, asked = watched
    (tmp_path / "secret").write_text("hunter2")
    laughs = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
    attacks = [
        f'<!DOCTYPE a [<!ENTITY l0 "ha">{laughs}]><a>&l9;</a>',
        f'<!DOCTYPE a [<!ENTITY x SYSTEM "file://{tmp_path}/secret">]><a>&x;</a>',
        f'<!DOCTYPE a [<!ENTITY x SYSTEM "{address}/entity">]><a>&x;</a>',
        f'<!DOCTYPE a SYSTEM "{address}/dtd"><a/>',
        f'<!DOCTYPE a PUBLIC "-//X//Y" "{address}/dtd"><a/>',
        f'<!DOCTYPE a [<!ENTITY % p SYSTEM "{address}/parameter">%p;]><a/>',
        "<!DOCTYPE a><a/>",
    ]
    for attack in attacks:
        for capability, more in (("from-xml", {}), ("xml-extract", {"path": "//a"})):
            error = await error_of(capability, text=attack, **more)
            assert error.code in {"XML_DOCTYPE_REFUSED", "XML_PARSE_ERROR"}, attack
            assert "hunter2" not in str(error)
    include = f'<a xmlns:i="http://www.w3.org/2001/XInclude"><i:include href="{address}/x"/></a>'
    assert "include" in (await parse(include))["a"]
    schema = (
        f'<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema"><xs:include schemaLocation="{address}/s"/></xs:schema>'
    )
    assert (await error_of("xml-validate", text="<a/>", schema_text=schema)).code == "XML_SCHEMA_INVALID"
    code = (await error_of("xml-extract", text="<a/>", path=f"document('{address}/x')")).code
    assert code == "XML_XPATH_INVALID"
    assert asked == []


async def test_bounds() -> None:
    deep = "<a>" * 150 + "</a>" * 150
    assert (await error_of("from-xml", text=deep, max_depth=100)).attributes["limit"] == "100"
    assert (await error_of("from-xml", text="<a>" * 300 + "</a>" * 300)).code == "XML_TOO_LARGE"
    assert (await error_of("from-xml", text=f"<a>{'<b/>' * 100}</a>", max_elements=50)).code == "XML_TOO_LARGE"
    assert (await error_of("from-xml", text=f"<a>{'x' * 100}</a>", max_bytes=50)).code == "XML_TOO_LARGE"
    huge = f"<a>{'x' * 11_000_000}</a>"
    assert len((await parse(huge))["a"]) == 11_000_000


ORDERS = '<s xmlns:o="urn:o"><o:order n="1"><sku>A</sku></o:order><x/><o:order n="2"><sku>B</sku></o:order></s>'


async def test_xpath() -> None:
    async def values(path: str, **options: Any) -> Any:
        return (await run("xml-extract", text=ORDERS, path=path, namespaces={"o": "urn:o"}, **options))["values"]

    assert await values("//o:order/@n") == ["1", "2"]
    assert await values("//sku/text()") == ["A", "B"]
    assert await values("//o:order[@n=2]", infer_types=True) == [{"@attributes": {"n": 2}, "sku": "B"}]
    assert await values("count(//o:order)") == [2.0]
    assert await values("string(//sku)") == ["A"]
    assert await values("boolean(//nothing)") == [False]
    where = {
        "type": "operation",
        "op": "EQ",
        "arguments": [{"valueType": "reference", "value": "sku"}, {"valueType": "immediate", "value": "B"}],
    }
    assert len(await values("//o:order", where=where)) == 1
    assert await values("//sku", limit=1) == ["A"]
    for path in ("//[", "//q:order", "$x", "unknown()"):
        error = await error_of("xml-extract", text=ORDERS, path=path)
        assert error.code == "XML_XPATH_INVALID", path


@pytest.mark.parametrize("path", ["/s/o:order", "//o:order", "o:order", "//order", "/s/order", "/*/order"])
async def test_elements_are_streamed_into_a_file(path: str, context: CapabilityContext) -> None:
    options = {"text": ORDERS, "path": path, "namespaces": {"o": "urn:o"}, "output": "file", "save_to": "o.jsonl"}
    result = await run("xml-extract", context, **options)
    assert result["count"] == 2
    chunk = await csv_agent.invoke("csv-read-chunk", {"data": result["file"], "format": "json-lines"}, context)
    assert chunk["rows"] == [{"@attributes": {"n": "1"}, "sku": "A"}, {"@attributes": {"n": "2"}, "sku": "B"}]


async def test_elements_within_elements_are_streamed(context: CapabilityContext) -> None:
    text = "<r><a><a>inner</a><b>1</b></a><c><a/></c></r>"
    result = await run("xml-extract", context, text=text, path="//a", output="file", save_to="a.jsonl")
    with context.require_workspace().open("a.jsonl") as stream:
        assert stream.read() == b'"inner"\n{"a":"inner","b":"1"}\n{}\n'
    assert result["count"] == 3
    for path in ("//a[1]", "a/@b", "x:a", ""):
        error = await error_of("xml-extract", context, text=text, path=path, output="file", save_to="a.jsonl")
        assert error.code == "XML_XPATH_INVALID"
    error = await error_of("xml-extract", context, text=text, path="//a", output="file")
    assert error.code == "XML_INVALID_OPTION"


SCHEMA = """<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema">
<xs:include schemaLocation="types.xsd"/>
<xs:element name="a"><xs:complexType><xs:sequence>
<xs:element name="n" type="positive" maxOccurs="unbounded"/></xs:sequence></xs:complexType></xs:element></xs:schema>"""
TYPES = """<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema"><xs:simpleType name="positive">
<xs:restriction base="xs:integer"><xs:minInclusive value="1"/></xs:restriction></xs:simpleType></xs:schema>"""


async def test_schemas() -> None:
    given = {"schema_text": SCHEMA, "schemas": {"types.xsd": TYPES}}
    assert (await run("xml-validate", text="<a><n>1</n></a>", **given))["valid"]
    report = await run("xml-validate", text="<a>\n<n>1</n>\n<n>0</n>\n<m/></a>", **given)
    assert not report["valid"]
    assert next(error["line"] for error in report["errors"]) == 3
    assert (await error_of("xml-validate", text="<a/>", schema_text=SCHEMA)).code == "XML_SCHEMA_INVALID"
    assert (await error_of("xml-validate", text="<a/>", schema_text="<a/>")).code == "XML_SCHEMA_INVALID"
    assert (await error_of("xml-validate", text="<a/>")).code == "INPUT_MISSING"


@given(st.binary(max_size=60))
async def test_any_bytes_give_a_value_or_an_error(content: bytes) -> None:
    try:
        await run("from-xml", data=list(content))
    except AgentError as error:
        assert error.code.startswith("XML_")
