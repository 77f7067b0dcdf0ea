"""What is checked and encoded before anything is sent."""

from __future__ import annotations

import urllib.parse
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from runtara_agents_http.body import RequestBody, StreamedContent, encode_body
from runtara_agents_http.models import DEFAULT_FILE_BYTES, HttpRequestInput
from runtara_agents_http.redirects import without_query
from runtara_agents_http.target import with_query
from runtara_agents_http.tls import ClientCertificate, TlsSettings
from runtara_sdk.agents import AgentError, CapabilityContext
from runtara_sdk.agents.workspace import Workspace

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


def request_of(**inputs: Any) -> HttpRequestInput:
    return HttpRequestInput(url="http://example.com/", **inputs)


@pytest.mark.parametrize(
    ("codes", "successes", "errors"),
    [
        ([], [200, 204, 299], [199, 300, 404]),
        ([404], [404], [200, 403]),
        (["200-204", "3xx", "404"], [200, 204, 301, 399, 404], [205, 400]),
        (["2XX"], [200, 299], [300]),
    ],
)
def test_success_codes(codes: list[int | str], successes: list[int], errors: list[int]) -> None:
    request = request_of(success_codes=codes)
    assert all(request.is_success(status) for status in successes)
    assert not any(request.is_success(status) for status in errors)


@pytest.mark.parametrize("code", ["", "20", "2x", "200-", "abc", 0, -200, "200,201", "0xx", 1000])
def test_codes_that_are_none_are_refused(code: int | str) -> None:
    with pytest.raises(ValidationError):
        request_of(success_codes=[code])


def test_options_that_do_not_fit_together_are_refused() -> None:
    for inputs in (
        {"response_type": "file"},
        {"save_to": "x"},
        {"max_response_bytes": 2**30},
        {"auth": {"type": "kerberos"}},
        {"auth": "kerberos"},
        {"max_redirects": -1},
        {"connect_timeout_ms": 0},
    ):
        with pytest.raises(ValidationError):
            request_of(**inputs)
    assert request_of(response_type="file", save_to="x").response_limit_bytes == DEFAULT_FILE_BYTES
    assert request_of(response_type="file", save_to="x", max_response_bytes=7).response_limit_bytes == 7


def test_the_secrets_of_a_step_do_not_show() -> None:
    request = request_of(auth={"type": "basic", "username": "u", "password": "hunter2"}, proxy="http://u:hunter2@p")
    assert "hunter2" not in repr(request)


@given(st.dictionaries(TEXTS, st.one_of(TEXTS, st.integers(), st.booleans(), st.lists(TEXTS, max_size=3)), max_size=4))
def test_forms_are_read_back(form: dict[str, Any]) -> None:
    body = encode_body(request_of(body_type="form", body=form), CapabilityContext())
    assert isinstance(body, RequestBody)
    assert body.content_type == "application/x-www-form-urlencoded"

    def text(value: Any) -> str:
        return str(value).lower() if isinstance(value, bool) else str(value)

    expected = [
        (name, text(item)) for name, value in form.items() for item in (value if isinstance(value, list) else [value])
    ]
    assert urllib.parse.parse_qsl(body.content.decode(), keep_blank_values=True) == expected


def test_a_form_may_be_text_and_is_never_nested() -> None:
    body = encode_body(request_of(body_type="form", body="a=1&b=%20"), CapabilityContext())
    assert isinstance(body, RequestBody)
    assert body.content == b"a=1&b=%20"
    for wrong in ({"a": {"b": 1}}, {"a": [[1]]}, [1], 7):
        with pytest.raises(AgentError) as caught:
            encode_body(request_of(body_type="form", body=wrong), CapabilityContext())
        assert caught.value.code == "HTTP_INVALID_BODY"


async def test_files_of_the_workspace_are_streamed_as_often_as_needed(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    content = bytes(range(256)) * 4096
    with workspace.create("in/data.bin") as file:
        file.write(content)
        file.commit()
    context = CapabilityContext(workspace=workspace)
    reference = {"$file": "in/data.bin", "mimeType": "image/png"}
    body = encode_body(request_of(body_type="binary", body=reference), context)
    assert isinstance(body, StreamedContent)
    assert (body.length, body.content_type) == (len(content), "image/png")
    for _ in range(2):
        assert b"".join([piece async for piece in body]) == content
    parts = encode_body(request_of(body_type="multipart", multipart=[{"name": "f", "file": reference}]), context)
    assert isinstance(parts, StreamedContent)
    sent = b"".join([piece async for piece in parts])
    assert len(sent) == parts.length
    assert content in sent
    assert b'name="f"; filename="data.bin"\r\nContent-Type: image/png' in sent


async def test_a_file_that_shrinks_while_it_is_sent_is_an_error(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    (tmp_path / "data").write_bytes(b"12345")
    body = encode_body(request_of(body_type="binary", body={"$file": "data"}), CapabilityContext(workspace=workspace))
    assert isinstance(body, StreamedContent)
    (tmp_path / "data").write_bytes(b"123")
    with pytest.raises(AgentError) as caught:
        [piece async for piece in body]
    assert caught.value.code == "HTTP_INVALID_BODY"


@given(st.dictionaries(TEXTS, TEXTS, max_size=3), st.dictionaries(TEXTS, TEXTS, min_size=1, max_size=2))
def test_secret_parameters_are_taken_out_of_a_query_and_nothing_else(
    plain: dict[str, str], secret: dict[str, str]
) -> None:
    both = with_query(with_query("http://example.com/p", plain), secret)
    expected = [(name, value) for name, value in plain.items() if secret.get(name) != value]
    assert urllib.parse.parse_qsl(urllib.parse.urlsplit(without_query(both, secret)).query, keep_blank_values=True) == (
        expected
    )


def test_settings_are_told_apart_by_a_key_that_shows_nothing() -> None:
    own = ClientCertificate("certificate", "hunter2", "word")
    keys = {
        TlsSettings().key(),
        TlsSettings(verifies=False).key(),
        TlsSettings(authorities="x").key(),
        TlsSettings(certificate=own).key(),
        TlsSettings(certificate=ClientCertificate("certificate", "hunter2", "other")).key(),
    }
    assert len(keys) == 5
    assert TlsSettings(certificate=own).key() in keys
    assert not any("hunter2" in key for key in keys)
    assert "hunter2" not in repr(TlsSettings(certificate=own))
