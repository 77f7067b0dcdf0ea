"""Inputs and results of the capabilities."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import AliasChoices, BaseModel, Field
from runtara_sdk.agents import FileReference, RawConnection
from runtara_sdk.agents.files import FileInput

DEFAULT_READ_BYTES = 10 * 1024 * 1024
MAXIMUM_READ_BYTES = 256 * 1024 * 1024


class ConnectedInput(BaseModel):
    """What every call needs."""

    connection: RawConnection | None = Field(default=None, alias="_connection", repr=False)


class PathInput(ConnectedInput):
    """A path on the server."""

    path: str = Field(
        validation_alias=AliasChoices("path", "remote_path"),
        title="Path",
        description="Path on the server; below the root_path of the connection, if it has one.",
        examples=["/in/orders.csv"],
    )


class ListInput(PathInput):
    """What is listed."""

    recursive: bool = Field(default=False, description="Whether directories within it are listed, too.")
    pattern: str | None = Field(default=None, description="Only names that fit: `*.csv`.", examples=["*.csv"])
    files_only: bool = Field(default=False, description="Whether directories are left out.")
    modified_since: int | None = Field(default=None, ge=0, description="Seconds since 1970; older ones are left out.")
    sort: Literal["name", "path", "size", "modified_time"] | None = Field(
        default=None, description="What they are ordered by; the order of the server when left out."
    )
    descending: bool = Field(default=False, description="Whether the largest comes first.")
    limit: int | None = Field(default=None, ge=0, le=100_000, description="At most so many.")


class DownloadInput(PathInput):
    """What is downloaded, and where to."""

    response_format: Literal["text", "base64", "file", "workspace"] = Field(
        default="text",
        description="`text`: a string. `base64`: base64 text. `file`: {content, filename, mimeType}. `workspace`: a "
        "file of the workspace at `save_to`, of any size.",
    )
    save_to: str | None = Field(
        default=None,
        title="Save to",
        min_length=1,
        description="Path in the workspace; makes `workspace` the response format.",
        examples=["in/orders.csv"],
    )
    encoding: str = Field(default="UTF-8", description="Of a text.")
    strict: bool = Field(
        default=False, description="Whether bytes that are not of the encoding are an error; they are replaced else."
    )
    offset: int = Field(default=0, ge=0, description="Bytes of the file that are left out; not for the workspace.")
    max_bytes: int | None = Field(
        default=None,
        ge=0,
        description="A larger file is an error. 10 MiB when left out, for the workspace none; "
        "256 MiB at most but there.",
    )


class DownloadedFile(BaseModel):
    """A file that lies in the workspace now."""

    file: FileReference
    path: str = Field(description="Where it came from.")
    size: int = Field(description="Bytes.")
    sha256: str


class UploadInput(PathInput):
    """What is uploaded, and how."""

    content: Any = Field(
        default=None,
        title="Content",
        description="A text; or base64, with `content_format`; or a file, as in `data`.",
        examples=["sku;qty\n"],
    )
    data: FileInput = Field(
        default=None, title="Data", description="A file in any of its forms; of the workspace, it is streamed."
    )
    content_format: Literal["text", "base64"] = Field(default="text", description="What `content` is.")
    overwrite: bool = Field(
        default=True,
        description="Whether a file that is there is replaced. Otherwise it is an error, unless its "
        "content is the same.",
    )
    create_dirs: bool = Field(default=False, description="Whether directories on the way are made.")
    atomic: bool = Field(
        default=True,
        description="Whether the file gets its name only when it is whole. False writes in place, for servers that "
        "cannot rename.",
    )
    mode: int | None = Field(default=None, ge=0, le=0o7777, description="Permission bits: 420 is 0644.")
    verify_size: bool = Field(
        default=True,
        description="Whether the server is asked for the size of what was written. False is for servers that hide it.",
    )
    output: Literal["size", "object"] = Field(
        default="size", description="`size`: the bytes written. `object`: {path, size}."
    )


class UploadedFile(BaseModel):
    """A file that lies on the server now."""

    path: str
    size: int = Field(description="Bytes.")


class DeletedFile(BaseModel):
    """What is gone."""

    success: bool
    path: str


class DeleteInput(PathInput):
    """What goes away."""

    missing_ok: bool = Field(default=False, description="Whether it is no error that nothing is there.")


class MoveInput(ConnectedInput):
    """From where to where."""

    source: str = Field(title="Source", description="Path on the server.", examples=["/in/orders.csv"])
    destination: str = Field(title="Destination", description="Path on the server.", examples=["/done/orders.csv"])
    overwrite: bool = Field(default=False, description="Whether a file that is there is replaced.")
    create_dirs: bool = Field(default=False, description="Whether directories on the way are made.")


class MovedFile(BaseModel):
    """What was moved."""

    source: str
    destination: str


class MadeDirectory(BaseModel):
    """A directory that is there now."""

    path: str
    created: bool = Field(description="False when it was there before.")


class CreateDirectoryInput(PathInput):
    """Which directory."""

    parents: bool = Field(default=True, description="Whether directories on the way are made.")


class DeletedDirectory(BaseModel):
    """What is gone."""

    success: bool
    path: str
    items_deleted: int = Field(description="Files and directories.")


class DeleteDirectoryInput(PathInput):
    """Which directory."""

    recursive: bool = Field(default=False, description="Whether all that is in it goes, too.")
    missing_ok: bool = Field(default=False, description="Whether it is no error that nothing is there.")


class BatchInput(ConnectedInput):
    """How many files at a time, and what becomes of failures."""

    concurrency: int = Field(default=4, ge=1, le=16, description="Files at a time, each over a session of its own.")
    max_files: int = Field(default=1000, ge=1, le=10_000, description="More of them are an error.")
    on_error: Literal["continue", "fail"] = Field(
        default="continue",
        description="`continue`: the others are transferred, and `files` tells what failed. `fail`: the first failure "
        "is that of the step; what was transferred is not transferred again by a retry.",
    )


class DownloadFilesInput(BatchInput):
    """Which files, and where to."""

    pattern: str = Field(
        title="Pattern", description="Path with a glob as its last part; `/in/**/*.csv` looks into all directories."
    )
    save_to: str = Field(title="Save to", description="Directory of the workspace.", examples=["in"])


class UploadFilesInput(BatchInput):
    """Which files, and where to."""

    pattern: str = Field(title="Pattern", description="Glob of files of the workspace.", examples=["out/*.csv"])
    path: str = Field(title="Path", description="Directory on the server.", examples=["/out"])
    create_dirs: bool = Field(default=False, description="Whether the directory is made.")
    overwrite: bool = Field(default=True, description="Whether files that are there are replaced.")


class FileResult(BaseModel):
    """What became of one file."""

    source: str
    destination: str
    success: bool
    size: int | None = Field(default=None, description="Bytes.")
    sha256: str | None = None
    error: dict[str, Any] | None = Field(default=None, description="The structured error, when it failed.")


class BatchOutput(BaseModel):
    """What became of all of them."""

    files: list[FileResult] = Field(description="By path.")
    succeeded: int
    failed: int
    bytes: int = Field(description="Of those that succeeded.")


class WaitInput(ConnectedInput):
    """What is waited for, and how long."""

    pattern: str = Field(
        validation_alias=AliasChoices("pattern", "path"),
        title="Pattern",
        description="Path of the file, or with a glob as its last part.",
        examples=["/in/orders-*.csv"],
    )
    min_files: int = Field(default=1, ge=1, le=10_000, description="So many must be there.")
    stable_ms: int = Field(
        default=5000,
        ge=0,
        le=600_000,
        description="A file counts once its size and time stay the same for so long: it may still be written.",
    )
    interval_ms: int = Field(default=30_000, ge=100, le=86_400_000, description="Time between two looks.")
    timeout_ms: int = Field(
        default=86_400_000,
        ge=0,
        le=366 * 86_400_000,
        description="After so long SFTP_WAIT_TIMEOUT is the error; it began with the first run of the step.",
    )


class WaitOutput(BaseModel):
    """What came."""

    files: list[dict[str, Any]] = Field(description="As `sftp-list-files` tells of them, by path.")
    waited_ms: int
