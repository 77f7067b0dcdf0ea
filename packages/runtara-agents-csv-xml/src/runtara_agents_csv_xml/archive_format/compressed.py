"""Streams that were compressed by gzip, bzip2 or xz, and what a file is."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
from typing import Any, BinaryIO, Literal, cast

from runtara_sdk.agents import AgentError

from runtara_agents_csv_xml.archive_format.entries import (
    TOO_LARGE,
    UNSUPPORTED_FORMAT,
    FormatName,
    undecodable,
)
from runtara_agents_csv_xml.archive_format.zips import has_directory

Compression = Literal["gzip", "bzip2", "xz"]

COMPRESSIONS: dict[FormatName, Compression] = {"tar.gz": "gzip", "tar.bz2": "bzip2", "tar.xz": "xz"}
"""How archives are compressed that are compressed as a whole."""

_MARKS: tuple[tuple[bytes, Compression], ...] = ((b"\x1f\x8b", "gzip"), (b"BZh", "bzip2"), (b"\xfd7zXZ\x00", "xz"))
_FOREIGN = (
    (b"7z\xbc\xaf\x27\x1c", "7z"),
    (b"Rar!\x1a\x07", "RAR"),
    (b"\x28\xb5\x2f\xfd", "Zstandard"),
    (b"MSCF", "CAB"),
)
_XZ_MEMORY_BYTES = 256 * 1024 * 1024
_READ_BYTES = 64 * 1024


def decompressed(stream: BinaryIO, kind: Compression) -> BinaryIO:
    """What a stream was before it was compressed; each read unpacks what it gives, and little more."""
    stream.seek(0)
    if kind == "gzip":
        return cast("BinaryIO", gzip.GzipFile(fileobj=stream))
    return cast("BinaryIO", bz2.BZ2File(stream) if kind == "bzip2" else _XzStream(stream))


def compression_of(stream: BinaryIO) -> Compression | None:
    """How a stream is compressed, by its first bytes."""
    stream.seek(0)
    head = stream.read(6)
    stream.seek(0)
    return next((kind for mark, kind in _MARKS if head.startswith(mark)), None)


def format_of(stream: BinaryIO) -> FormatName:
    """The format of an archive, by its content; raises `AgentError` where it is none."""
    stream.seek(0)
    head = stream.read(tarfile.BLOCKSIZE)
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")):
        return "zip"
    kind = compression_of(stream)
    if kind is not None:
        with undecodable(kind):
            inner = decompressed(stream, kind).read(tarfile.BLOCKSIZE)
        if _is_tar(inner):
            return next(name for name, each in COMPRESSIONS.items() if each == kind)
        raise AgentError.permanent(
            UNSUPPORTED_FORMAT, f"it is one file that was compressed by {kind}, and no archive: use `decompress`"
        )
    if _is_tar(head):
        return "tar"
    if has_directory(stream):  # a program that unpacks itself
        return "zip"
    foreign = next((name for mark, name in _FOREIGN if head.startswith(mark)), None)
    found = f"it is {foreign}" if foreign else "its format cannot be told"
    raise AgentError.permanent(UNSUPPORTED_FORMAT, f"{found}: zip, tar, tar.gz, tar.bz2 and tar.xz can be read")


def _is_tar(head: bytes) -> bool:
    if len(head) == tarfile.BLOCKSIZE and not head.strip(b"\0"):
        return True  # without entries
    try:
        tarfile.TarInfo.frombuf(head, "utf-8", "surrogateescape")
    except tarfile.TarError:
        return False
    return True


class _XzStream(io.RawIOBase):
    """As `lzma.LZMAFile` reads, with a bound to the memory that a file may ask for."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._decoder: Any = None

    def read(self, size: int = -1, /) -> bytes:
        size = size if size > 0 else _READ_BYTES
        while True:
            given = b""
            if self._decoder is None or self._decoder.eof:
                # Streams may follow one another, with zeros between them.
                rest = b"" if self._decoder is None else self._decoder.unused_data
                given = rest.lstrip(b"\0")
                while not given:
                    piece = self._stream.read(_READ_BYTES)
                    if not piece:
                        if self._decoder is None:
                            raise EOFError("it is empty")
                        return b""
                    given = piece if self._decoder is None else piece.lstrip(b"\0")
                self._decoder = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY_BYTES)
            elif self._decoder.needs_input:
                given = self._stream.read(_READ_BYTES)
                if not given:
                    raise EOFError("it ends in the middle")
            try:
                piece = self._decoder.decompress(given, size)
            except lzma.LZMAError as error:
                if "emory" not in str(error):
                    raise
                raise AgentError.permanent(
                    TOO_LARGE,
                    f"it needs more than {_XZ_MEMORY_BYTES} bytes of memory to be unpacked",
                    attributes={"limit": _XZ_MEMORY_BYTES},
                ) from None
            if piece:
                return cast("bytes", piece)
