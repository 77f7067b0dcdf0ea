"""The output of a launch as its shim keeps it: parts, lines, what was dropped, and tricks of the program."""

from __future__ import annotations

import fcntl
import os
import signal
import time
from pathlib import Path

import pytest
from runtara_environment.logs.output_files import OutputPart, has_exit, launch_epochs, read_output, read_tail
from runtara_environment.shim import _OutputFiles


@pytest.fixture
def launch(tmp_path: Path) -> Path:
    directory = tmp_path / "launch-1"
    directory.mkdir()
    return directory


def write(launch: Path, data: bytes) -> None:
    with (launch / "stdout.log").open("ab") as file:
        file.write(data)


def read(launch: Path, offset: int | None = None, *, tail: int | None = None, limit: int = 1000) -> OutputPart:
    return read_output(launch.parent, 1, "stdout", offset=offset, tail_lines=tail, limit_bytes=limit)


def test_what_was_never_written_is_empty(launch: Path) -> None:
    assert read(launch) == OutputPart(0, b"", 0, 0)
    with pytest.raises(FileNotFoundError):
        read_output(launch.parent, 2, "stdout", offset=None, tail_lines=None, limit_bytes=1)


def test_offsets_go_on_when_output_is_moved(launch: Path) -> None:
    files = _OutputFiles(str(launch), 20)
    written = b""
    for number in range(12):
        line = b"%04d\n" % number
        written += line
        write(launch, line)
        files.check()
        part = read(launch)
        assert part.data == written[part.first :]
        assert (part.offset, part.end) == (part.first, len(written))
        assert read(launch, len(written) - 3) == OutputPart(len(written) - 3, line[-3:], len(written), part.first)
        assert read_tail(launch.parent, 1, "stdout", 7) == written[-7:]
    assert read(launch, 0).offset == part.first > 0
    assert sum(path.stat().st_size for path in launch.iterdir()) <= 20 + 21


def test_a_part_is_no_longer_than_asked(launch: Path) -> None:
    files = _OutputFiles(str(launch), 16)
    write(launch, b"0123456789")
    files.check()
    write(launch, b"abc")
    assert read(launch, limit=3) == OutputPart(4, b"456", 13, 4)
    assert read(launch, 9, limit=3) == OutputPart(9, b"9ab", 13, 4)
    assert read(launch, 13) == OutputPart(13, b"", 13, 4)


@pytest.mark.parametrize(
    ("text", "count", "expected"),
    [
        (b"a\nb\nc\n", 0, b""),
        (b"a\nb\nc\n", 1, b"c\n"),
        (b"a\nb\nc\n", 2, b"b\nc\n"),
        (b"a\nb\nc", 2, b"b\nc"),
        (b"a\nb\nc\n", 9, b"a\nb\nc\n"),
        (b"\n\n\n", 2, b"\n\n"),
        (b"", 2, b""),
    ],
)
def test_the_newest_lines(launch: Path, text: bytes, count: int, expected: bytes) -> None:
    write(launch, text)
    assert read(launch, tail=count).data == expected


def test_lines_are_found_across_blocks(launch: Path) -> None:
    write(launch, b"first\n" + b"x" * 200_000 + b"\nlast\n")
    assert read(launch, tail=2, limit=300_000).data == b"x" * 200_000 + b"\nlast\n"


def test_nothing_is_read_while_output_is_moved(launch: Path) -> None:
    write(launch, b"abc")
    (launch / "stdout.log.1.tmp").write_bytes(b"%020d\n" % 3)
    assert read(launch).data == b"abc"  # after a while: its shim was killed


@pytest.mark.parametrize("kind", ["symbolic link", "hard link", "pipe", "directory", "linked directory"])
def test_a_program_cannot_show_other_files(tmp_path: Path, kind: str) -> None:
    secret = tmp_path / "secret"
    secret.write_text("s3cret")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "stdout.log").write_text("s3cret")
    run_directory = tmp_path / "run"
    launch = run_directory / "launch-1"
    run_directory.mkdir()
    if kind == "linked directory":
        launch.symlink_to(elsewhere)
        with pytest.raises(OSError, match=r"."):
            read(launch)
        return
    launch.mkdir()
    if kind == "symbolic link":
        (launch / "stdout.log").symlink_to(secret)
        (launch / "stdout.log.1").symlink_to(secret)
    elif kind == "hard link":
        (launch / "stdout.log").hardlink_to(secret)
    elif kind == "pipe":
        os.mkfifo(launch / "stdout.log")
    else:
        (launch / "stdout.log").mkdir()
    assert read(launch).data == b""
    assert read_tail(run_directory, 1, "stdout", 100) == b""


def test_a_header_of_the_program_breaks_nothing(launch: Path) -> None:
    for header in (b"", b"x" * 21, b"9" * 21 + b"abc", b"%020d\nabc" % 2):
        (launch / "stdout.log.1").write_bytes(header)
        write(launch, b"abc")
        part = read(launch)
        assert len(part.data) <= 1000
        assert part.end < 2**54


def test_launches_and_their_ends(launch: Path) -> None:
    for name in ("launch-10", "launch-2", "launch-x", "workspace"):
        (launch.parent / name).mkdir()
    (launch / "exit.json").touch()
    assert launch_epochs(launch.parent) == [1, 2, 10]
    assert has_exit(launch.parent, 1)
    assert not has_exit(launch.parent, 2)
    assert launch_epochs(launch.parent / "missing") == []


def test_newest_lines_of_a_file_that_looks_endless_are_looked_for_within_a_bound(launch: Path) -> None:
    write(launch, b"first\n")
    os.truncate(launch / "stdout.log", 2**43)
    write(launch, b"\nlast\n")
    assert read(launch, tail=1).data == b"last\n"
    before = time.process_time()
    assert read(launch, tail=100_000).offset > 2**42
    assert time.process_time() - before < 5.0


def test_a_lease_on_an_output_file_holds_up_no_shim(launch: Path) -> None:
    write(launch, b"x" * 100)
    handler = signal.signal(signal.SIGIO, signal.SIG_IGN)
    descriptor = os.open(launch / "stdout.log", os.O_RDONLY)
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        before = time.monotonic()
        _OutputFiles(str(launch), 20).check()
        assert time.monotonic() - before < 20.0  # the kernel takes a lease back after 45 s
    finally:
        os.close(descriptor)
        signal.signal(signal.SIGIO, handler)
