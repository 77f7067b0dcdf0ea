"""Something between clients and a local socket, as bad as it is told to be.

The kernel neither loses nor reorders the bytes of a local socket. What is left to go wrong: they come in pieces of any
size, they stand still, and a connection ends anywhere, in the middle of a message too.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from dataclasses import dataclass
from pathlib import Path

from runtara_sdk.transport.address import format_local_address, parse_local_address

_READ_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class SocketFaults:
    """What happens to bytes, in both directions together."""

    largest_piece: int = _READ_BYTES
    cut_every_bytes: int = 0
    """After about so many bytes a connection is cut off; 0 never."""
    silence_every_bytes: int = 0
    """After about so many bytes, everything stands still in one direction or both; 0 never."""
    longest_silence_seconds: float = 0.0


class SocketProxy:
    """Forwards a local socket at `path` to the one at the address `server`, with faults drawn from `seed`."""

    def __init__(self, path: Path, server: str, faults: SocketFaults, seed: int) -> None:
        self._path = path
        self._server = server
        self._faults = faults
        self._random = random.Random(seed)
        self._listening: asyncio.Server | None = None
        self._pairs: set[asyncio.Task[None]] = set()
        self._may_pass = {"to server": asyncio.Event(), "to client": asyncio.Event()}
        self._until_silence = self._next(faults.silence_every_bytes)
        self._speaking: asyncio.TimerHandle | None = None
        self.cuts = 0
        self.silences = 0
        self._withheld = asyncio.Event()
        self.set_silent(to_server=False, to_client=False)

    async def open(self) -> None:
        """Listen."""
        self._path.parent.mkdir(mode=0o700, exist_ok=True)
        self._listening = await asyncio.start_unix_server(self._on_client, self._path)

    @property
    def address(self) -> str:
        """Where clients connect."""
        return format_local_address(self._path)

    def set_silent(self, *, to_server: bool, to_client: bool) -> None:
        """Keep everything back in these directions until told otherwise."""
        for direction, is_silent in (("to server", to_server), ("to client", to_client)):
            if is_silent:
                self._may_pass[direction].clear()
            else:
                self._may_pass[direction].set()
        self._withheld.clear()

    async def until_withheld(self) -> None:
        """Return once silence has met somebody."""
        await self._withheld.wait()

    def move_to(self, server: str) -> None:
        """Cut every connection, and forward to another server from now on."""
        self._server = server
        self._cut_all()

    async def close(self) -> None:
        """Stop forwarding."""
        if self._speaking is not None:
            self._speaking.cancel()
        if self._listening is not None:
            self._listening.close()
        self._cut_all()
        await asyncio.gather(*self._pairs, return_exceptions=True)

    def _cut_all(self) -> None:
        for pair in self._pairs:
            pair.cancel()

    async def _on_client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        pair = asyncio.current_task()
        assert pair is not None
        self._pairs.add(pair)
        writers = [writer]
        try:
            back_reader, back_writer = await asyncio.open_unix_connection(parse_local_address(self._server))
            writers.append(back_writer)
            until_cut = self._next(self._faults.cut_every_bytes)
            budget = [until_cut] if until_cut else []
            ways = [
                asyncio.ensure_future(self._forward("to server", reader, back_writer, budget)),
                asyncio.ensure_future(self._forward("to client", back_reader, writer, budget)),
            ]
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()
                await asyncio.gather(*ways, return_exceptions=True)
        except (OSError, asyncio.CancelledError):
            pass  # the server is away, or the connection is cut: the client is told by the end of its own
        finally:
            self._pairs.discard(pair)
            for each in writers:
                each.transport.abort()

    async def _forward(
        self, direction: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, budget: list[int]
    ) -> None:
        """Until one side has left, or the connection has carried as much as its `budget` allows."""
        with contextlib.suppress(OSError):
            while data := await reader.read(self._random.randint(1, self._faults.largest_piece)):
                if not self._may_pass[direction].is_set():
                    self._withheld.set()
                    await self._may_pass[direction].wait()
                if budget:
                    data = data[: budget[0]]
                    budget[0] -= len(data)
                writer.write(data)
                await writer.drain()
                if budget and not budget[0]:
                    self.cuts += 1
                    return
                self._count_towards_silence(len(data))

    def _count_towards_silence(self, size: int) -> None:
        if not self._until_silence:
            return
        self._until_silence -= min(size, self._until_silence)
        if self._until_silence == 0:
            self.silences += 1
            to_server, to_client = self._random.choice(((True, False), (False, True), (True, True)))
            self.set_silent(to_server=to_server, to_client=to_client)
            delay = self._random.random() * self._faults.longest_silence_seconds
            self._speaking = asyncio.get_running_loop().call_later(delay, self._speak)

    def _speak(self) -> None:
        self.set_silent(to_server=False, to_client=False)
        self._until_silence = self._next(self._faults.silence_every_bytes)

    def _next(self, every: int) -> int:
        return self._random.randint(1, 2 * every) if every else 0
