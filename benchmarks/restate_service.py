"""restate_service.py DIRECTORY: runs in a virtual environment that has Restate's SDK; not meant to be started by hand.

DIRECTORY holds the sockets of a Restate server. For each line `WORKFLOWS SECONDS` on its input, runs so many
invocations of small durable steps at a time for so long, and prints the latency of every step in seconds as one line of
JSON.

An invocation makes one step and waits until all of them have; only then time begins. The server would repeat an
invocation that fails, and steps of the past are not measured again: that is an error.
"""

from __future__ import annotations

import asyncio
import http.client
import itertools
import json
import socket
import sys
import time
from pathlib import Path

import restate  # type: ignore[import-not-found]  # of the peer, in an environment of its own
from hypercorn.asyncio import serve  # type: ignore[import-not-found]  # of the peer, in an environment of its own
from hypercorn.config import Config  # type: ignore[import-not-found]  # of the peer, in an environment of its own

STATE = "x" * 230
_REGISTER_SECONDS = 60.0
_REQUEST_SECONDS = 30.0
_MANY_STREAMS = 2**31 - 1  # what Restate's documentation recommends: every invocation is a stream
_runs: dict[str, Run] = {}
_numbers = itertools.count(1)
service = restate.Service("Benchmark")


class Run:
    """So many invocations that begin together."""

    def __init__(self, workflows: int, seconds: float) -> None:
        self._seconds = seconds
        self._missing = workflows
        self._unfinished = workflows
        self._started: set[int] = set()
        self._begun = asyncio.Event()
        self._deadline = 0.0
        self.finished: asyncio.Future[list[float]] = asyncio.get_running_loop().create_future()
        self._latencies: list[float] = []

    def begin(self, number: int) -> None:
        """An invocation has reached this program, which must happen once."""
        if number in self._started and not self.finished.done():
            self.finished.set_exception(RuntimeError("Restate repeated an invocation"))
        self._started.add(number)

    async def together(self) -> float:
        """Wait for the other invocations; returns the deadline of all."""
        self._missing -= 1
        if self._missing == 0:
            self._deadline = time.monotonic() + self._seconds
            self._begun.set()
        await self._begun.wait()
        return self._deadline

    def end(self, latencies: list[float]) -> None:
        """An invocation has made all its steps."""
        self._latencies += latencies
        self._unfinished -= 1
        if self._unfinished == 0 and not self.finished.done():
            self.finished.set_result(self._latencies)


async def step() -> str:
    """What is made durable."""
    return STATE


@service.handler()  # type: ignore[untyped-decorator]  # of the peer, whose types are not here
async def run(context: restate.Context, request: dict[str, str]) -> None:
    """One durable step after the other."""
    current = _runs[request["run"]]
    current.begin(int(request["number"]))
    await context.run_typed("warm", step)
    deadline = await current.together()
    latencies = []
    while (started := time.monotonic()) < deadline:
        await context.run_typed("step", step)
        latencies.append(time.monotonic() - started)
    current.end(latencies)


class _SocketConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=_REQUEST_SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def _post(connection: http.client.HTTPConnection, target: str, body: object) -> None:
    connection.request("POST", target, json.dumps(body), {"content-type": "application/json"})
    response = connection.getresponse()
    answer = response.read()
    if response.status >= http.HTTPStatus.MULTIPLE_CHOICES:
        raise OSError(f"{target}: {response.status} {answer.decode(errors='replace')[:300]}")


def _register(directory: Path, port: int) -> None:
    """Tell the server of this program as soon as it listens and every partition has a leader."""
    deadline = time.monotonic() + _REGISTER_SECONDS
    while True:
        try:
            _post(_SocketConnection(directory / "admin.sock"), "/deployments", {"uri": f"http://127.0.0.1:{port}"})
            return
        except OSError as error:
            if time.monotonic() > deadline:
                raise SystemExit(f"the server does not accept the service: {error}") from None
            time.sleep(0.2)


def _invoke(directory: Path, name: str, workflows: int) -> None:
    connection = _SocketConnection(directory / "ingress.sock")
    for number in range(workflows):
        _post(connection, "/Benchmark/run/send", {"run": name, "number": str(number)})


async def _measure(directory: Path, workflows: int, seconds: float) -> list[float]:
    name = f"run-{next(_numbers)}"
    current = _runs[name] = Run(workflows, seconds)
    await asyncio.to_thread(_invoke, directory, name, workflows)
    return await current.finished


async def main() -> None:
    directory = Path(sys.argv[1])
    listening = socket.create_server(("127.0.0.1", 0))
    config = Config()
    config.bind = [f"fd://{listening.fileno()}"]
    config.h2_max_concurrent_streams = _MANY_STREAMS
    config.keep_alive_max_requests = _MANY_STREAMS
    config.loglevel = "ERROR"
    stopped = asyncio.Event()
    server = asyncio.create_task(serve(restate.app([service]), config, shutdown_trigger=stopped.wait))
    await asyncio.to_thread(_register, directory, listening.getsockname()[1])
    print("ready", flush=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        workflows, seconds = line.split()
        print(json.dumps(await _measure(directory, int(workflows), float(seconds))), flush=True)
    stopped.set()
    await server


if __name__ == "__main__":
    asyncio.run(main())
