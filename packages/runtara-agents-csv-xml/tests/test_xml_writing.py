"""Writing XML, as the inverse of reading it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree
from runtara_agents_csv_xml import xml_agent
from runtara_sdk.agents import AgentError, CapabilityContext
from runtara_sdk.agents.workspace import Workspace


async def write(value: Any = None, context: CapabilityContext | None = None, **options: Any) -> Any:
    return await xml_agent.invoke("to-xml", {"value": value, "declaration": False, **options}, context)


async def place_of(value: Any, **options: Any) -> str:
    with pytest.raises(AgentError) as caught:
        await write(value, **options)
    assert caught.value.code == "XML_WRITE_ERROR"
    return caught.value.attributes["path"]


async def test_forms() -> None:
    assert await write({"a": {"@attributes": {"x": 'q"<', "n": 1}, "@text": "t&", "b": [1, None, True]}}) == (
        '<a x="q&quot;&lt;" n="1">t&amp;<b>1</b><b/><b>true</b></a>'
    )
    assert await write([1, {"x": 2}], root="r") == "<r><item>1</item><item><x>2</x></item></r>"
    assert await write("text", root="r") == "<r>text</r>"
    assert await write({"a": "1 < ]]> 2"}, cdata=["a"]) == "<a><![CDATA[1 < ]]]]><![CDATA[> 2]]></a>"
    assert await write({"a": {"@children": ["Hi ", {"b": "x"}, " there"]}}) == "<a>Hi <b>x</b> there</a>"
    assert await write({"a": {"b": {"c": 1}, "d": {}}}, pretty=True) == (
        "<a>\n  <b>\n    <c>1</c>\n  </b>\n  <d/>\n</a>\n"
    )
    assert await write({"s:a": {"{urn:t}b": 1}}, namespaces={"s": "urn:s", "": "urn:t"}) == (
        '<s:a xmlns:s="urn:s" xmlns="urn:t"><b>1</b></s:a>'
    )
    assert (await write({"a": "é"}, declaration=True)).startswith('<?xml version="1.0" encoding="UTF-8"?>\n<a>é')
    assert (await write({"a": "é"}, output="data"))["content"] == "PGE+w6k8L2E+"


async def test_what_cannot_be_xml_is_named() -> None:
    assert await place_of({"a": {"b": [{"1x": 1}]}}) == "a.b.1x"
    assert await place_of({"a": {"b": "\x00"}}) == "a.b"
    assert await place_of({"a": {"@attributes": {"b": [1]}}}) == "a.@attributes.b"
    assert await place_of({"a": {"q:b": 1}}) == "a.q:b"
    assert await place_of({"a": 1, "b": 2}) == "value"
    assert await place_of({"a": [1, 2]}) == "value"
    assert await place_of({"a": {"<b": 1}}) == "a.<b"


async def test_a_file_of_records_is_streamed(tmp_path: Path) -> None:
    context = CapabilityContext(workspace=Workspace(tmp_path / "w"))
    with context.require_workspace().create("in.jsonl") as file:
        file.write(b"".join(b'{"n": %d}\n' % number for number in range(30_000)))
        file.commit()
    options = {"data": {"$file": "in.jsonl"}, "root": "all", "item_name": "one", "output": "file", "path": "out.xml"}
    result = await write(None, context, **options)
    root = etree.parse(str(tmp_path / "w" / "out.xml")).getroot()
    assert (root.tag, len(root), root[-1][0].text) == ("all", 30_000, "29999")
    assert result["size"] == (tmp_path / "w" / "out.xml").stat().st_size


NAMES = st.text("abcß_-.1", min_size=1, max_size=4).map(lambda name: f"e{name}")
TEXTS = st.text(
    st.characters(
        blacklist_categories=("Cs",), blacklist_characters=[chr(n) for n in range(32)] + ["\ufffe", "\uffff"]
    ),
    max_size=8,
).map(str.strip)
WORDS = TEXTS.filter(bool)


def elements(children: Any) -> Any:
    """Values in the form in which from-xml gives them."""
    attributes = st.dictionaries(NAMES, TEXTS, min_size=1, max_size=2).map(lambda found: {"@attributes": found})
    several = st.lists(children, min_size=2, max_size=3)
    inner = st.dictionaries(NAMES, children | several, min_size=1, max_size=3)
    text = WORDS.map(lambda word: {"@text": word})
    parts = st.tuples(attributes | st.just({}), inner, text | st.just({}))
    return parts.map(lambda found: {**found[0], **found[1], **found[2]})


VALUES = st.recursive(WORDS | st.just({}), elements, max_leaves=12)


@given(NAMES, VALUES, st.booleans())
async def test_what_is_written_is_read(name: str, value: Any, pretty: bool) -> None:
    text = await write({name: value}, pretty=pretty)
    assert await xml_agent.invoke("from-xml", {"text": text}) == {name: value}


@given(NAMES, VALUES)
async def test_what_is_read_is_written(name: str, value: Any) -> None:
    first = await write({name: value})
    again = await write(await xml_agent.invoke("from-xml", {"text": first}))
    canonical = [etree.tostring(etree.fromstring(text.encode()), method="c14n") for text in (first, again)]
    assert canonical[0] == canonical[1]
