"""The launch table on SQLite."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from runtara_core.database import Database, create_database
from runtara_environment import launch_table, migrations
from runtara_environment.launch_table import Launch, LaunchPhase, LaunchTable
from runtara_environment.sql.queries import environment_queries
from runtara_sdk.errors import InvalidStateError, StaleEpochError

LAUNCH = Launch("i-1", 1, "owner-a", "host-1", "native", "/run/i-1", {"epoch": 1}, 1000)


@pytest.fixture
async def table(tmp_path: Path) -> AsyncIterator[LaunchTable]:
    database: Database = create_database(f"sqlite:///{tmp_path}/runtara.db", environment_queries())
    await database.open()
    await migrations.run(database)
    yield LaunchTable(database)
    await database.close()


async def test_life_of_a_launch(table: LaunchTable) -> None:
    await table.record_intent(LAUNCH)
    assert await table.of_host("host-1") == [LAUNCH]
    await table.record_started("i-1", 1, {"pid": 7})
    started = replace(LAUNCH, phase=LaunchPhase.STARTED, state={"pid": 7})
    assert await table.of_owner("owner-a") == [started]
    assert await table.of_instance("i-1") == [started]
    await table.remove("i-1", 1)
    await table.remove("i-1", 1)
    assert await table.of_host("host-1") == []
    with pytest.raises(InvalidStateError):
        await table.record_started("i-1", 1, {})


async def test_epochs(table: LaunchTable) -> None:
    await table.record_intent(replace(LAUNCH, epoch=2, deadline_ms=5000))
    with pytest.raises(InvalidStateError):
        await table.record_intent(replace(LAUNCH, epoch=2))
    with pytest.raises(StaleEpochError):
        await table.record_intent(LAUNCH)
    await table.record_intent(replace(LAUNCH, epoch=3))
    assert [launch.epoch for launch in await table.of_instance("i-1")] == [3, 2]
    assert (await table.of_instance("i-1"))[1].deadline_ms == 5000


async def test_take_over_is_won_once(table: LaunchTable) -> None:
    await table.record_intent(LAUNCH)
    assert await table.take_over("i-1", 1, "owner-a", "owner-b")
    assert not await table.take_over("i-1", 1, "owner-a", "owner-c")
    assert not await table.take_over("i-2", 1, "owner-a", "owner-c")
    assert [launch.owner for launch in await table.of_host("host-1")] == ["owner-b"]


async def test_lists_are_complete_beyond_a_page(table: LaunchTable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch_table, "_PAGE", 2)
    expected = []
    for instance in ("i-1", "i-2", "i-3"):
        for epoch in (1, 2):
            await table.record_intent(replace(LAUNCH, instance_id=instance, epoch=epoch))
        expected += [(instance, 2), (instance, 1)]
    await table.record_intent(replace(LAUNCH, instance_id="i-4", host_id="host-2"))
    assert [(each.instance_id, each.epoch) for each in await table.of_host("host-1")] == expected
    assert len(await table.of_owner("owner-a")) == 7


async def test_owners(table: LaunchTable) -> None:
    await table.announce_owner("owner-b", "host-1", now_ms=2)
    await table.announce_owner("owner-a", "host-1", now_ms=1)
    await table.announce_owner("owner-a", "host-1", now_ms=1)
    await table.announce_owner("owner-c", "host-2", now_ms=1)
    assert await table.owners_of_host("host-1") == ["owner-a", "owner-b"]
    await table.forget_owner("owner-a")
    assert await table.owners_of_host("host-1") == ["owner-b"]
