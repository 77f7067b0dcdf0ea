"""A call that nobody awaits any more ends in the server, too, and takes nothing with it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from runtara_core.management_client import ManagementClient
from runtara_core.models import NewInstance
from runtara_sdk.transport import open_client


class Management:
    """The management server of a daemon, and clients of it, on one transport."""

    def __init__(self, core: Any, transport: str) -> None:
        servers = core._listening.sockets if transport == "local" else core._listening.ports
        self.server = servers[1]
        self._ca_file = core.identity.ca_path

    def client(self) -> ManagementClient:
        return ManagementClient(open_client(self.server.address, ca_file=self._ca_file))

    async def until_streams(self, count: int) -> None:
        async with asyncio.timeout(60):
            while self.server.open_streams != count:
                await asyncio.sleep(0.005)

    async def until_no_handlers(self) -> None:
        async with asyncio.timeout(60):
            while self.server._calls._tasks:
                await asyncio.sleep(0.005)


@pytest.mark.parametrize("how", ["cancelled", "closed"])
async def test_a_long_poll_ends_with_its_caller_and_claims_nothing_more(
    running_core: Any, transport: str, how: str
) -> None:
    async with running_core() as core:
        management = Management(core, transport)
        gone, other = management.client(), management.client()
        poll = asyncio.create_task(gone.claim_launches("gone", limit=10, lease_ms=60_000, wait_ms=30_000))
        await management.until_streams(1)
        if how == "cancelled":
            poll.cancel()
        else:
            await gone.close()
        await asyncio.gather(poll, return_exceptions=True)
        await management.until_streams(0)
        await management.until_no_handlers()
        await other.create_instance(NewInstance("due", "tenant", "image", b"{}"))
        (claim,) = await other.claim_launches("other", limit=10, lease_ms=60_000, wait_ms=30_000)
        assert claim.instance_id == "due"
        await gone.close()
        await other.close()


async def test_a_thousand_abandoned_calls_leave_the_daemon_as_it_was(running_core: Any, transport: str) -> None:
    async with running_core() as core:
        management = Management(core, transport)
        client = management.client()
        for _ in range(10):
            polls = [
                asyncio.create_task(client.claim_launches("gone", limit=1, lease_ms=60_000, wait_ms=30_000))
                for _ in range(100)
            ]
            await management.until_streams(100)
            for poll in polls:
                poll.cancel()
            await asyncio.gather(*polls, return_exceptions=True)
        await management.until_streams(0)
        assert (await asyncio.wait_for(client.health_check(), 60)).healthy
        await client.close()
        assert management.server.buffered_bytes == 0
