"""Processes that connect to a local socket and flood, stall and lie in ways that only a stream of bytes allows.

As in `test_hostile_clients.py`, others are served meanwhile, memory and log stay bounded, and nothing is left behind.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import resource
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from attack import MEBIBYTE, request_of_state, serve_others, serving_attackers, under_attack
from daemon_process import DaemonProcess
from runtara_sdk.protocol.frame import FrameType, encode_frame
from runtara_sdk.transport.local.framing import PREFACE, MessageKind, encode_code, encode_data, encode_window

pytestmark = pytest.mark.asyncio(loop_scope="module")

LONGEST_STALL_SECONDS = 1.5
"""So long others may wait for one peer that sends as much as it can: many times what they wait on an idle machine."""
HALF_A_MESSAGE = encode_data(1, bytes(60_000), last=False)[:-1]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def target(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[DaemonProcess]:
    async with serving_attackers(tmp_path_factory.mktemp("target"), "local") as daemons:
        yield daemons


class Attacker:
    """Connections without a client behind them."""

    def __init__(self, target: DaemonProcess) -> None:
        self._path = target.addresses["instance"].removeprefix("unix://")
        self._peers: list[socket.socket] = []

    async def connect(self, first: bytes = PREFACE) -> socket.socket:
        """One more connection, on which `first` is sent."""
        peer = socket.socket(socket.AF_UNIX)
        self._peers.append(peer)
        peer.setblocking(False)
        while True:
            try:
                peer.connect(self._path)
            except BlockingIOError:  # the server has not yet accepted those who came before
                await asyncio.sleep(0.001)
            else:
                break
        await send(peer, first)
        return peer

    def leave(self) -> None:
        """Close every connection."""
        for peer in self._peers:
            peer.close()
        self._peers.clear()


@pytest.fixture
def attacker(target: DaemonProcess) -> Iterator[Attacker]:
    made = Attacker(target)
    yield made
    made.leave()


async def send(peer: socket.socket, data: bytes) -> bool:
    """Send everything, and say whether it went: the server may have dropped the connection."""
    async with asyncio.timeout(60):
        try:
            await asyncio.get_running_loop().sock_sendall(peer, data)
        except (BrokenPipeError, ConnectionResetError):
            return False
        return True


async def dropped(peer: socket.socket) -> None:
    """Return when the server has ended the connection; what it sends before is taken."""
    async with asyncio.timeout(60):
        with contextlib.suppress(ConnectionResetError):
            while await asyncio.get_running_loop().sock_recv(peer, MEBIBYTE):
                pass


def request(number: int, payload: bytes = b"") -> bytes:
    return encode_data(number, encode_frame(FrameType.REQUEST, payload), last=True)


async def until_streams(target: DaemonProcess, least: int, most: int) -> None:
    async with asyncio.timeout(60):
        while not least <= (await target.load())["instance"].streams <= most:
            await asyncio.sleep(0.02)


async def test_connections_that_never_say_hello(target: DaemonProcess, attacker: Attacker) -> None:
    async with under_attack(target):
        silent = [await attacker.connect(b"") for _ in range(200)]
        silent += [await attacker.connect(PREFACE[:-1]) for _ in range(200)]
        await asyncio.gather(*map(dropped, silent))


async def test_connections_that_come_and_go(target: DaemonProcess, attacker: Attacker, rounds: int) -> None:
    async with under_attack(target) as witness:
        before = target.memory_bytes()
        for _ in range(20 * rounds):
            for _ in range(100):
                await attacker.connect(b"")
            attacker.leave()
            await asyncio.sleep(0)
        assert witness.peak_bytes - before < 16 * MEBIBYTE


async def test_messages_of_which_half_comes(target: DaemonProcess, attacker: Attacker) -> None:
    """Each keeps its connection, as an idle client does; what it has sent counts as held."""
    async with under_attack(target):
        peers = [await attacker.connect(PREFACE + HALF_A_MESSAGE) for _ in range(100)]
        async with asyncio.timeout(60):
            while (await target.load())["instance"].buffered_bytes < 100 * (len(HALF_A_MESSAGE)):
                await asyncio.sleep(0.02)
        assert len(peers) == 100
        attacker.leave()


async def test_noise(target: DaemonProcess, attacker: Attacker, rounds: int) -> None:
    draw = random.Random(3)
    async with under_attack(target):
        for number in range(100 * rounds):
            noise = draw.randbytes(draw.choice((1, 20, 300, 70_000)))
            peer = await attacker.connect(PREFACE if number % 2 else b"")
            await send(peer, noise)
            if number % 3 == 0:
                peer.shutdown(socket.SHUT_WR)
        attacker.leave()


async def test_calls_without_a_request(target: DaemonProcess, attacker: Attacker) -> None:
    """Thousands in one piece: others have their turn between them, and the log names a few of them."""
    calls = 10_000
    expected = len(PREFACE) + calls * len(encode_code(1, MessageKind.RESET, 0))
    async with under_attack(target) as witness, asyncio.timeout(60):
        peer = await attacker.connect()
        sending = asyncio.create_task(
            send(peer, b"".join(encode_data(number, b"", last=True) for number in range(1, calls + 1)))
        )
        while expected > 0:
            expected -= len(await asyncio.get_running_loop().sock_recv(peer, 65_536))
        assert await sending
        assert witness.slowest_seconds < LONGEST_STALL_SECONDS
        attacker.leave()


async def test_positions_without_end(target: DaemonProcess, attacker: Attacker, rounds: int) -> None:
    """They come from a peer that reads nothing, while many answers wait for it."""
    state = await request_of_state(target, 60_000)
    async with under_attack(target) as witness:
        peer = await attacker.connect(PREFACE + b"".join(request(number, state) for number in range(1, 601)))
        await until_streams(target, 500, 600)
        for _ in range(rounds):
            await send(peer, b"".join(encode_window(600, position % 2) for position in range(20_000)))
        assert witness.slowest_seconds < LONGEST_STALL_SECONDS
        attacker.leave()


async def test_peers_that_die_in_the_middle_of_an_answer(target: DaemonProcess, attacker: Attacker) -> None:
    state = await request_of_state(target, 2 * MEBIBYTE)
    async with under_attack(target):
        peers = [await attacker.connect(PREFACE + request(1, state)) for _ in range(20)]
        for peer in peers:
            received = 0
            while received < 100_000:
                received += len(await asyncio.get_running_loop().sock_recv(peer, 65_536))
        attacker.leave()


async def test_more_connections_than_the_process_may_open_files(target: DaemonProcess, attacker: Attacker) -> None:
    """Idle connections give way, and the log does not fill up with what the system says."""
    least, most = resource.prlimit(target.process_id, resource.RLIMIT_NOFILE)
    open_files = len(list(Path(f"/proc/{target.process_id}/fd").iterdir()))
    async with under_attack(target) as witness:
        resource.prlimit(target.process_id, resource.RLIMIT_NOFILE, (open_files + 20, most))
        try:
            for _ in range(30):
                await attacker.connect()
                # Whoever was silent for longest gives way: never who calls all the time.
                seen = witness.calls
                while witness.calls == seen:
                    await asyncio.sleep(0.001)
            newcomer = target.client("instance")
            await serve_others(newcomer)
            await newcomer.close()
        finally:
            resource.prlimit(target.process_id, resource.RLIMIT_NOFILE, (least, most))
        attacker.leave()
