"""The agent `text` beyond its examples."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from runtara_agents_transform import text_agent
from runtara_sdk.agents import AgentError

TEXT = st.text(max_size=30)


async def run(capability: str, **inputs: Any) -> Any:
    return await text_agent.invoke(capability, inputs)


async def code_of(capability: str, **inputs: Any) -> str:
    with pytest.raises(AgentError) as caught:
        await run(capability, **inputs)
    return caught.value.code


CASES: list[tuple[str, dict[str, Any], Any]] = [
    ("render-template", {"text": "{{ missing }}|{{ a }}", "context": {"a": True}}, "|true"),
    ("trim-normalize", {"text": None}, ""),
    ("case-conversion", {"text": "ÄB", "format": "lowercase"}, "äb"),
    ("case-conversion", {"text": "straße", "format": "uppercase"}, "STRASSE"),
    ("find-replace", {"text": "aXa", "pattern": "X"}, "aXa"),
    ("find-replace", {"text": "a.a", "pattern": ".", "replacement": ""}, "aa"),
    ("split", {"text": ""}, []),
    ("split", {"text": "a||b", "delimiter": "||"}, ["a", "b"]),
    ("substring-extraction", {"text": "a", "start_delimiter": "<", "end_delimiter": ">"}, ""),
    ("substring-extraction", {"text": "a", "start_delimiter": "<"}, "a"),
    ("slugify", {"text": "  Ærøskøbing & Łódź -- Straße "}, "aeroskobing-odz-strasse"),
    ("hash-text", {"text": ""}, ""),
    ("from-base64", {"data": "6Q==", "encoding": "latin-1"}, "é"),
    ("from-base64", {"data": "6Q==", "encoding": "AUTO"}, "é"),
    ("from-base64", {"data": {"content": "aGk="}}, "hi"),
    ("to-base64", {"data": [104, 105], "mimeType": "a/b"}, {"content": "aGk=", "filename": None, "mimeType": "a/b"}),
    ("regex-replace", {"text": "aAa", "pattern": "a", "replacement": "$$", "case_insensitive": True}, "$$$"),
    ("regex-replace", {"text": "aaa", "pattern": "a", "replacement": "b", "global": False}, "baa"),
    ("regex-replace", {"text": "2026-11", "pattern": r"(?P<y>\d+)-(\d+)", "replacement": "${2}/${y}"}, "11/2026"),
    ("regex-match", {"text": "x", "pattern": r"\d"}, None),
    ("regex-match", {"text": "a1 b2", "pattern": r"\d", "all_matches": True}, ["1", "2"]),
    ("regex-test", {"text": "", "pattern": ".*"}, False),
    ("regex-test", {"text": "ABC", "pattern": "abc", "case_insensitive": True}, True),
    ("regex-split", {"text": "a1b2c", "pattern": r"\d"}, ["a", "b", "c"]),
    ("pad-text", {"text": "é", "length": 4, "direction": "both", "pad_char": "-"}, "-é--"),
    ("truncate-text", {"text": "ééé", "max_length": 2, "suffix": "…"}, "é…"),
    ("truncate-text", {"text": "abc", "max_length": 1, "suffix": "..."}, "."),
    ("wrap-text", {"text": "ééééé", "width": 2}, "éé\néé\né"),
    ("wrap-text", {"text": "a\n\nb", "width": 9}, "a\n\nb"),
    ("wrap-text", {"text": "a\nb", "preserve_newlines": False}, "a b"),
    ("extract-numbers", {"text": "1.5 and -2"}, [1.5, 2]),
    ("extract-numbers", {"text": "1.5", "include_decimals": False}, [1, 5]),
    ("extract-emails", {"text": "a.b+c@x-y.example.com, @no, x@y"}, ["a.b+c@x-y.example.com"]),
    ("extract-urls", {"text": "(https://a.example/b), ftp://c"}, ["https://a.example/b", "ftp://c"]),
    ("compare-text", {"text_a": "É", "text_b": "é", "mode": "case-insensitive"}, True),
    ("compare-text", {"text_a": "abc", "text_b": "b", "mode": "contains"}, True),
    ("count-occurrences", {"text": "aaaa", "pattern": "aa"}, 2),
    ("count-occurrences", {"text": "a1b22", "pattern": r"\d+", "use_regex": True}, 2),
]


@pytest.mark.parametrize(("capability", "inputs", "expected"), CASES)
async def test_results(capability: str, inputs: dict[str, Any], expected: Any) -> None:
    assert await run(capability, **inputs) == expected


@pytest.mark.parametrize(
    ("capability", "inputs", "code"),
    [
        ("render-template", {}, "TEXT_TEMPLATE_MISSING"),
        ("render-template", {"text": "{% for %}"}, "TEXT_TEMPLATE_PARSE_ERROR"),
        ("render-template", {"text": "{{ a.b.c }}"}, "TEXT_TEMPLATE_RENDER_ERROR"),
        ("regex-test", {"text": "a", "pattern": "(?=a)"}, "TEXT_INVALID_REGEX"),
        ("regex-test", {"text": "a", "pattern": "("}, "TEXT_INVALID_REGEX"),
        ("regex-test", {"text": "a"}, "TEXT_INPUT_MISSING"),
        ("regex-match", {"text": "a", "pattern": "a", "capture_group": 1}, "TEXT_GROUP_MISSING"),
        ("regex-replace", {"text": "a", "pattern": "a", "replacement": "$1"}, "TEXT_GROUP_MISSING"),
        ("find-replace", {"text": "a" * 10_000, "pattern": "a", "replacement": "b" * 10_000}, "TEXT_TOO_LARGE"),
        ("as-byte-array", {"text": "a", "encoding": "latin-1"}, "TEXT_UNSUPPORTED_ENCODING"),
        ("from-base64", {"data": "6Q=="}, "TEXT_UTF8_DECODE_ERROR"),
        ("from-base64", {"data": "?"}, "FILE_BASE64_DECODE_ERROR"),
        ("to-base64", {"data": 1}, "TEXT_INVALID_INPUT_TYPE"),
        ("compare-text", {"text_a": "a"}, "TEXT_INPUT_MISSING"),
    ],
)
async def test_what_is_refused(capability: str, inputs: dict[str, Any], code: str) -> None:
    assert await code_of(capability, **inputs) == code


async def test_no_pattern_takes_longer_than_its_text() -> None:
    assert not await run("regex-test", text="a" * 50_000 + "b", pattern="^(a+)+$")


@given(TEXT)
async def test_base64_is_undone(text: str) -> None:
    assert await run("from-base64", data=await run("to-base64", data=text)) == text.encode("utf-8", "replace").decode()


@given(st.lists(st.text(st.characters(blacklist_characters=",", blacklist_categories=("Cs",))), min_size=1))
async def test_a_split_is_undone_by_a_join(pieces: list[str]) -> None:
    joined = await run("join", values=pieces)
    assert await run("split", text=joined) == (pieces if joined else [])


@given(TEXT, st.integers(0, 40), st.sampled_from(["right", "left", "both"]))
async def test_lengths_count_characters(text: str, length: int, direction: str) -> None:
    assert len(await run("pad-text", text=text, length=length, direction=direction)) == max(len(text), length)
    assert len(await run("truncate-text", text=text, max_length=length, suffix="…")) <= max(length, 0)
    if length:
        lines = (await run("wrap-text", text=text, width=length)).split("\n")
        assert all(len(line) <= length for line in lines)


@given(TEXT, TEXT, TEXT)
async def test_distances_are_a_metric(one: str, two: str, three: str) -> None:
    async def distance(left: str, right: str) -> int:
        return int(await run("compare-text", text_a=left, text_b=right, mode="levenshtein-distance"))

    assert await distance(one, two) == await distance(two, one)
    assert (await distance(one, two) == 0) == (one == two)
    assert await distance(one, three) <= await distance(one, two) + await distance(two, three)
