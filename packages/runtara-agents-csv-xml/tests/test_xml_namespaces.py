"""Namespaces of XML that is written, and texts that XML can hardly hold."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree
from runtara_agents_csv_xml import xml_agent
from runtara_sdk.agents import AgentError, CapabilityContext
from runtara_sdk.agents.workspace import Workspace


async def write(value: Any = None, context: CapabilityContext | None = None, **options: Any) -> Any:
    return await xml_agent.invoke("to-xml", {"value": value, "declaration": False, **options}, context)


async def read(text: str, **options: Any) -> Any:
    return await xml_agent.invoke("from-xml", {"text": text, **options})


async def error_of(value: Any, **options: Any) -> AgentError:
    with pytest.raises(AgentError) as caught:
        await write(value, **options)
    assert caught.value.code == "XML_WRITE_ERROR"
    return caught.value


async def test_a_namespace_without_a_prefix_gets_one() -> None:
    value = {"{urn:a}r": {"@attributes": {"{urn:b}x": "1", "y": "2"}, "{urn:a}c": "t", "d": {}}}
    text = await write(value)
    assert text == '<ns1:r xmlns:ns1="urn:a" xmlns:ns2="urn:b" ns2:x="1" y="2"><ns1:c>t</ns1:c><d/></ns1:r>'
    assert await read(text, keep_namespaces=True) == value
    named = await write(value, namespaces={"p": "urn:a", "ns1": "urn:z"})
    assert named.startswith('<p:r xmlns:p="urn:a" xmlns:ns1="urn:z" xmlns:ns2="urn:b" ns2:x="1"')
    assert await read(named, keep_namespaces=True) == value


async def test_the_default_namespace_is_none_of_attributes() -> None:
    text = await write({"a": {"@attributes": {"{urn:d}x": 1, "y": 2}, "{urn:d}b": {}}}, namespaces={"": "urn:d"})
    assert text == '<a xmlns="urn:d" xmlns:ns1="urn:d" ns1:x="1" y="2"><ns1:b/></a>'
    assert await read(text, keep_namespaces=True) == {
        "{urn:d}a": {"@attributes": {"{urn:d}x": "1", "y": "2"}, "{urn:d}b": {}}
    }


async def test_attributes_declare_namespaces() -> None:
    text = await write({"a": {"@attributes": {"xmlns": "urn:d", "xmlns:p": "urn:p", "p:x": 1}, "p:b": {}}})
    assert text == '<a xmlns="urn:d" xmlns:p="urn:p" p:x="1"><p:b/></a>'
    text = await write({"a": {"@attributes": {"xmlns": "urn:e"}}}, namespaces={"": "urn:d"})
    assert text == '<a xmlns="urn:e"/>'
    text = await write({"a": {"b": [{"@attributes": {"xmlns:q": "urn:q"}, "q:c": 1}], "d": {}}})
    assert text == '<a><b xmlns:q="urn:q"><q:c>1</q:c></b><d/></a>'
    assert (await error_of({"a": {"b": {"@attributes": {"xmlns:q": "urn:q"}}, "q:c": 1}})).attributes["path"] == "a.q:c"
    text = await write({"a": {"@attributes": {"xml:lang": "de", "{http://www.w3.org/XML/1998/namespace}space": "x"}}})
    assert text == '<a xml:lang="de" xml:space="x"/>'


@pytest.mark.parametrize(
    ("value", "options", "path"),
    [
        ({"a": {}}, {"namespaces": {"p": ""}}, "namespaces"),
        ({"a": {}}, {"namespaces": {"1": "urn:x"}}, "namespaces"),
        ({"a": {}}, {"namespaces": {"xmlns": "urn:x"}}, "namespaces"),
        ({"a": {}}, {"namespaces": {"xml": "urn:x"}}, "namespaces"),
        ({"a": {}}, {"namespaces": {"p": "http://www.w3.org/2000/xmlns/"}}, "namespaces"),
        ({"a": {"@attributes": {"p:x": 1, "q:x": 2}}}, {"namespaces": {"p": "u", "q": "u"}}, "a.@attributes.q:x"),
        ({"a": {"@attributes": {"xmlns:p": ""}}}, {}, "a"),
        ({"a": {"@text": {}}}, {}, "a.@text"),
        ({"a": {"@children": [[]]}}, {}, "a.@children"),
        ({"a": {"b": [{}, {"c": "\ufffe"}]}}, {}, "a.b.c"),
        ({"a": {"a:b:c": 1}}, {"namespaces": {"a": "urn:a"}}, "a.a:b:c"),
        ({"": 1}, {}, ""),
        ({"a b": 1}, {}, "a b"),
        ({"a": {"b": {"@text": "x\x0b"}}}, {"cdata": ["b"]}, "a.b"),
    ],
)
async def test_what_cannot_be_written_is_named(value: Any, options: Any, path: str) -> None:
    assert (await error_of(value, **options)).attributes["path"] == path


async def test_mixed_content_keeps_its_depth(tmp_path: Any) -> None:
    value: Any = "x"
    for _ in range(300):
        value = {"a": value, "@text": "t"}
    assert "nested deeper" in (await error_of({"r": value})).message
    text = await write({"r": {"p": {"@text": "t", "b": {"c": {"d": 1}}}, "q": {"e": 1}}}, pretty=True)
    assert text == "<r>\n  <p>t<b><c><d>1</d></c></b></p>\n  <q>\n    <e>1</e>\n  </q>\n</r>\n"


async def test_records_stand_behind_what_the_root_holds(tmp_path: Any) -> None:
    context = CapabilityContext(workspace=Workspace(tmp_path / "w"))
    with context.require_workspace().create("in.jsonl") as file:
        file.write(b'{"n": 1}\n\n{"n": [2, 3]}\n"text"\n')
        file.commit()
    root = {"all": {"@attributes": {"v": "1"}, "head": {"x": "y"}}}
    text = await write(root, context, data={"$file": "in.jsonl"}, item_name="one", namespaces={"p": "urn:p"})
    assert text == (
        '<all xmlns:p="urn:p" v="1"><head><x>y</x></head><one><n>1</n></one><one><n>2</n><n>3</n></one>'
        "<one>text</one></all>"
    )
    pretty = await write(None, context, data={"$file": "in.jsonl"}, pretty=True)
    assert pretty.startswith("<items>\n  <item>\n    <n>1</n>\n  </item>\n")
    with context.require_workspace().create("bad.jsonl") as file:
        file.write(b'{"n": 1}\n{"n": {"1x": 1}}\n')
        file.commit()
    with pytest.raises(AgentError) as caught:
        await write(None, context, data={"$file": "bad.jsonl"}, root="r", output="file", path="out.xml")
    assert caught.value.attributes["path"] == "r.data[2].item.n.1x"
    assert not context.require_workspace().path("out.xml").exists()
    with pytest.raises(AgentError) as caught:
        await write({"r": "text"}, context, data={"$file": "in.jsonl"})
    assert caught.value.code == "XML_WRITE_ERROR"


async def test_a_result_that_is_too_large() -> None:
    with pytest.raises(AgentError) as caught:
        await write({"a": ["x" * 1_000_000] * 70}, root="r")
    assert caught.value.code == "XML_TOO_LARGE"


async def test_carriage_returns_survive() -> None:
    for options in ({}, {"cdata": ["a"]}):
        text = await write({"a": "x\r\ny\rz"}, **options)
        assert await read(text, trim_text=False) == {"a": "x\r\ny\rz"}
    text = await write({"a": {"@attributes": {"b": " \t\r\n'\"<>&"}}})
    assert (await read(text))["a"]["@attributes"]["b"] == " \t\r\n'\"<>&"


@settings(max_examples=300)
@given(st.text(min_size=1, max_size=6))
async def test_names_are_refused_where_a_parser_would(name: str) -> None:
    """What may be a name is what libxml2 takes for one."""
    try:
        text = await write({"r": {name: {}}})
    except AgentError:
        if ":" not in name and re.fullmatch(r"[\w.-]+", name):
            with pytest.raises((etree.XMLSyntaxError, UnicodeEncodeError)):
                etree.fromstring(f"<{name}/>".encode())
        return
    assert etree.fromstring(text.encode())[0].tag == name


@settings(max_examples=150)
@given(st.text(max_size=8), st.booleans())
async def test_texts_survive_or_are_refused(text: str, uses_cdata: bool) -> None:
    try:
        written = await write({"r": {"@attributes": {"a": text}, "b": text}}, cdata=["*"] if uses_cdata else [])
    except AgentError as error:
        assert error.code == "XML_WRITE_ERROR"
        with pytest.raises(ValueError, match=r"XML compatible|surrogates"):
            etree.Element("r").text = text
        return
    root = etree.fromstring(written.encode())
    assert (root.get("a"), root[0].text or "") == (text, text)
