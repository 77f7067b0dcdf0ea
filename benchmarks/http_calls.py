"""What the HTTP agent costs: `http-request` beside bare httpx, against the same server on loopback.

    python benchmarks/http_calls.py            a table of rates and processor time, each pair from this run
    python benchmarks/http_calls.py --json     the same as JSON

A call is a GET whose answer is a small JSON object, which is read. Server, agent and bare client are processes of their
own; the clients take turns, and the middle of the rounds is told. There are no checkpoints.

Where sniffio is not installed, httpx looks for it on the disk several times a call; the agent keeps it from that.
"Quick httpx" is bare httpx without that, for the comparison of everything else.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from typing import Any

from ending import run_benchmark

CALLS = 1_000
ROUNDS = 5
AT_A_TIME = (1, 16)
ANSWER = b'{"id": 12, "state": "open"}'

Call = Callable[[], Awaitable[Any]]


@dataclass(frozen=True)
class Figures:
    """Of one kind of client."""

    per_second: float
    processor_us: float


@dataclass(frozen=True)
class Pair:
    """The agent beside bare httpx, with as many calls at a time."""

    at_a_time: int
    agent: Figures
    bare: Figures
    quick: Figures

    @property
    def ratio(self) -> float:
        """Calls a second of the agent for one of bare httpx."""
        return self.agent.per_second / self.bare.per_second

    @property
    def quick_ratio(self) -> float:
        """Calls a second of the agent for one of quick httpx."""
        return self.agent.per_second / self.quick.per_second


async def serve() -> None:
    """Answer every request; the port is printed."""
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(ANSWER)}\r\n\r\n".encode()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                await reader.readuntil(b"\r\n\r\n")
                writer.write(head + ANSWER)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


async def call_bare(url: str, at_a_time: int) -> Figures:
    import httpx

    async with httpx.AsyncClient() as client:

        async def call() -> Any:
            response = await client.get(url, headers={"X-Trace": "b"})
            response.raise_for_status()
            return response.json()

        return await measure(call, at_a_time)


async def call_quick(url: str, at_a_time: int) -> Figures:
    sys.modules.setdefault("sniffio", None)  # type: ignore[arg-type]  # importing it fails at once
    return await call_bare(url, at_a_time)


async def call_agent(url: str, at_a_time: int) -> Figures:
    from runtara_agents_http import http_agent

    async def call() -> Any:
        return await http_agent.invoke("http-request", {"url": url, "headers": {"X-Trace": "b"}})

    figures = await measure(call, at_a_time)
    await http_agent.close()
    return figures


async def measure(call: Call, at_a_time: int) -> Figures:
    async def calls(count: int) -> None:
        for _ in range(count):
            await call()

    async def all_calls(count: int) -> None:
        await asyncio.gather(*(calls(count // at_a_time) for _ in range(at_a_time)))

    await all_calls(CALLS // 5)
    count = CALLS // at_a_time * at_a_time
    began, processor = time.perf_counter(), time.process_time()
    await all_calls(count)
    seconds, processor = time.perf_counter() - began, time.process_time() - processor
    return Figures(count / seconds, processor / count * 1e6)


CLIENTS = {"agent": call_agent, "bare": call_bare, "quick": call_quick}


def one_client(kind: str, url: str, at_a_time: int) -> Figures:
    """The figures of a client in a process of its own."""
    command = [sys.executable, __file__, "--client", kind, "--url", url, "--at-a-time", str(at_a_time)]
    printed = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    return Figures(**json.loads(printed))


def measured_pair(url: str, at_a_time: int) -> Pair:
    """Both clients in turns, after a round that does not count."""
    rounds = [{kind: one_client(kind, url, at_a_time) for kind in CLIENTS} for _ in range(ROUNDS + 1)][1:]

    def middle(kind: str) -> Figures:
        figures = [each[kind] for each in rounds]
        return Figures(
            statistics.median(each.per_second for each in figures),
            statistics.median(each.processor_us for each in figures),
        )

    return Pair(at_a_time, **{kind: middle(kind) for kind in CLIENTS})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--client", choices=CLIENTS, help=argparse.SUPPRESS)
    parser.add_argument("--url", help=argparse.SUPPRESS)
    parser.add_argument("--at-a-time", type=int, default=1, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.serve:
        asyncio.run(serve())
    elif chosen.client:
        client = CLIENTS[chosen.client]
        print(json.dumps(asdict(asyncio.run(client(chosen.url, chosen.at_a_time)))))
    else:
        report(as_json=chosen.json)


def report(*, as_json: bool) -> None:
    """Measure, and print."""
    with subprocess.Popen([sys.executable, __file__, "--serve"], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            url = f"http://127.0.0.1:{int(server.stdout.readline())}/orders/12"
            pairs = [measured_pair(url, at_a_time) for at_a_time in AT_A_TIME]
        finally:
            server.kill()
    if as_json:
        print(json.dumps([asdict(pair) | {"ratio": pair.ratio, "quick_ratio": pair.quick_ratio} for pair in pairs]))
        return
    print("| at a time | | per s | agent / it | processor us |")
    print("|---|---|---|---|---|")
    for pair in pairs:
        print(f"| {pair.at_a_time} | agent | {pair.agent.per_second:.0f} | | {pair.agent.processor_us:.0f} |")
        for name, figures in (("httpx", pair.bare), ("quick httpx", pair.quick)):
            ratio = pair.agent.per_second / figures.per_second
            print(
                f"| {pair.at_a_time} | {name} | {figures.per_second:.0f} | {ratio:.2f} | {figures.processor_us:.0f} |"
            )


if __name__ == "__main__":
    run_benchmark(main)
