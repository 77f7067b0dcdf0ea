"""Image registry and launch table on PostgreSQL: every query, and the races that one writer cannot have."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from runtara_core.database import Database, create_database
from runtara_core.due import DueBell
from runtara_core.management_service import ManagementService
from runtara_core.models import CoreLimits
from runtara_core.storages import open_storage
from runtara_environment import migrations
from runtara_environment.launch_table import Launch, LaunchPhase, LaunchTable
from runtara_environment.registry import ImageRegistry, retention
from runtara_environment.registry.retention import ImageRetention
from runtara_environment.sql.queries import environment_queries
from runtara_sdk.errors import ImageNotFoundError, InvalidStateError, StaleEpochError
from runtara_sdk.testing.clock import ManualClock

SCRIPT = b"#!/bin/sh\necho one\n"
OTHER_SCRIPT = b"#!/bin/sh\necho two\n"
DAY_MS = 86_400_000
LAUNCH = Launch("i-1", 1, "owner-a", "host-1", "native", "/run/i-1", {"epoch": 1}, 1000)


@pytest.fixture
async def database(empty_postgres_database_url: str) -> AsyncIterator[Database]:
    database = create_database(empty_postgres_database_url, environment_queries())
    await database.open()
    await migrations.run(database)
    assert await migrations.run(database) == ()
    yield database
    await database.close()


async def test_images(database: Database, tmp_path: Path) -> None:
    registry = ImageRegistry(database, tmp_path)
    image = await registry.register(
        tenant_id="t-1", name="orders", artifact=SCRIPT, description="Orders", metadata={"a": [1, "\u00e9"]}
    )
    assert (image.version, image.metadata, image.description) == (1, {"a": [1, "\u00e9"]}, "Orders")
    second = await registry.register(tenant_id="t-1", name="orders", artifact=OTHER_SCRIPT)
    assert (second.image_id, second.version, second.metadata) == (image.image_id, 2, None)
    assert (await registry.register(tenant_id="t-1", name="orders", artifact=SCRIPT)).version == 1
    assert (await registry.resolve(image.image_id, "t-1", digest=second.digest)).version == 2
    assert (await registry.resolve(image.image_id, "t-1", version=2)).digest == second.digest
    other = await registry.register(tenant_id="t-2", name="others", artifact=SCRIPT)
    page = await registry.list_images("t-1", limit=1)
    assert ([each.name for each in page.images], page.total_count) == (["orders"], 1)
    assert (await registry.list_images(limit=1, offset=1)).total_count == 2
    assert await registry.find_names([image.image_id, "x"]) == {image.image_id: "orders"}
    assert await registry.find_by_name_prefix("o", tenant_id="t-2") == [other.image_id]
    assert len(await registry.find_by_name_prefix("o")) == 2
    with pytest.raises(InvalidStateError):
        await registry.delete(image.image_id, "t-1", in_use=True)
    await registry.delete(image.image_id, "t-1")
    with pytest.raises(ImageNotFoundError):
        await registry.get(image.image_id, "t-1")
    assert (await registry.resolve(image.image_id, "t-1", digest=image.digest)).digest == image.digest


async def test_registrations_of_one_name_at_once(database: Database, tmp_path: Path) -> None:
    registry = ImageRegistry(database, tmp_path)
    images = await asyncio.gather(
        *(
            registry.register(tenant_id="t-1", name="orders", artifact=SCRIPT + b"# %d\n" % (number % 6))
            for number in range(12)
        )
    )
    assert len({image.image_id for image in images}) == 1
    by_digest = {(image.digest, image.version) for image in images}
    assert sorted(version for _, version in by_digest) == [1, 2, 3, 4, 5, 6]


async def test_launches(database: Database) -> None:
    table = LaunchTable(database)
    await table.record_intent(replace(LAUNCH, deadline_ms=5000))
    with pytest.raises(InvalidStateError):
        await table.record_intent(LAUNCH)
    await table.record_intent(replace(LAUNCH, epoch=3))
    with pytest.raises(StaleEpochError):
        await table.record_intent(replace(LAUNCH, epoch=2))
    await table.record_started("i-1", 3, {"pid": 7})
    newest, oldest = await table.of_host("host-1")
    assert (newest.epoch, newest.phase, newest.state) == (3, LaunchPhase.STARTED, {"pid": 7})
    assert (oldest.epoch, oldest.phase, oldest.deadline_ms) == (1, LaunchPhase.INTENDED, 5000)
    assert [each.epoch for each in await table.of_owner("owner-a")] == [3, 1]
    assert [each.epoch for each in await table.of_instance("i-1")] == [3, 1]
    won = await asyncio.gather(*(table.take_over("i-1", 3, "owner-a", f"owner-{n}") for n in range(8)))
    assert won.count(True) == 1
    await table.remove("i-1", 1)
    assert [each.epoch for each in await table.of_host("host-1")] == [3]
    await table.announce_owner("owner-a", "host-1", now_ms=1)
    await table.announce_owner("owner-a", "host-1", now_ms=2)
    assert await table.owners_of_host("host-1") == ["owner-a"]
    await table.forget_owner("owner-a")
    assert await table.owners_of_host("host-1") == []


async def test_versions_are_listed_used_signed_and_removed(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "PAUSE_SECONDS", 0)  # time stands still during a pass
    clock = ManualClock()
    registry = ImageRegistry(database, tmp_path, clock=clock)
    for artifact in (SCRIPT, OTHER_SCRIPT):
        image = await registry.register(tenant_id="t-1", name="orders", artifact=artifact, signature=bytes(64))
    assert [each.version for each in await registry.list_versions(image.image_id, "t-1")] == [2, 1]
    assert [each.version for each in await registry.list_versions(image.image_id, "t-1", before_version=2)] == [1]
    clock.advance(6 * DAY_MS)
    assert (await registry.use(image.image_id, "t-1", version=1)).signature == bytes(64)
    clock.advance(2 * DAY_MS)
    storage = await open_storage(f"sqlite:///{tmp_path}/core.db")
    await storage.open()
    core = ManagementService(storage, clock, CoreLimits(), DueBell())
    cleaner = ImageRetention(
        database, core, registry.artifacts, clock, max_age_days=7, batch_size=1, poll_interval_seconds=60
    )
    # Version 2 is old, and current: it stays while there is another one.
    assert await cleaner.remove_unneeded() == (0, 0, 0)
    clock.advance(7 * DAY_MS)
    assert await cleaner.remove_unneeded() == (2, 0, 0)
    with pytest.raises(ImageNotFoundError):
        await registry.get(image.image_id, "t-1")
    assert (await registry.register(tenant_id="t-1", name="orders", artifact=b"#!/bin/sh\n")).version == 1
    clock.advance(8 * DAY_MS)
    assert [await cleaner.remove_unneeded() for _ in range(2)] == [(1, 2, 0), (0, 0, 0)]
    await storage.close()


async def test_registrations_beside_the_removal_of_their_image(database: Database, tmp_path: Path) -> None:
    """Whoever comes second finds no image, and makes it anew."""
    clock = ManualClock()
    registry = ImageRegistry(database, tmp_path, clock=clock)
    storage = await open_storage(f"sqlite:///{tmp_path}/core.db")
    await storage.open()
    core = ManagementService(storage, clock, CoreLimits(), DueBell())
    cleaner = ImageRetention(
        database, core, registry.artifacts, clock, max_age_days=7, batch_size=50, poll_interval_seconds=60
    )
    for number in range(5):
        clock.advance(8 * DAY_MS)
        artifact = SCRIPT + b"# %d\n" % number
        again, _, _ = await asyncio.gather(
            registry.register(tenant_id="t-1", name="orders", artifact=artifact),
            cleaner.remove_unneeded(),
            cleaner.remove_unneeded(),
        )
        assert await registry.get(again.image_id, "t-1") == again
        assert await registry.resolve(again.image_id, "t-1")
    await storage.close()
