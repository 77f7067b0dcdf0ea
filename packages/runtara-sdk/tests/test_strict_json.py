"""JSON from outside: what is accepted, and what each refusal says."""

from __future__ import annotations

from typing import Any

import pytest
from runtara_sdk.errors import InvalidInputError
from runtara_sdk.strict_json import MAX_NESTING, parse_strict_json


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": [1, 2.5, null, true]}', {"a": [1, 2.5, None, True]}),
        (b'\xef\xbb\xbf{"a": "\xc3\xbc"}\r\n', {"a": "\u00fc"}),
        ('\ufeff"x"', "x"),
        ('"\\ud83d\\ude00"', "\U0001f600"),
        ("9007199254740993", 9007199254740993),
        ('{"a": 1, "a": 2}', {"a": 2}),
        ("[" * MAX_NESTING + "]" * MAX_NESTING, None),
        ("[" + "[]," * 10_000 + "1]", None),
    ],
)
def test_what_is_accepted(text: str | bytes, value: Any) -> None:
    parsed = parse_strict_json(text, "the input")
    assert value is None or parsed == value


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "is not JSON: .* at line 1, column 2: see the manual"),
        ("", "is not JSON: .* at line 1"),
        ('{"a": NaN}', "NaN"),
        ("[-Infinity]", "-Infinity"),
        ("[1e999]", "1e999 is out of range"),
        ("9" * 5000, "too many digits"),
        (b"\xff", "not UTF-8"),
        ("{}".encode("utf-16"), "not UTF-8"),
        ('"\udcff"', "not UTF-8"),
        ('{"\\uD800": 1}', "half a surrogate pair"),
        ('["\\udfff x"]', "half a surrogate pair"),
        ("[" * (MAX_NESTING + 1) + "]" * (MAX_NESTING + 1), f"deeper than {MAX_NESTING} levels"),
        ('{"a":' * 100_000, f"deeper than {MAX_NESTING} levels"),
    ],
)
def test_what_is_refused(text: str | bytes, reason: str) -> None:
    with pytest.raises(InvalidInputError, match=rf"^the input (?s:.*){reason}") as caught:
        parse_strict_json(text, "the input", hint=": see the manual")
    assert len(caught.value.message.splitlines()) == 1
