"""A network between clients and a server, as bad as it is told to be.

Each client address gets a socket of its own towards the server, so the server tells clients apart as ever. Silence is
drawn by datagram count rather than by time, so that a busy exchange meets it wherever it happens to be.
"""

from __future__ import annotations

import asyncio
import random
import socket
from dataclasses import dataclass
from typing import Any

from runtara_sdk.transport.address import parse_address

_LARGEST_DATAGRAM = 65_536
_BATCH = 64


@dataclass(frozen=True, slots=True)
class NetworkFaults:
    """What happens to datagrams. Probabilities are of one datagram in one direction."""

    drop: float = 0.0
    duplicate: float = 0.0
    delay: float = 0.0
    longest_delay_seconds: float = 0.03
    silence_every: int = 0
    """After about so many datagrams, everything is lost in one direction or both; 0 never."""
    longest_silence_seconds: float = 0.0


class UdpProxy:
    """Forwards UDP to the address `server`, with faults drawn from `seed`."""

    def __init__(self, server: str, faults: NetworkFaults, seed: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._server = parse_address(server)
        self._faults = faults
        self._random = random.Random(seed)
        self._front = _bound_socket()
        self._backs: dict[Any, socket.socket] = {}
        self._silent = {"to server": False, "to client": False}
        self._until_silence = self._next_silence()
        self._closed = False
        self.lost = 0
        self.silences = 0
        self._loop.add_reader(self._front.fileno(), self._on_front)

    @property
    def address(self) -> str:
        """Where clients connect."""
        return f"127.0.0.1:{self._front.getsockname()[1]}"

    def set_silent(self, *, to_server: bool, to_client: bool) -> None:
        """Lose everything in these directions until told otherwise: half-open when only one is given."""
        self._silent = {"to server": to_server, "to client": to_client}

    async def until_withheld(self) -> None:
        """Return once silence has met somebody who goes on trying."""
        lost = self.lost
        while self.lost < lost + 5:
            await asyncio.sleep(0.01)

    def move_to(self, server: str) -> None:
        """Forward to another server from now on."""
        self._server = parse_address(server)
        for back in self._backs.values():
            self._loop.remove_reader(back.fileno())
            back.close()
        self._backs.clear()

    async def close(self) -> None:
        """Stop forwarding."""
        self._closed = True
        for each in (self._front, *self._backs.values()):
            self._loop.remove_reader(each.fileno())
            each.close()

    def _on_front(self) -> None:
        for _ in range(_BATCH):
            try:
                data, client = self._front.recvfrom(_LARGEST_DATAGRAM)
            except OSError:
                return
            back = self._backs.get(client)
            if back is None:
                back = self._backs[client] = _bound_socket()
                back.connect(self._server)
                self._loop.add_reader(back.fileno(), self._on_back, back, client)
            self._pass("to server", back, data, None)

    def _on_back(self, back: socket.socket, client: Any) -> None:
        for _ in range(_BATCH):
            try:
                data = back.recv(_LARGEST_DATAGRAM)
            except OSError:
                return
            self._pass("to client", self._front, data, client)

    def _pass(self, direction: str, through: socket.socket, data: bytes, address: Any) -> None:
        faults, draw = self._faults, self._random.random
        self._until_silence -= 1
        if self._until_silence == 0:
            self._fall_silent()
        if self._silent[direction] or draw() < faults.drop:
            self.lost += 1
            return
        for _ in range(2 if draw() < faults.duplicate else 1):
            if draw() < faults.delay:
                self._loop.call_later(draw() * faults.longest_delay_seconds, self._send, through, data, address)
            else:
                self._send(through, data, address)

    def _send(self, through: socket.socket, data: bytes, address: Any) -> None:
        if self._closed:
            return
        try:
            through.send(data) if address is None else through.sendto(data, address)
        except OSError:
            self.lost += 1

    def _fall_silent(self) -> None:
        self.silences += 1
        for direction in self._random.choice((("to server",), ("to client",), ("to server", "to client"))):
            self._silent[direction] = True
        self._loop.call_later(self._random.random() * self._faults.longest_silence_seconds, self._speak)

    def _speak(self) -> None:
        self.set_silent(to_server=False, to_client=False)
        self._until_silence = self._next_silence()

    def _next_silence(self) -> int:
        every = self._faults.silence_every
        return self._random.randint(every // 2, every * 2) if every else -1


def _bound_socket() -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.setblocking(False)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2 * 1024 * 1024)
    made.bind(("127.0.0.1", 0))
    return made
