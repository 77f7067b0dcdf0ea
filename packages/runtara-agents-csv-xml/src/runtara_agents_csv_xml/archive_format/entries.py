"""What archives of all formats consist of, with bounds: what an archive says of itself is not believed."""

from __future__ import annotations

import contextlib
import lzma
import re
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Annotated, Any, BinaryIO, Literal

from pydantic import BaseModel, BeforeValidator, Field
from runtara_sdk.agents import AgentError, CapabilityContext, KnownError
from runtara_sdk.agents.files import FILE_ERRORS, FileInput

DECODE_ERROR = "ARCHIVE_DECODE_ERROR"
READ_ERROR = "ARCHIVE_READ_ERROR"
TOO_LARGE = "ARCHIVE_TOO_LARGE"
UNSAFE_PATH = "ARCHIVE_UNSAFE_PATH"
UNSUPPORTED_FORMAT = "ARCHIVE_UNSUPPORTED_FORMAT"
ENCRYPTED = "ARCHIVE_ENCRYPTED"
OPTION_INVALID = "ARCHIVE_INVALID_OPTION"

READ_ERRORS = (
    *FILE_ERRORS,
    KnownError.permanent(DECODE_ERROR, "It is no archive of the format."),
    KnownError.permanent(READ_ERROR, "An entry is damaged.", "path"),
    KnownError.permanent(TOO_LARGE, "It holds more than may be: it may be a bomb.", "limit"),
    KnownError.permanent(UNSAFE_PATH, "An entry would land outside, or is a link or a device.", "path"),
    KnownError.permanent(UNSUPPORTED_FORMAT, "The format cannot be told, or is none that can be read."),
    KnownError.permanent(ENCRYPTED, "An entry is encrypted.", "path"),
    KnownError.permanent(OPTION_INVALID, "Two options do not go together."),
)

FREE_BYTES = 1024 * 1024
"""What may be unpacked whatever the ratio."""
PIECE_BYTES = 256 * 1024

_DRIVE = re.compile(r"[A-Za-z]:")
_DAMAGED = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    OSError,
    NotImplementedError,
    ValueError,
    LookupError,
    OverflowError,
    struct.error,
)
_SHORT_NAMES = {"tgz": "tar.gz", "tbz2": "tar.bz2", "tbz": "tar.bz2", "txz": "tar.xz"}


def _full_name(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    name = value.strip().lower().removeprefix(".")
    return _SHORT_NAMES.get(name, name)


FormatName = Literal["zip", "tar", "tar.gz", "tar.bz2", "tar.xz"]
Format = Annotated[FormatName, BeforeValidator(_full_name)]


class ArchiveInput(BaseModel):
    """An archive, and how much it may hold."""

    archive: FileInput = Field(title="Archive", description="The archive.", examples=[{"$file": "in/orders.zip"}])
    format: Format | None = Field(default=None, description="Found out when left out; also tgz, tbz2, txz.")
    name_encoding: str | None = Field(
        default=None,
        description="Of the names of entries that are not UTF-8; CP437 in a zip and Latin-1 in a tar when left out.",
        examples=["cp932"],
    )
    max_entries: int = Field(default=10_000, ge=1, le=1_000_000, description="More entries are an error.")
    max_entry_bytes: int = Field(default=1024**3, ge=1, le=2**40, description="A larger entry is an error.")
    max_total_bytes: int = Field(default=4 * 1024**3, ge=1, le=2**40, description="More in all is an error.")
    max_ratio: int = Field(
        default=200,
        ge=1,
        le=100_000,
        description="Bytes that one byte of the archive may become, beyond the first MiB: more is taken for a bomb.",
    )


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry.

    Attributes:
        path: with slashes, relative; as the archive says where it is unsafe.
        size: bytes, as the archive says.
        compressed_size: bytes; None where it is not told.
        is_directory: whether it is a directory.
        problem: why it must not be unpacked; None when nothing speaks against it.
        code: of that problem.
        open: gives its content.
    """

    path: str
    size: int
    compressed_size: int | None
    is_directory: bool
    problem: str | None
    code: str
    open: Callable[[], BinaryIO]

    @property
    def error(self) -> AgentError:
        """The error of an entry that must not be unpacked."""
        return AgentError.permanent(
            self.code, f"entry {self.path[:200]!r} {self.problem}", attributes={"path": self.path[:200]}
        )

    def with_problem(self, code: str, problem: str) -> Entry:
        """The same entry, which must not be unpacked."""
        return replace(self, code=code, problem=problem)


class Archive:
    """An open archive; its contents are read within the bounds.

    Attributes:
        format: its format.
        is_listed: whether it knows all of its entries from the start.
    """

    def __init__(
        self, inputs: ArchiveInput, found: FormatName, archive_bytes: int, entries: Iterator[Entry], *, is_listed: bool
    ) -> None:
        self.format = found
        self.is_listed = is_listed
        self._inputs = inputs
        self._allowed = FREE_BYTES + archive_bytes * inputs.max_ratio
        self._entries = entries
        self._total = 0

    def entries(self) -> Iterator[Entry]:
        """The entries in their order; raises `AgentError` when there are too many, or one is damaged.

        Those of archives that are read from the beginning to the end must be read before the next one is asked for.
        """
        count = 0
        with damaged(""):
            for entry in self._entries:
                count += 1
                if count > self._inputs.max_entries:
                    raise too_large("entries", self._inputs.max_entries, "max_entries")
                if entry.path or entry.problem:  # the directory that holds all others is none of them
                    yield entry

    def pieces(self, entry: Entry, context: CapabilityContext) -> Iterator[bytes]:
        """The content of an entry, in pieces; raises `AgentError` over a bound, or when it is damaged."""
        size = 0
        with damaged(entry.path), entry.open() as stream:
            while piece := stream.read(PIECE_BYTES):
                size += len(piece)
                self._count(len(piece), size)
                yield piece
                context.check()

    def _count(self, more: int, entry_bytes: int) -> None:
        self._total += more
        if entry_bytes > self._inputs.max_entry_bytes:
            raise too_large("bytes in one entry", self._inputs.max_entry_bytes, "max_entry_bytes")
        if self._total > self._inputs.max_total_bytes:
            raise too_large("bytes in all", self._inputs.max_total_bytes, "max_total_bytes")
        if self._total > self._allowed:
            raise too_large("bytes for each of its own", self._inputs.max_ratio, "max_ratio")


@contextlib.contextmanager
def damaged(path: str) -> Iterator[None]:
    """Turn what the libraries raise for a damaged entry into an `AgentError`."""
    try:
        yield
    except AgentError:
        raise
    except RuntimeError as error:
        if "encrypted" in str(error) or "password" in str(error):
            raise AgentError.permanent(
                ENCRYPTED, f"entry {path[:200]!r} is encrypted", attributes={"path": path[:200]}
            ) from None
        raise
    except _DAMAGED as error:
        where = f"entry {path[:200]!r}" if path else "the archive"
        raise AgentError.permanent(
            READ_ERROR, f"{where} is damaged: {reason(error)}", attributes={"path": path[:200]}
        ) from None


@contextlib.contextmanager
def undecodable(found: str) -> Iterator[None]:
    """Turn what the libraries raise for bytes that are no archive into an `AgentError`."""
    try:
        yield
    except AgentError:
        raise
    except _DAMAGED as error:
        raise AgentError.permanent(DECODE_ERROR, f"it is no {found}, or damaged: {reason(error)}") from None


def relative_path(name: str) -> tuple[str, str | None]:
    """The path of an entry in its shortest form, and what speaks against it; empty for the directory of all others."""
    slashed = name.replace("\\", "/")
    if slashed.startswith("/") or _DRIVE.match(slashed) or ".." in slashed.split("/"):
        return name, "would land outside of where it is unpacked"
    if "\0" in name:
        return name, "has a NUL in its name"
    return "/".join(part for part in name.split("/") if part not in ("", ".")), None


def too_large(what: str, limit: int, option: str) -> AgentError:
    """The error of an archive over a bound."""
    return AgentError.permanent(
        TOO_LARGE,
        f"the archive holds more than {limit} {what}: raise {option} if that is meant",
        attributes={"limit": limit},
    )


def reason(error: BaseException) -> str:
    """The first line of what a library says."""
    return str(error).partition("\n")[0][:200] or type(error).__name__
