"""Reading archives: `list-archive`, `extract-archive`, `extract-file`."""

from __future__ import annotations

import contextlib
import fnmatch
import posixpath
from collections.abc import Iterator
from typing import Literal

from pydantic import AliasChoices, Field
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
from runtara_sdk.agents.files import WORKSPACE_ERRORS

from runtara_agents_csv_xml.archive_format.entries import (
    READ_ERRORS,
    UNSAFE_PATH,
    Archive,
    ArchiveInput,
    Entry,
)
from runtara_agents_csv_xml.archive_format.opening import open_archive
from runtara_agents_csv_xml.archive_format.results import (
    MOST_DATA_BYTES,
    CamelCase,
    Output,
    data,
    held,
    stored,
    target_of,
)

FILE_NOT_FOUND = "ARCHIVE_FILE_NOT_FOUND"
IS_DIRECTORY = "ARCHIVE_IS_DIRECTORY"

_SHOWN_CHARACTERS = 200
_ORDERS = (
    "UEsDBBQAAAAAAAAAIQACkNGuBAAAAAQAAAAMAAAAb3JkZXJzL2EuY3N2c2t1ClBLAQIUAxQAAAAAAAAAIQACkNGuBAAAAAQAAAAMAAAAAAAAAA"
    "AAAACkgQAAAABvcmRlcnMvYS5jc3ZQSwUGAAAAAAEAAQA6AAAALgAAAAAA"
)
"""A zip with one entry, orders/a.csv."""


class ListedEntry(CamelCase):
    """One entry of an archive."""

    path: str
    size: int = Field(description="Bytes, as the archive says.")
    compressed_size: int | None = Field(description="Bytes in the archive; null where it does not tell.")
    is_directory: bool
    problem: str | None = Field(description="Why it must not be unpacked; null when nothing speaks against it.")


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
    examples=[
        Example(
            {"archive": _ORDERS},
            output={
                "entries": [
                    {"path": "orders/a.csv", "size": 4, "compressedSize": 4, "isDirectory": False, "problem": None}
                ],
                "totalCount": 1,
                "totalSize": 4,
                "format": "zip",
            },
        )
    ],
)
def list_archive(inputs: ArchiveInput, context: CapabilityContext) -> ListOutput:
    """The entries."""
    with open_archive(inputs, context) as archive:
        entries: list[ListedEntry] = []
        for entry in archive.entries():
            entries.append(
                ListedEntry(
                    path=entry.path,
                    size=entry.size,
                    compressed_size=entry.compressed_size,
                    is_directory=entry.is_directory,
                    problem=entry.problem,
                )
            )
            context.check()
        return ListOutput(
            entries=entries,
            total_count=len(entries),
            total_size=sum(entry.size for entry in entries),
            format=archive.format,
        )


class ExtractInput(ArchiveInput):
    """What is unpacked, and where to."""

    output: Output | None = Field(
        default=None,
        description="`data`: the contents as base64, for small archives. `file`: files below `directory` of the "
        "workspace, which is what a `directory` alone means.",
    )
    directory: str | None = Field(default=None, description="Of the workspace, for `output` `file`.", examples=["in"])
    include: list[str] = Field(
        default_factory=list,
        description="Patterns of paths, with * and ?: only entries that fit one of them. All when left out.",
        examples=[["*.csv"]],
    )
    on_unsafe: Literal["error", "skip"] = Field(
        default="error",
        description="What becomes of entries that would land outside, of links, devices, and of what is encrypted, "
        "compressed in an unknown way or part of a bomb.",
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
    code: str
    reason: str


class ExtractOutput(CamelCase):
    """What was unpacked."""

    files: list[ExtractedFile] = Field(description="In the order of the archive; of one path the last entry.")
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
    known_errors=(*READ_ERRORS, *WORKSPACE_ERRORS),
    examples=[
        Example(
            {"archive": _ORDERS, "output": "file", "directory": "in"},
            output={
                "files": [
                    {
                        "file": {
                            "$file": "in/orders/a.csv",
                            "filename": "a.csv",
                            "size": 4,
                            "sha256": "d9e9135d52d0d5f1d45b781ee8f2bb11aa04c24532d2d9ec683be83643d77cdc",
                            "mimeType": "text/csv",
                        },
                        "path": "orders/a.csv",
                        "size": 4,
                        "isDirectory": False,
                    }
                ],
                "count": 1,
                "skipped": [],
            },
        )
    ],
)
def extract_archive(inputs: ExtractInput, context: CapabilityContext) -> ExtractOutput:
    """Unpack it."""
    directory = target_of(inputs.output, inputs.directory, "directory")
    files: dict[str, ExtractedFile] = {}
    skipped: list[SkippedEntry] = []
    held_bytes = 0
    with open_archive(inputs, context) as archive, _counted_once(directory, context):
        for entry in _wanted(inputs, archive, directory, context):
            if entry.problem is not None:
                if inputs.on_unsafe == "error":
                    raise entry.error
                skipped.append(SkippedEntry(path=entry.path[:_SHOWN_CHARACTERS], code=entry.code, reason=entry.problem))
                continue
            files.pop(entry.path, None)
            unpacked: FileData | FileReference | None = None
            size = 0
            if entry.is_directory:
                pass
            elif directory is not None:
                path = posixpath.join(directory, entry.path)
                unpacked = stored(archive.pieces(entry, context), path, context)
                size = unpacked.size or 0
            else:
                content = held(archive.pieces(entry, context), MOST_DATA_BYTES - held_bytes)
                unpacked, size = data(content, entry.path), len(content)
                held_bytes += size
            files[entry.path] = ExtractedFile(
                file=unpacked, path=entry.path, size=size, is_directory=entry.is_directory
            )
    return ExtractOutput(files=[*files.values()], count=len(files), skipped=skipped)


def _wanted(
    inputs: ExtractInput, archive: Archive, directory: str | None, context: CapabilityContext
) -> Iterator[Entry]:
    entries = (
        _placed(entry, directory, context)
        for entry in archive.entries()
        if not inputs.include or any(fnmatch.fnmatchcase(entry.path, pattern) for pattern in inputs.include)
    )
    if not archive.is_listed:
        return entries
    listed = [*entries]  # so that nothing is unpacked when one of them must not be
    return iter(sorted(listed, key=lambda entry: entry.problem is None) if inputs.on_unsafe == "error" else listed)


def _placed(entry: Entry, directory: str | None, context: CapabilityContext) -> Entry:
    """The entry, which must not be unpacked when the workspace cannot hold its path."""
    if directory is None or entry.problem is not None:
        return entry
    try:
        context.require_workspace().path(posixpath.join(directory, entry.path))
    except AgentError as error:
        if error.code != "WORKSPACE_PATH_INVALID":
            raise
        return entry.with_problem(UNSAFE_PATH, f"has a path that the workspace refuses: {error.message}")
    return entry


@contextlib.contextmanager
def _counted_once(directory: str | None, context: CapabilityContext) -> Iterator[None]:
    """While a file is being written, the workspace is not measured again for each one more."""
    if directory is None:
        yield
        return
    with context.require_workspace().create(".unpacking"):
        yield


class ExtractFileInput(ArchiveInput):
    """Which entry."""

    file_path: str = Field(title="File path", description="Path of the entry.", examples=["a.txt"])
    output: Output | None = Field(
        default=None,
        description="`data`: {content, filename, mimeType} with base64. `file`: a file of the workspace at `save_to`, "
        "which is what a `save_to` alone means.",
    )
    save_to: str | None = Field(
        default=None, validation_alias=AliasChoices("save_to", "path"), description="Where `output` `file` goes."
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
    examples=[
        Example(
            {"archive": _ORDERS, "file_path": "orders/a.csv"},
            output={"content": "c2t1Cg==", "filename": "a.csv", "mimeType": "text/csv"},
        )
    ],
)
def extract_file(inputs: ExtractFileInput, context: CapabilityContext) -> FileData | FileReference:
    """The content of the entry, or where it lies."""
    target = target_of(inputs.output, inputs.save_to, "save_to")
    wanted = _comparable(inputs.file_path)
    with open_archive(inputs, context) as archive:
        for entry in archive.entries():
            context.check()
            if _comparable(entry.path) != wanted:
                continue
            if entry.is_directory:
                raise AgentError.permanent(
                    IS_DIRECTORY, f"entry {wanted[:200]!r} is a directory", attributes={"file_path": wanted[:200]}
                )
            if entry.problem is not None:
                raise entry.error
            pieces = archive.pieces(entry, context)
            if target is not None:
                return stored(pieces, target, context)
            return data(held(pieces, MOST_DATA_BYTES), entry.path)
    raise AgentError.permanent(
        FILE_NOT_FOUND, f"the archive has no entry {wanted[:200]!r}", attributes={"file_path": wanted[:200]}
    )


def _comparable(path: str) -> str:
    return "/".join(part for part in path.replace("\\", "/").split("/") if part not in ("", "."))
