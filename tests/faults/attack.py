"""An attack on a daemon, and who watches it: others must be served meanwhile, memory stays bounded, nothing is left.

The daemon runs in a process of its own with small bounds, so that exceeding them shows. While an attack runs, a
well-behaved client calls all the time, each call with a deadline; the resident memory is read all the time as well.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from daemon_process import DaemonProcess, Load
from runtara_sdk.errors import RuntaraError
from runtara_sdk.protocol import instance_pb2 as pb
from runtara_sdk.transport import TransportClient

MEBIBYTE = 1024 * 1024
BUFFERS = 48 * MEBIBYTE
MEMORY = 2 * BUFFERS + 112 * MEBIBYTE
"""Twice the bound, as shares may add up to, and what engines, streams and freed but unreturned memory take."""
LOG = 64 * 1024
"""More than any attack may write into the log of the daemon."""
CALL_SECONDS = 30.0
VARIABLES = {
    "RUNTARA_QUIC_MAX_BUFFERED_BYTES": str(BUFFERS),
    "RUNTARA_QUIC_MAX_STREAMS": "3000",
    "RUNTARA_QUIC_IDLE_TIMEOUT_MS": "5000",
    "RUNTARA_QUIC_KEEP_ALIVE_MS": "1000",
    "RUNTARA_QUIC_REQUEST_DEADLINE_MS": "2000",
    "RUNTARA_QUIC_HANDSHAKE_TIMEOUT_MS": "1500",
}


@dataclass
class Witness:
    """What a well-behaved client and an observer of memory saw."""

    slowest_seconds: float = 0.0
    calls: int = 0
    peak_bytes: int = 0
    failures: list[str] = field(default_factory=list)


@asynccontextmanager
async def serving_attackers(directory: Path, kind: str) -> AsyncIterator[DaemonProcess]:
    """The daemons with small bounds, on a QUIC library or on local sockets; no attack costs more than warnings."""
    daemon = DaemonProcess(directory, is_local=kind == "local")
    library = {} if kind == "local" else {"RUNTARA_QUIC_LIBRARY": kind}
    try:
        await daemon.start(**VARIABLES, **library)
        yield daemon
    finally:
        await daemon.kill()
    assert "Traceback" not in daemon.log


@asynccontextmanager
async def under_attack(target: DaemonProcess, port: str = "instance") -> AsyncIterator[Witness]:
    """Others are served during the block, memory is bounded in it, and nothing of it is left afterwards."""
    witness = Witness()
    victim = target.client(port, library="qh3")
    await serve_others(victim)
    logged = len(target.log)
    before = target.memory_bytes()
    watching = asyncio.create_task(watch(target, victim, witness))
    try:
        yield witness
        seen = witness.calls
        while witness.calls < seen + 2 and not watching.done():
            await asyncio.sleep(0.01)
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
    print(
        f"memory {before // MEBIBYTE} -> {witness.peak_bytes // MEBIBYTE} MiB, {witness.calls} other calls, "
        f"slowest {witness.slowest_seconds:.2f} s"
    )
    assert not witness.failures, witness.failures
    assert witness.calls >= 2
    # Also what earlier attacks have left counts.
    assert witness.peak_bytes - target.memory_at_start < MEMORY
    assert len(target.log) - logged < LOG
    await victim.close()
    async with asyncio.timeout(60):
        while (await target.load())[port] != Load(0, 0, 0):
            await asyncio.sleep(0.1)


async def watch(target: DaemonProcess, victim: TransportClient, witness: Witness) -> None:
    while True:
        started = time.monotonic()
        try:
            await serve_others(victim)
        except RuntaraError as error:
            witness.failures.append(f"{type(error).__name__}: {error}")
        witness.slowest_seconds = max(witness.slowest_seconds, time.monotonic() - started)
        witness.peak_bytes = max(witness.peak_bytes, target.memory_bytes())
        witness.calls += 1
        await asyncio.sleep(0.02)


async def serve_others(victim: TransportClient) -> None:
    """A call that every port answers, be it with an error."""
    assert await victim.call(b"", timeout_ms=round(CALL_SECONDS * 1000))


async def request_of_state(target: DaemonProcess, size: int) -> bytes:
    """Store a checkpoint of so many bytes; the request that is answered with them."""
    client, name = target.client("instance"), f"of {size} bytes"
    register = pb.RegisterInstanceRequest(instance_id=name, tenant_id="tenant")
    answer = pb.RpcResponse.FromString(await client.call(pb.RpcRequest(register_instance=register).SerializeToString()))
    launch = answer.register_instance
    request = pb.RpcRequest(epoch=launch.epoch, instance_token=launch.instance_token)
    state = random.Random(0).randbytes(size)
    request.checkpoint.CopyFrom(pb.CheckpointRequest(instance_id=name, checkpoint_id="state", state=state))
    await client.call(request.SerializeToString())
    await client.close()
    request.get_checkpoint.CopyFrom(pb.GetCheckpointRequest(instance_id=name, checkpoint_id="state"))
    return request.SerializeToString()
