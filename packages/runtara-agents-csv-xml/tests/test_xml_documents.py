"""Documents of all kinds: encodings, bounds, places of errors, and what must stay out of reach."""

from __future__ import annotations

import codecs
import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree
from runtara_agents_csv_xml import xml_agent
from runtara_sdk.agents import AgentError, CapabilityContext
from runtara_sdk.agents.workspace import Workspace


async def run(capability: str, context: CapabilityContext | None = None, **inputs: Any) -> Any:
    return await xml_agent.invoke(capability, inputs, context)


async def parse(document: str | bytes, **options: Any) -> Any:
    given = {"data": list(document)} if isinstance(document, bytes) else {"text": document}
    return await run("from-xml", **given, **options)


async def error_of(document: str | bytes, **options: Any) -> AgentError:
    with pytest.raises(AgentError) as caught:
        await parse(document, **options)
    return caught.value


@pytest.mark.parametrize(
    ("codec", "declared", "mark"),
    [
        ("utf-16-le", "UTF-16", b""),
        ("utf-16-be", "UTF-16", b""),
        ("utf-16-le", "UTF-8", codecs.BOM_UTF16_LE),
        ("utf-16-be", "ISO-8859-1", codecs.BOM_UTF16_BE),
        ("utf-32-le", "UTF-32", codecs.BOM_UTF32_LE),
        ("utf-32-be", "UTF-32", b""),
        ("utf-8", "UTF-16", b""),  # as .NET writes
        ("utf-8", "ISO-8859-1", codecs.BOM_UTF8),
        ("utf-8", "utf8", b""),
        ("iso-8859-15", "ISO-8859-15", b""),
        ("koi8-r", "KOI8-R", b""),
        ("shift_jis", "Shift_JIS", b""),
        ("gb18030", "GB18030", b""),
    ],
)
async def test_encodings(codec: str, declared: str, mark: bytes) -> None:
    word = {"koi8-r": "Привет", "shift_jis": "見積", "gb18030": "你好"}.get(codec, "Größe")
    # Longer than a piece, so that characters lie across the seams.
    document = f"<?xml version='1.0' encoding='{declared}'?>\n<a><b>{word}</b><c>{word * 30_000}</c></a>"
    assert await parse(mark + document.encode(codec)) == {"a": {"b": word, "c": word * 30_000}}


async def test_wrong_encodings_have_a_place() -> None:
    error = await error_of(b"<a>\n <b>\xe9</b></a>")
    assert error.code == "XML_ENCODING_ERROR"
    assert (error.attributes["line"], error.attributes["column"]) == ("2", "5")
    error = await error_of(b'<?xml version="1.0" encoding="windows-1252"?><a>' + b"\x81</a>")
    assert (error.code, error.attributes["byte"]) == ("XML_ENCODING_ERROR", "48")
    for document in (
        b'<?xml version="1.0" encoding="nothing"?><a/>',
        b'<?xml version="1.0" encoding="base64"?><a/>',
        codecs.BOM_UTF16_LE + "<a/>".encode("utf-16-le") + b"\xd8",
        codecs.BOM_UTF16_LE + b"<\0a\0>\0\x00\xd8<\0",
    ):
        assert (await error_of(document)).code == "XML_ENCODING_ERROR", document
    latin = b'<?xml version="1.0" encoding="ISO-8859-1"?><a>\x80</a>'
    assert await parse(latin) == {"a": "\x80"}, "as the standard has it"
    assert await parse(latin, encoding="ISO-8859-1") == {"a": "€"}, "as Windows has it"


@pytest.mark.parametrize(
    ("document", "line", "column"),
    [
        ("<a>\n\n  <b></c>\n</a>", 3, 10),
        ("<a>\n&nbsp;</a>", 2, 7),
        ("<a x='1' x='2'/>", 1, 15),
        ("", 1, 1),
        ("<a>\n<b>", 2, 4),
        ("<!doctype a><a/>", 1, 2),
        ("<q:a/>", 1, 5),
    ],
)
async def test_places_of_errors(document: str, line: int, column: int) -> None:
    error = await error_of(document)
    assert error.code == "XML_PARSE_ERROR", error
    assert (error.attributes["line"], error.attributes["column"]) == (str(line), str(column)), error
    assert "encoding" not in error.message


async def test_the_order_of_attributes_and_children_stays() -> None:
    value = await parse('<a z="1" b="2" y="3"><q/><c/><q/><b/></a>')
    assert list(value["a"]["@attributes"]) == ["z", "b", "y"]
    assert list(value["a"]) == ["@attributes", "q", "c", "b"]


async def test_a_cdata_section_belongs_to_the_text_around_it() -> None:
    assert await parse("<a>x<![CDATA[y]]>z</a>") == {"a": "xyz"}
    assert await parse("<a><![CDATA[ <b>&amp;]]></a>") == {"a": "<b>&amp;"}
    assert await parse("<a><![CDATA[1 ]]]]><![CDATA[> 2]]></a>") == {"a": "1 ]]> 2"}


async def test_names_that_are_keys_already() -> None:
    error = await error_of("<a><_>x</_></a>", text_key="_")
    assert error.code == "XML_INVALID_OPTION"
    assert (await error_of("<a/>", text_key="$", attribute_key="$")).code == "XML_INVALID_OPTION"
    assert await parse("<a><_>x</_></a>", text_key="_", preserve_text=False) == {"a": {"_": {}}}


async def test_elements_are_counted_exactly() -> None:
    inside = "<![CDATA[" + "<" * 1000 + "]]><!--" + "<x>" * 1000 + "-->"
    assert "a" in await parse(f"<a>{inside}<b/></a>", max_elements=2)
    assert (await error_of(f"<a>{inside}<b/><b/></a>", max_elements=2)).code == "XML_TOO_LARGE"
    deep = "<a>" * 200 + "</a>" * 200
    assert await parse(deep)
    assert (await error_of(deep, max_depth=199)).code == "XML_TOO_LARGE"
    assert (await error_of("<a>" * 100_000)).code == "XML_TOO_LARGE"


LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))


@pytest.mark.parametrize(
    "document",
    [
        f'<!DOCTYPE a [<!ENTITY l0 "ha">{LAUGHS}]><a>&l9;</a>',
        f'<!DOCTYPE a [<!ENTITY l0 "ha">{LAUGHS}]><a x="&l9;"/>',
        f"<!--{'-' * 0}{'x' * 200_000}--><?pi {'y' * 100_000}?>\n<!DOCTYPE a><a/>",
        "<!DOCTYPE a SYSTEM 'x.dtd'><a/>",
        '\n <?xml-stylesheet href="x"?> <!DOCTYPE a [<!ATTLIST a b CDATA "default">]><a/>',
    ],
)
async def test_a_document_type_is_refused_before_it_is_read(document: str) -> None:
    for content in (document, document.encode("utf-16"), document.encode("utf-7")):
        options = {"encoding": "utf-7"} if content == document.encode("utf-7") else {}
        assert (await error_of(content, **options)).code == "XML_DOCTYPE_REFUSED"
    for capability, more in (
        ("xml-extract", {"path": "//a"}),
        ("xml-validate", {"schema_text": "<xs:schema xmlns:xs='http://www.w3.org/2001/XMLSchema'/>"}),
    ):
        with pytest.raises(AgentError) as caught:
            await run(capability, text=document, **more)
        assert caught.value.code == "XML_DOCTYPE_REFUSED"


async def test_a_prolog_without_an_end_is_bounded() -> None:
    error = await error_of("<!--" + "x" * 3_000_000 + "--><a/>")
    assert error.code == "XML_TOO_LARGE"
    harmless = "<a><!-- <!DOCTYPE a> --><![CDATA[<!DOCTYPE a>]]></a>"
    assert await parse(harmless) == {"a": "<!DOCTYPE a>"}


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


XS = 'xmlns:xs="http://www.w3.org/2001/XMLSchema"'
ANY = (
    f'<xs:schema {XS}><xs:element name="a"><xs:complexType><xs:sequence><xs:any namespace="##other" '
    'processContents="{how}"/></xs:sequence></xs:complexType></xs:element></xs:schema>'
)


async def test_a_document_names_no_schemas(watched: tuple[str, list[str]], tmp_path: Path) -> None:
    address, asked = watched
    strict = f'<xs:schema {XS} targetNamespace="urn:e"><xs:element name="e" type="xs:integer"/></xs:schema>'
    (tmp_path / "e.xsd").write_text(strict)
    for how in ("lax", "strict"):
        reports = []
        for place in (f"{address}/e.xsd", str(tmp_path / "e.xsd"), f"file://{tmp_path}/e.xsd"):
            document = (
                '<a xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:noNamespaceSchemaLocation="'
                f'{place}" xsi:schemaLocation="urn:e {place}"><e xmlns="urn:e">no integer</e></a>'
            )
            report = await run("xml-validate", text=document, schema_text=ANY.replace("{how}", how))
            reports.append([error["message"] for error in report["errors"]])
        assert not any("integer" in message for report in reports for message in report)
        assert bool(reports[0]) == (how == "strict")
    assert asked == []


async def test_a_schema_reads_nothing_that_is_not_given(watched: tuple[str, list[str]], tmp_path: Path) -> None:
    address, asked = watched
    (tmp_path / "secret").write_text("hunter2")
    (tmp_path / "types.xsd").write_text(f"<xs:schema {XS}/>")
    for place in (f"{address}/types.xsd", str(tmp_path / "types.xsd"), f"file://{tmp_path}/types.xsd", "types.xsd"):
        for kind in ("include", "redefine"):
            schema = f'<xs:schema {XS}><xs:{kind} schemaLocation="{place}"/></xs:schema>'
            with pytest.raises(AgentError) as caught:
                await run("xml-validate", text="<a/>", schema_text=schema)
            assert caught.value.code == "XML_SCHEMA_INVALID"
            assert "give that in `schemas`" in caught.value.message
    include = f'<xs:schema {XS}><xs:include schemaLocation="t.xsd"/></xs:schema>'
    for entity in (f"file://{tmp_path}/secret", f"{address}/entity"):
        evil = f'<!DOCTYPE x [<!ENTITY e SYSTEM "{entity}">]><xs:schema {XS}><!-- &e; --></xs:schema>'
        with pytest.raises(AgentError) as caught:
            await run("xml-validate", text="<a/>", schema_text=include, schemas={"t.xsd": evil})
        assert caught.value.code == "XML_SCHEMA_INVALID"
        assert "DOCTYPE" in caught.value.message
    assert asked == []


async def test_nothing_is_included_styled_or_called(watched: tuple[str, list[str]]) -> None:
    address, asked = watched
    document = (
        f'<?xml-stylesheet type="text/xsl" href="{address}/style"?>'
        f'<a xmlns:xi="http://www.w3.org/2001/XInclude" xml:base="{address}/"><xi:include href="x"/></a>'
    )
    assert await parse(document) == {
        "a": {"@attributes": {"base": f"{address}/"}, "include": {"@attributes": {"href": "x"}}}
    }
    functions = ("document('x')", "re:test('a', 'a')", "str:tokenize('a b')", "exsl:node-set(/)", "current()")
    namespaces = {
        "re": "http://exslt.org/regular-expressions",
        "str": "http://exslt.org/strings",
        "exsl": "http://exslt.org/common",
    }
    for path in functions:
        with pytest.raises(AgentError) as caught:
            await run("xml-extract", text=document, path=path, namespaces=namespaces)
        assert caught.value.code == "XML_XPATH_INVALID", path
    assert asked == []


async def test_violations_have_lines_and_paths() -> None:
    schema = (
        f'<xs:schema {XS}><xs:element name="a"><xs:complexType><xs:sequence><xs:element name="n" type="xs:integer" '
        'maxOccurs="unbounded"/></xs:sequence></xs:complexType></xs:element></xs:schema>'
    )
    document = "<a>" + "<n>1</n>\n" * 70_000 + "<n>x</n>\n<n>y</n></a>"
    report = await run("xml-validate", text=document, schema_text=schema)
    assert [(error["line"], error["path"]) for error in report["errors"]] == [
        (70_001, "/a/n[70001]"),
        (70_002, "/a/n[70002]"),
    ]
    report = await run("xml-validate", text="<a><n>x</n><n>y</n></a>", schema_text=schema, max_errors=1)
    assert (report["error_count"], len(report["errors"])) == (2, 1)


async def test_results_of_xpath() -> None:
    text = '<r><a n="1">x<b>y</b></a><a n="2"/></r>'

    async def found(path: str, **options: Any) -> Any:
        return (await run("xml-extract", text=text, path=path, **options))["values"]

    assert await found("//a", form="text") == ["xy", ""]
    assert await found("//b", form="objects") == [{"b": "y"}]
    assert await found("//@n", form="objects") == [{"n": "1"}, {"n": "2"}]
    assert await found("count(//a)") == [2]
    assert await found("number(//a/@n) div 4") == [0.25]
    assert await found("number('x')") == [None]
    assert await found("1 div 0") == [None]
    assert await found("//a/text()") == ["x"]


async def test_a_large_text_and_a_large_attribute() -> None:
    text = "x" * 12_000_000
    value = await parse(f'<a b="{text}">{text}</a>')
    assert (len(value["a"]["@attributes"]["b"]), len(value["a"]["@text"])) == (12_000_000, 12_000_000)


async def test_bounds_of_streams(tmp_path: Path) -> None:
    context = CapabilityContext(workspace=Workspace(tmp_path / "w"))

    async def code_of(text: str, **options: Any) -> str | None:
        inputs = {"text": text, "path": "//m", "output": "file", "save_to": "x.jsonl", **options}
        try:
            await run("xml-extract", context, **inputs)
        except AgentError as error:
            return error.code
        return None

    many = "<m>" + "<x>y</x>" * 20_000 + "</m>"
    assert await code_of(f"<r>{many * 3}</r>", max_bytes=400_000) is None, "one at a time"
    assert await code_of(f"<r>{many}</r>", max_bytes=100_000) == "XML_TOO_LARGE"
    assert await code_of("<r>" + "<x>y</x>" * 200_000 + "<m/></r>", max_bytes=100_000) is None, "what does not fit"
    text = f"<r><m>{'x' * 11_000_000}</m></r>"
    assert await code_of(text) == "XML_TOO_LARGE"
    assert await code_of(text, huge_texts=True) is None
    assert await code_of("<r>" + "<d>" * 300 + "</d>" * 300 + "</r>") == "XML_TOO_LARGE"
    assert await code_of("") == "XML_PARSE_ERROR"
    assert await code_of("<r><m/>") == "XML_PARSE_ERROR"
    assert not context.require_workspace().path("y.jsonl").exists()
    assert await code_of(f"<!DOCTYPE r [<!ENTITY l0 'ha'>{LAUGHS}]><r>&l9;</r>") == "XML_DOCTYPE_REFUSED"


NAMES = st.sampled_from(["a", "b", "c", "d-e", "ö"])
TEXTS = st.text("xyz <&>'\"é\n", max_size=5)


def built(parts: Any) -> etree._Element:
    name, attributes, text, children = parts
    element = etree.Element(name, attributes)
    element.text = text
    for child, tail in children:
        element.append(child)
        child.tail = tail
    return element


ELEMENTS = st.recursive(
    st.tuples(NAMES, st.dictionaries(NAMES, TEXTS, max_size=2), TEXTS, st.just([])).map(built),
    lambda inner: st.tuples(
        NAMES,
        st.dictionaries(NAMES, TEXTS, max_size=2),
        TEXTS,
        st.lists(st.tuples(inner, TEXTS), max_size=3),
    ).map(built),
    max_leaves=10,
)


@settings(max_examples=60)
@given(ELEMENTS, NAMES, st.booleans(), st.booleans())
async def test_what_is_streamed_is_what_is_parsed(
    tmp_path_factory: Any, root: etree._Element, name: str, infers: bool, is_ordered: bool
) -> None:
    """Elements by name come out of a stream as they come out of the whole document."""
    context = CapabilityContext(workspace=Workspace(tmp_path_factory.mktemp("w")))
    text = etree.tostring(root, encoding="unicode")
    options = {"infer_types": infers, "ordered": is_ordered, "text": text, "path": f"//{name}"}
    whole = await run("xml-extract", **options)
    await run("xml-extract", context, **options, output="file", save_to="found.jsonl")
    with context.require_workspace().open("found.jsonl") as stream:
        lines = [line.decode() for line in stream]
    # Of elements within one another, the inner ones end first.
    expected = sorted(json.dumps(value, sort_keys=True) for value in whole["values"])
    assert sorted(json.dumps(json.loads(line), sort_keys=True) for line in lines) == expected


@settings(max_examples=60)
@given(ELEMENTS, st.booleans())
async def test_what_is_read_in_order_is_written_as_it_was(root: etree._Element, uses_cdata: bool) -> None:
    root.tail = None
    text = etree.tostring(root, encoding="unicode")
    value = await run("from-xml", text=text, ordered=True, trim_text=False)
    again = await run("to-xml", value=value, cdata=["*"] if uses_cdata else [])
    canonical = [etree.tostring(etree.fromstring(each.encode()), method="c14n") for each in (text, again)]
    assert canonical[0] == canonical[1]
