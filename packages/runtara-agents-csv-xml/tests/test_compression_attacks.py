"""Archives that are made to harm: bombs of every kind, paths that lead out, headers that lie."""

from __future__ import annotations

import base64
import bz2
import gzip
import io
import lzma
import struct
import tarfile
import zipfile
import zlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from runtara_agents_csv_xml import compression_agent
from runtara_sdk.agents import AgentError, CapabilityContext
from runtara_sdk.agents.workspace import Workspace


@pytest.fixture
def context(tmp_path: Path) -> CapabilityContext:
    return CapabilityContext(workspace=Workspace(tmp_path / "w"))


async def run(capability: str, context: CapabilityContext | None = None, **inputs: Any) -> Any:
    return await compression_agent.invoke(capability, inputs, context)


async def error_of(capability: str, context: CapabilityContext | None = None, **inputs: Any) -> AgentError:
    with pytest.raises(AgentError) as caught:
        await run(capability, context, **inputs)
    return caught.value


def encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()


def tar_bytes(*entries: tarfile.TarInfo | tuple[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for entry in entries:
            if isinstance(entry, tarfile.TarInfo):
                archive.addfile(entry, io.BytesIO(b"\0" * entry.size))
                continue
            item = tarfile.TarInfo(entry[0])
            item.size = len(entry[1])
            archive.addfile(item, io.BytesIO(entry[1]))
    return buffer.getvalue()


def zip_bytes(*entries: tuple[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries:
            archive.writestr(name, content)
    return buffer.getvalue()


def overlapping_bomb(files: int, size: int) -> bytes:
    """Entries whose directory points all of them at the same compressed bytes."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    kernel = packer.compress(b"\0" * size) + packer.flush()
    checksum = zlib.crc32(b"\0" * size)
    fields = (20, 0, 8, 0, 33, checksum, len(kernel), size, 1, 0)
    local = b"PK\x03\x04" + struct.pack("<HHHHHLLLHH", *fields) + b"a" + kernel
    directory = b"".join(
        b"PK\x01\x02" + struct.pack("<HHHHHHLLLHHHHHLL", 20, *fields, 0, 0, 0, 0, 0) + b"a" for _ in range(files)
    )
    end = b"PK\x05\x06" + struct.pack("<HHHHLLH", 0, 0, files, files, len(directory), len(local), 0)
    return local + directory + end


async def test_a_bomb_of_entries_that_share_their_bytes(context: CapabilityContext) -> None:
    bomb = encoded(overlapping_bomb(100, 1_000_000))
    listed = await run("list-archive", archive=bomb)
    assert listed["totalSize"] == 100_000_000
    assert sum(entry["problem"] is not None for entry in listed["entries"]) == 100
    error = await error_of("extract-archive", context, archive=bomb, directory="in")
    assert error.code == "ARCHIVE_READ_ERROR"
    assert "shares its bytes" in error.message
    skipped = await run("extract-archive", context, archive=bomb, directory="in", on_unsafe="skip")
    assert skipped["skipped"][0]["code"] == "ARCHIVE_READ_ERROR"
    assert (await run("extract-archive", archive=encoded(overlapping_bomb(1, 1000))))["count"] == 1


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
async def test_flat_bombs_of_tars(pack: Any, context: CapabilityContext) -> None:
    bomb = encoded(pack(tar_bytes(("zeros", b"\0" * 60_000_000))))
    for capability, more in (
        ("extract-archive", {"directory": "in"}),
        ("extract-file", {"file_path": "other"}),
        ("extract-file", {"file_path": "zeros", "save_to": "zeros"}),
        ("list-archive", {}),
    ):
        assert (await error_of(capability, context, archive=bomb, **more)).code == "ARCHIVE_TOO_LARGE"
    assert [path for path in (context.require_workspace().root).rglob("*") if path.is_file()] == []


async def test_bombs_of_holes() -> None:
    """A sparse file has no bytes in the archive at all."""
    header = tarfile.TarInfo("holes")
    header.pax_headers = {
        "GNU.sparse.major": "0",
        "GNU.sparse.minor": "1",
        "GNU.sparse.name": "holes",
        "GNU.sparse.size": str(2**33),
        "GNU.sparse.numblocks": "1",
        "GNU.sparse.map": f"{2**33},0",
    }
    error = await error_of("extract-archive", archive=encoded(tar_bytes(header)))
    assert error.code == "ARCHIVE_TOO_LARGE"


async def test_bombs_of_entries() -> None:
    many = zip_bytes(*((f"{number}", b"") for number in range(300)))
    tar = tar_bytes(*((f"{number}", b"") for number in range(300)))
    for archive in (many, tar, gzip.compress(tar)):
        error = await error_of("list-archive", archive=encoded(archive), max_entries=200)
        assert (error.code, error.attributes["limit"]) == ("ARCHIVE_TOO_LARGE", "200")
    lying = bytearray(many)
    at = many.rindex(b"PK\x05\x06")
    lying[at + 8 : at + 12] = struct.pack("<HH", 1, 1)
    assert (await error_of("list-archive", archive=encoded(bytes(lying)), max_entries=200)).code in {
        "ARCHIVE_TOO_LARGE",
        "ARCHIVE_DECODE_ERROR",
    }


async def test_a_directory_too_large_to_be_read(context: CapabilityContext) -> None:
    """What says that it has many entries is refused before its directory takes memory."""
    path = context.require_workspace().path("many.zip")
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(70_000):  # more than the old form can count
            archive.writestr(zipfile.ZipInfo(f"{number}"), b"")
    error = await error_of("list-archive", context, archive={"$file": "many.zip"})
    assert error.code == "ARCHIVE_TOO_LARGE"
    listed = await run("list-archive", context, archive={"$file": "many.zip"}, max_entries=100_000)
    assert listed["totalCount"] == 70_000


async def test_xz_that_asks_for_too_much_memory() -> None:
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 512 * 1024 * 1024}]
    packed = lzma.compress(b"x", filters=filters)
    error = await error_of("decompress", data=encoded(packed), format="xz")
    assert error.code == "ARCHIVE_TOO_LARGE"
    assert "memory" in error.message


async def test_xz_of_several_parts() -> None:
    packed = lzma.compress(b"one ") + b"\0" * 8 + lzma.compress(b"two")
    assert base64.b64decode((await run("decompress", data=encoded(packed)))["content"]) == b"one two"
    for cut in (packed[:20], packed[:-3]):
        assert (await error_of("decompress", data=encoded(cut), format="xz")).code == "ARCHIVE_DECODE_ERROR"
    assert (await error_of("decompress", data="", format="xz")).code == "ARCHIVE_DECODE_ERROR"


async def test_a_symbolic_link_and_then_a_file_behind_it(tmp_path: Path, context: CapabilityContext) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    link = tarfile.TarInfo("door")
    link.type, link.linkname = tarfile.SYMTYPE, str(outside)
    archive = encoded(tar_bytes(link, ("door/file", b"x")))
    assert (await error_of("extract-archive", context, archive=archive, directory="")).code == "ARCHIVE_UNSAFE_PATH"
    result = await run("extract-archive", context, archive=archive, directory="", on_unsafe="skip")
    assert [each["path"] for each in result["skipped"]] == ["door"]
    assert list(outside.iterdir()) == []
    # A link that lies in the workspace already leads nowhere, either.
    (context.require_workspace().path("trap")).symlink_to(outside)
    behind = encoded(tar_bytes(("trap/file", b"x")))
    assert (await error_of("extract-archive", context, archive=behind, directory="")).code == "ARCHIVE_UNSAFE_PATH"
    assert list(outside.iterdir()) == []


async def test_paths_that_the_workspace_keeps_for_itself(context: CapabilityContext) -> None:
    for name in (".partial/x", "a\nb", "n" * 300):
        archive = encoded(tar_bytes((name, b"x"), ("good", b"y")))
        assert (await error_of("extract-archive", context, archive=archive, directory="")).code == "ARCHIVE_UNSAFE_PATH"
        result = await run("extract-archive", context, archive=archive, directory="", on_unsafe="skip")
        assert [each["path"] for each in result["files"]] == ["good"], "the rest is unpacked"


async def test_nothing_of_a_zip_is_unpacked_when_one_entry_is_unsafe(context: CapabilityContext) -> None:
    archive = encoded(zip_bytes(("good", b"x"), ("../bad", b"y")))
    assert (await error_of("extract-archive", context, archive=archive, directory="in")).code == "ARCHIVE_UNSAFE_PATH"
    assert not context.require_workspace().path("in").exists()
    result = await run("extract-archive", context, archive=archive, directory="in", on_unsafe="skip")
    assert [each["path"] for each in result["files"]] == ["good"]
    assert result["skipped"][0] == {
        "path": "../bad",
        "code": "ARCHIVE_UNSAFE_PATH",
        "reason": "would land outside of where it is unpacked",
    }


async def test_a_damaged_header_is_not_the_end(context: CapabilityContext) -> None:
    """tarfile takes a header with a wrong checksum for the end, and the rest of the archive would be lost."""
    content = bytearray(tar_bytes(("one", b"1"), ("two", b"2"), ("three", b"3")))
    content[1024] ^= 0xFF  # of the name of the second one
    error = await error_of("extract-archive", context, archive=encoded(bytes(content)), directory="in")
    assert error.code == "ARCHIVE_READ_ERROR"
    for size in (512 + 200, 1024 + 100, 1536 + 10):
        cut = bytes(tar_bytes(("one", b"1" * 600), ("two", b"2")))[:size]
        error = await error_of("extract-archive", context, archive=encoded(cut), directory="in")
        assert error.code in {"ARCHIVE_READ_ERROR", "ARCHIVE_DECODE_ERROR"}, size


async def test_headers_of_impossible_sizes() -> None:
    def with_size(kind: bytes, field: bytes) -> bytes:
        item = tarfile.TarInfo("x")
        item.type = kind
        block = bytearray(item.tobuf(tarfile.GNU_FORMAT))
        block[124:136] = field
        block[148:156] = b" " * 8
        block[148:156] = b"%06o\0 " % sum(block)
        return bytes(block) + b"\0" * 1024

    negative = b"\xff" * 12
    huge = b"\x80" + (2**40).to_bytes(11, "big")
    for archive in (with_size(tarfile.REGTYPE, negative), with_size(tarfile.XHDTYPE, huge)):
        error = await error_of("list-archive", archive=encoded(archive), format="tar")
        assert error.code in {"ARCHIVE_DECODE_ERROR", "ARCHIVE_READ_ERROR"}


async def test_names_of_other_encodings(context: CapabilityContext) -> None:
    japanese = "見積.csv".encode("cp932")
    raw = zip_bytes(("A" * len(japanese), b"x")).replace(b"A" * len(japanese), japanese)
    listed = await run("list-archive", archive=encoded(raw), name_encoding="cp932")
    assert listed["entries"][0]["path"] == "見積.csv"
    utf8 = "größe.csv".encode()
    unmarked = zip_bytes(("B" * len(utf8), b"x")).replace(b"B" * len(utf8), utf8)
    assert (await run("list-archive", archive=encoded(unmarked)))["entries"][0]["path"] == "größe.csv"
    item = tarfile.TarInfo("gr\udcfc\udcdfe")
    item.size = 1
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT, errors="surrogateescape") as archive:
        archive.addfile(item, io.BytesIO(b"x"))
    placed = await run("extract-archive", context, archive=encoded(buffer.getvalue()), directory="in")
    assert placed["files"][0]["path"] == "grüße"
    error = await error_of("list-archive", archive=encoded(raw), name_encoding="base64")
    assert error.code == "ARCHIVE_INVALID_OPTION"


async def test_an_entry_without_a_name() -> None:
    named = zip_bytes(("ab", b"x"))
    at = named.index(b"PK\x01\x02")
    directory = bytearray(named[at:])
    directory[28:30] = b"\0\0"  # the length of the name
    del directory[46:48]
    end = directory.index(b"PK\x05\x06")
    directory[end + 12 : end + 16] = struct.pack("<L", end)
    nameless = encoded(named[:at] + bytes(directory))
    assert (await run("list-archive", archive=nameless))["entries"][0]["problem"] == "has no name"
    assert (await error_of("extract-archive", archive=nameless)).code == "ARCHIVE_UNSAFE_PATH"


async def test_of_one_path_the_last_entry_counts(context: CapabilityContext) -> None:
    archive = encoded(tar_bytes(("a", b"old"), ("./a", b"newer")))
    result = await run("extract-archive", context, archive=archive, directory="in")
    assert [(each["path"], each["size"]) for each in result["files"]] == [("a", 5)]
    with context.require_workspace().open("in/a") as stream:
        assert stream.read() == b"newer"


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
async def test_damage_is_an_error_of_the_archive(data: st.DataObject) -> None:
    entries = (("a/b.txt", b"some text " * 30), ("ü.txt", b""))
    kinds = [zip_bytes(*entries), tar_bytes(*entries), gzip.compress(tar_bytes(*entries)), lzma.compress(b"x" * 500)]
    content = bytearray(data.draw(st.sampled_from(kinds)))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    archive = encoded(bytes(content[: data.draw(st.integers(0, len(content)))]))
    for capability, inputs in (
        ("list-archive", {"archive": archive}),
        ("extract-archive", {"archive": archive}),
        ("extract-file", {"archive": archive, "file_path": "a/b.txt"}),
        ("decompress", {"data": archive}),
    ):
        try:
            await run(capability, **inputs)
        except AgentError as error:
            assert error.code.startswith("ARCHIVE_"), error
