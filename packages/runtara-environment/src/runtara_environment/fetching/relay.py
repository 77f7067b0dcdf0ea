"""One stream of bytes out of several places: when one fails on the way, the next goes on behind what has come."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from runtara_sdk.errors import RuntaraError, StorageError

from runtara_environment.fetching.source import ArtifactPlace
from runtara_environment.registry import ArtifactUnavailableError

logger = logging.getLogger(__name__)

_STALL_SECONDS = 60.0
"""How long the next block may take to come."""


class Relay:
    """One attempt to read an artifact from `places`, the first first.

    Attributes:
        givers: the places of which bytes have come.
        failures: why places did not give it, or did not go on.
        short: the places whose artifact ended before its end.
    """

    def __init__(self, places: Sequence[ArtifactPlace], digest: str, size_bytes: int) -> None:
        self.givers: list[ArtifactPlace] = []
        self.failures: dict[str, str] = {}
        self.short: list[ArtifactPlace] = []
        self._places = places
        self._digest = digest
        self._size_bytes = size_bytes
        self._received = 0

    async def blocks(self) -> AsyncGenerator[bytes, None]:
        """The artifact; raises `ArtifactUnavailableError` when no place is left before its end."""
        for place in self._places:
            try:
                async with aclosing(self._read(place)) as blocks:
                    async for block in blocks:
                        yield block
            except RuntaraError as error:
                self.failures[place.name] = error.message
            except Exception as error:
                # Not foreseen; the next place may give it, and whoever waits has to learn why it does not come.
                logger.exception("fetching artifact %s from %s went wrong", self._digest[:12], place.name)
                self.failures[place.name] = repr(error)
            else:
                return
        raise ArtifactUnavailableError("no place gives it")

    async def _read(self, place: ArtifactPlace) -> AsyncGenerator[bytes, None]:
        source = place.read(self._digest, self._size_bytes, self._received)
        async with aclosing(_without_stall(source)) as blocks:
            async for block in blocks:
                if place not in self.givers:
                    self.givers.append(place)
                self._received += len(block)
                yield block
        if self._received < self._size_bytes:
            self.short.append(place)
            raise ArtifactUnavailableError(f"it ends after {self._received} of {self._size_bytes} bytes")


async def _without_stall(source: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    async with aclosing(source) as blocks:
        while True:
            try:
                block = await asyncio.wait_for(anext(blocks), _STALL_SECONDS)
            except StopAsyncIteration:
                return
            except TimeoutError:
                raise StorageError(f"nothing has come for {_STALL_SECONDS:g} s") from None
            yield block
