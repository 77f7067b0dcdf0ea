"""Archives: packed and unpacked, by other programs too, and attacks."""

from __future__ import annotations

import base64
import gzip
import io
import shutil
import subprocess
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from runtara_agents_csv_xml import compression_agent
from runtara_sdk.agents import AgentError, CapabilityContext
from runtara_sdk.agents.workspace import Workspace

FORMATS = ["zip", "tar", "tar.gz", "tar.bz2", "tar.xz"]


@pytest.fixture
def context(tmp_path: Path) -> CapabilityContext:
    return CapabilityContext(workspace=Workspace(tmp_path / "w"))


async def run(capability: str, context: CapabilityContext | None = None, **inputs: Any) -> Any:
    return await compression_agent.invoke(capability, inputs, context)


async def code_of(capability: str, context: CapabilityContext | None = None, **inputs: Any) -> str:
    with pytest.raises(AgentError) as caught:
        await run(capability, context, **inputs)
    return caught.value.code


def encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()


def program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed: apt-get install {name}")
    return found


@pytest.mark.parametrize("kind", FORMATS)
async def test_what_is_packed_is_unpacked(kind: str, context: CapabilityContext) -> None:
    files = [
        {"file": encoded(b"one"), "path": "a/ünïcode.txt"},
        {"file": {"content": encoded(b"two" * 1000), "filename": "b.csv"}},
        {"file": encoded(b"")},
    ]
    archive = await run("create-archive", files=files, format=kind)
    assert archive == await run("create-archive", files=files, format=kind), "the same bytes"
    listed = await run("list-archive", archive=archive)
    assert [(entry["path"], entry["size"]) for entry in listed["entries"]] == [
        ("a/ünïcode.txt", 3),
        ("b.csv", 3000),
        ("file", 0),
    ]
    assert (listed["totalCount"], listed["totalSize"], listed["format"]) == (3, 3003, kind)
    unpacked = await run("extract-archive", archive=archive)
    contents = [base64.b64decode(each["file"]["content"]) for each in unpacked["files"]]
    assert contents == [b"one", b"two" * 1000, b""]
    assert unpacked["files"][1]["file"]["mimeType"] == "text/csv"
    placed = await run("extract-archive", context, archive=archive, output="file", directory="in")
    assert placed["files"][0]["file"]["$file"] == "in/a/ünïcode.txt"
    with context.require_workspace().open("in/b.csv") as stream:
        assert stream.read() == b"two" * 1000
    for path in ("a/ünïcode.txt", "/a/ünïcode.txt", "a\\ünïcode.txt"):
        assert (await run("extract-file", archive=archive, filePath=path))["content"] == encoded(b"one")
    assert (await run("extract-file", context, archive=archive, file_path="b.csv", save_to="x"))["size"] == 3000
    assert await code_of("extract-file", archive=archive, file_path="nothing") == "ARCHIVE_FILE_NOT_FOUND"


async def test_archives_of_other_programs(tmp_path: Path, context: CapabilityContext) -> None:
    source = tmp_path / "source"
    (source / "sub").mkdir(parents=True)
    (source / "a.txt").write_text("a" * 5000)
    (source / "sub" / "b.txt").write_text("b")
    commands = {
        "made.zip": [program("zip"), "-q", "-r", "made.zip", "a.txt", "sub"],
        "made.tar": [program("tar"), "cf", "made.tar", "a.txt", "sub"],
        "made.tar.gz": [program("tar"), "czf", "made.tar.gz", "a.txt", "sub"],
        "made.tar.xz": [program("tar"), "cJf", "made.tar.xz", "a.txt", "sub"],
    }
    for name, command in commands.items():
        subprocess.run(command, cwd=source, check=True, timeout=60)
        unpacked = await run("extract-archive", archive=encoded((source / name).read_bytes()))
        assert {each["path"].rstrip("/") for each in unpacked["files"]} == {"a.txt", "sub", "sub/b.txt"}
        directory = {"archive": encoded((source / name).read_bytes()), "file_path": "sub"}
        assert await code_of("extract-file", **directory) == "ARCHIVE_IS_DIRECTORY"


async def test_other_programs_read_what_is_packed(tmp_path: Path, context: CapabilityContext) -> None:
    files = [{"file": encoded(b"hello\n"), "path": "a/b.txt"}]
    for kind, command in (("zip", [program("unzip"), "-q"]), ("tar.gz", [program("tar"), "xf"])):
        path = f"made.{kind}"
        await run("create-archive", context, files=files, format=kind, path=path)
        target = tmp_path / kind
        target.mkdir()
        archive = context.require_workspace().path(path)
        subprocess.run([*command, str(archive)], cwd=target, check=True, timeout=60)
        assert (target / "a" / "b.txt").read_text() == "hello\n"


def zip_of(*entries: tuple[str, bytes], mode: int = 0) -> str:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries:
            item = zipfile.ZipInfo(name)
            item.compress_type = zipfile.ZIP_DEFLATED
            item.external_attr = mode << 16
            archive.writestr(item, content)
    return encoded(buffer.getvalue())


def tar_of(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> str:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        item = tarfile.TarInfo(name)
        item.type, item.linkname = kind, link
        archive.addfile(item)
    return encoded(buffer.getvalue())


@pytest.mark.parametrize(
    "archive",
    [
        *(zip_of((name, b"x")) for name in ("../x", "a/../../x", "/etc/x", "C:\\x", "..\\x")),
        zip_of(("link", b"/etc/passwd"), mode=0o120777),
        *(tar_of(name) for name in ("../x", "/etc/x")),
        tar_of("link", tarfile.SYMTYPE, "/etc/passwd"),
        tar_of("link", tarfile.LNKTYPE, "x"),
        tar_of("device", tarfile.CHRTYPE),
        tar_of("pipe", tarfile.FIFOTYPE),
    ],
)
async def test_nothing_lands_outside(archive: str, context: CapabilityContext, tmp_path: Path) -> None:
    options = {"archive": archive, "output": "file", "directory": "in"}
    assert await code_of("extract-archive", context, **options) == "ARCHIVE_UNSAFE_PATH"
    skipped = await run("extract-archive", context, **options, on_unsafe="skip")
    assert (skipped["count"], len(skipped["skipped"])) == (0, 1)
    assert not (tmp_path / "w" / "in").exists()
    assert (await run("list-archive", archive=archive))["totalCount"] == 1


async def test_bombs() -> None:
    flat = zip_of(("zeros", b"0" * 100_000_000))
    assert await code_of("extract-archive", archive=flat) == "ARCHIVE_TOO_LARGE"
    assert await code_of("extract-file", archive=flat, file_path="zeros") == "ARCHIVE_TOO_LARGE"
    many = zip_of(*((f"{number}", b"") for number in range(200)))
    assert await code_of("list-archive", archive=many, max_entries=100) == "ARCHIVE_TOO_LARGE"
    small = zip_of(("a", b"x" * 1000), ("b", b"x" * 1000))
    assert await code_of("extract-archive", archive=small, max_entry_bytes=999) == "ARCHIVE_TOO_LARGE"
    assert await code_of("extract-archive", archive=small, max_total_bytes=1999) == "ARCHIVE_TOO_LARGE"
    packed = gzip.compress(b"0" * 300_000_000)
    for kind in ("tar.gz", None):
        assert await code_of("list-archive", archive=encoded(packed), format=kind) in {
            "ARCHIVE_UNSUPPORTED_FORMAT",
            "ARCHIVE_DECODE_ERROR",
        }
    assert await code_of("decompress", data=encoded(packed), max_ratio=100) == "ARCHIVE_TOO_LARGE"
    nested = zip_of(("inner.zip", base64.b64decode(flat)))
    assert (await run("extract-archive", archive=nested))["count"] == 1, "what is within is not unpacked by itself"


async def test_an_entry_that_lies_about_its_size() -> None:
    content = bytearray(base64.b64decode(zip_of(("a", b"x" * 3_000_000))))
    for at in (22, content.index(b"PK\x01\x02") + 24):  # the size in both headers
        content[at : at + 4] = (10).to_bytes(4, "little")
    assert await code_of("extract-archive", archive=encoded(bytes(content))) == "ARCHIVE_READ_ERROR"


async def test_what_is_no_archive() -> None:
    assert await code_of("list-archive", archive=encoded(b"nothing")) == "ARCHIVE_UNSUPPORTED_FORMAT"
    assert await code_of("list-archive", archive=encoded(b"PK\x03\x04nothing")) == "ARCHIVE_DECODE_ERROR"
    assert await code_of("list-archive", archive=encoded(b"nothing"), format="tar") == "ARCHIVE_DECODE_ERROR"
    damaged = bytearray(base64.b64decode(zip_of(("a", b"some content" * 100))))
    damaged[45] ^= 0xFF
    assert await code_of("extract-archive", archive=encoded(bytes(damaged))) == "ARCHIVE_READ_ERROR"
    assert await code_of("create-archive", files=[]) == "ARCHIVE_NO_FILES"
    for path in ("../x", "/x", "a/", "."):
        assert await code_of("create-archive", files=[{"file": "", "path": path}]) == "ARCHIVE_WRITE_ERROR"
    twice = [{"file": "", "path": "a"}, {"file": "", "path": "a"}]
    assert await code_of("create-archive", files=twice) == "ARCHIVE_WRITE_ERROR"
    assert await code_of("extract-archive", archive=zip_of(), output="file") == "ARCHIVE_INVALID_OPTION"


async def test_an_encrypted_zip_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("secret")
    command = [program("zip"), "-q", "-P", "word", "made.zip", "a.txt"]
    subprocess.run(command, cwd=tmp_path, check=True, timeout=60)
    archive = encoded((tmp_path / "made.zip").read_bytes())
    assert await code_of("extract-archive", archive=archive) == "ARCHIVE_ENCRYPTED"


@settings(max_examples=30)
@given(st.binary(max_size=2000), st.sampled_from(["gzip", "bzip2", "xz"]), st.integers(0, 9))
async def test_what_is_compressed_is_decompressed(content: bytes, kind: str, level: int) -> None:
    packed = await run("compress", data=encoded(content), format=kind, compression_level=level)
    assert base64.b64decode((await run("decompress", data=packed, format=kind))["content"]) == content


async def test_single_files(context: CapabilityContext) -> None:
    stored = await run("compress", context, text="hi\n" * 1000, path="a.txt.gz")
    assert stored["mimeType"] == "application/gzip"
    back = await run("decompress", context, data=stored, save_to="a.txt")
    assert (back["size"], back["mimeType"]) == (3000, "text/plain")
    assert (await run("decompress", context, data=stored))["filename"] == "a.txt"
    assert await code_of("decompress", data=encoded(b"nothing"), format="gzip") == "ARCHIVE_DECODE_ERROR"
    assert await code_of("decompress", data=encoded(b"nothing")) == "ARCHIVE_UNSUPPORTED_FORMAT"
    assert await code_of("compress") == "INPUT_MISSING"
