"""Instances behind a network that drops, duplicates, delays, reorders and falls silent.

Between an instance and a local socket nothing is lost and nothing comes out of order. There, bytes come in pieces and
stand still, and a connection is cut off anywhere.
"""

from __future__ import annotations

import asyncio
import dataclasses
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from runtara_core.models import EventFilter
from runtara_sdk.core_backend import CoreBackend
from runtara_sdk.errors import TransportError
from runtara_sdk.models import InstanceStatus
from socket_proxy import SocketFaults, SocketProxy
from udp_proxy import NetworkFaults, UdpProxy
from workload import cancel, check_finished, connection_settings, run_instance, run_until_cancelled, sdk_of, send_go

STEPS = 10
NETWORKS = {
    "lossy": NetworkFaults(drop=0.05, duplicate=0.05, delay=0.2),
    "jumbled": NetworkFaults(duplicate=0.3, delay=0.9),
    "stuttering": NetworkFaults(drop=0.01, delay=0.05, silence_every=200, longest_silence_seconds=0.8),
}
SOCKETS = {
    "cut": SocketFaults(cut_every_bytes=80_000),
    "stuttering": SocketFaults(largest_piece=300, silence_every_bytes=100_000, longest_silence_seconds=0.5),
}


@asynccontextmanager
async def behind_a_proxy(core: Any, transport: str, directory: Path) -> AsyncIterator[UdpProxy | SocketProxy]:
    """Something without faults between instances and core, until it is told to be silent."""
    if transport == "local":
        async with behind_a_socket_proxy(core, directory, SocketFaults(), seed=0) as socket_proxy:
            yield socket_proxy
    else:
        async with behind_a_network(core, NetworkFaults(), seed=0) as network:
            yield network


@asynccontextmanager
async def behind_a_network(core: Any, faults: NetworkFaults, seed: int) -> AsyncIterator[UdpProxy]:
    proxy = UdpProxy(core.instance_address, faults, seed)
    try:
        yield proxy
    finally:
        await proxy.close()


@asynccontextmanager
async def behind_a_socket_proxy(
    core: Any, directory: Path, faults: SocketFaults, seed: int
) -> AsyncIterator[SocketProxy]:
    proxy = SocketProxy(directory / "proxy" / "p.sock", core.local_address, faults, seed)
    await proxy.open()
    try:
        yield proxy
    finally:
        await proxy.close()


async def complete_all(core: Any, names: list[str], address: str) -> None:
    """Run instances and one that is cancelled through a proxy; whatever it does, they end as they should."""
    acknowledged: dict[str, dict[str, bytes]] = {name: {} for name in names}
    doomed_started = asyncio.Event()
    async with asyncio.timeout(200), asyncio.TaskGroup() as group:
        for name in names:
            group.create_task(run_instance(sdk_of(core, name, address), STEPS, acknowledged[name]))
        doomed = group.create_task(run_until_cancelled(sdk_of(core, "doomed", address), doomed_started), name="doomed")
        for name in names:
            await until_registered(core, name)
            await send_go(core.management, name)
        await doomed_started.wait()
        await cancel(core.management, "doomed")
        await doomed
    for name in names:
        await check_finished(core.management, name, STEPS, acknowledged[name])
    ended = await core.management.get_instance("doomed")
    assert ended is not None
    assert ended.status is InstanceStatus.CANCELLED


async def until_registered(core: Any, name: str) -> None:
    while await core.management.get_instance(name) is None:
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)
async def test_everything_acknowledged_is_kept_and_everybody_completes(
    running_core: Any, quic_library: str, network: NetworkFaults, seed: int
) -> None:
    """Loss, doubles and disorder are QUIC's alone; the local socket has its own test below."""
    async with running_core() as core, behind_a_network(core, network, seed) as proxy:
        await complete_all(core, [f"{quic_library}-{seed}-{number}" for number in range(4)], proxy.address)
        assert proxy.lost or not network.drop


@pytest.mark.parametrize("faults", SOCKETS.values(), ids=SOCKETS)
async def test_connections_that_break_and_stand_still_harm_nobody(
    running_core: Any, tmp_path: Path, faults: SocketFaults, seed: int
) -> None:
    async with running_core() as core, behind_a_socket_proxy(core, tmp_path, faults, seed) as proxy:
        await complete_all(core, [f"local-{seed}-{number}" for number in range(4)], proxy.address)
        assert proxy.cuts or not faults.cut_every_bytes
        assert proxy.silences or not faults.silence_every_bytes


@pytest.mark.parametrize(
    ("to_server", "to_client"), [(True, False), (False, True), (True, True)], ids=["deaf", "mute", "dead"]
)
async def test_a_call_outlives_a_half_open_connection(
    running_core: Any, tmp_path: Path, transport: str, to_server: bool, to_client: bool
) -> None:
    """The call that meets the silence is answered after it, and its effect is there once."""
    async with running_core() as core:
        async with asyncio.timeout(100), behind_a_proxy(core, transport, tmp_path) as proxy:
            async with sdk_of(core, "half-open", proxy.address) as sdk:
                await sdk.checkpoint("before", b"1")
                proxy.set_silent(to_server=to_server, to_client=to_client)
                call = asyncio.create_task(sdk.checkpoint("during", b"2"))
                event = asyncio.create_task(sdk.custom_event("once", event_key="once"))
                await proxy.until_withheld()
                assert not call.done()
                proxy.set_silent(to_server=False, to_client=False)
                await asyncio.gather(call, event)
                await sdk.completed()
        record = await core.management.get_checkpoint("half-open", "during")
        assert record is not None
        assert record.state == b"2"
        assert (await core.management.list_events("half-open", EventFilter(subtype="once"))).total_count == 1


async def test_a_network_that_stays_away_is_told_as_retryable(
    running_core: Any, tmp_path: Path, transport: str
) -> None:
    async with running_core() as core, behind_a_proxy(core, transport, tmp_path) as proxy:
        settings = connection_settings("away", proxy.address, core.identity.ca_path)
        backend = CoreBackend(dataclasses.replace(settings, reconnect_deadline_ms=1_500, request_timeout_ms=500))
        try:
            await backend.register(None)
            proxy.set_silent(to_server=True, to_client=True)
            with pytest.raises(TransportError, match=re.escape("gave no answer to checkpoint for 1.5 s")) as refusal:
                await asyncio.wait_for(backend.checkpoint("lost", b""), 60)
            assert refusal.value.retryable
        finally:
            await backend.close()
