"""The workspace: paths, whole files, resuming, its bound; files as inputs; the file agent across crashes."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from runtara_sdk.agents import AgentError, CapabilityContext
from runtara_sdk.agents.files import open_file, read_file
from runtara_sdk.agents.workspace import PARTIAL, Workspace, WorkspaceFile
from runtara_sdk.file_agent import file_agent
from runtara_sdk.file_agent.journal import Journal
from runtara_sdk.instance_settings import InstanceSettings
from runtara_sdk.settings import EnvironmentReader
from runtara_sdk.workflow.instance_workspace import workspace_of


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "workspace")


@pytest.fixture
def context(workspace: Workspace) -> CapabilityContext:
    return CapabilityContext(workspace=workspace, idempotency_key="t/i::step")


def put(workspace: Workspace, name: str, content: bytes) -> None:
    with workspace.create(name) as file:
        file.write(content)
        file.commit()


def content(workspace: Workspace, name: str) -> bytes:
    with workspace.open(name) as stream:
        return stream.read()


def code_of(call: Callable[[], Any]) -> str:
    with pytest.raises(AgentError) as caught:
        call()
    return caught.value.code


def die_after(workspace: Workspace, name: str, written: bytes, resume_token: str | None = None) -> None:
    """What is on the disk of a process that ended in the middle."""
    with pytest.raises(RuntimeError), workspace.create(name, resume_token=resume_token) as file:
        _write_and_fail(file, written)


def _write_and_fail(file: WorkspaceFile, written: bytes) -> None:
    file.write(written)
    raise RuntimeError


# Paths


@pytest.mark.parametrize(
    "path",
    ["/etc/passwd", "../x", "a/../../x", "a/..", "a\0b", "a\nb", ".partial/x", "x" * 300, "a/" * 600, "\ud800"],
)
def test_paths_that_lead_out_or_are_none_are_refused(workspace: Workspace, path: str) -> None:
    assert code_of(lambda: workspace.path(path)) == "WORKSPACE_PATH_INVALID"


def test_links_that_lead_out_are_refused(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "outside").write_text("secret")
    (workspace.path("") / "link").symlink_to(tmp_path)
    assert code_of(lambda: workspace.open("link/outside")) == "WORKSPACE_PATH_INVALID"
    assert code_of(lambda: put(workspace, "link/new", b"")) == "WORKSPACE_PATH_INVALID"
    assert not (tmp_path / "new").exists()


@given(st.text(max_size=40))
def test_no_path_leaves_the_workspace(tmp_path_factory: pytest.TempPathFactory, path: str) -> None:
    workspace = Workspace(tmp_path_factory.getbasetemp() / "property")
    try:
        found = workspace.path(path)
    except AgentError as error:
        assert error.code == "WORKSPACE_PATH_INVALID"
    else:
        assert found.resolve().is_relative_to(workspace.root.resolve())


# Whole files


def test_a_file_appears_by_commit_alone(workspace: Workspace) -> None:
    put(workspace, "a/b.txt", b"old")
    with workspace.create("a/b.txt") as file:
        file.write(b"new and ")
        assert content(workspace, "a/b.txt") == b"old"
        file.write(b"whole")
        stored = file.commit()
    assert content(workspace, "a/b.txt") == b"new and whole"
    assert (stored.path, stored.size) == ("a/b.txt", 13)
    assert stored == workspace.describe("a/b.txt", with_hash=True)
    assert stored.reference(mime_type="text/plain") == {
        "$file": "a/b.txt",
        "filename": "b.txt",
        "size": 13,
        "sha256": stored.sha256,
        "mimeType": "text/plain",
    }


def test_a_failure_leaves_the_old_file_and_nothing_else(workspace: Workspace) -> None:
    put(workspace, "a", b"old")
    die_after(workspace, "a", b"half")
    assert content(workspace, "a") == b"old"
    assert not list((workspace.root / PARTIAL).iterdir())


def test_a_file_that_may_not_be_replaced_is_not(workspace: Workspace) -> None:
    put(workspace, "a", b"old")
    with pytest.raises(AgentError, match="FILE_ALREADY_EXISTS"):
        workspace.create("a", overwrite=False).__enter__()
    with workspace.create("b", overwrite=False) as file:
        put(workspace, "b", b"came first")
        assert code_of(file.commit) == "FILE_ALREADY_EXISTS"
    assert content(workspace, "b") == b"came first"


def test_a_transfer_goes_on_where_a_dead_process_left_it(workspace: Workspace) -> None:
    die_after(workspace, "big", b"ab", "4 bytes of v1")
    again = Workspace(workspace.root)  # of the next process
    again.clean()
    with again.create("big", resume_token="4 bytes of v1") as file:
        assert file.offset == 2
        file.write(b"cd")
        stored = file.commit()
    assert content(again, "big") == b"abcd"
    assert stored == again.describe("big", with_hash=True)
    die_after(again, "big", b"x", "v2")
    with again.create("big", resume_token="v3") as file:
        assert file.offset == 0  # of another version nothing is of use
        assert len(list((again.root / PARTIAL).iterdir())) == 1


def test_what_nobody_goes_on_with_is_cleaned_up(workspace: Workspace) -> None:
    workspace.path("")
    (workspace.root / PARTIAL / "left-by-a-kill").write_bytes(b"half")
    workspace.clean()
    assert not list((workspace.root / PARTIAL).iterdir())


def test_the_bound_holds_for_all_files_together(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "w", limit_bytes=100)
    put(workspace, "a", b"x" * 60)
    with pytest.raises(AgentError, match=r"WORKSPACE_FULL.*RUNTARA_MAX_WORKSPACE_BYTES"):
        put(workspace, "b", b"x" * 41)
    put(workspace, "b", b"x" * 40)
    (workspace.root / "a").unlink()
    put(workspace, "c", b"x" * 60)
    with workspace.create("d"), workspace.create("e") as other:
        assert code_of(lambda: other.write(b"x")) == "WORKSPACE_FULL"  # nothing is left, whoever writes


# Files as inputs


def test_every_form_of_a_file_is_read(workspace: Workspace, context: CapabilityContext) -> None:
    put(workspace, "in/a.bin", b"hi\xff")
    encoded = base64.b64encode(b"hi\xff").decode()
    forms = [{"$file": "in/a.bin"}, {"content": encoded}, encoded, f"{encoded[:2]}\n{encoded[2:]}", [104, 105, 255]]
    assert [read_file(form, context, limit_bytes=10) for form in forms] == [b"hi\xff"] * 5
    with open_file({"$file": "in/a.bin", "mimeType": "x/y"}, context) as file:
        assert (file.size, file.filename, file.mime_type) == (3, "a.bin", "x/y")


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (None, "FILE_INVALID_INPUT_TYPE"),
        (True, "FILE_INVALID_INPUT_TYPE"),
        (1.5, "FILE_INVALID_INPUT_TYPE"),
        ("not base64!", "FILE_BASE64_DECODE_ERROR"),
        ("abc", "FILE_BASE64_DECODE_ERROR"),
        ({"content": 1}, "FILE_INVALID_STRUCTURE"),
        ({}, "FILE_INVALID_STRUCTURE"),
        ({"$file": 1}, "FILE_INVALID_STRUCTURE"),
        ({"content": "", "filename": 1}, "FILE_INVALID_STRUCTURE"),
        ([1, -1], "FILE_INVALID_BYTE_ARRAY"),
        ([True], "FILE_INVALID_BYTE_ARRAY"),
        ([256], "FILE_BYTE_OUT_OF_RANGE"),
        ([10**400], "FILE_BYTE_OUT_OF_RANGE"),
        ({"$file": "nowhere"}, "FILE_NOT_FOUND"),
        ({"$file": "../x"}, "WORKSPACE_PATH_INVALID"),
        ("aGVsbG8gdGhlcmU=", "FILE_TOO_LARGE"),
    ],
)
def test_what_is_no_file_has_a_code(context: CapabilityContext, value: Any, code: str) -> None:
    assert code_of(lambda: read_file(value, context, limit_bytes=10)) == code


def test_without_a_workspace_a_reference_says_what_to_set() -> None:
    with pytest.raises(AgentError, match="set RUNTARA_WORKSPACE_DIR"):
        read_file({"$file": "a"}, CapabilityContext(), limit_bytes=10)


# Where it lies


@pytest.mark.parametrize(
    ("server", "directory"),
    [
        ("sqlite:///run.db", "run.db-workspaces/i-1"),
        ("sqlite:////var/x%20y.db", "/var/x y.db-workspaces/i-1"),
        ("sqlite:run.db", "run.db-workspaces/i-1"),
    ],
)
def test_an_embedded_program_has_its_files_beside_the_database(server: str, directory: str) -> None:
    settings = InstanceSettings("i-1", "t", server_addr=server)
    workspace = workspace_of(EnvironmentReader({"RUNTARA_MAX_WORKSPACE_BYTES": "7"}), settings)
    assert workspace is not None
    assert (workspace.root, workspace.limit_bytes) == (Path(directory).absolute(), 7)


@pytest.mark.parametrize("server", ["sqlite://:memory:", "127.0.0.1:8001"])
def test_elsewhere_there_is_one_where_the_variable_says(server: str, tmp_path: Path) -> None:
    settings = InstanceSettings("i-1", "t", server_addr=server)
    assert workspace_of(EnvironmentReader({}), settings) is None
    named = workspace_of(EnvironmentReader({"RUNTARA_WORKSPACE_DIR": str(tmp_path)}), settings)
    assert named is not None
    assert named.root == tmp_path


# The file agent, killed and run again


async def run(context: CapabilityContext, capability: str, **inputs: Any) -> Any:
    return await file_agent.invoke(capability, inputs, context)


def other_step(context: CapabilityContext) -> CapabilityContext:
    return CapabilityContext(workspace=context.workspace, idempotency_key="t/i::other")


async def test_an_append_that_was_done_is_not_done_again(workspace: Workspace, context: CapabilityContext) -> None:
    first = await run(context, "file-append-file", path="log", data="one", newline=True)
    await run(other_step(context), "append", path="log", data="two", newline=True)
    assert await run(context, "file-append-file", path="log", data="one", newline=True) == first
    assert content(workspace, "log") == b"one\ntwo\n"


async def test_an_append_that_was_cut_off_is_made_whole(workspace: Workspace, context: CapabilityContext) -> None:
    put(workspace, "log", b"zero\n")
    Journal(workspace, "log", context.idempotency_key).note("append", offset=5, size=4, created=False)
    with (workspace.root / "log").open("ab") as file:
        file.write(b"on")  # and here the process died
    await run(other_step(context), "append", path="log", data="two\n")
    result = await run(context, "append", path="log", data="one\n")
    assert content(workspace, "log") == b"zero\ntwo\none\n"
    assert result == {"path": "log", "bytes_appended": 4, "total_size": 13, "created": False}


async def test_a_new_file_is_recognised_as_its_own(workspace: Workspace, context: CapabilityContext) -> None:
    for _ in range(2):
        await run(context, "write", path="a", data="mine", overwrite=False)
    with pytest.raises(AgentError, match="FILE_ALREADY_EXISTS"):
        await run(other_step(context), "write", path="a", data="theirs", overwrite=False)
    with pytest.raises(AgentError, match="FILE_ALREADY_EXISTS"):
        await run(other_step(context), "copy", source="a", destination="a")
    for _ in range(2):
        await run(context, "copy", source="a", destination="b")
    assert content(workspace, "b") == b"mine"


async def test_a_move_and_a_deletion_are_recognised_as_their_own(
    workspace: Workspace, context: CapabilityContext
) -> None:
    put(workspace, "in/a", b"1")
    for _ in range(2):
        await run(context, "move", source="in/a", destination="done/a")
    with pytest.raises(AgentError, match="FILE_NOT_FOUND"):
        await run(other_step(context), "move", source="in/a", destination="done/b")
    for _ in range(2):
        deleted = await run(context, "delete", path="done", recursive=True)
        assert deleted == {"success": True, "path": "done", "items_deleted": 2}
    with pytest.raises(AgentError, match="FILE_NOT_FOUND"):
        await run(other_step(context), "delete", path="done")


async def test_text_is_never_taken_for_base64(workspace: Workspace, context: CapabilityContext) -> None:
    await run(context, "write", path="a", data="test")
    assert content(workspace, "a") == b"test"
    await run(context, "write", path="b", data={"content": "dGVzdA=="})
    await run(context, "write", path="c", data={"$file": "b"})
    assert content(workspace, "c") == b"test"
    await run(context, "write", path="d", data={"text": "é"})
    assert await run(context, "read", path="d", response_format="text") == "é"


async def test_what_the_limits_refuse(
    workspace: Workspace, context: CapabilityContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(workspace, "a", b"12345")
    monkeypatch.setenv("RUNTARA_MAX_READ_SIZE", "4")
    monkeypatch.setenv("RUNTARA_MAX_FILE_SIZE", "6")
    for capability, inputs in (
        ("read", {"path": "a"}),
        ("write", {"path": "b", "data": "1234567"}),
        ("append", {"path": "a", "data": "12"}),
    ):
        with pytest.raises(AgentError, match="FILE_TOO_LARGE"):
            await run(context, capability, **inputs)
    assert content(workspace, "a") == b"12345"


async def test_listing_shows_no_work_in_progress(workspace: Workspace, context: CapabilityContext) -> None:
    put(workspace, "b/c.csv", b"1")
    put(workspace, "a.csv", b"12")
    (workspace.root / "link.csv").symlink_to(workspace.root / "a.csv")
    listed = await run(context, "list", recursive=True, pattern="*.csv")
    assert [(each["path"], each["is_directory"]) for each in listed] == [
        ("a.csv", False),
        ("b/c.csv", False),
        ("link.csv", False),
    ]
    assert [each["path"] for each in await run(context, "list")] == ["a.csv", "b", "link.csv"]


async def test_the_workspace_itself_stays(context: CapabilityContext) -> None:
    for inputs in ({"path": ""}, {"path": "."}):
        with pytest.raises(AgentError, match="WORKSPACE_PATH_INVALID"):
            await run(context, "delete", **inputs, recursive=True)
