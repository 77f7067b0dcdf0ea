"""A bare echo over a QUIC library, without Runtara: what a call costs at least. Run as a script it is the server."""

from __future__ import annotations

import asyncio
import importlib
import ssl
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from runtara_sdk.testing.certificates import make_test_authority

_PROTOCOL = "echo"
_START_SECONDS = 30.0
_STOP_SECONDS = 10.0

EchoCall = Callable[[bytes], Awaitable[None]]


def _protocol_classes(library: str) -> tuple[Any, Any]:
    protocol = importlib.import_module(f"{library}.asyncio.protocol").QuicConnectionProtocol
    received = importlib.import_module(f"{library}.quic.events").StreamDataReceived

    class EchoServer(protocol):  # type: ignore[misc, valid-type]  # a class of the library that was chosen
        def quic_event_received(self, event: Any) -> None:
            if isinstance(event, received):
                self._quic.send_stream_data(event.stream_id, event.data, True)
                self.transmit()

    class EchoClient(protocol):  # type: ignore[misc, valid-type]  # a class of the library that was chosen
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            self._waiting: dict[int, asyncio.Future[None]] = {}

        def quic_event_received(self, event: Any) -> None:
            if isinstance(event, received) and event.end_stream and event.stream_id in self._waiting:
                self._waiting.pop(event.stream_id).set_result(None)

        async def call(self, data: bytes) -> None:
            stream_id = self._quic.get_next_available_stream_id()
            answer = self._waiting[stream_id] = asyncio.get_running_loop().create_future()
            self._quic.send_stream_data(stream_id, data, True)
            self.transmit()
            await answer

    return EchoServer, EchoClient


@asynccontextmanager
async def running_echo(library: str) -> AsyncIterator[int]:
    """A server in a process of its own; its port."""
    process = await asyncio.create_subprocess_exec(sys.executable, __file__, library, stdout=asyncio.subprocess.PIPE)
    try:
        assert process.stdout is not None
        line = await asyncio.wait_for(process.stdout.readline(), _START_SECONDS)
        if not line:
            raise SystemExit(f"the echo server on {library} did not start; its reason is above")
        yield int(line)
    finally:
        process.kill()
        await asyncio.wait_for(process.wait(), _STOP_SECONDS)


async def echo(library: str, port: int, connections: int, seconds: float, payload: bytes) -> tuple[list[float], float]:
    """Latencies of echoes, one at a time on each connection, and the time that all took; both in seconds."""
    connect = importlib.import_module(f"{library}.asyncio").connect
    configuration = importlib.import_module(f"{library}.quic.configuration").QuicConfiguration
    _, client_class = _protocol_classes(library)
    latencies: list[float] = []

    async def work(call: EchoCall, deadline: float) -> None:
        while (started := time.perf_counter()) < deadline:
            await call(payload)
            latencies.append(time.perf_counter() - started)

    async with AsyncExitStack() as stack:
        clients = []
        for _ in range(connections):
            options = configuration(is_client=True, alpn_protocols=[_PROTOCOL], verify_mode=ssl.CERT_NONE)
            connection = connect("127.0.0.1", port, configuration=options, create_protocol=client_class)
            clients.append(await stack.enter_async_context(connection))
        started = time.perf_counter()
        await asyncio.gather(*(work(client.call, started + seconds) for client in clients))
        return latencies, time.perf_counter() - started


async def _serve(library: str) -> None:
    serve = importlib.import_module(f"{library}.asyncio").serve
    configuration = importlib.import_module(f"{library}.quic.configuration").QuicConfiguration
    options = configuration(is_client=False, alpn_protocols=[_PROTOCOL])
    with tempfile.TemporaryDirectory() as directory:
        _, identity = make_test_authority(Path(directory))
        options.load_cert_chain(str(identity.certificate_path), str(identity.private_key_path))
    server_class, _ = _protocol_classes(library)
    server = await serve("127.0.0.1", 0, configuration=options, create_protocol=server_class)
    # Neither library has a public way to learn the port.
    print(server._transport.get_extra_info("sockname")[1], flush=True)  # noqa: SLF001
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1]))
