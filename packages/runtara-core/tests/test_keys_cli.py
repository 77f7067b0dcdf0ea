"""`runtara keys`, and which database it works on."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from runtara_core.keys_cli import keys
from runtara_sdk.cli.errors import run_program

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Command:
    monkeypatch.chdir(tmp_path)
    for name in ("DATA_DIR", "RUNTARA_DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)

    def run(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["keys", *words])
        with pytest.raises(SystemExit) as exit_info:
            run_program(keys)
        captured = capsys.readouterr()
        return int(exit_info.value.code or 0), captured.out, captured.err

    return run


@pytest.mark.parametrize("words", [("list",), ("revoke", "3f9c0e5b7a214d68"), ("rotate-tokens",)])
@pytest.mark.parametrize("variable", [None, "sqlite:///elsewhere.db"])
def test_no_database_is_made_where_none_is(
    command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, words: tuple[str, ...], variable: str | None
) -> None:
    if variable is not None:
        monkeypatch.setenv("RUNTARA_DATABASE_URL", variable)
    code, out, err = command(*words)
    file = tmp_path / (".data/runtara.db" if variable is None else "elsewhere.db")
    assert (code, out) == (2, "")
    assert err.startswith(f"error: there is no database {file}: ")
    for remedy in ("DATA_DIR", "RUNTARA_DATABASE_URL", "--database-url", "--data-dir"):
        assert remedy in err
    assert list(tmp_path.iterdir()) == []


def test_a_new_key_tells_its_database_and_whether_that_is_new(command: Command, tmp_path: Path) -> None:
    code, key, err = command("create", "--operator")
    assert code == 0
    assert f" is in SQLite file {tmp_path}/.data/runtara.db, which is new\n" in err
    assert key.count("\n") == 1, "standard output is the key alone"

    code, text, err = command("create", "--tenant", "acme", "--json")
    key_id = json.loads(text)["key_id"]
    assert (code, err) == (0, f"key {key_id} is in SQLite file {tmp_path}/.data/runtara.db\n")
    code, listed, _ = command("list")
    assert (code, len(listed.splitlines())) == (0, 2)
    assert command("revoke", key_id)[0] == 0
