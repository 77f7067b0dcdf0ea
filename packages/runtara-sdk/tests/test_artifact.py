"""Reading artifacts: what a file is, and the verified unpacking of native ones."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import struct
import tarfile
import threading
import tracemalloc
import zipfile
from pathlib import Path

import pytest
from runtara_sdk.artifact import (
    Layer,
    LayerRole,
    NativeIndex,
    inspect_artifact,
    unpack_native_artifact,
)
from runtara_sdk.artifact.native_format import HEADER_BYTES, magic_line
from runtara_sdk.errors import InvalidInputError

MANIFEST = {"scenario": "orders"}


def member(name: str, content: bytes = b"x", *, mode: int = 0o644, kind: bytes = tarfile.REGTYPE) -> tuple:
    information = tarfile.TarInfo(name)
    information.size = len(content) if kind == tarfile.REGTYPE else 0
    information.mode = mode
    information.type = kind
    information.linkname = "/etc/passwd" if kind in (tarfile.SYMTYPE, tarfile.LNKTYPE) else ""
    return information, content


def layer_bytes(*members: tuple) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for information, content in members:
            archive.addfile(information, io.BytesIO(content) if information.isreg() else None)
    return gzip.compress(buffer.getvalue(), mtime=0)


BASE = layer_bytes(member("runtara-base", b"#!/bin/sh\n", mode=0o755), member("lib/a.so", b"elf"))
WORKFLOW = layer_bytes(member("runtara-manifest.json", b"{}"))


def write_native(path: Path, *, workflow: bytes = WORKFLOW, base: bytes = BASE, digest: str | None = None) -> Path:
    """A native artifact with fixed-width offsets; `digest` lies about the workflow layer."""
    index_bytes = 2000
    start = HEADER_BYTES + index_bytes
    index = NativeIndex(
        manifest=MANIFEST,
        layers=(
            Layer(LayerRole.WORKFLOW, digest or hashlib.sha256(workflow).hexdigest(), start, len(workflow)),
            Layer(LayerRole.BASE, hashlib.sha256(base).hexdigest(), start + len(workflow), len(base)),
        ),
    )
    header = f"#!/bin/sh\n{magic_line(index_bytes)}\n".encode().ljust(HEADER_BYTES, b"\n")
    path.write_bytes(header + index.encode().ljust(index_bytes, b"\n") + workflow + base)
    return path


def test_native_artifact_is_recognized(tmp_path):
    info = inspect_artifact(write_native(tmp_path / "a"))
    assert info.kind == "native"
    assert info.manifest == MANIFEST
    assert {layer.role for layer in info.layers} == {LayerRole.WORKFLOW, LayerRole.BASE}


def test_python_archive_is_recognized_behind_a_script_line(tmp_path):
    path = tmp_path / "a"
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("runtara-manifest.json", json.dumps(MANIFEST))
    path.write_bytes(b"#!/usr/bin/env python3\n" + buffer.getvalue())
    info = inspect_artifact(path)
    assert (info.kind, info.manifest, info.layers) == ("python", MANIFEST, ())


ELF_PROGRAM = b"\x7fELF\x02\x01\x01".ljust(16, b"\0") + b"\x03\0" + bytes(46)


@pytest.mark.parametrize("content", [ELF_PROGRAM, b"#!/bin/sh\nexit 0\n", b"#! /usr/bin/env python3"])
def test_programs_are_executables(tmp_path, content):
    path = tmp_path / "a"
    path.write_bytes(content)
    assert inspect_artifact(path).kind == "executable"


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", "an empty file"),
        (b'{"steps": {}}', "JSON"),
        (b"\x1f\x8b\x08", "gzip"),
        (b"hello", "unknown content"),
        (ELF_PROGRAM[:40], "ends within its header"),
        (ELF_PROGRAM[:16] + b"\x01" + ELF_PROGRAM[17:], "no program"),
        (b"#!\nexit 0", "names no program"),
        (b"#!python3\n", "names no program"),
    ],
)
def test_other_content_is_refused_by_name(tmp_path, content, found):
    path = tmp_path / "a"
    path.write_bytes(content)
    with pytest.raises(InvalidInputError, match=found) as caught:
        inspect_artifact(path)
    assert str(path) in caught.value.message
    assert "ELF" in caught.value.message


def test_missing_file_and_directory_are_refused(tmp_path):
    with pytest.raises(InvalidInputError, match="No such file"):
        inspect_artifact(tmp_path / "absent")
    with pytest.raises(InvalidInputError, match="not a regular file"):
        inspect_artifact(tmp_path)


def test_truncated_artifact_is_refused(tmp_path):
    path = write_native(tmp_path / "a")
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(InvalidInputError, match="truncated"):
        inspect_artifact(path)


@pytest.mark.parametrize("length", [HEADER_BYTES + 10, 200])
def test_artifact_cut_in_its_index_is_refused(tmp_path, length):
    path = write_native(tmp_path / "a")
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(InvalidInputError, match="damaged"):
        inspect_artifact(path)


def test_newer_format_is_refused(tmp_path):
    path = write_native(tmp_path / "a")
    path.write_bytes(path.read_bytes().replace(b"artifact 1 ", b"artifact 7 ", 1))
    with pytest.raises(InvalidInputError, match="format 7"):
        inspect_artifact(path)


def test_unpacking_gives_a_command_and_shares_layers(tmp_path):
    layers = tmp_path / "layers"
    first = unpack_native_artifact(write_native(tmp_path / "a"), layers)
    other = layer_bytes(member("runtara-manifest.json", b'{"other": 1}'))
    second = unpack_native_artifact(write_native(tmp_path / "b", workflow=other), layers)
    assert first.base_directory == second.base_directory
    assert first.workflow_directory != second.workflow_directory
    assert first.command == [str(first.base_directory / "runtara-base"), str(first.workflow_directory)]
    assert (first.base_directory / "runtara-base").stat().st_mode & 0o111
    assert not (first.base_directory / "lib" / "a.so").stat().st_mode & 0o111
    assert sorted(path.name for path in layers.iterdir()) == sorted(
        {f"sha256-{first.base_digest}", f"sha256-{first.workflow_digest}", f"sha256-{second.workflow_digest}"}
    )


def test_parallel_unpacking_leaves_one_copy(tmp_path):
    path = write_native(tmp_path / "a")
    layers = tmp_path / "layers"
    threads = [threading.Thread(target=unpack_native_artifact, args=(path, layers)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert len(list(layers.iterdir())) == 2


def test_corrupt_layer_is_refused_and_leaves_nothing(tmp_path):
    path = write_native(tmp_path / "a")
    content = bytearray(path.read_bytes())
    content[-5] ^= 0xFF
    path.write_bytes(content)
    layers = tmp_path / "layers"
    with pytest.raises(InvalidInputError, match="base layer is damaged"):
        unpack_native_artifact(path, layers)
    assert list(layers.iterdir()) == []


@pytest.mark.parametrize(
    "evil",
    [
        member("../escaped"),
        member("/tmp/escaped"),
        member("lib/../../escaped"),
        member("link", kind=tarfile.SYMTYPE),
        member("hard", kind=tarfile.LNKTYPE),
        member("pipe", kind=tarfile.FIFOTYPE),
    ],
)
def test_members_that_leave_the_layer_are_refused(tmp_path, evil):
    layers = tmp_path / "inner" / "layers"
    path = write_native(tmp_path / "a", workflow=layer_bytes(member("good"), evil))
    with pytest.raises(InvalidInputError, match="refused the member"):
        unpack_native_artifact(path, layers)
    assert len(list(layers.iterdir())) == 1  # the base, which is sound
    assert not list(tmp_path.rglob("escaped"))


def test_a_member_cannot_be_written_twice(tmp_path):
    path = write_native(tmp_path / "a", workflow=layer_bytes(member("a"), member("a", b"other")))
    with pytest.raises(InvalidInputError, match="twice"):
        unpack_native_artifact(path, tmp_path / "layers")


def growing_layer(kind: str) -> bytes:
    """A few compressed bytes that a tar reader would make grow in memory."""
    information, tail = tarfile.TarInfo("a"), b""
    if kind in ("pax", "long name"):
        information.type = tarfile.XHDTYPE if kind == "pax" else tarfile.GNUTYPE_LONGNAME
        information.size = 64 << 20
        tail = b"x" * information.size
    elif kind == "negative":
        information.size = -512
    elif kind == "sparse":
        information.type = tarfile.GNUTYPE_SPARSE
    elif kind == "pax sparse":
        information.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0"}
        tail = b"9999999\n" + b"0\n" * (32 << 20)
        information.size = len(tail)
    form = tarfile.GNU_FORMAT if kind == "negative" else tarfile.PAX_FORMAT
    return gzip.compress(information.tobuf(form) + tail + bytes(1024), mtime=0, compresslevel=1)


@pytest.mark.parametrize("kind", ["pax", "long name", "negative", "sparse", "pax sparse"])
def test_a_layer_does_not_grow_in_memory(tmp_path, kind):
    path = write_native(tmp_path / "a", workflow=growing_layer(kind))
    tracemalloc.start()
    try:
        with pytest.raises(InvalidInputError, match="not a gzip-compressed tar file"):
            unpack_native_artifact(path, tmp_path / "layers")
        assert tracemalloc.get_traced_memory()[1] < 32 << 20
    finally:
        tracemalloc.stop()


def test_long_names_are_unpacked(tmp_path):
    name = "/".join(["d" * 100] * 5 + ["\u00fc"])
    path = write_native(tmp_path / "a", workflow=layer_bytes(member(name)))
    assert (unpack_native_artifact(path, tmp_path / "layers").workflow_directory / name).read_bytes() == b"x"


def test_a_zip_file_of_too_many_entries_is_refused(tmp_path):
    entry = b"PK\x01\x02" + bytes(42)
    entries = entry * (200_000)
    end = b"PK\x05\x06" + struct.pack("<4H2LH", 0, 0, 65_535, 65_535, len(entries), 0, 0)
    path = tmp_path / "a"
    path.write_bytes(entries + end)
    with pytest.raises(InvalidInputError, match="list of entries"):
        inspect_artifact(path)


def test_what_is_no_tar_file_is_refused(tmp_path):
    path = write_native(tmp_path / "a", workflow=gzip.compress(b"hello" * 1000))
    with pytest.raises(InvalidInputError, match="not a gzip-compressed tar file"):
        unpack_native_artifact(path, tmp_path / "layers")


def test_other_artifacts_cannot_be_unpacked(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"#!/bin/sh\nexit 0\n")
    with pytest.raises(InvalidInputError, match="not a native artifact"):
        unpack_native_artifact(path, tmp_path / "layers")
