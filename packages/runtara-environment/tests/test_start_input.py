"""What a start accepts as input, before anything is created, and where a local run keeps its database."""

from __future__ import annotations

import codecs
from pathlib import Path

import pytest
from runtara_core.database import DatabaseUrl
from runtara_environment.local import default_database_url, environment_database_url
from runtara_environment.service import MAX_INPUT_BYTES, checked_input
from runtara_sdk.errors import InvalidInputError


def test_input_is_kept_as_it_came() -> None:
    assert checked_input(b"") == b"{}"
    assert checked_input(b'{ "a": 1.50 }') == b'{ "a": 1.50 }'
    assert checked_input(codecs.BOM_UTF8 + b"[1]") == b"[1]"


@pytest.mark.parametrize(
    "text",
    [
        b"{",
        b'{"a": NaN}',
        b'{"a": 1e999}',
        b'{"a": "\\ud800"}',
        b"\xff",
        b"[" * 100_000,
        b"9" * 5_000,
        b'"' + b"x" * MAX_INPUT_BYTES + b'"',
    ],
)
def test_what_no_program_could_read_is_refused(text: bytes) -> None:
    with pytest.raises(InvalidInputError, match=r"^the input ") as caught:
        checked_input(text)
    assert len(caught.value.message) < 300


@pytest.mark.parametrize(
    "name", ["plain", "a b", "a%20b", "q?x=1", "h#y", "\u00fc \u00f1", "it's", "a:b", "two\nlines"]
)
def test_a_data_directory_of_any_name_has_its_own_database(tmp_path: Path, name: str) -> None:
    parsed = DatabaseUrl.parse(default_database_url(tmp_path / name))
    assert parsed.path == tmp_path / name / "runtara.db"


@pytest.mark.parametrize(
    "url", ["core.db", "/var/core.db", "sqlite:///core.db", "postgres://u:p@h/db", "POSTGRESQL://h/db"]
)
def test_an_environment_shares_the_database_of_core(tmp_path: Path, url: str) -> None:
    assert environment_database_url(url, tmp_path) == url


def test_an_environment_has_a_file_of_its_own_beside_the_storage_of_a_plugin(tmp_path: Path) -> None:
    urls = ["acme://h/one", "acme://h/two", "other://h/one", "acme:///h/one", "acme://[h/one"]
    found = {environment_database_url(url, tmp_path) for url in urls}
    assert len(found) == len(urls)
    for url in found:
        path = DatabaseUrl.parse(url).path
        assert path is not None
        assert path.parent == tmp_path
    for changed in ("acme://user:secret@h/one", "acme://user:se@cret@h/one"):
        assert environment_database_url(changed, tmp_path) == environment_database_url("acme://h/one", tmp_path)
