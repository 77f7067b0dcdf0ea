"""Copies of what a program has written: they take no more room than their originals."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
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
    _copy_content(source, target, 4)
    for descriptor in (source, target):
        os.close(descriptor)
    assert (tmp_path / "target").read_bytes() == b"0123"
