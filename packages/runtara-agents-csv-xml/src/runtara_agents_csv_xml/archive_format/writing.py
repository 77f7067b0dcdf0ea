"""Writing archives: `create-archive`. The same files give the same bytes."""

from __future__ import annotations

import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import BinaryIO, cast

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

from runtara_agents_csv_xml.archive_format.compressed import COMPRESSIONS
from runtara_agents_csv_xml.archive_format.entries import (
    OPTION_INVALID,
    TOO_LARGE,
    Format,
    relative_path,
)
from runtara_agents_csv_xml.archive_format.packing import compressor, packed
from runtara_agents_csv_xml.archive_format.results import Output, target_of

NO_FILES = "ARCHIVE_NO_FILES"
WRITE_ERROR = "ARCHIVE_WRITE_ERROR"

_MEMORY_BYTES = 8 * 1024 * 1024
_LONGEST_PATH_BYTES = 4096
_MEDIA_TYPES: dict[str, str] = {
    "zip": "application/zip",
    "tar": "application/x-tar",
    "tar.gz": "application/gzip",
    "tar.bz2": "application/x-bzip2",
    "tar.xz": "application/x-xz",
}
_ORDERS = (
    "UEsDBBQAAAAAAAAAIQACkNGuBAAAAAQAAAAMAAAAb3JkZXJzL2EuY3N2c2t1ClBLAQIUAxQAAAAAAAAAIQACkNGuBAAAAAQAAAAMAAAAAAAAAA"
    "AAAACkgQAAAABvcmRlcnMvYS5jc3ZQSwUGAAAAAAEAAQA6AAAALgAAAAAA"
)
_FIRST_DAY = (1980, 1, 1, 0, 0, 0)  # what a zip can say at the earliest
_UNIX = 3
_LARGE_BYTES = 2**31

Add = Callable[[str, OpenFile], None]


class ArchiveFile(BaseModel):
    """One file that goes into the archive."""

    file: FileInput = Field(description="The file.")
    path: str | None = Field(default=None, description="Its path in the archive; the name of the file when left out.")


class CreateInput(BaseModel):
    """What goes into the archive, and how."""

    files: list[ArchiveFile] = Field(
        title="Files", description="The files, in their order.", examples=[[{"file": {"$file": "out/a.csv"}}]]
    )
    format: Format = Field(default="zip", description="Of the archive; tgz, tbz2 and txz are known, too.")
    compression_level: int = Field(
        default=6, ge=0, description="0 stores, 9 compresses most; more count as 9, and as 6 for tar.xz."
    )
    archive_name: str | None = Field(default=None, description="Name of the result; archive.zip and so on.")
    output: Output | None = Field(
        default=None,
        description="`data`: {content, filename, mimeType} with base64. `file`: a file of the workspace at `path`, "
        "which is what a `path` alone means.",
    )
    path: str | None = Field(default=None, description="Where `output` `file` goes.", examples=["out/orders.zip"])


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
        KnownError.permanent(OPTION_INVALID, "Two options do not go together."),
    ),
    examples=[
        Example(
            {"files": [{"file": {"$file": "out/a.csv"}, "path": "orders/a.csv"}], "path": "out/orders.zip"},
            files={"out/a.csv": "sku\n"},
        ),
        Example(
            {"files": [{"file": "c2t1Cg==", "path": "orders/a.csv"}], "compression_level": 0, "format": "zip"},
            output={"content": _ORDERS, "filename": "archive.zip", "mimeType": "application/zip"},
        ),
    ],
)
def create_archive(inputs: CreateInput, context: CapabilityContext) -> FileData | FileReference:
    """The archive, or where it lies."""
    if not inputs.files:
        raise AgentError.permanent(NO_FILES, "there are no files to pack")

    def pack(target: BinaryIO) -> None:
        with _writer(inputs, target, context) as add:
            for path, file in _files(inputs, context):
                with file:
                    try:
                        add(path, file)
                    except (OSError, ValueError, zipfile.LargeZipFile) as error:
                        raise _write_error(path, f"cannot be packed: {str(error)[:200]}") from None
                context.check()

    return packed(
        pack,
        context,
        target=target_of(inputs.output, inputs.path, "path"),
        filename=inputs.archive_name or f"archive.{inputs.format}",
        media_type=_MEDIA_TYPES[inputs.format],
    )


def _files(inputs: CreateInput, context: CapabilityContext) -> Iterator[tuple[str, OpenFile]]:
    seen: set[str] = set()
    for item in inputs.files:
        file = open_file(item.file, context)
        name = (item.path or file.filename or "file").replace("\\", "/")
        path, problem = relative_path(name)
        if problem is not None or not path or name.endswith("/"):
            problem = "is no relative path of a file"
        elif path in seen:
            problem = "is there twice"
        elif not _is_encodable(path):
            problem = f"is no text, or has more than {_LONGEST_PATH_BYTES} bytes"
        if problem is not None:
            file.stream.close()
            raise _write_error(name, problem)
        seen.add(path)
        yield path, file


def _is_encodable(path: str) -> bool:
    try:
        return len(path.encode()) <= _LONGEST_PATH_BYTES
    except UnicodeEncodeError:
        return False


@contextmanager
def _writer(inputs: CreateInput, target: BinaryIO, context: CapabilityContext) -> Iterator[Add]:
    level = min(inputs.compression_level, 9)
    if inputs.format == "zip":
        place = _seekable(target, context) if level == 0 else nullcontext(target)
        with place as sink, zipfile.ZipFile(sink, "w") as zip_file:
            yield lambda path, file: _add_to_zip(zip_file, path, file, level, context)
        return
    kind = COMPRESSIONS.get(inputs.format)
    if kind is None:
        with _tar_writer(target, context) as add:
            yield add
        return
    with compressor(target, kind, level) as sink, _tar_writer(sink, context) as add:
        yield add


@contextmanager
def _seekable(target: BinaryIO, context: CapabilityContext) -> Iterator[BinaryIO]:
    """Some readers need the size of what is stored before it, which is known after it."""
    with tempfile.SpooledTemporaryFile(_MEMORY_BYTES) as spooled:
        file = cast("BinaryIO", spooled)
        yield file
        file.seek(0)
        copy_stream(file, target.write, context.check)


def _add_to_zip(zip_file: zipfile.ZipFile, path: str, file: OpenFile, level: int, context: CapabilityContext) -> None:
    entry = zipfile.ZipInfo(path, _FIRST_DAY)
    entry.compress_type = zipfile.ZIP_DEFLATED if level else zipfile.ZIP_STORED
    entry._compresslevel = level or None  # type: ignore[attr-defined]  # noqa: SLF001 - public from Python 3.13 on
    entry.create_system = _UNIX
    entry.external_attr = 0o100644 << 16
    entry.file_size = file.size
    with zip_file.open(entry, "w", force_zip64=file.size >= _LARGE_BYTES) as sink:
        copy_stream(file.stream, sink.write, context.check)


@contextmanager
def _tar_writer(target: BinaryIO, context: CapabilityContext) -> Iterator[Add]:
    with tarfile.open(fileobj=target, mode="w", format=tarfile.PAX_FORMAT) as tar_file:

        def add(path: str, file: OpenFile) -> None:
            entry = tarfile.TarInfo(path)
            entry.size, entry.mode = file.size, 0o644
            tar_file.addfile(entry, file.stream)
            tar_file.members.clear()  # type: ignore[attr-defined]  # nobody asks for them again
            context.check()

        yield add


def _write_error(path: str, problem: str) -> AgentError:
    shown = path[:200].encode(errors="replace").decode()
    return AgentError.permanent(WRITE_ERROR, f"the path {shown!r} {problem}", attributes={"path": shown})
