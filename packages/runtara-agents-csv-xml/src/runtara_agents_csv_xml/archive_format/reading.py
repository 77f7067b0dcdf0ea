"""Reading archives: `list-archive`, `extract-archive`, `extract-file`, and `decompress`."""

from __future__ import annotations

import bz2
import gzip
import lzma
import mimetypes
import posixpath
import zlib
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel
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
from runtara_sdk.agents.files import FILE_ERRORS, WORKSPACE_ERRORS, FileInput, open_file

from runtara_agents_csv_xml.archive_format.entries import (
    DECODE_ERROR,
    READ_ERRORS,
    TOO_LARGE,
    UNSAFE_PATH,
    Archive,
    ArchiveInput,
    Entry,
    open_archive,
)

FILE_NOT_FOUND = "ARCHIVE_FILE_NOT_FOUND"
IS_DIRECTORY = "ARCHIVE_IS_DIRECTORY"

DEFAULT_DATA_BYTES = 10 * 1024 * 1024


class CamelCase(BaseModel):
    """A result whose keys are camelCase, as the original names them."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)


class ListedEntry(CamelCase):
    """One entry of an archive."""

    path: str
    size: int = Field(description="Bytes, as the archive says.")
    compressed_size: int | None = Field(description="Bytes in the archive; null where it does not tell.")
    is_directory: bool


class ListOutput(CamelCase):
    """What an archive holds."""

    entries: list[ListedEntry]
    total_count: int
    total_size: int = Field(description="Bytes, as the archive says.")
    format: str


@capability(
    id="list-archive",
    aliases=("list",),
    display_name="List Archive",
    description="Lists the entries of an archive without unpacking it.",
    known_errors=READ_ERRORS,
    examples=[Example({"archive": {"$file": "in/orders.zip"}}, needs="an archive")],
)
def list_archive(inputs: ArchiveInput, context: CapabilityContext) -> ListOutput:
    """The entries."""
    with open_file(inputs.archive, context) as file, open_archive(inputs, file.stream, file.size) as archive:
        entries = [
            ListedEntry(
                path=entry.path,
                size=entry.size,
                compressed_size=entry.compressed_size,
                is_directory=entry.is_directory,
            )
            for entry in archive.entries()
        ]
        return ListOutput(
            entries=entries,
            total_count=len(entries),
            total_size=sum(entry.size for entry in entries),
            format=archive.format,
        )


class ExtractInput(ArchiveInput):
    """What is unpacked, and where to."""

    output: Literal["data", "file"] = Field(
        default="data",
        description="`data`: the contents as base64, for small archives. `file`: files below `directory` of the "
        "workspace.",
    )
    directory: str | None = Field(default=None, description="Of the workspace, for `output` `file`.", examples=["in"])
    on_unsafe: Literal["error", "skip"] = Field(
        default="error", description="What becomes of entries that would land outside, of links and of devices."
    )


class ExtractedFile(CamelCase):
    """One entry that was unpacked."""

    file: FileData | FileReference | None = Field(description="Its content, or where it lies; null for a directory.")
    path: str
    size: int = Field(description="Bytes.")
    is_directory: bool


class SkippedEntry(CamelCase):
    """One entry that was left out."""

    path: str
    reason: str


class ExtractOutput(CamelCase):
    """What was unpacked."""

    files: list[ExtractedFile]
    count: int
    skipped: list[SkippedEntry]


@capability(
    id="extract-archive",
    aliases=("extract", "unzip"),
    display_name="Extract Archive",
    description="Unpacks an archive, bounded in every way, into the data of the workflow or the workspace.",
    side_effects=True,
    idempotent=True,
    effect=EffectClass.IDEMPOTENT,
    known_errors=(
        *READ_ERRORS,
        *WORKSPACE_ERRORS,
        KnownError.permanent("ARCHIVE_INVALID_OPTION", "`output` `file` needs `directory`."),
    ),
    examples=[
        Example({"archive": {"$file": "in/orders.zip"}, "output": "file", "directory": "in"}, needs="an archive")
    ],
)
def extract_archive(inputs: ExtractInput, context: CapabilityContext) -> ExtractOutput:
    """Unpack it."""
    if inputs.output == "file" and inputs.directory is None:
        raise AgentError.permanent("ARCHIVE_INVALID_OPTION", "output `file` needs `directory`, one of the workspace")
    files: list[ExtractedFile] = []
    skipped: list[SkippedEntry] = []
    held = 0
    with open_file(inputs.archive, context) as file, open_archive(inputs, file.stream, file.size) as archive:
        for entry in archive.entries():
            if entry.problem is not None and inputs.on_unsafe == "skip" and entry.code == UNSAFE_PATH:
                skipped.append(SkippedEntry(path=entry.path[:200], reason=entry.problem))
                continue
            entry.refuse_problem()
            if entry.is_directory:
                files.append(ExtractedFile(file=None, path=entry.path, size=0, is_directory=True))
                continue
            if inputs.output == "file":
                unpacked: FileData | FileReference = _to_workspace(archive, entry, inputs.directory or "", context)
                size = unpacked.size if isinstance(unpacked, FileReference) and unpacked.size is not None else 0
            else:
                content = _content(archive, entry, DEFAULT_DATA_BYTES - held, context)
                held += len(content)
                unpacked, size = _data(entry.path, content), len(content)
            files.append(ExtractedFile(file=unpacked, path=entry.path, size=size, is_directory=False))
    return ExtractOutput(files=files, count=len(files), skipped=skipped)


class ExtractFileInput(ArchiveInput):
    """Which entry."""

    file_path: str = Field(title="File path", description="Path of the entry.", examples=["a.txt"])
    save_to: str | None = Field(
        default=None, description="Path in the workspace; the content is part of the result when left out."
    )


@capability(
    id="extract-file",
    display_name="Extract File",
    description="Unpacks one entry of an archive.",
    side_effects=True,
    idempotent=True,
    effect=EffectClass.IDEMPOTENT,
    known_errors=(
        *READ_ERRORS,
        *WORKSPACE_ERRORS,
        KnownError.permanent(FILE_NOT_FOUND, "There is no such entry.", "file_path"),
        KnownError.permanent(IS_DIRECTORY, "The entry is a directory.", "file_path"),
    ),
    examples=[Example({"archive": {"$file": "in/orders.zip"}, "file_path": "a.csv"}, needs="an archive")],
)
def extract_file(inputs: ExtractFileInput, context: CapabilityContext) -> FileData | FileReference:
    """The content of the entry, or where it lies."""
    wanted = inputs.file_path.replace("\\", "/").lstrip("/")
    with open_file(inputs.archive, context) as file, open_archive(inputs, file.stream, file.size) as archive:
        for entry in archive.entries():
            if entry.path.replace("\\", "/").lstrip("/").rstrip("/") != wanted.rstrip("/"):
                continue
            if entry.is_directory:
                raise AgentError.permanent(
                    IS_DIRECTORY, f"entry {wanted!r} is a directory", attributes={"file_path": wanted}
                )
            if entry.code != UNSAFE_PATH or inputs.save_to is None or "link" in (entry.problem or ""):
                entry.refuse_problem()
            if inputs.save_to is not None:
                return _stored(archive, entry, inputs.save_to, context)
            return _data(entry.path, _content(archive, entry, DEFAULT_DATA_BYTES, context))
    raise AgentError.permanent(FILE_NOT_FOUND, f"the archive has no entry {wanted!r}", attributes={"file_path": wanted})


def _to_workspace(archive: Archive, entry: Entry, directory: str, context: CapabilityContext) -> FileReference:
    return _stored(archive, entry, posixpath.join(directory, entry.path), context)


def _stored(archive: Archive, entry: Entry, path: str, context: CapabilityContext) -> FileReference:
    with context.require_workspace().create(path) as file:
        for piece in archive.pieces(entry, context):
            file.write(piece)
        return FileReference.of(file.commit(), mime_type=_media_type(entry.path))


def _content(archive: Archive, entry: Entry, limit: int, context: CapabilityContext) -> bytes:
    content = bytearray()
    for piece in archive.pieces(entry, context):
        content += piece
        if len(content) > limit:
            raise AgentError.permanent(
                TOO_LARGE,
                f"the contents have more than {DEFAULT_DATA_BYTES} bytes: unpack them into the workspace",
                attributes={"limit": DEFAULT_DATA_BYTES},
            )
    return bytes(content)


def _data(path: str, content: bytes) -> FileData:
    return FileData.of(content, filename=posixpath.basename(path), mime_type=_media_type(path))


_TYPES = mimetypes.MimeTypes()  # of Python alone: the system's tables differ from host to host


def _media_type(path: str) -> str | None:
    return _TYPES.guess_type(path, strict=False)[0]


class DecompressInput(BaseModel):
    """One compressed file."""

    data: FileInput = Field(title="Data", description="The file.")
    format: Literal["gzip", "bzip2", "xz"] = Field(default="gzip", description="How it is compressed.")
    save_to: str | None = Field(
        default=None, description="Path in the workspace; the content is part of the result when left out."
    )
    max_bytes: int = Field(default=4 * 1024**3, ge=1, le=2**40, description="More is an error.")
    max_ratio: int = Field(
        default=1100, ge=1, le=100_000, description="Bytes that one byte may become, beyond the first MiB."
    )


@capability(
    id="decompress",
    aliases=("gunzip",),
    display_name="Decompress",
    description="Unpacks one file that was compressed by gzip, bzip2 or xz.",
    side_effects=True,
    idempotent=True,
    effect=EffectClass.IDEMPOTENT,
    known_errors=(
        *FILE_ERRORS,
        *WORKSPACE_ERRORS,
        KnownError.permanent(DECODE_ERROR, "It is not of the format, or damaged."),
        KnownError.permanent(TOO_LARGE, "It becomes larger than may be.", "limit"),
    ),
    examples=[
        Example(
            {"data": "H4sIAAAAAAAC/8vI5AIAenpv7QMAAAA=", "format": "gzip"},
            output={"content": "aGkK", "filename": None, "mimeType": None},
        )
    ],
)
def decompress(inputs: DecompressInput, context: CapabilityContext) -> FileData | FileReference:
    """The content, or where it lies."""
    with open_file(inputs.data, context) as file:
        openers: dict[str, Any] = {"gzip": gzip.open, "bzip2": bz2.open, "xz": lzma.open}
        stream = openers[inputs.format](file.stream, "rb")
        allowed = min(inputs.max_bytes, 1024 * 1024 + file.size * inputs.max_ratio)
        try:
            if inputs.save_to is not None:
                with context.require_workspace().create(inputs.save_to) as target:
                    for piece in _unpacked(stream, allowed, context):
                        target.write(piece)
                    return FileReference.of(target.commit(), mime_type=_media_type(inputs.save_to))
            content = b"".join(_unpacked(stream, min(allowed, DEFAULT_DATA_BYTES), context))
        except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
            raise AgentError.permanent(DECODE_ERROR, f"it is no {inputs.format}: {str(error)[:200]}") from None
    name = file.filename.rpartition(".")[0] if file.filename and "." in file.filename else None
    return FileData.of(content, filename=name, mime_type=_media_type(name) if name else None)


def _unpacked(stream: Any, limit: int, context: CapabilityContext) -> Any:
    size = 0
    while piece := stream.read(256 * 1024):
        size += len(piece)
        if size > limit:
            text = f"it becomes more than {limit} bytes: unpack it into the workspace, or raise max_bytes or max_ratio"
            raise AgentError.permanent(TOO_LARGE, text, attributes={"limit": limit})
        yield piece
        context.check()
