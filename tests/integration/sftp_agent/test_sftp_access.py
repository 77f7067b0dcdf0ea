"""What a step may not do, and names that are traps."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from runtara_sdk.agents import AgentDefinition, AgentError, CapabilityContext

from .conftest import Call
from .sftp_server import SftpServer, running_server


@pytest.fixture(scope="module")
def read_only_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SftpServer]:
    with running_server(tmp_path_factory.mktemp("read-only") / "server", options="-R") as server:
        yield server


CHANGES: list[tuple[str, dict[str, Any]]] = [
    ("sftp-upload-file", {"path": "a", "content": "new"}),
    ("sftp-upload-file", {"path": "a", "content": "new", "atomic": False}),
    ("sftp-upload-file", {"path": "d/b", "content": "new"}),
    ("sftp-delete-file", {"path": "a"}),
    ("sftp-move-file", {"source": "a", "destination": "b"}),
    ("sftp-move-file", {"source": "a", "destination": "b", "overwrite": True}),
    ("sftp-create-directory", {"path": "x/y"}),
    ("sftp-delete-directory", {"path": "d"}),
    ("sftp-delete-directory", {"path": "d", "recursive": True}),
]


@pytest.mark.parametrize(("capability", "inputs"), CHANGES)
async def test_a_server_that_allows_no_changes(
    capability: str, inputs: dict[str, Any], read_only_server: SftpServer, agent: AgentDefinition
) -> None:
    files = read_only_server.files
    (files / "a").write_text("old")
    (files / "d").mkdir(exist_ok=True)
    connection = read_only_server.connection(root_path=str(files))
    with pytest.raises(AgentError) as caught:
        await agent.invoke(capability, {**inputs, "_connection": connection})
    assert (caught.value.code, caught.value.retryable) == ("SFTP_PERMISSION_DENIED", False)
    assert sorted(each.name for each in files.iterdir()) == ["a", "d"]
    assert (files / "a").read_text() == "old"
    assert await agent.invoke("sftp-download-file", {"path": "a", "_connection": connection}) == "old"


OUTSIDE = ("link/outside", "/link/outside", "link/../outside", "../outside", "file", "link")

ESCAPES: list[tuple[str, dict[str, Any]]] = [
    *(
        (capability, {name: path, **more})
        for path in OUTSIDE
        for capability, name, more in (
            ("sftp-download-file", "path", {}),
            ("sftp-upload-file", "path", {"content": "mine", "create_dirs": True}),
            ("sftp-delete-file", "path", {}),
            ("sftp-get-info", "path", {}),
            ("sftp-move-file", "source", {"destination": "mine"}),
            ("sftp-move-file", "destination", {"source": "a", "overwrite": True}),
            ("sftp-create-directory", "path", {}),
            ("sftp-delete-directory", "path", {"recursive": True}),
            ("sftp-list-files", "path", {}),
        )
    ),
    ("sftp-create-directory", {"path": "link/new/deep"}),
    ("sftp-download-files", {"pattern": "link/*", "save_to": "in"}),
    ("sftp-download-files", {"pattern": "../*", "save_to": "in"}),
    ("sftp-wait-for-file", {"pattern": "link/*", "stable_ms": 0}),
]


@pytest.mark.parametrize(("capability", "inputs"), ESCAPES)
async def test_nothing_leads_out_of_the_root(
    capability: str, inputs: dict[str, Any], files: Path, call: Call, context: CapabilityContext
) -> None:
    root = files / "root"
    root.mkdir()
    (files / "outside").write_text("secret")
    (root / "a").write_text("a")
    (root / "link").symlink_to(files)
    (root / "file").symlink_to(files / "outside")
    with pytest.raises(AgentError) as caught:
        await call(capability, parameters={"root_path": str(root)}, **inputs)
    assert caught.value.code == "SFTP_PATH_INVALID"
    assert (files / "outside").read_text() == "secret"
    assert sorted(each.name for each in files.iterdir()) == ["outside", "root"]
    assert sorted(each.name for each in root.iterdir()) == ["a", "file", "link"]


async def test_links_are_not_followed_by_what_goes_down(files: Path, call: Call) -> None:
    root = files / "root"
    (root / "d").mkdir(parents=True)
    (files / "outside.csv").write_text("secret")
    (root / "d" / "up").symlink_to(files)
    (root / "d" / "in.csv").write_text("x")
    rooted = {"root_path": str(root)}
    listed = await call("sftp-list-files", parameters=rooted, path="/", recursive=True, sort="path")
    assert [each["path"] for each in listed] == ["/d", "/d/in.csv", "/d/up"]
    found = await call("sftp-download-files", parameters=rooted, pattern="/**/*.csv", save_to="in")
    assert [each["source"] for each in found["files"]] == ["/d/in.csv"]
    removed = await call("sftp-delete-directory", parameters=rooted, path="d", recursive=True)
    assert removed["items_deleted"] == 3
    assert (files / "outside.csv").read_text() == "secret"
    for path in ("/", ".", ""):
        with pytest.raises(AgentError, match="SFTP_PATH_INVALID"):
            await call("sftp-delete-directory", parameters=rooted, path=path, recursive=True)
    assert root.is_dir()


NAMES = ("with blank", "new\nline", "ünï-☃", "[a]*?.csv", "-rf", "quote'\"", "back\\slash", "a" * 255)


async def test_traps_in_names_of_batches(files: Path, call: Call, context: CapabilityContext) -> None:
    (files / "from").mkdir()
    for name in NAMES:
        (files / "from" / name).write_text(name)
    result = await call("sftp-download-files", pattern=f"{files}/from/*", save_to="in")
    assert [each["source"] for each in result["files"] if not each["success"]] == [f"{files}/from/new\nline"]
    assert result["files"][-1]["destination"].startswith("in/")
    (files / "to").mkdir()
    uploaded = await call("sftp-upload-files", pattern="in/*", path=f"{files}/to")
    assert uploaded["succeeded"] == len(NAMES) - 1
    for name in NAMES:
        if "\n" not in name:
            assert (files / "to" / name).read_text() == name
    found = await call("sftp-wait-for-file", pattern=f"{files}/to/[[]a[]][*][?].csv", stable_ms=0)
    assert [each["name"] for each in found["files"]] == ["[a]*?.csv"]
