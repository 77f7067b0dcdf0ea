"""The answer to a checkpoint is lost after its commit: the call that is made again for it hears the same."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from daemon_process import DaemonProcess
from runtara_sdk import RuntaraSdk
from runtara_sdk.instance_settings import InstanceSettings
from socket_proxy import SocketFaults, SocketProxy
from udp_proxy import NetworkFaults, UdpProxy

DEADLINE_SECONDS = 60.0


@contextlib.asynccontextmanager
async def program_behind_a_proxy(
    daemons: DaemonProcess, directory: Path
) -> AsyncIterator[tuple[RuntaraSdk, UdpProxy | SocketProxy]]:
    address = daemons.addresses["instance"]
    proxy: UdpProxy | SocketProxy
    if daemons.is_local:
        proxy = SocketProxy(directory / "proxy" / "p.sock", address, SocketFaults(), seed=1)
        await proxy.open()
    else:
        proxy = UdpProxy(address, NetworkFaults(), seed=1)
    settings = InstanceSettings(
        "i", "t", server_addr=proxy.address, ca_file=daemons.ca_file, connect_timeout_ms=1_000, request_timeout_ms=1_000
    )
    try:
        async with RuntaraSdk(settings) as sdk:
            yield sdk, proxy
            await sdk.completed()
    finally:
        await proxy.close()


async def until_stored(directory: Path, checkpoint_id: str) -> None:
    database = sqlite3.connect(f"file:{directory}/core.db?mode=ro", uri=True)
    try:
        query = "SELECT COUNT(*) FROM checkpoints WHERE checkpoint_id = ?"
        while not database.execute(query, (checkpoint_id,)).fetchone()[0]:
            await asyncio.sleep(0.01)
    finally:
        database.close()


@pytest.mark.parametrize("core_dies", [False, True], ids=["connection lost", "core killed"])
@pytest.mark.parametrize("is_local", [False, True], ids=["quic", "local"])
async def test_a_call_made_again_hears_what_it_would_have_heard_first(
    tmp_path: Path, is_local: bool, core_dies: bool
) -> None:
    daemons = DaemonProcess(tmp_path, is_local=is_local)
    await daemons.start()
    try:
        async with asyncio.timeout(DEADLINE_SECONDS), program_behind_a_proxy(daemons, tmp_path) as (sdk, proxy):
            proxy.set_silent(to_server=False, to_client=True)
            call = asyncio.create_task(sdk.checkpoint("order", b"first"))
            await until_stored(tmp_path, "order")
            assert not call.done()
            if core_dies:
                await daemons.kill()
                await daemons.start()
            proxy.move_to(daemons.addresses["instance"])
            proxy.set_silent(to_server=False, to_client=False)
            assert not (await call).found
            again = await sdk.checkpoint("order", b"second")
            assert (again.found, again.state) == (True, b"first")
    finally:
        await daemons.kill()
