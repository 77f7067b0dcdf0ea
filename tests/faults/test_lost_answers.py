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
from udp_proxy import NetworkFaults, UdpProxy

DEADLINE_SECONDS = 60.0


@contextlib.asynccontextmanager
async def program_behind_a_proxy(daemons: DaemonProcess) -> AsyncIterator[tuple[RuntaraSdk, UdpProxy]]:
    proxy = UdpProxy(("127.0.0.1", daemons.ports["instance"]), NetworkFaults(), seed=1)
    settings = InstanceSettings(
        "i", "t", server_addr=proxy.address, ca_file=daemons.ca_file, connect_timeout_ms=1_000, request_timeout_ms=1_000
    )
    try:
        async with RuntaraSdk(settings) as sdk:
            yield sdk, proxy
            await sdk.completed()
    finally:
        proxy.close()


async def until_stored(directory: Path, checkpoint_id: str) -> None:
    database = sqlite3.connect(f"file:{directory}/core.db?mode=ro", uri=True)
    try:
        query = "SELECT COUNT(*) FROM checkpoints WHERE checkpoint_id = ?"
        while not database.execute(query, (checkpoint_id,)).fetchone()[0]:
            await asyncio.sleep(0.01)
    finally:
        database.close()


@pytest.mark.parametrize("core_dies", [False, True], ids=["connection lost", "core killed"])
async def test_a_call_made_again_hears_what_it_would_have_heard_first(tmp_path: Path, core_dies: bool) -> None:
    daemons = DaemonProcess(tmp_path)
    await daemons.start()
    try:
        async with asyncio.timeout(DEADLINE_SECONDS), program_behind_a_proxy(daemons) as (sdk, proxy):
            proxy.set_silent(to_server=False, to_client=True)
            call = asyncio.create_task(sdk.checkpoint("order", b"first"))
            await until_stored(tmp_path, "order")
            assert not call.done()
            if core_dies:
                await daemons.kill()
                await daemons.start()
            proxy.move_to(("127.0.0.1", daemons.ports["instance"]))
            proxy.set_silent(to_server=False, to_client=False)
            assert not (await call).found
            again = await sdk.checkpoint("order", b"second")
            assert (again.found, again.state) == (True, b"first")
    finally:
        await daemons.kill()
