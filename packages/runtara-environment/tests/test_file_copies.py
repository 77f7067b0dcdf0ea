"""Copies of what a program has written: they take no more room than their originals."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
from runtara_environment.supervision import copy_flush
from runtara_environment.supervision.copy_flush import CopyFlush
from runtara_environment.supervision.file_copies import _copy_content, copy_directory


@pytest.mark.parametrize(
    "pieces",
    [
        {},
        {0: b"beginning"},
        {2**40: b"end"},
        {0: b"beginning", 5 * 2**20: b"x" * (3 * 2**20 + 5), 2**40: b"end"},
    ],
)
def test_holes_stay_holes(tmp_path: Path, pieces: dict[int, bytes]) -> None:
    source = tmp_path / "source"
    source.mkdir()
    size = 2**40 + 2**20
    with (source / "file").open("wb") as file:
        for offset, data in pieces.items():
            file.seek(offset)
            file.write(data)
        file.truncate(size)
    copy_directory(source, tmp_path / "target", without="partial")
    copy = tmp_path / "target" / "file"
    assert copy.stat().st_size == size
    assert copy.stat().st_blocks * 512 < 16 * 2**20
    with copy.open("rb") as file:
        for offset, data in pieces.items():
            file.seek(offset)
            assert file.read(len(data) + 1) == data + b"\0"


def test_what_is_added_meanwhile_is_left(tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b"0123456789")
    source = os.open(tmp_path / "source", os.O_RDONLY)
    target = os.open(tmp_path / "target", os.O_WRONLY | os.O_CREAT)
    _copy_content(source, target, 4, lambda: None)
    for descriptor in (source, target):
        os.close(descriptor)
    assert (tmp_path / "target").read_bytes() == b"0123"


@pytest.mark.parametrize("at_once", [True, False])
def test_everything_is_flushed_and_many_files_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, at_once: bool
) -> None:
    (tmp_path / "source" / "in").mkdir(parents=True)
    for number in range(40):
        (tmp_path / "source" / "in" / f"{number}").write_text(f"{number}")
    flushed: list[int] = []
    whole: list[bool] = []
    flush, finish = os.fsync, CopyFlush._finish

    def count(descriptor: int) -> None:
        flushed.append(descriptor)
        flush(descriptor)

    def count_whole(copy: CopyFlush) -> None:
        # What was left has to be complete by then.
        assert len(list((tmp_path / "target" / "in").iterdir())) == 40
        finish(copy)
        whole.append(copy._is_left)

    monkeypatch.setattr(os, "fsync", count)
    monkeypatch.setattr(CopyFlush, "_finish", count_whole)
    # Whatever file system the tests are on: `syncfs` works on each, and for which it is used is tested below.
    monkeypatch.setattr(copy_flush, "_flushes_at_once", lambda _: at_once)
    copy_directory(tmp_path / "source", tmp_path / "target", without="")
    assert (len(flushed), whole) == ((copy_flush._FLUSHED_ALONE, [True]) if at_once else (42, [False]))
    assert (tmp_path / "target" / "in" / "39").read_text() == "39"


class _Every(dict[int, str]):
    def __contains__(self, _: object) -> bool:
        return True


@pytest.mark.parametrize(
    ("known", "release", "at_once"),
    [(_Every(), "5.8.0", True), (_Every(), "6.1.0-31-amd64", True), (_Every(), "5.7.19", False), ({}, "6.1.0", False)],
)
def test_many_files_are_flushed_at_once_where_failures_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, known: dict[int, str], release: str, at_once: bool
) -> None:
    system = os.uname_result((*os.uname()[:2], release, *os.uname()[3:]))
    monkeypatch.setattr(os, "uname", lambda: system)
    monkeypatch.setattr(copy_flush, "_FILE_SYSTEMS", known)
    descriptor = os.open(tmp_path, os.O_RDONLY)
    try:
        assert copy_flush._flushes_at_once(descriptor) is at_once
    finally:
        os.close(descriptor)


def test_a_copy_ends_when_it_is_told_to(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "file").write_text("kept")
    ends = threading.Event()
    ends.set()
    with pytest.raises(OSError, match="the copy was ended") as raised:
        copy_directory(tmp_path / "source", tmp_path / "target", without="", ends=ends)
    assert raised.value.filename == str(tmp_path / "source" / "file")
    assert not (tmp_path / "target" / "file").exists()
