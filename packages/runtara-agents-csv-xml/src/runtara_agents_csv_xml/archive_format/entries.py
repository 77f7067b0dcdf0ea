"""The entries of archives of all formats, with bounds: what an archive says of itself is not believed."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import lzma
import re
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, Literal, cast

from pydantic import BaseModel, Field
from runtara_sdk.agents import AgentError, CapabilityContext, KnownError
from runtara_sdk.agents.files import FILE_ERRORS, FileInput

Format = Literal["zip", "tar", "tar.gz", "tar.bz2", "tar.xz"]

DECODE_ERROR = "ARCHIVE_DECODE_ERROR"
READ_ERROR = "ARCHIVE_READ_ERROR"
TOO_LARGE = "ARCHIVE_TOO_LARGE"
UNSAFE_PATH = "ARCHIVE_UNSAFE_PATH"
UNSUPPORTED_FORMAT = "ARCHIVE_UNSUPPORTED_FORMAT"
ENCRYPTED = "ARCHIVE_ENCRYPTED"

READ_ERRORS = (
    *FILE_ERRORS,
    KnownError.permanent(DECODE_ERROR, "It is no archive of the format."),
    KnownError.permanent(READ_ERROR, "An entry is damaged.", "path"),
    KnownError.permanent(TOO_LARGE, "It holds more than may be: it may be a bomb.", "limit"),
    KnownError.permanent(UNSAFE_PATH, "An entry would land outside, or is a link or a device.", "path"),
    KnownError.permanent(UNSUPPORTED_FORMAT, "The format is not known, or none that can be told."),
    KnownError.permanent(ENCRYPTED, "An entry is encrypted.", "path"),
)

_PIECE_BYTES = 256 * 1024
_DRIVE = re.compile(r"[A-Za-z]:")
_DAMAGED = (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, OSError, NotImplementedError)


class ArchiveInput(BaseModel):
    """An archive, and how much it may hold."""

    archive: FileInput = Field(title="Archive", description="The archive.", examples=[{"$file": "in/orders.zip"}])
    format: Format | None = Field(default=None, description="Found out when left out.")
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
        path: with slashes, relative.
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

    def refuse_problem(self) -> None:
        """Raise `AgentError` when the entry must not be unpacked."""
        if self.problem is not None:
            raise AgentError.permanent(
                self.code, f"entry {self.path[:200]!r} {self.problem}", attributes={"path": self.path[:200]}
            )


class Archive:
    """An open archive; its contents are read within the bounds."""

    def __init__(self, inputs: ArchiveInput, format_: Format, archive_bytes: int, entries: Iterator[Entry]) -> None:
        self.format = format_
        self._inputs = inputs
        self._allowed = 1024 * 1024 + archive_bytes * inputs.max_ratio
        self._entries = entries
        self._total = 0

    def entries(self) -> Iterator[Entry]:
        """The entries in their order; raises `AgentError` when there are too many, or one is damaged."""
        count = 0
        with damaged(""):
            for entry in self._entries:
                count += 1
                if count > self._inputs.max_entries:
                    raise _too_large("entries", self._inputs.max_entries, "max_entries")
                yield entry

    def pieces(self, entry: Entry, context: CapabilityContext) -> Iterator[bytes]:
        """The content of an entry, in pieces."""
        size = 0
        with damaged(entry.path), entry.open() as stream:
            while piece := stream.read(_PIECE_BYTES):
                size += len(piece)
                self.count(len(piece), size)
                yield piece
                context.check()

    def count(self, more: int, entry_bytes: int) -> None:
        """Count unpacked bytes; raises `AgentError` over a bound."""
        self._total += more
        if entry_bytes > self._inputs.max_entry_bytes:
            raise _too_large("bytes in one entry", self._inputs.max_entry_bytes, "max_entry_bytes")
        if self._total > self._inputs.max_total_bytes:
            raise _too_large("bytes in all", self._inputs.max_total_bytes, "max_total_bytes")
        if self._total > self._allowed:
            raise _too_large("bytes for each of its own", self._inputs.max_ratio, "max_ratio")


@contextlib.contextmanager
def open_archive(inputs: ArchiveInput, stream: BinaryIO, size: int) -> Iterator[Archive]:
    """Open an archive of any format; raises `AgentError` when it is none."""
    found = inputs.format or _format_of(stream)
    stream.seek(0)
    try:
        if found == "zip":
            with zipfile.ZipFile(stream) as zip_file:
                yield Archive(inputs, found, size, _zip_entries(zip_file))
            return
        raw: Any = stream
        if found != "tar":
            # A bounded reader, so that a bomb ends in the middle and not in memory.
            opener: Any = {"tar.gz": gzip.GzipFile, "tar.bz2": bz2.BZ2File, "tar.xz": lzma.LZMAFile}[found]
            raw = opener(fileobj=stream) if found == "tar.gz" else opener(stream)
        bounded = _Bounded(raw, 1024 * 1024 + size * inputs.max_ratio, inputs)
        with tarfile.open(fileobj=cast("Any", bounded), mode="r|") as tar_file:
            yield Archive(inputs, found, size, _tar_entries(tar_file))
    except AgentError:
        raise
    except _DAMAGED as error:
        raise AgentError.permanent(DECODE_ERROR, f"it is no {found} archive: {_reason(error)}") from None


class _Bounded:
    def __init__(self, stream: Any, limit: int, inputs: ArchiveInput) -> None:
        self._stream = stream
        self._left = limit
        self._inputs = inputs

    def read(self, size: int = -1) -> bytes:
        piece: bytes = self._stream.read(size if size >= 0 else _PIECE_BYTES)
        self._left -= len(piece)
        if self._left < 0:
            raise _too_large("bytes for each of its own", self._inputs.max_ratio, "max_ratio")
        return piece


@contextlib.contextmanager
def damaged(path: str) -> Iterator[None]:
    """Turn what the libraries raise for a damaged entry into an `AgentError`."""
    try:
        yield
    except AgentError:
        raise
    except RuntimeError as error:
        if "encrypted" in str(error) or "password" in str(error):
            raise AgentError.permanent(ENCRYPTED, f"entry {path!r} is encrypted", attributes={"path": path}) from None
        raise
    except _DAMAGED as error:
        raise AgentError.permanent(
            READ_ERROR, f"entry {path!r} is damaged: {_reason(error)}", attributes={"path": path}
        ) from None


def _format_of(stream: BinaryIO) -> Format:
    head = stream.read(6)
    stream.seek(257)
    mark = stream.read(5)
    for begins, found in ((b"PK\x03\x04", "zip"), (b"PK\x05\x06", "zip"), (b"PK\x07\x08", "zip")):
        if head.startswith(begins):
            return cast("Format", found)
    if mark == b"ustar":
        return "tar"
    packed: tuple[tuple[bytes, Format], ...] = (
        (b"\x1f\x8b", "tar.gz"),
        (b"BZh", "tar.bz2"),
        (b"\xfd7zXZ\x00", "tar.xz"),
    )
    for begins, kind in packed:
        if head.startswith(begins):
            return kind
    raise AgentError.permanent(
        UNSUPPORTED_FORMAT, "its format cannot be told: zip, tar, tar.gz, tar.bz2 and tar.xz can be read"
    )


def _zip_entries(zip_file: zipfile.ZipFile) -> Iterator[Entry]:
    for item in zip_file.infolist():
        mode = item.external_attr >> 16
        problem, code = _path_problem(item.filename)
        if item.flag_bits & 0x1:
            problem, code = "is encrypted", ENCRYPTED
        elif mode and not stat.S_ISREG(mode) and not stat.S_ISDIR(mode) and stat.S_IFMT(mode):
            problem, code = "is a link or a device", UNSAFE_PATH

        def opened(item: zipfile.ZipInfo = item) -> BinaryIO:
            return cast("BinaryIO", zip_file.open(item))

        path = item.filename.replace("\\", "/")
        yield Entry(path, item.file_size, item.compress_size, item.is_dir(), problem, code, opened)


def _tar_entries(tar_file: tarfile.TarFile) -> Iterator[Entry]:
    for item in tar_file:
        problem, code = _path_problem(item.name)
        if not item.isreg() and not item.isdir():
            problem, code = "is a link or a device", UNSAFE_PATH

        def opened(item: tarfile.TarInfo = item) -> BinaryIO:
            return cast("BinaryIO", tar_file.extractfile(item))

        yield Entry(item.name, item.size, None, item.isdir(), problem, code, opened)


def _path_problem(path: str) -> tuple[str | None, str]:
    plain = path.replace("\\", "/")
    if plain.startswith("/") or _DRIVE.match(plain) or ".." in plain.split("/"):
        return "would land outside of where it is unpacked", UNSAFE_PATH
    if "\0" in plain or not plain.strip("/. "):
        return "has no name", UNSAFE_PATH
    return None, UNSAFE_PATH


def _too_large(what: str, limit: int, option: str) -> AgentError:
    return AgentError.permanent(
        TOO_LARGE,
        f"the archive holds more than {limit} {what}: raise {option} if that is meant",
        attributes={"limit": limit},
    )


def _reason(error: BaseException) -> str:
    return str(error).partition("\n")[0][:200] or type(error).__name__
