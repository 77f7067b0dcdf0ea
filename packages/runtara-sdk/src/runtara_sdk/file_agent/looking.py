"""Looking at files: `file-read-file`, `file-list-files`, `file-file-exists`, `file-get-file-info`."""

from __future__ import annotations

import fnmatch
import mimetypes
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Literal

from pydantic import BaseModel, Field

from runtara_sdk.agents.capability import Example, KnownError, capability
from runtara_sdk.agents.context import CapabilityContext
from runtara_sdk.agents.errors import AgentError
from runtara_sdk.agents.files import FileData, too_large
from runtara_sdk.agents.workspace import FILE_NOT_FOUND, PARTIAL, translated
from runtara_sdk.file_agent.content import read_limit

_MOST_ENTRIES = 100_000

_FILES = {"in/a.csv": "sku\nA1\n"}

NOT_FOUND = KnownError.permanent(FILE_NOT_FOUND, "Nothing is there.", "path")
PATH_ERRORS = (
    KnownError.permanent("WORKSPACE_PATH_INVALID", "The path leads out of the workspace, or is none.", "path"),
    KnownError.permanent("WORKSPACE_UNAVAILABLE", "The program has no workspace."),
    KnownError.transient("WORKSPACE_IO_ERROR", "The disk refuses.", "path"),
)
IS_DIRECTORY = KnownError.permanent("FILE_IS_DIRECTORY", "It is a directory, or leads through a file.", "path")


class PathInput(BaseModel):
    """Where to look."""

    path: str = Field(title="Path", description="Path in the workspace.", examples=["in/a.csv"])


class ReadInput(PathInput):
    """What is read, and as what."""

    response_format: Literal["file", "text"] = Field(
        default="file", description="`file`: {content, filename, mimeType} with base64. `text`: a string, from UTF-8."
    )


@capability(
    id="file-read-file",
    aliases=("read-file", "read"),
    description="Reads a file of the workspace into the data of the workflow.",
    deterministic=False,
    known_errors=(
        NOT_FOUND,
        *PATH_ERRORS,
        IS_DIRECTORY,
        KnownError.permanent("FILE_TOO_LARGE", "It is larger than RUNTARA_MAX_READ_SIZE.", "limit_bytes"),
        KnownError.permanent("FILE_NOT_TEXT", "It is not UTF-8, and text was asked for.", "path"),
    ),
    examples=[
        Example(inputs={"path": "in/a.csv", "response_format": "text"}, output="sku\nA1\n", files=_FILES),
        Example(
            inputs={"path": "in/a.csv"},
            output={"content": "c2t1CkExCg==", "filename": "a.csv", "mimeType": "text/csv"},
            files=_FILES,
        ),
    ],
)
def read_file(inputs: ReadInput, context: CapabilityContext) -> str | FileData:
    """The content."""
    with context.require_workspace().open(inputs.path) as stream, translated(inputs.path):
        limit = read_limit()
        size = os.fstat(stream.fileno()).st_size
        if size > limit:
            raise too_large(size, limit)
        content = stream.read()
    if inputs.response_format == "file":
        return FileData.of(content, filename=PurePosixPath(inputs.path).name, mime_type=media_type(inputs.path))
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        text = f"{inputs.path} is not UTF-8 (byte {error.start}): read it as a file"
        raise AgentError.permanent("FILE_NOT_TEXT", text, attributes={"path": inputs.path}) from None


class ListInput(BaseModel):
    """Which files."""

    path: str = Field(default="", title="Path", description="A directory of the workspace; empty for all of it.")
    recursive: bool = Field(default=False, description="Whether directories within it are looked through, too.")
    pattern: str | None = Field(default=None, description="Only names that fit: `*.csv`.", examples=["*.csv"])


class ListedFile(BaseModel):
    """One file or directory."""

    name: str
    path: str = Field(description="From the root of the workspace.")
    size: int = Field(description="Bytes; 0 for a directory.")
    is_directory: bool
    modified_time: int = Field(description="Seconds since 1970.")


@capability(
    id="file-list-files",
    aliases=("list-files", "list"),
    description="Lists files and directories, by path.",
    deterministic=False,
    known_errors=(
        NOT_FOUND,
        *PATH_ERRORS,
        IS_DIRECTORY,
        KnownError.permanent("FILE_TOO_MANY", f"There are more than {_MOST_ENTRIES} entries."),
    ),
    examples=[Example(inputs={"path": "in", "pattern": "*.csv"}, files=_FILES)],
)
def list_files(inputs: ListInput, context: CapabilityContext) -> list[ListedFile]:
    """The entries."""
    workspace = context.require_workspace()
    directory = workspace.path(inputs.path)
    with translated(inputs.path):
        found: list[ListedFile] = []
        for path in _entries(directory, recursive=inputs.recursive, context=context):
            if inputs.pattern is not None and not fnmatch.fnmatchcase(path.name, inputs.pattern):
                continue
            if len(found) == _MOST_ENTRIES:
                raise AgentError.permanent("FILE_TOO_MANY", f"more than {_MOST_ENTRIES} entries: give a pattern")
            status = path.stat(follow_symlinks=False)
            is_directory = path.is_dir() and not path.is_symlink()
            found.append(
                ListedFile(
                    name=path.name,
                    path=path.relative_to(workspace.root).as_posix(),
                    size=0 if is_directory else status.st_size,
                    is_directory=is_directory,
                    modified_time=int(status.st_mtime),
                )
            )
    return sorted(found, key=lambda each: each.path)


def _entries(directory: Path, *, recursive: bool, context: CapabilityContext) -> Iterator[Path]:
    pending = [directory]
    while pending:
        context.check()
        current = pending.pop()
        for path in current.iterdir():
            if path.name == PARTIAL:
                continue
            yield path
            if recursive and path.is_dir() and not path.is_symlink():
                pending.append(path)


class ExistsOutput(BaseModel):
    """Whether something is there."""

    exists: bool
    is_directory: bool
    size: int = Field(description="Bytes; 0 for a directory, and where nothing is.")


@capability(
    id="file-file-exists",
    aliases=("file-exists", "exists"),
    description="Tells whether a file or a directory is there.",
    deterministic=False,
    known_errors=PATH_ERRORS,
    examples=[
        Example(inputs={"path": "in/a.csv"}, output={"exists": True, "is_directory": False, "size": 7}, files=_FILES),
        Example(inputs={"path": "in/b.csv"}, output={"exists": False, "is_directory": False, "size": 0}),
    ],
)
def file_exists(inputs: PathInput, context: CapabilityContext) -> ExistsOutput:
    """Whether it is there."""
    path = context.require_workspace().path(inputs.path)
    with translated(inputs.path):
        is_directory = path.is_dir()
        exists = path.exists()
        return ExistsOutput(
            exists=exists, is_directory=is_directory, size=path.stat().st_size if exists and not is_directory else 0
        )


class FileInfo(BaseModel):
    """What the file system knows of a file."""

    path: str
    name: str
    extension: str = Field(description="Without the dot; empty when there is none.")
    size: int = Field(description="Bytes; 0 for a directory.")
    is_directory: bool
    created_time: int = Field(description="Seconds since 1970: when its name or its content last changed.")
    modified_time: int = Field(description="Seconds since 1970.")
    mime_type: str | None = Field(description="By its extension; null when that says nothing.")


@capability(
    id="file-get-file-info",
    aliases=("get-file-info", "info"),
    description="Tells size, times and kind of a file.",
    deterministic=False,
    known_errors=(NOT_FOUND, *PATH_ERRORS),
    examples=[Example(inputs={"path": "in/a.csv"}, files=_FILES)],
)
def get_file_info(inputs: PathInput, context: CapabilityContext) -> FileInfo:
    """What is known of it."""
    workspace = context.require_workspace()
    path = workspace.path(inputs.path)
    with translated(inputs.path):
        status = path.stat()
        is_directory = path.is_dir()
    relative = path.relative_to(workspace.root).as_posix()
    return FileInfo(
        path="" if relative == "." else relative,
        name=path.name if relative != "." else "",
        extension=path.suffix.removeprefix("."),
        size=0 if is_directory else status.st_size,
        is_directory=is_directory,
        created_time=int(status.st_ctime),
        modified_time=int(status.st_mtime),
        mime_type=None if is_directory else media_type(path.name),
    )


def media_type(name: str) -> str | None:
    """By the extension of a name, from the tables of Python alone: the system's differ from host to host."""
    return _TYPES.guess_type(name, strict=False)[0]


_TYPES = mimetypes.MimeTypes()
