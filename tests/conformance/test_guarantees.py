"""The examples of each guarantee, killed while one order is on its way: what the README says is what happens."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples" / "guarantees"
ORDERS = [f"order-{number}" for number in range(5)]
KILLED_AT = "order-2"
DEADLINE_SECONDS = 60


class World:
    """An order service that kills the caller of one order, once it knows the order and before it answers."""

    def __init__(self) -> None:
        self.received: list[tuple[str, str]] = []
        self.processed: list[str] = []
        self.victim: asyncio.subprocess.Process | None = None
        self.address = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        headers = {
            name.lower(): value for name, _, value in (line.partition(": ") for line in head.splitlines()[1:] if line)
        }
        order_id = json.loads(await reader.readexactly(int(headers["content-length"])))["id"]
        self.received.append((order_id, headers.get("idempotency-key", "")))
        if order_id == KILLED_AT and self.victim is not None:
            victim, self.victim = self.victim, None
            victim.send_signal(signal.SIGKILL)
        else:
            self.processed.append(order_id)
            answer = json.dumps({"processed": order_id}).encode()
            writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(answer) + answer)
        await writer.drain()
        writer.close()


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World()
    server = await asyncio.start_server(world.serve, "127.0.0.1", 0)
    world.address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        yield world


async def run(example: str, world: World, tmp_path: Path, *, kill: bool) -> int:
    variables = {
        **os.environ,
        "ORDER_SERVICE": world.address,
        "RUNTARA_INSTANCE_ID": "orders",
        "RUNTARA_TENANT_ID": "demo",
        "RUNTARA_SERVER_ADDR": f"sqlite:///{tmp_path}/orders.db",
    }
    process = await asyncio.create_subprocess_exec(sys.executable, str(EXAMPLES / f"{example}.py"), env=variables)
    world.victim = process if kill else None
    try:
        return await asyncio.wait_for(process.wait(), DEADLINE_SECONDS)
    finally:
        if process.returncode is None:
            process.kill()


@pytest.mark.parametrize(
    ("example", "placed_in_the_end"),
    [
        ("checkpoint_before_work", [order for order in ORDERS if order != KILLED_AT]),
        ("steps", ORDERS),
        ("durable_function", ORDERS),
    ],
)
async def test_what_a_kill_does_to_the_order_on_its_way(
    world: World, tmp_path: Path, example: str, placed_in_the_end: list[str]
) -> None:
    assert await run(example, world, tmp_path, kill=True) == -signal.SIGKILL
    assert world.processed == ORDERS[:2]
    assert await run(example, world, tmp_path, kill=False) == 0
    assert world.processed == placed_in_the_end
    keys = {key for order_id, key in world.received if order_id == KILLED_AT}
    assert len(keys) == 1, "a repeat carries the key of the first"
    assert len(world.received) - len(ORDERS) == (0 if example == "checkpoint_before_work" else 1)
