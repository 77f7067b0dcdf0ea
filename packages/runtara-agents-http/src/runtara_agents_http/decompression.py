"""Decompressing a body in small steps, so that what is decompressed never exceeds the bound by more than one step."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

OFFERED = "gzip, deflate"
"""The codings that the agent asks for."""

STEP_BYTES = 64 * 1024

_GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS
_RAW_DEFLATE = -zlib.MAX_WBITS


class BrokenBodyError(ValueError):
    """The body is not what its Content-Encoding says, or ends too early."""


class Decompressor:
    """Undoes the codings of one body; codings that the agent does not ask for are left in place."""

    def __init__(self, content_encoding: str) -> None:
        names = [name.strip().lower() for name in content_encoding.split(",")]
        codings = [name for name in names if name not in ("", "identity")]
        self.left_in_place = any(name not in ("gzip", "x-gzip", "deflate") for name in codings)
        self._layers = [] if self.left_in_place else [_Layer(name) for name in reversed(codings)]

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """The decompressed bytes of a chunk, at most `STEP_BYTES` at a time."""
        return self._through(chunk, 0)

    def finish(self) -> None:
        """Raise `BrokenBodyError` when the body ended in the middle of a coding."""
        for layer in self._layers:
            layer.finish()

    def _through(self, chunk: bytes, index: int) -> Iterator[bytes]:
        if index == len(self._layers):
            yield chunk
            return
        for piece in self._layers[index].feed(chunk):
            yield from self._through(piece, index + 1)


class _Layer:
    """One coding; gzip may have several members, deflate may come with or without its wrapper."""

    def __init__(self, coding: str) -> None:
        self._may_be_raw = coding == "deflate"
        self._engine = zlib.decompressobj(_GZIP_OR_ZLIB)
        self._has_begun = False

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        data = chunk
        while data:
            if self._engine.eof:
                self._engine = zlib.decompressobj(_GZIP_OR_ZLIB)
            piece = self._decompress(data)
            self._has_begun = True
            data = self._engine.unused_data if self._engine.eof else self._engine.unconsumed_tail
            if piece:
                yield piece

    def finish(self) -> None:
        if self._has_begun and not self._engine.eof:
            raise BrokenBodyError("it ends too early")

    def _decompress(self, data: bytes) -> bytes:
        try:
            return self._engine.decompress(data, STEP_BYTES)
        except zlib.error as error:
            if self._may_be_raw and not self._has_begun:
                self._engine = zlib.decompressobj(_RAW_DEFLATE)
                self._may_be_raw = False
                return self._decompress(data)
            raise BrokenBodyError(str(error)) from error
