"""Writing archives: `create-archive` and `compress`. The same inputs give the same bytes."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import posixpath
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, Literal, cast

from pydantic import BaseModel, Field
from runtara_sdk.agents import (
    AgentError,
    CapabilityContext,
    EffectClass,
    Example,
    FileData,
    FileReference,
    KnownError,
    capability,
)
from runtara_sdk.agents.files import FILE_ERRORS, WORKSPACE_ERRORS, FileInput, OpenFile, open_file
from runtara_sdk.agents.workspace import copy_stream

from runtara_agents_csv_xml.archive_format.entries import TOO_LARGE, Format

NO_FILES = "ARCHIVE_NO_FILES"
WRITE_ERROR = "ARCHIVE_WRITE_ERROR"

_LARGEST_DATA = 50 * 1024 * 1024
_MEMORY_BYTES = 8 * 1024 * 1024
_MEDIA_TYPES: dict[str, str] = {
    "zip": "application/zip",
    "tar": "application/x-tar",
    "tar.gz": "application/gzip",
    "tar.bz2": "application/x-bzip2",
    "tar.xz": "application/x-xz",
}
_FIRST_DAY = (1980, 1, 1, 0, 0, 0)  # what a zip can say at the earliest


class ArchiveFile(BaseModel):
    """One file that goes into the archive."""

    file: FileInput = Field(description="The file.")
    path: str | None = Field(default=None, description="Its path in the archive; the name of the file when left out.")


class CreateInput(BaseModel):
    """What goes into the archive, and how."""

    files: list[ArchiveFile] = Field(
        title="Files", description="The files, in their order.", examples=[[{"file": {"$file": "out/a.csv"}}]]
    )
    format: Format = Field(default="zip", description="Of the archive.")
    compression_level: int = Field(default=6, ge=0, description="0 stores, 9 compresses most; capped at 9.")
    archive_name: str | None = Field(default=None, description="Name of the result; archive.zip and so on.")
    path: str | None = Field(
        default=None, description="Path in the workspace; the archive is part of the result when left out."
    )


@capability(
    id="create-archive",
    aliases=("zip", "create"),
    display_name="Create Archive",
    description="Packs files into an archive; the same files give the same bytes.",
    side_effects=True,
    idempotent=True,
    effect=EffectClass.IDEMPOTENT,
    known_errors=(
        *FILE_ERRORS,
        *WORKSPACE_ERRORS,
        KnownError.permanent(NO_FILES, "There are no files."),
        KnownError.permanent(WRITE_ERROR, "Two entries have the same path, or a path is none.", "path"),
        KnownError.permanent(TOO_LARGE, "The archive is too large for the data of a workflow.", "limit"),
    ),
    examples=[
        Example(
            {"files": [{"file": {"$file": "out/a.csv"}, "path": "orders/a.csv"}], "path": "out/orders.zip"},
            files={"out/a.csv": "sku\n"},
        )
    ],
)
def create_archive(inputs: CreateInput, context: CapabilityContext) -> FileData | FileReference:
    """The archive, or where it lies."""
    if not inputs.files:
        raise AgentError.permanent(NO_FILES, "there are no files to pack")
    name = inputs.archive_name or f"archive.{inputs.format}"
    media_type = _MEDIA_TYPES[inputs.format]
    with tempfile.SpooledTemporaryFile(_MEMORY_BYTES) as packed:
        target = cast("BinaryIO", packed)
        with _writer(inputs, target) as add:
            for path, file in _files(inputs, context):
                with file:
                    add(path, file)
                context.check()
        size = target.tell()
        target.seek(0)
        if inputs.path is not None:
            with context.require_workspace().create(inputs.path) as stored:
                copy_stream(target, stored.write, context.check)
                return FileReference.of(stored.commit(), mime_type=media_type)
        if size > _LARGEST_DATA:
            text = f"the archive has {size} bytes: give `path`, so that it goes to the workspace"
            raise AgentError.permanent(TOO_LARGE, text, attributes={"limit": _LARGEST_DATA})
        return FileData.of(target.read(), filename=name, mime_type=media_type)


def _files(inputs: CreateInput, context: CapabilityContext) -> Iterator[tuple[str, OpenFile]]:
    seen: set[str] = set()
    for item in inputs.files:
        file = open_file(item.file, context)
        path = (item.path or file.filename or "file").replace("\\", "/")
        problem = None
        if (
            path.startswith("/")
            or ".." in path.split("/")
            or not path.strip("/. ")
            or "\0" in path
            or path.endswith("/")
        ):
            problem = "is no relative path of a file"
        elif path in seen:
            problem = "is there twice"
        if problem is not None:
            file.stream.close()
            raise AgentError.permanent(
                WRITE_ERROR, f"the path {path[:200]!r} {problem}", attributes={"path": path[:200]}
            )
        seen.add(path)
        yield path, file


@contextmanager
def _writer(inputs: CreateInput, target: BinaryIO) -> Iterator[Callable[[str, OpenFile], None]]:
    level = min(inputs.compression_level, 9)
    if inputs.format == "zip":
        method = zipfile.ZIP_DEFLATED if level else zipfile.ZIP_STORED
        with zipfile.ZipFile(target, "w", method, compresslevel=level or None) as zip_file:

            def add_to_zip(path: str, file: OpenFile) -> None:
                entry = zipfile.ZipInfo(path, _FIRST_DAY)
                entry.compress_type = method
                entry.external_attr = 0o644 << 16
                entry.file_size = file.size
                with zip_file.open(entry, "w", force_zip64=file.size >= 2**31) as sink:
                    copy_stream(file.stream, sink.write, lambda: None)

            yield add_to_zip
        return
    packer: Any = target
    if inputs.format == "tar.gz":
        packer = gzip.GzipFile(filename="", mode="wb", compresslevel=level, fileobj=target, mtime=0)
    elif inputs.format == "tar.bz2":
        packer = bz2.BZ2File(target, "wb", compresslevel=max(1, level))
    elif inputs.format == "tar.xz":
        packer = lzma.LZMAFile(target, "wb", preset=level)  # noqa: SIM115 - closed below
    with tarfile.open(fileobj=packer, mode="w", format=tarfile.PAX_FORMAT) as tar_file:

        def add_to_tar(path: str, file: OpenFile) -> None:
            entry = tarfile.TarInfo(path)
            entry.size, entry.mode = file.size, 0o644
            tar_file.addfile(entry, file.stream)

        yield add_to_tar
    if packer is not target:
        packer.close()


class CompressInput(BaseModel):
    """One file."""

    data: FileInput = Field(default=None, title="Data", description="The file; or give `text`.")
    text: str | None = Field(default=None, description="A text, in place of `data`.", examples=["hi\n"])
    format: Literal["gzip", "bzip2", "xz"] = Field(default="gzip", description="How it is compressed.")
    compression_level: int = Field(default=6, ge=0, le=9, description="9 compresses most.")
    path: str | None = Field(
        default=None, description="Path in the workspace; the content is part of the result when left out."
    )


@capability(
    id="compress",
    aliases=("gzip",),
    display_name="Compress",
    description="Compresses one file by gzip, bzip2 or xz; the same content gives the same bytes.",
    side_effects=True,
    idempotent=True,
    effect=EffectClass.IDEMPOTENT,
    known_errors=(
        *FILE_ERRORS,
        *WORKSPACE_ERRORS,
        KnownError.permanent("INPUT_MISSING", "Neither or both of `data` and `text` are given."),
        KnownError.permanent(TOO_LARGE, "The result is too large for the data of a workflow.", "limit"),
    ),
    examples=[Example({"text": "hi\n"})],
)
def compress(inputs: CompressInput, context: CapabilityContext) -> FileData | FileReference:
    """The compressed file, or where it lies."""
    if (inputs.data is None) == (inputs.text is None):
        raise AgentError.permanent("INPUT_MISSING", "give either `data` (a file) or `text`")
    if inputs.text is not None:
        content = inputs.text.encode("utf-8", "surrogatepass")
        file = OpenFile(io.BytesIO(content), len(content))
    else:
        file = open_file(inputs.data, context)
    endings = {"gzip": "gz", "bzip2": "bz2", "xz": "xz"}
    media_types = {"gzip": "application/gzip", "bzip2": "application/x-bzip2", "xz": "application/x-xz"}
    media_type = media_types[inputs.format]
    with file, tempfile.SpooledTemporaryFile(_MEMORY_BYTES) as packed:
        target = cast("BinaryIO", packed)
        level = inputs.compression_level
        sink: Any
        if inputs.format == "gzip":
            sink = gzip.GzipFile(filename="", mode="wb", compresslevel=level, fileobj=target, mtime=0)
        elif inputs.format == "bzip2":
            sink = bz2.BZ2File(target, "wb", compresslevel=max(1, level))
        else:
            sink = lzma.LZMAFile(target, "wb", preset=level)  # noqa: SIM115 - entered below
        with sink:
            copy_stream(file.stream, sink.write, context.check)
        size = target.tell()
        target.seek(0)
        if inputs.path is not None:
            with context.require_workspace().create(inputs.path) as stored:
                copy_stream(target, stored.write, context.check)
                return FileReference.of(stored.commit(), mime_type=media_type)
        if size > _LARGEST_DATA:
            text = f"the result has {size} bytes: give `path`, so that it goes to the workspace"
            raise AgentError.permanent(TOO_LARGE, text, attributes={"limit": _LARGEST_DATA})
        name = f"{posixpath.basename(file.filename)}.{endings[inputs.format]}" if file.filename else None
        return FileData.of(target.read(), filename=name, mime_type=media_type)
