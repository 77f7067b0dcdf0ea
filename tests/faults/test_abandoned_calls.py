"""A call that nobody awaits any more ends in the server, too, and takes nothing with it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from runtara_core.management_client import ManagementClient
from runtara_core.models import NewInstance
from runtara_sdk.transport.quic import QuicClient


def management_of(core: Any) -> ManagementClient:
    return ManagementClient(QuicClient(f"127.0.0.1:{core.management_port}", ca_file=core.identity.ca_path))


async def until_streams(core: Any, count: int) -> None:
    async with asyncio.timeout(60):
        while core._servers[1].open_streams != count:
            await asyncio.sleep(0.005)


async def until_no_handlers(core: Any) -> None:
    async with asyncio.timeout(60):
        while core._servers[1]._handlers:
            await asyncio.sleep(0.005)


@pytest.mark.parametrize("how", ["cancelled", "closed"])
async def test_a_long_poll_ends_with_its_caller_and_claims_nothing_more(
    running_core: Any, quic_library: str, how: str
) -> None:
    async with running_core() as core:
        gone, other = management_of(core), management_of(core)
        poll = asyncio.create_task(gone.claim_launches("gone", limit=10, lease_ms=60_000, wait_ms=30_000))
        await until_streams(core, 1)
        if how == "cancelled":
            poll.cancel()
        else:
            await gone.close()
        await asyncio.gather(poll, return_exceptions=True)
        await until_streams(core, 0)
        await until_no_handlers(core)
        await other.create_instance(NewInstance("due", "tenant", "image", b"{}"))
        (claim,) = await other.claim_launches("other", limit=10, lease_ms=60_000, wait_ms=30_000)
        assert claim.instance_id == "due"
        await gone.close()
        await other.close()


async def test_a_thousand_abandoned_calls_leave_the_daemon_as_it_was(running_core: Any, quic_library: str) -> None:
    async with running_core() as core:
        client = management_of(core)
        for _ in range(10):
            polls = [
                asyncio.create_task(client.claim_launches("gone", limit=1, lease_ms=60_000, wait_ms=30_000))
                for _ in range(100)
            ]
            await until_streams(core, 100)
            for poll in polls:
                poll.cancel()
            await asyncio.gather(*polls, return_exceptions=True)
        await until_streams(core, 0)
        assert (await asyncio.wait_for(client.health_check(), 60)).healthy
        await client.close()
        assert core._servers[1].buffered_bytes == 0
