"""Archives of other programs, and other programs with ours."""

from __future__ import annotations

import base64
import io
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest
from runtara_agents_csv_xml import compression_agent
from runtara_sdk.agents import AgentError, CapabilityContext
from runtara_sdk.agents.workspace import Workspace

CONTENTS = {"a.txt": "a" * 5000, "sub/b.txt": "b", "sub/größe ünd.txt": "ü"}


@pytest.fixture
def context(tmp_path: Path) -> CapabilityContext:
    return CapabilityContext(workspace=Workspace(tmp_path / "w"))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    for name, content in CONTENTS.items():
        path = tmp_path / "source" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return tmp_path / "source"


async def run(capability: str, context: CapabilityContext | None = None, **inputs: Any) -> Any:
    return await compression_agent.invoke(capability, inputs, context)


def call(directory: Path, program: str, *arguments: str) -> None:
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed: apt-get install zip unzip tar gzip bzip2 xz-utils p7zip-full")
    subprocess.run([program, *arguments], cwd=directory, check=True, timeout=60, stdout=subprocess.DEVNULL)


# Made beside what they hold: tar complains of a directory that changes while it is read.
MADE = {
    "made.zip": ("zip", "-q", "-r", "../made.zip", "."),
    "stored.zip": ("zip", "-q", "-0", "-r", "../stored.zip", "."),
    "bzip2.zip": ("zip", "-q", "-Z", "bzip2", "-r", "../bzip2.zip", "."),
    "streamed.zip": ("sh", "-c", "zip -q -r - . > ../streamed.zip"),
    "made.tar": ("tar", "cf", "../made.tar", "."),
    "gnu.tar": ("tar", "--format=gnu", "-cf", "../gnu.tar", "a.txt", "sub"),
    "ustar.tar": ("tar", "--format=ustar", "-cf", "../ustar.tar", "a.txt", "sub"),
    "v7.tar": ("tar", "--format=v7", "-cf", "../v7.tar", "a.txt", "sub"),
    "pax.tar": ("tar", "--format=pax", "-cf", "../pax.tar", "a.txt", "sub"),
    "made.tar.gz": ("tar", "czf", "../made.tar.gz", "."),
    "made.tar.bz2": ("tar", "cjf", "../made.tar.bz2", "."),
    "made.tar.xz": ("tar", "cJf", "../made.tar.xz", "."),
    "seven.zip": ("7z", "a", "-tzip", "../seven.zip", "a.txt", "sub"),
    "lzma.zip": ("7z", "a", "-tzip", "-mm=LZMA", "../lzma.zip", "a.txt", "sub"),
    "seven.tar": ("7z", "a", "-ttar", "../seven.tar", "a.txt", "sub"),
}


@pytest.mark.parametrize("name", MADE)
async def test_archives_of_other_programs(name: str, source: Path, context: CapabilityContext) -> None:
    call(source, *MADE[name])
    shutil.copy(source.parent / name, context.require_workspace().path(name))
    result = await run("extract-archive", context, archive={"$file": name}, directory="in")
    contents = {
        each["path"]: context.require_workspace().path(each["file"]["$file"]).read_text()
        for each in result["files"]
        if not each["isDirectory"]
    }
    assert contents == CONTENTS
    only = await run("extract-archive", context, archive={"$file": name}, include=["*/b.t?t"])
    assert [each["path"] for each in only["files"]] == ["sub/b.txt"]
    for path in ("sub/b.txt", "./sub/b.txt", "/sub\\b.txt"):
        one = await run("extract-file", context, archive={"$file": name}, file_path=path)
        assert base64.b64decode(one["content"]) == b"b"


@pytest.mark.parametrize("level", [0, 6])
@pytest.mark.parametrize(
    ("kind", "commands"),
    [
        ("zip", [("unzip", "-q"), ("7z", "x", "-y"), (sys.executable, "-m", "zipfile", "-e")]),
        ("tar", [("tar", "xf"), ("7z", "x", "-y"), (sys.executable, "-m", "tarfile", "-e")]),
        ("tar.gz", [("tar", "xzf")]),
        ("tar.bz2", [("tar", "xjf")]),
        ("tar.xz", [("tar", "xJf")]),
    ],
)
async def test_other_programs_read_what_is_packed(
    kind: str, commands: list[tuple[str, ...]], level: int, tmp_path: Path, context: CapabilityContext
) -> None:
    files = [{"file": base64.b64encode(content.encode()).decode(), "path": name} for name, content in CONTENTS.items()]
    options = {"files": files, "format": kind, "compressionLevel": level}
    reference = await run("create-archive", context, **options, path=f"made.{kind}")
    data = await run("create-archive", **options, archiveName="other")
    packed = context.require_workspace().path(reference["$file"])
    assert base64.b64decode(data["content"]) == packed.read_bytes(), "the same bytes wherever they go"
    assert data["filename"] == "other"
    for number, command in enumerate(commands):
        target = tmp_path / f"{number}"
        target.mkdir()
        rest = ["."] if command[0] == sys.executable else []
        call(target, command[0], *command[1:], str(packed), *rest)
        found = {str(each.relative_to(target)): each.read_text() for each in target.rglob("*") if each.is_file()}
        assert found == CONTENTS


@pytest.mark.parametrize(("kind", "program"), [("gzip", "gzip"), ("bzip2", "bzip2"), ("xz", "xz")])
async def test_single_files_of_other_programs(
    kind: str, program: str, tmp_path: Path, context: CapabilityContext
) -> None:
    (tmp_path / "a").write_text("text\n" * 10_000)
    call(tmp_path, program, "-k", "a")
    packed = next(path for path in tmp_path.iterdir() if path.name.startswith("a."))
    shutil.copy(packed, context.require_workspace().path("packed"))
    back = await run("decompress", context, data={"$file": "packed"}, save_to="back", output="file")
    assert back["size"] == 50_000
    ours = await run("compress", context, data={"$file": "back"}, format=kind, path="ours")
    shutil.copy(context.require_workspace().path(ours["$file"]), tmp_path / f"b{packed.suffix}")
    call(tmp_path, program, "-d", f"b{packed.suffix}")
    assert (tmp_path / "b").read_text() == "text\n" * 10_000


async def test_a_program_that_unpacks_itself(context: CapabilityContext) -> None:
    buffer = io.BytesIO(b"#!/bin/sh\necho not for you\n")
    buffer.seek(0, 2)
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.writestr("a", "x")
    assert (await run("list-archive", archive=base64.b64encode(buffer.getvalue()).decode()))["format"] == "zip"


async def test_what_cannot_be_read_is_named(source: Path) -> None:
    call(source, "7z", "a", "made.7z", "a.txt")
    call(source, "7z", "a", "-tzip", "-mm=Deflate64", "odd.zip", "a.txt")
    call(source, "7z", "a", "-tzip", "-psecret", "-mem=AES256", "locked.zip", "a.txt")
    call(source, "gzip", "-k", "a.txt")
    codes = {}
    for name in ("made.7z", "odd.zip", "locked.zip", "a.txt.gz"):
        content = base64.b64encode((source / name).read_bytes()).decode()
        with pytest.raises(AgentError) as caught:
            await run("extract-archive", archive=content)
        codes[name] = caught.value.code
        if name == "made.7z":
            assert "7z" in caught.value.message
        if name == "a.txt.gz":
            assert "decompress" in caught.value.message
    assert codes == {
        "made.7z": "ARCHIVE_UNSUPPORTED_FORMAT",
        "odd.zip": "ARCHIVE_UNSUPPORTED_FORMAT",
        "locked.zip": "ARCHIVE_ENCRYPTED",
        "a.txt.gz": "ARCHIVE_UNSUPPORTED_FORMAT",
    }


async def test_short_names_of_formats_and_options(context: CapabilityContext) -> None:
    files = [{"file": "eA==", "path": "a"}]
    for short, long in (("tgz", "tar.gz"), (".TXZ", "tar.xz")):
        archive = await run("create-archive", files=files, format=short)
        assert (await run("list-archive", archive=archive, format=short))["format"] == long
        assert archive["filename"] == f"archive.{long}"
    for options in ({"output": "file"}, {"output": "data", "path": "x"}):
        with pytest.raises(AgentError) as caught:
            await run("create-archive", context, files=files, **options)
        assert caught.value.code == "ARCHIVE_INVALID_OPTION"


async def test_many_small_files(context: CapabilityContext) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for number in range(1000):
            archive.addfile(tarfile.TarInfo(f"{number % 10}/{number}"))
    with context.require_workspace().create("many.tar") as file:
        file.write(buffer.getvalue())
        file.commit()
    result = await run("extract-archive", context, archive={"$file": "many.tar"}, directory="in")
    assert result["count"] == 1000
