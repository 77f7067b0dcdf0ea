"""Entries of tar archives, which are read from the beginning to the end."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from typing import Any, BinaryIO, Self, cast

from runtara_agents_csv_xml.archive_format.entries import FREE_BYTES, UNSAFE_PATH, Entry, relative_path, too_large

_LARGEST_HEADER = 1024 * 1024
_EXTENDED = frozenset(
    {
        tarfile.XHDTYPE,
        tarfile.XGLTYPE,
        tarfile.SOLARIS_XHDTYPE,
        tarfile.GNUTYPE_LONGNAME,
        tarfile.GNUTYPE_LONGLINK,
    }
)


class BoundedStream:
    """Ends in the middle of a bomb, and not in the memory."""

    def __init__(self, stream: Any, archive_bytes: int, max_ratio: int) -> None:
        self._stream = stream
        self._left = FREE_BYTES + archive_bytes * max_ratio
        self._max_ratio = max_ratio

    def read(self, size: int = -1) -> bytes:
        """Read on; raises `AgentError` over the bound."""
        piece: bytes = self._stream.read(size if size >= 0 else tarfile.RECORDSIZE)
        self._left -= len(piece)
        if self._left < 0:
            raise too_large("bytes for each of its own", self._max_ratio, "max_ratio")
        return piece


class _Header(tarfile.TarInfo):
    """Refuses what tarfile takes for the end of an archive, or for an invitation."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        try:
            header = super().frombuf(buf, encoding, errors)
        except (tarfile.InvalidHeaderError, tarfile.TruncatedHeaderError) as error:  # type: ignore[attr-defined]
            raise tarfile.ReadError(f"bad header: {error}") from None
        if header.size < 0:
            raise tarfile.ReadError("an entry has less than no bytes")
        if header.type in _EXTENDED and header.size > _LARGEST_HEADER:
            raise tarfile.ReadError(f"a header has more than {_LARGEST_HEADER} bytes")
        return header


def open_tar(stream: BoundedStream) -> tarfile.TarFile:
    """Open an archive; raises `tarfile.TarError`."""
    return tarfile.open(
        fileobj=cast("Any", stream), mode="r|", tarinfo=_Header, encoding="utf-8", errors="surrogateescape"
    )


def tar_entries(tar_file: tarfile.TarFile, name_encoding: str | None) -> Iterator[Entry]:
    """The entries in their order; each must be read before the next one is asked for."""
    while (item := tar_file.next()) is not None:
        tar_file.members.clear()  # type: ignore[attr-defined]  # they would be kept for links, which are refused
        path, problem = relative_path(_name(item, name_encoding))
        if not item.isreg() and not item.isdir():
            problem = "is a link or a device"
        elif not path and not item.isdir():
            problem = "has no name"

        def opened(item: tarfile.TarInfo = item) -> BinaryIO:
            return cast("BinaryIO", tar_file.extractfile(item))

        yield Entry(path, item.size, None, item.isdir(), problem, UNSAFE_PATH, opened)


def _name(item: tarfile.TarInfo, name_encoding: str | None) -> str:
    try:
        item.name.encode()
    except UnicodeEncodeError:  # bytes that are not UTF-8
        return item.name.encode("utf-8", "surrogateescape").decode(name_encoding or "latin-1", "replace")
    return item.name
