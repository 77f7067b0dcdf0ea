"""Changing files in place or as a whole: writing, appending, copying, moving, deleting, directories.

Each is recognised when its step is run again after a crash: what was done is not done twice, and is no error.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

from pydantic import BaseModel, Field

from runtara_sdk.agents.capability import EffectClass, Example, KnownError, capability
from runtara_sdk.agents.context import CapabilityContext
from runtara_sdk.agents.errors import AgentError
from runtara_sdk.agents.files import FILE_ERRORS, WORKSPACE_ERRORS, FileInput, too_large
from runtara_sdk.agents.workspace import (
    FILE_ALREADY_EXISTS,
    FILE_NOT_FOUND,
    PATH_INVALID,
    Workspace,
    WorkspaceFile,
    copy_stream,
    shown,
    sync_directory,
    translated,
)
from runtara_sdk.file_agent.content import DATA_DESCRIPTION, file_limit, open_data
from runtara_sdk.file_agent.journal import LOCK, Journal
from runtara_sdk.file_agent.looking import NOT_FOUND

_ERRORS = tuple({each.code: each for each in (*FILE_ERRORS, *WORKSPACE_ERRORS)}.values())
_TO = {"in/a.csv": "sku\nA1\n"}


class WriteInput(BaseModel):
    """What is written where."""

    path: str = Field(title="Path", description="Path in the workspace.", examples=["out/report.txt"])
    data: FileInput = Field(title="Data", description=DATA_DESCRIPTION, examples=["done\n"])
    create_dirs: bool = Field(default=True, description="Whether directories on the way are made.")
    overwrite: bool = Field(default=True, description="Whether a file that is there is replaced.")


class WriteOutput(BaseModel):
    """What was written."""

    path: str
    bytes_written: int
    created_dirs: bool = Field(description="Whether a directory was made on the way.")


@capability(
    id="file-write-file",
    aliases=("write-file", "write"),
    description="Writes a file of the workspace; it is there as a whole or not at all.",
    side_effects=True,
    effect=EffectClass.KEYED,
    deterministic=False,  # it tells which directories it had to make
    known_errors=_ERRORS,
    examples=[
        Example(
            inputs={"path": "out/report.txt", "data": "done\n"},
            output={"path": "out/report.txt", "bytes_written": 5, "created_dirs": True},
        )
    ],
)
def write_file(inputs: WriteInput, context: CapabilityContext) -> WriteOutput:
    """Write it."""
    workspace = context.require_workspace()
    target = workspace.path(inputs.path)
    stream, size = open_data(inputs.data, context)
    with stream, LOCK:
        has_parent = target.parent.is_dir()
        if not has_parent and not inputs.create_dirs:
            text = f"there is no directory for {shown(inputs.path)}, and create_dirs is false"
            raise AgentError.permanent(FILE_NOT_FOUND, text, attributes={"path": inputs.path})
        journal = Journal(workspace, inputs.path, context.idempotency_key)
        if not inputs.overwrite:
            _begin_creation(journal, "write", inputs.path, target)
        with workspace.create(inputs.path) as file:
            copy_stream(stream, file.write, context.check)
            _put_in_place(workspace, file, inputs.path, target, overwrite=inputs.overwrite)
    return WriteOutput(path=inputs.path, bytes_written=size, created_dirs=not has_parent)


class AppendInput(BaseModel):
    """What is added where."""

    path: str = Field(title="Path", description="Path in the workspace.", examples=["out/log.txt"])
    data: FileInput = Field(title="Data", description=DATA_DESCRIPTION, examples=["one more line"])
    create_if_missing: bool = Field(default=True, description="Whether a file is made where none is.")
    newline: bool = Field(default=False, description="Whether a line feed follows the data.")


class AppendOutput(BaseModel):
    """What was added."""

    path: str
    bytes_appended: int
    total_size: int = Field(description="Of the file after that, bytes.")
    created: bool = Field(description="Whether the file was made.")


@capability(
    id="file-append-file",
    aliases=("append-file", "append"),
    description="Adds to the end of a file, once for each run of a step, whatever happens to the process.",
    side_effects=True,
    effect=EffectClass.KEYED,
    known_errors=_ERRORS,
    examples=[
        Example(
            inputs={"path": "in/a.csv", "data": "B2", "newline": True},
            output={"path": "in/a.csv", "bytes_appended": 3, "total_size": 10, "created": False},
            files=_TO,
        )
    ],
)
def append_file(inputs: AppendInput, context: CapabilityContext) -> AppendOutput:
    """Add to it."""
    stream, _ = open_data(inputs.data, context)
    with stream:
        content = stream.read() + (b"\n" if inputs.newline else b"")
    return append_once(inputs.path, content, context, create_if_missing=inputs.create_if_missing)


def append_once(
    path: str,
    content: bytes,
    context: CapabilityContext,
    *,
    create_if_missing: bool = True,
    limit_bytes: int | None = None,
) -> AppendOutput:
    """Add bytes to the end of a file; a step that is run again finds what it has added before.

    Args:
        path: in the workspace.
        content: the same in every run of the step.
        context: of the step.
        create_if_missing: whether a file is made where none is.
        limit_bytes: how large the file may become; RUNTARA_MAX_FILE_SIZE when left out.

    Raises:
        AgentError: the file is missing, becomes too large, or the workspace is full.
    """
    workspace = context.require_workspace()
    target = workspace.path(path)
    with LOCK, translated(path):
        journal = Journal(workspace, path, context.idempotency_key)
        done = journal.own("append")
        if done is not None and _holds(target, done["offset"], content):
            total = int(done["offset"]) + len(content)
            return AppendOutput(path=path, bytes_appended=len(content), total_size=total, created=bool(done["created"]))
        created = not target.exists()
        if created and not create_if_missing:
            text = f"there is no file {shown(path)}, and create_if_missing is false"
            raise AgentError.permanent(FILE_NOT_FOUND, text, attributes={"path": path})
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with target.open("ab") as file:
            offset = _without_torn_end(journal, file.fileno())
            limit = file_limit() if limit_bytes is None else limit_bytes
            if offset + len(content) > limit:
                raise too_large(offset + len(content), limit)
            workspace.take(len(content))
            journal.note("append", offset=offset, size=len(content), created=created)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if created:
            sync_directory(target.parent)
    total = offset + len(content)
    return AppendOutput(path=path, bytes_appended=len(content), total_size=total, created=created)


def _holds(target: Path, offset: int, content: bytes) -> bool:
    """Whether a file has these bytes at a place."""
    if not target.is_file():
        return False
    with target.open("rb") as file:
        file.seek(offset)
        return hashlib.sha256(file.read(len(content))).digest() == hashlib.sha256(content).digest()


def _without_torn_end(journal: Journal, descriptor: int) -> int:
    """Remove what a killed process had written of its last data; the size that is left."""
    size = os.fstat(descriptor).st_size
    last = journal.last("append")
    if last is not None and int(last["offset"]) < size < int(last["offset"]) + int(last["size"]):
        size = int(last["offset"])
        os.ftruncate(descriptor, size)
    return size


class TransferInput(BaseModel):
    """From where to where."""

    source: str = Field(title="Source", description="Path in the workspace.", examples=["in/a.csv"])
    destination: str = Field(title="Destination", description="Path in the workspace.", examples=["out/a.csv"])
    overwrite: bool = Field(default=False, description="Whether a file that is there is replaced.")


class CopyOutput(BaseModel):
    """What was copied."""

    source: str
    destination: str
    bytes_copied: int


@capability(
    id="file-copy-file",
    aliases=("copy-file", "copy"),
    description="Copies a file of the workspace.",
    side_effects=True,
    effect=EffectClass.KEYED,
    known_errors=_ERRORS,
    examples=[
        Example(
            inputs={"source": "in/a.csv", "destination": "out/a.csv"},
            output={"source": "in/a.csv", "destination": "out/a.csv", "bytes_copied": 7},
            files=_TO,
        )
    ],
)
def copy_file(inputs: TransferInput, context: CapabilityContext) -> CopyOutput:
    """Copy it."""
    workspace = context.require_workspace()
    target = workspace.path(inputs.destination)
    with workspace.open(inputs.source) as source, LOCK:
        if not inputs.overwrite:
            journal = Journal(workspace, inputs.destination, context.idempotency_key)
            _begin_creation(journal, "copy", inputs.destination, target)
        with workspace.create(inputs.destination) as file:
            copied = copy_stream(source, file.write, context.check)
            _put_in_place(workspace, file, inputs.destination, target, overwrite=inputs.overwrite)
    return CopyOutput(source=inputs.source, destination=inputs.destination, bytes_copied=copied)


class MoveOutput(BaseModel):
    """What was moved."""

    source: str
    destination: str


@capability(
    id="file-move-file",
    aliases=("move-file", "move", "rename-file"),
    description="Moves or renames a file or a directory of the workspace.",
    side_effects=True,
    effect=EffectClass.KEYED,
    known_errors=_ERRORS,
    examples=[
        Example(
            inputs={"source": "in/a.csv", "destination": "done/a.csv"},
            output={"source": "in/a.csv", "destination": "done/a.csv"},
            files=_TO,
        )
    ],
)
def move_file(inputs: TransferInput, context: CapabilityContext) -> MoveOutput:
    """Move it."""
    workspace = context.require_workspace()
    source, target = _not_the_root(workspace, inputs.source), _not_the_root(workspace, inputs.destination)
    moved = MoveOutput(source=inputs.source, destination=inputs.destination)
    with LOCK, translated(inputs.source):
        journal = Journal(workspace, inputs.destination, context.idempotency_key)
        if journal.own("move") is not None and not source.exists() and target.exists():
            return moved  # before the process died
        if not source.exists():
            raise FileNotFoundError
        if target.exists() and (not inputs.overwrite or target.is_dir()):
            raise _exists(inputs.destination)
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        journal.note("move", source=inputs.source)
        source.rename(target)
        sync_directory(target.parent)
        workspace.forget_usage()
    return moved


class DeleteInput(BaseModel):
    """What goes away."""

    path: str = Field(title="Path", description="Path in the workspace.", examples=["in/a.csv"])
    recursive: bool = Field(default=False, description="Whether a directory goes with all that is in it.")


class DeleteOutput(BaseModel):
    """What is gone."""

    success: bool
    path: str
    items_deleted: int = Field(description="Files and directories.")


@capability(
    id="file-delete-file",
    aliases=("delete-file", "delete"),
    description="Deletes a file, or a directory with all that is in it.",
    side_effects=True,
    effect=EffectClass.KEYED,
    known_errors=(
        NOT_FOUND,
        *WORKSPACE_ERRORS,
        KnownError.permanent("FILE_DIRECTORY_NOT_EMPTY", "The directory is not empty.", "path"),
    ),
    examples=[
        Example(
            inputs={"path": "in/a.csv"},
            output={"success": True, "path": "in/a.csv", "items_deleted": 1},
            files=_TO,
        )
    ],
)
def delete_file(inputs: DeleteInput, context: CapabilityContext) -> DeleteOutput:
    """Delete it."""
    workspace = context.require_workspace()
    path = _not_the_root(workspace, inputs.path)
    with LOCK, translated(inputs.path):
        journal = Journal(workspace, inputs.path, context.idempotency_key)
        begun = journal.own("delete")
        if begun is not None and not os.path.lexists(path):
            return DeleteOutput(success=True, path=inputs.path, items_deleted=int(begun["count"]))
        is_directory = path.is_dir() and not path.is_symlink()
        if is_directory and not inputs.recursive and any(path.iterdir()):
            text = f"{shown(inputs.path)} is a directory with files: set recursive"
            raise AgentError.permanent("FILE_DIRECTORY_NOT_EMPTY", text, attributes={"path": inputs.path})
        count = 1 + (sum(1 for _ in path.rglob("*")) if is_directory else 0)
        if begun is not None:
            count = max(count, int(begun["count"]))  # some of it is gone already
        elif os.path.lexists(path):
            journal.note("delete", count=count)
        shutil.rmtree(path) if is_directory else path.unlink()
        sync_directory(path.parent)
        workspace.forget_usage()
    return DeleteOutput(success=True, path=inputs.path, items_deleted=count)


class DirectoryInput(BaseModel):
    """Which directory."""

    path: str = Field(title="Path", description="Path in the workspace.", examples=["out/2026"])
    recursive: bool = Field(default=True, description="Whether directories on the way are made, too.")


class DirectoryOutput(BaseModel):
    """What is there now."""

    path: str
    created: bool = Field(description="False when it was there before.")


@capability(
    id="file-create-directory",
    aliases=("create-directory",),
    description="Makes a directory in the workspace.",
    side_effects=True,
    deterministic=False,  # it tells whether the directory was there
    idempotent=True,
    known_errors=(NOT_FOUND, *WORKSPACE_ERRORS),
    examples=[Example(inputs={"path": "out/2026"}, output={"path": "out/2026", "created": True})],
)
def create_directory(inputs: DirectoryInput, context: CapabilityContext) -> DirectoryOutput:
    """Make it."""
    path = context.require_workspace().path(inputs.path)
    with translated(inputs.path):
        if path.is_dir():
            return DirectoryOutput(path=inputs.path, created=False)
        path.mkdir(parents=inputs.recursive, mode=0o700)
        sync_directory(path.parent)
    return DirectoryOutput(path=inputs.path, created=True)


def _begin_creation(journal: Journal, operation: str, name: str, target: Path) -> None:
    """Refuse a file that is there, unless this step has put it there in an earlier run."""
    if journal.own(operation) is not None:
        return
    if target.exists():
        raise _exists(name)
    journal.note(operation)


def _put_in_place(workspace: Workspace, file: WorkspaceFile, name: str, target: Path, *, overwrite: bool) -> None:
    """Give a file its name; one with the same content, which this step has put there before it died, stays."""
    if not overwrite and target.exists():
        if workspace.describe(name, with_hash=True).sha256 != file.sha256:
            raise _exists(name)
        return
    file.commit()


def _exists(name: str) -> AgentError:
    text = f"{shown(name)} exists, and overwrite is false"
    return AgentError.permanent(FILE_ALREADY_EXISTS, text, attributes={"path": name})


def _not_the_root(workspace: Workspace, name: str) -> Path:
    path = workspace.path(name)
    if path == workspace.root:
        raise AgentError.permanent(PATH_INVALID, "the path names the workspace itself", attributes={"path": name})
    return path
