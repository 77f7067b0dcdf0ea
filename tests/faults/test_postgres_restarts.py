"""PostgreSQL goes away under load, in good order and by crashing, and its connections are cut by the storm.

The connections of core to its clients stay as they are, so one transport does: QUIC.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import pytest
from runtara_core.management import CoreManagement
from runtara_core.models import InstanceFilter, NewInstance
from runtara_core.testing.postgres import PostgresServer, create_database
from runtara_sdk.errors import StorageError
from workload import TENANT, check_finished, run_instance, sdk_of, send_go

STEPS = 30
INSTANCES = 4
BEFORE_A_FAULT = 15
"""So many acknowledgements come between two faults, so that each meets calls in flight."""


async def restart_in_order(server: PostgresServer) -> None:
    await asyncio.to_thread(server.stop)
    await asyncio.to_thread(server.start)


async def crash(server: PostgresServer) -> None:
    await asyncio.to_thread(server.kill)
    await asyncio.to_thread(server.start)


async def cut_connections(server: PostgresServer) -> None:
    connection = await asyncpg.connect(server.url)
    try:
        await connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'runtara'"
        )
    finally:
        await connection.close()


class Creator:
    """Creates instances, one after another, each until it is acknowledged; keeps what it was told meanwhile."""

    def __init__(self, management: CoreManagement) -> None:
        self._management = management
        self.created: list[str] = []
        self.errors: list[StorageError] = []

    async def run(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            new = NewInstance(f"created-{len(self.created)}", "creator", "image", b"{}")
            try:
                await self._management.create_instance(new)
            except StorageError as error:
                self.errors.append(error)
                await asyncio.sleep(0.02)
            else:
                self.created.append(new.instance_id)


@pytest.mark.parametrize(
    ("fault", "times"), [(restart_in_order, 1), (crash, 1), (cut_connections, 5)], ids=["restart", "crash", "storm"]
)
async def test_nothing_acknowledged_is_lost_and_nobody_has_to_help(
    running_core: Any,
    own_postgres_server: PostgresServer,
    rounds: int,
    fault: Callable[[PostgresServer], Awaitable[None]],
    times: int,
) -> None:
    url = await create_database(own_postgres_server.url)
    async with running_core(url) as core:
        names = [f"instance-{number}" for number in range(INSTANCES)]
        acknowledged: dict[str, dict[str, bytes]] = {name: {} for name in names}
        creator, stop = Creator(core.management), asyncio.Event()

        def progress() -> int:
            return len(creator.created) + sum(map(len, acknowledged.values()))

        async def disturb() -> None:
            for _ in range(rounds * times):
                before = progress()
                while progress() < before + random.Random(before).randrange(BEFORE_A_FAULT):
                    await asyncio.sleep(0.001)
                await fault(own_postgres_server)
            stop.set()

        async with asyncio.timeout(200), asyncio.TaskGroup() as group:
            for name in names:
                group.create_task(run_instance(sdk_of(core, name), STEPS, acknowledged[name]))
            group.create_task(creator.run(stop))
            disturbing = group.create_task(disturb())
            for name in names:
                await until_sent(core.management, name)
            await disturbing
        assert all(error.retryable for error in creator.errors)
        for name in names:
            await check_finished(core.management, name, STEPS, acknowledged[name])
        listed = await core.management.list_instances(InstanceFilter(tenant_id="creator", limit=1_000))
        assert listed.total_count - len(creator.created) in (0, 1)
        assert {each.instance_id for each in listed.instances} >= set(creator.created)
        assert (await core.management.health_check()).healthy
        finished = await core.management.list_instances(InstanceFilter(tenant_id=TENANT))
        assert finished.total_count == INSTANCES


async def until_sent(management: CoreManagement, name: str) -> None:
    """Send the signal as soon as the instance is known, whatever the database does meanwhile."""
    while True:
        try:
            if await management.get_instance(name) is not None:
                await send_go(management, name)
                return
        except StorageError as error:
            if not error.retryable:
                raise
        await asyncio.sleep(0.01)


async def test_while_the_database_is_away_callers_are_told_at_once_and_health_says_so(
    running_core: Any, own_postgres_server: PostgresServer
) -> None:
    url = await create_database(own_postgres_server.url)
    async with running_core(url) as core:
        await asyncio.to_thread(own_postgres_server.stop)
        try:
            async with asyncio.timeout(60):
                with pytest.raises(StorageError, match="create_instance") as refusal:
                    await core.management.create_instance(NewInstance("away", TENANT, "image", b"{}"))
                assert refusal.value.retryable
                assert "127.0.0.1" not in refusal.value.message
                assert not (await core.management.health_check()).healthy
                with pytest.raises(StorageError) as claim_refusal:
                    await core.management.claim_launches("owner", limit=1, lease_ms=1_000, wait_ms=1_000)
                assert claim_refusal.value.retryable
        finally:
            await asyncio.to_thread(own_postgres_server.start)
        await core.management.create_instance(NewInstance("back", TENANT, "image", b"{}"))
        claims = await core.management.claim_launches("owner", limit=1, lease_ms=1_000)
        assert [claim.instance_id for claim in claims] == ["back"]
        assert (await core.management.health_check()).healthy
