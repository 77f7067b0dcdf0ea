"""Files on a real server: reading, writing, listing, moving, removing."""

from __future__ import annotations

import base64
import hashlib
import os
from pathlib import Path
from typing import Any

import pytest
from runtara_sdk.agents import AgentError, CapabilityContext

from .conftest import Call, code_of

NAMES = [
    "plain.csv",
    "with blank.csv",
    "ünïcode ☃.csv",
    "new\nline.csv",
    "gl*b[1]?.csv",
    "-dash",
    "'quote\"",
    ".hidden",
]


@pytest.mark.parametrize("name", NAMES)
async def test_any_name_is_written_read_moved_and_removed(name: str, files: Path, call: Call) -> None:
    path = f"{files}/{name}"
    assert await call("sftp-upload-file", path=path, content="é\n") == 3
    assert (files / name).read_text() == "é\n"
    assert await call("sftp-download-file", path=path) == "é\n"
    assert [entry["name"] for entry in await call("sftp-list-files", path=str(files))] == [name]
    assert await call("sftp-move-file", source=path, destination=f"{path}.moved") == {
        "source": path,
        "destination": f"{path}.moved",
    }
    assert await call("sftp-delete-file", path=f"{path}.moved", context=CapabilityContext()) == {
        "success": True,
        "path": f"{path}.moved",
    }
    assert not list(files.iterdir())


async def test_forms_of_content(files: Path, call: Call, context: CapabilityContext) -> None:
    path = f"{files}/a.bin"
    content = bytes(range(256))
    encoded = base64.b64encode(content).decode()
    with context.require_workspace().create("out/a.bin") as file:
        file.write(content)
        file.commit()
    for given in (
        {"content": encoded, "content_format": "base64"},
        {"data": {"content": encoded}},
        {"data": {"$file": "out/a.bin"}},
        {"content": {"$file": "out/a.bin"}},
        {"data": list(content)},
    ):
        assert await call("sftp-upload-file", path=path, output="object", **given) == {"path": path, "size": 256}
        assert (files / "a.bin").read_bytes() == content
    assert await call("sftp-download-file", path=path, response_format="base64") == encoded
    assert await call("sftp-download-file", path=path, response_format="file") == {
        "content": encoded,
        "filename": "a.bin",
        "mimeType": None,
    }
    assert await call("sftp-download-file", path=path, offset=254, encoding="latin-1") == "þÿ"
    assert await code_of(call, "sftp-download-file", path=path, strict=True) == "SFTP_NOT_TEXT"
    assert await code_of(call, "sftp-download-file", path=path, max_bytes=255) == "SFTP_FILE_TOO_LARGE"
    assert await code_of(call, "sftp-upload-file", path=path) == "SFTP_INVALID_CONTENT"
    invalid = {"content": "§", "content_format": "base64"}
    assert await code_of(call, "sftp-upload-file", path=path, **invalid) == "SFTP_INVALID_CONTENT"


@pytest.mark.parametrize("size", [0, 1, 32768, 5_000_001, 40_000_000])
async def test_sizes(size: int, files: Path, call: Call, context: CapabilityContext) -> None:
    content = os.urandom(min(size, 1_000_003)) * (size // 1_000_003 + 1)
    content = content[:size]
    (files / "in").write_bytes(content)
    result = await call("sftp-download-file", path=f"{files}/in", save_to="in/copy")
    digest = hashlib.sha256(content).hexdigest()
    assert (result["size"], result["sha256"], result["file"]["$file"]) == (size, digest, "in/copy")
    await call("sftp-upload-file", path=f"{files}/out", data=result["file"])
    assert hashlib.sha256((files / "out").read_bytes()).hexdigest() == digest
    assert sorted(path.name for path in files.iterdir()) == ["in", "out"]


async def test_what_is_there_is_replaced_or_not(files: Path, call: Call) -> None:
    path = f"{files}/a"
    await call("sftp-upload-file", path=path, content="old")
    inode = (files / "a").stat().st_ino
    await call("sftp-upload-file", path=path, content="new", mode=0o600)
    assert (files / "a").read_text() == "new"
    assert (files / "a").stat().st_ino != inode, "a new file took the name"
    assert (files / "a").stat().st_mode & 0o777 == 0o600
    assert await code_of(call, "sftp-upload-file", path=path, content="no!", overwrite=False) == "SFTP_ALREADY_EXISTS"
    assert await call("sftp-upload-file", path=path, content="new", overwrite=False) == 3, "its own, run again"
    assert await call("sftp-upload-file", path=f"{files}/b", content="b", overwrite=False) == 1
    await call("sftp-upload-file", path=path, content="in place", atomic=False)
    assert (files / "a").read_text() == "in place"
    assert sorted(each.name for each in files.iterdir()) == ["a", "b"]


async def test_directories(files: Path, call: Call) -> None:
    path = f"{files}/a/b/c.txt"
    assert await code_of(call, "sftp-upload-file", path=path, content="x") == "SFTP_FILE_NOT_FOUND"
    await call("sftp-upload-file", path=path, content="x", create_dirs=True)
    made = await call("sftp-create-directory", path=f"{files}/d/e/")
    assert made == {"path": f"{files}/d/e/", "created": True}
    assert not (await call("sftp-create-directory", path=f"{files}/d/e"))["created"]
    assert await code_of(call, "sftp-create-directory", path=f"{files}/x/y", parents=False) == "SFTP_FILE_NOT_FOUND"
    assert await code_of(call, "sftp-create-directory", path=path) == "SFTP_CREATE_FAILED"
    assert await code_of(call, "sftp-upload-file", path=f"{files}/a", content="x") == "SFTP_IS_DIRECTORY"
    assert await code_of(call, "sftp-download-file", path=f"{files}/a") == "SFTP_IS_DIRECTORY"
    assert await code_of(call, "sftp-delete-file", path=f"{files}/a") == "SFTP_IS_DIRECTORY"
    assert await code_of(call, "sftp-delete-directory", path=f"{files}/a") == "SFTP_DIRECTORY_NOT_EMPTY"
    outside = files.parent / f"{files.name}-outside"
    outside.mkdir()
    (outside / "kept").write_text("kept")
    (files / "a" / "link").symlink_to(outside)
    deleted = await call("sftp-delete-directory", path=f"{files}/a", recursive=True)
    assert deleted == {"success": True, "path": f"{files}/a", "items_deleted": 4}
    assert (outside / "kept").exists(), "links are removed, not followed"
    assert await code_of(call, "sftp-delete-directory", path=f"{files}/a") == "SFTP_FILE_NOT_FOUND"
    assert (await call("sftp-delete-directory", path=f"{files}/a", missing_ok=True))["success"]
    assert await code_of(call, "sftp-delete-directory", path="/") == "SFTP_PATH_INVALID"


async def test_listing(files: Path, call: Call) -> None:
    for number, name in enumerate(["b.csv", "a.csv", "c.txt"]):
        (files / name).write_text("x" * number)
        os.utime(files / name, (1000, 1000 * (number + 1)))
    (files / "sub").mkdir()
    (files / "sub" / "d.csv").write_text("four")
    entries = await call("sftp-list-files", path=str(files), sort="name")
    assert [entry["name"] for entry in entries] == ["a.csv", "b.csv", "c.txt", "sub"]
    assert entries[0] == {
        "name": "a.csv",
        "path": f"{files}/a.csv",
        "size": 1,
        "is_directory": False,
        "modified_time": 2000,
    }
    options: dict[str, Any] = {"recursive": True, "pattern": "*.csv", "files_only": True, "sort": "path"}
    found = await call("sftp-list-files", path=f"{files}/", **options)
    assert [entry["path"] for entry in found] == [f"{files}/{name}" for name in ("a.csv", "b.csv", "sub/d.csv")]
    newest = await call(
        "sftp-list-files", path=str(files), files_only=True, sort="modified_time", descending=True, limit=1
    )
    assert [entry["name"] for entry in newest] == ["c.txt"]
    assert len(await call("sftp-list-files", path=str(files), modified_since=2500, files_only=True)) == 1
    assert await code_of(call, "sftp-list-files", path=f"{files}/nowhere") == "SFTP_FILE_NOT_FOUND"


async def test_info(files: Path, call: Call) -> None:
    (files / "a").write_text("xy")
    (files / "a").chmod(0o640)
    (files / "link").symlink_to("a")
    (files / "broken").symlink_to("nowhere")
    info = await call("sftp-get-info", path=f"{files}/a")
    assert (info["exists"], info["size"], info["mode"], info["is_link"]) == (True, 2, 0o640, False)
    assert (await call("sftp-get-info", path=f"{files}/link"))["is_link"]
    assert (await call("sftp-get-info", path=f"{files}/broken"))["exists"]
    assert not (await call("sftp-get-info", path=f"{files}/nowhere"))["exists"]
    assert (await call("sftp-get-info", path=str(files)))["is_directory"]


async def test_moving(files: Path, call: Call) -> None:
    (files / "a").write_text("a")
    (files / "b").write_text("b")
    ways = {"source": f"{files}/a", "destination": f"{files}/b"}
    assert await code_of(call, "sftp-move-file", **ways) == "SFTP_ALREADY_EXISTS"
    await call("sftp-move-file", **ways, overwrite=True)
    assert (files / "b").read_text() == "a"
    deep = {"source": f"{files}/b", "destination": f"{files}/x/y"}
    await call("sftp-move-file", **deep, create_dirs=True)
    assert await code_of(call, "sftp-move-file", source=f"{files}/b", destination=f"{files}/c") == "SFTP_FILE_NOT_FOUND"


async def test_no_permission(files: Path, call: Call) -> None:
    if os.geteuid() == 0:
        # Root may do anything, but what the kernel refuses to all.
        assert await code_of(call, "sftp-upload-file", path="/proc/1/x", content="x") in (
            "SFTP_PERMISSION_DENIED",
            "SFTP_CREATE_FAILED",
            "SFTP_FILE_NOT_FOUND",
        )
        return
    files.chmod(0o500)
    assert await code_of(call, "sftp-upload-file", path=f"{files}/a", content="x") == "SFTP_PERMISSION_DENIED"
    files.chmod(0o700)


async def test_nothing_outside_of_the_root_is_reached(files: Path, call: Call) -> None:
    root = files / "root"
    root.mkdir()
    (files / "outside").write_text("secret")
    (root / "link").symlink_to(files)
    (root / "inside").symlink_to("a")

    async def rooted(capability: str, **inputs: Any) -> Any:
        return await call(capability, parameters={"root_path": str(root)}, **inputs)

    await rooted("sftp-upload-file", path="a", content="x")
    assert await rooted("sftp-download-file", path="/a") == "x"
    assert await rooted("sftp-download-file", path="/inside") == "x"
    assert [entry["path"] for entry in await rooted("sftp-list-files", path="/", sort="path")] == [
        "/a",
        "/inside",
        "/link",
    ]
    for path in ("../outside", "/link/outside", "link/new", "sub/../../outside"):
        with pytest.raises(AgentError) as caught:
            await rooted("sftp-download-file", path=path)
        assert caught.value.code == "SFTP_PATH_INVALID", path
        with pytest.raises(AgentError):
            await rooted("sftp-upload-file", path=path, content="x")
    assert (files / "outside").read_text() == "secret"
    assert not (files / "new").exists()


async def test_batches(files: Path, call: Call, context: CapabilityContext) -> None:
    for number in range(7):
        (files / f"{number}.csv").write_text("x" * number)
    (files / "sub").mkdir()
    (files / "sub" / "deep.csv").write_text("deep")
    result = await call("sftp-download-files", pattern=f"{files}/*.csv", save_to="in", concurrency=3)
    assert (result["succeeded"], result["failed"], result["bytes"]) == (7, 0, 21)
    assert result["files"][3]["destination"] == "in/3.csv"
    deep = await call("sftp-download-files", pattern=f"{files}/**/*.csv", save_to="all")
    assert deep["files"][-1]["destination"] == "all/sub/deep.csv"
    (files / "done").mkdir()
    (files / "done" / "2.csv").mkdir()  # one cannot be written
    uploaded = await call("sftp-upload-files", pattern="in/*.csv", path=f"{files}/done")
    assert (uploaded["succeeded"], uploaded["failed"]) == (6, 1)
    (failure,) = [each for each in uploaded["files"] if not each["success"]]
    assert (failure["destination"], failure["error"]["code"]) == (f"{files}/done/2.csv", "SFTP_IS_DIRECTORY")
    options = {"pattern": "in/*.csv", "path": f"{files}/done", "on_error": "fail"}
    assert await code_of(call, "sftp-upload-files", **options) == "SFTP_IS_DIRECTORY"
    assert (
        await code_of(call, "sftp-download-files", pattern=f"{files}/*", save_to="x", max_files=3)
        == "SFTP_TOO_MANY_FILES"
    )
    empty = await call("sftp-download-files", pattern=f"{files}/*.nothing", save_to="x")
    assert empty == {"files": [], "succeeded": 0, "failed": 0, "bytes": 0}
