"""Run directories of databases that share a data directory."""

from __future__ import annotations

import json
import os
import stat
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from runtara_environment.data_directory_modes import secure_data_directory
from runtara_environment.runner import ProcessExit
from runtara_environment.runners.launch_directory import LaunchDirectory
from runtara_environment.supervision.run_directory import choose_run_directory, find_run_directory
from runtara_sdk.errors import InvalidInputError

ONE, OTHER = "1" * 32, "2" * 32


def test_an_instance_keeps_its_directory(tmp_path: Path) -> None:
    first = choose_run_directory(tmp_path, "acme", "run-1", ONE)
    assert first == tmp_path / "acme" / "runs" / "run-1"
    assert stat.S_IMODE(first.stat().st_mode) == 0o700
    assert choose_run_directory(tmp_path, "acme", "run-1", ONE) == first


def test_another_database_gets_a_directory_of_its_own(tmp_path: Path) -> None:
    first = choose_run_directory(tmp_path, "acme", "run-1", ONE)
    other = choose_run_directory(tmp_path, "acme", "run-1", OTHER)
    assert other != first
    assert choose_run_directory(tmp_path, "acme", "run-1", OTHER) == other
    assert choose_run_directory(tmp_path, "acme", "run-1", ONE) == first


@pytest.mark.parametrize("emptied", [("database-id",), ("instance-id",), ("database-id", "instance-id")])
def test_a_power_failure_that_empties_the_markers_takes_no_directory_away(
    tmp_path: Path, emptied: tuple[str, ...]
) -> None:
    first = choose_run_directory(tmp_path, "acme", "run-1", ONE)
    for name in emptied:
        (first / name).write_bytes(b"")
    assert choose_run_directory(tmp_path, "acme", "run-1", ONE) == first
    assert find_run_directory(tmp_path, "acme", "run-1", ONE) == first
    assert sorted(path.name for path in first.iterdir()) == ["database-id", "instance-id"]


def test_two_at_once_never_share_one(tmp_path: Path) -> None:
    databases = [ONE, OTHER] * 8
    with ThreadPoolExecutor(8) as pool:
        chosen = list(pool.map(lambda name: choose_run_directory(tmp_path, "acme", "run-1", name), databases))
    assert len({path for path, name in zip(chosen, databases, strict=True) if name == ONE}) == 1
    assert len(set(chosen)) == 2


@pytest.mark.parametrize("is_emptied", [False, True], ids=["new", "emptied"])
def test_another_that_comes_between_look_and_mark_keeps_the_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_emptied: bool
) -> None:
    if is_emptied:
        (choose_run_directory(tmp_path, "acme", "run-1", ONE) / "database-id").write_bytes(b"")
    name = uuid.uuid4
    others: list[Path] = []

    def let_another_in() -> uuid.UUID:
        monkeypatch.setattr(uuid, "uuid4", name)
        others.append(choose_run_directory(tmp_path, "acme", "run-1", OTHER))
        return name()

    monkeypatch.setattr(uuid, "uuid4", let_another_in)
    chosen = choose_run_directory(tmp_path, "acme", "run-1", ONE)
    assert others == [tmp_path / "acme" / "runs" / "run-1"]
    assert chosen != others[0]
    assert choose_run_directory(tmp_path, "acme", "run-1", OTHER) == others[0]


def test_taken_names_are_refused(tmp_path: Path) -> None:
    choose_run_directory(tmp_path, "acme", "run-1", ONE)
    taken = choose_run_directory(tmp_path, "acme", "run-1", OTHER)
    (taken / "database-id").write_text("a third")
    with pytest.raises(InvalidInputError, match="belong to other databases"):
        choose_run_directory(tmp_path, "acme", "run-1", OTHER)


@pytest.mark.parametrize("trick", ["pipe", "link", "directory"])
def test_what_a_program_put_in_the_place_of_a_file_is_neither_waited_for_nor_followed(
    tmp_path: Path, trick: str
) -> None:
    directory = choose_run_directory(tmp_path, "acme", "run-1", ONE)
    launch = LaunchDirectory(directory, 1)
    launch.create()
    secret = tmp_path / "elsewhere"
    secret.write_text(json.dumps({"started": False, "stage": 0, "errno": 1}), encoding="ascii")
    for place in (directory / "database-id", launch.path / "exit.json", launch.path / "shim.json"):
        place.unlink(missing_ok=True)
        if trick == "pipe":
            os.mkfifo(place)
        elif trick == "link":
            place.symlink_to(secret)
        else:
            place.mkdir()
    assert find_run_directory(tmp_path, "acme", "run-1", ONE) is None
    with pytest.raises(OSError, match="not a plain file"):
        choose_run_directory(tmp_path, "acme", "run-1", ONE)
    assert launch.read_exit() == ProcessExit(None)
    claim = launch.read_claim()
    assert claim is not None
    assert claim.is_abandoned


def test_what_is_compiled_for_a_tenant_keeps_no_program_out_and_is_closed_to_it(tmp_path: Path) -> None:
    scenario = tmp_path / "acme" / "scenarios" / "secret"
    scenario.mkdir(parents=True)
    for directory, mode in ((tmp_path / "acme", 0o700), (tmp_path / "acme" / "scenarios", 0o755)):
        directory.chmod(mode)
    for _ in range(2):
        choose_run_directory(tmp_path, "acme", "i-1", "database")
        secure_data_directory(tmp_path, has_guest_users=True)
        modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "acme", *(tmp_path / "acme").iterdir())}
        assert modes == {"acme": 0o711, "runs": 0o711, "scenarios": 0o700}
        (tmp_path / "acme" / "scenarios").chmod(0o755)  # compiled again
