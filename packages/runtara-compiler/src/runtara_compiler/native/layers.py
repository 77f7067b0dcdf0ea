"""Layers: directories as gzip-compressed tar files whose bytes follow from the content alone.

Names are sorted, times, owners and modes are fixed, and the compressor works on blocks of a fixed size, so that the
result does not depend on the number of processors. gzip is taken because every Linux system can unpack it.
"""

from __future__ import annotations

import hashlib
import io
import os
import struct
import tarfile
import zlib
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

BLOCK_BYTES = 1 << 20
_WINDOW_BYTES = 32_768
_GZIP_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\xff"
_MAXIMUM_THREADS = 8


@dataclass(frozen=True, slots=True)
class LayerFile:
    """A finished layer: its file, the SHA-256 of its bytes (hexadecimal) and its size in bytes."""

    path: Path
    digest: str
    size: int


def write_layer(directory: Path, target: Path, *, level: int) -> LayerFile:
    """Pack all regular files below `directory` into `target`; `level` is zlib's, 1 (fast) to 9 (small)."""
    digest = hashlib.sha256()
    size = 0
    with target.open("wb") as output:
        for data in _compressed(_tar_blocks(directory), level):
            digest.update(data)
            size += len(data)
            output.write(data)
    return LayerFile(target, digest.hexdigest(), size)


def file_digest(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _tar_blocks(directory: Path) -> Iterator[bytes]:
    buffer = _Buffer()
    with tarfile.open(fileobj=buffer, mode="w|", format=tarfile.USTAR_FORMAT, bufsize=BLOCK_BYTES) as archive:
        for path in sorted(path for path in directory.rglob("*") if path.is_file()):
            member = tarfile.TarInfo(path.relative_to(directory).as_posix())
            member.size = path.stat().st_size
            member.mode = 0o755 if os.access(path, os.X_OK) else 0o644
            with path.open("rb") as content:
                archive.addfile(member, content)
            yield from buffer.take()
    yield from buffer.take()


class _Buffer(io.RawIOBase):
    """Collects what a streaming tar writer writes: blocks of `BLOCK_BYTES`, the last one excepted."""

    def __init__(self) -> None:
        super().__init__()
        self._blocks: deque[bytes] = deque()

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        block = bytes(data)  # type: ignore[call-overload]  # any buffer, as for every raw stream
        self._blocks.append(block)
        return len(block)

    def take(self) -> Iterator[bytes]:
        while self._blocks:
            yield self._blocks.popleft()


def _compressed(blocks: Iterator[bytes], level: int) -> Iterator[bytes]:
    """One gzip member whose blocks are deflated in parallel, each with the window of the block before."""
    threads = min(os.cpu_count() or 1, _MAXIMUM_THREADS)
    checksum = 0
    length = 0
    window = b""
    pending: deque[Future[bytes]] = deque()
    yield _GZIP_HEADER
    with ThreadPoolExecutor(threads, thread_name_prefix="deflate") as pool:
        for block in blocks:
            checksum = zlib.crc32(block, checksum)
            length += len(block)
            pending.append(pool.submit(_deflate, block, window, level))
            window = block[-_WINDOW_BYTES:]
            if len(pending) > 2 * threads:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    yield zlib.compressobj(level, zlib.DEFLATED, -15).flush() + struct.pack("<II", checksum, length & 0xFFFFFFFF)


def _deflate(block: bytes, window: bytes, level: int) -> bytes:
    compressor = (
        zlib.compressobj(level, zlib.DEFLATED, -15, zdict=window)
        if window
        else zlib.compressobj(level, zlib.DEFLATED, -15)
    )
    return compressor.compress(block) + compressor.flush(zlib.Z_SYNC_FLUSH)


def copy_verified(source: Path, output: BinaryIO, expected_digest: str) -> bool:
    """Append the file `source` to `output`; gives whether its bytes have the digest."""
    digest = hashlib.sha256()
    with source.open("rb") as stream:
        while chunk := stream.read(BLOCK_BYTES):
            digest.update(chunk)
            output.write(chunk)
    return digest.hexdigest() == expected_digest
