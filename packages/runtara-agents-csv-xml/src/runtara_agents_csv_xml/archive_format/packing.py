"""Where archives and compressed files go while they are written."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
from collections.abc import Callable
from typing import Any, BinaryIO, cast

from runtara_sdk.agents import AgentError, CapabilityContext, FileData, FileReference

from runtara_agents_csv_xml.archive_format.compressed import Compression
from runtara_agents_csv_xml.archive_format.entries import TOO_LARGE

_MOST_DATA_BYTES = 50 * 1024 * 1024
_MOST_XZ_LEVEL = 6
"""Higher ones take up to 700 MB of memory for little."""


class Sink(io.RawIOBase):
    """Takes bytes one after the other; there is no way back."""

    def __init__(self, write: Callable[[bytes], object]) -> None:
        self._write = write
        self._position = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        count = memoryview(data).nbytes
        self._position += count
        self._write(bytes(data))
        return count

    def tell(self) -> int:
        return self._position


def packed(
    work: Callable[[BinaryIO], None],
    context: CapabilityContext,
    *,
    target: str | None,
    filename: str | None,
    media_type: str,
) -> FileData | FileReference:
    """What `work` writes: a file of the workspace at `target`, or data; raises `AgentError` when that is too large."""
    if target is not None:
        with context.require_workspace().create(target) as file:
            work(cast("BinaryIO", Sink(file.write)))
            return FileReference.of(file.commit(), mime_type=media_type)
    content = bytearray()

    def keep(data: bytes) -> None:
        if len(content) + len(data) > _MOST_DATA_BYTES:
            text = f"the result has more than {_MOST_DATA_BYTES} bytes: give `path`, so that it goes to the workspace"
            raise AgentError.permanent(TOO_LARGE, text, attributes={"limit": _MOST_DATA_BYTES})
        content.extend(data)

    work(cast("BinaryIO", Sink(keep)))
    return FileData.of(bytes(content), filename=filename, mime_type=media_type)


def compressor(target: BinaryIO, kind: Compression, level: int) -> Any:
    """A file that compresses what is written to it; the same content gives the same bytes."""
    level = min(level, 9)
    if kind == "gzip":
        return gzip.GzipFile(filename="", mode="wb", compresslevel=level, fileobj=target, mtime=0)
    if kind == "bzip2":
        return bz2.BZ2File(target, "wb", compresslevel=max(1, level))
    return lzma.LZMAFile(target, "wb", preset=min(level, _MOST_XZ_LEVEL))
