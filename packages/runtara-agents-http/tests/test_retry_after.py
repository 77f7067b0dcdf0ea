"""How long servers ask to be left alone."""

from __future__ import annotations

import email.utils
import time

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from runtara_agents_http.retry_after import retry_after_ms

WEEK_MS = 7 * 86_400_000


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"Retry-After": "3"}, 3_000),
        ({"Retry-After": " 0 "}, 0),
        ({"Retry-After": "99999999"}, WEEK_MS),
        ({"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "-1"}, None),
        ({"Retry-After": "soon", "RateLimit-Reset": "7"}, 7_000),
        ({"Retry-After": "3", "RateLimit-Reset": "7"}, 3_000),
        ({"RateLimit-Reset": "7"}, 7_000),
        ({"X-RateLimit-Reset": "7.5"}, 7_000),
        ({"X-RateLimit-Reset": "1000000001"}, 0),
        ({"X-RateLimit-Reset": "1000000000001"}, 0),
        ({"RateLimit": "limit=100, remaining=0, reset=50"}, 50_000),
        ({"RateLimit": '"default";r=0;t=30'}, 30_000),
        ({"RateLimit": '"default";r=0'}, None),
        ({}, None),
    ],
)
def test_headers_say_how_long(headers: dict[str, str], expected: int | None) -> None:
    assert retry_after_ms(httpx.Headers(headers)) == expected


def test_moments_are_counted_from_now() -> None:
    moment = time.time() + 100
    for headers in (
        {"Retry-After": email.utils.formatdate(moment, usegmt=True)},
        {"X-RateLimit-Reset": str(int(moment))},
        {"X-RateLimit-Reset": str(int(moment * 1000))},
    ):
        found = retry_after_ms(httpx.Headers(headers))
        assert found is not None
        assert 90_000 <= found <= 100_000


@given(
    st.sampled_from(["Retry-After", "RateLimit", "RateLimit-Reset", "X-RateLimit-Reset"]),
    st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=40),
)
def test_any_header_gives_a_bounded_wait_or_none(name: str, value: str) -> None:
    found = retry_after_ms(httpx.Headers({name: value}))
    assert found is None or 0 <= found <= WEEK_MS
