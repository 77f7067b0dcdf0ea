"""What retention removes of images, and what it never does."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from runtara_core.database import create_database
from runtara_environment import migrations
from runtara_environment.inputs import InputJudge
from runtara_environment.registry import Image, ImageRegistry, retention
from runtara_environment.registry.retention import ImageRetention
from runtara_environment.restarts import Restarts
from runtara_environment.sql.queries import environment_queries
from runtara_environment.supervision.workspaces import Workspaces
from runtara_environment.testing.supervised_host import TENANT, SupervisedHost
from runtara_sdk.errors import ImageNotFoundError
from runtara_sdk.models import InstanceStatus, SignalType

DAY_MS = 86_400_000
HOUR_MS = 3_600_000


def program(number: int) -> bytes:
    return b"#!/bin/sh\necho %d\n" % number


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture
def cleaner(host: SupervisedHost, monkeypatch: pytest.MonkeyPatch) -> ImageRetention:
    monkeypatch.setattr(retention, "PAUSE_SECONDS", 0)  # time stands still during a pass
    return cleaner_of(host, host.registry)


def cleaner_of(host: SupervisedHost, registry: ImageRegistry) -> ImageRetention:
    return ImageRetention(
        registry.database,
        host.service,
        registry.artifacts,
        host.clock,
        max_age_days=7,
        batch_size=2,
        poll_interval_seconds=60,
    )


@contextlib.asynccontextmanager
async def registry_of_another_database(host: SupervisedHost, data: Path) -> AsyncIterator[ImageRegistry]:
    database = create_database(f"sqlite:///{data}/other.db", environment_queries())
    await database.open()
    await migrations.run(database)
    yield ImageRegistry(database, data, clock=host.clock)
    await database.close()


async def register(registry: ImageRegistry, number: int, name: str = "orders") -> Image:
    return await registry.register(tenant_id=TENANT, name=name, artifact=program(number))


def artifacts(data: Path) -> set[str]:
    return {path.name for path in (data / "images").iterdir() if path.is_dir()}


async def passes(host: SupervisedHost, cleaner: ImageRetention) -> tuple[int, int, int]:
    """Two passes, an hour apart: the first one notices artifacts, the second one removes them."""
    versions, *rest = await cleaner.remove_unneeded()
    assert rest == [0, 0]
    host.clock.advance(HOUR_MS)
    later, removed, layers = await cleaner.remove_unneeded()
    return versions + later, removed, layers


async def test_old_versions_go_and_what_is_used_stays(
    host: SupervisedHost, cleaner: ImageRetention, data: Path
) -> None:
    sleeping = await host.create("sleeping")  # of version 1 of the image "program"
    await host.prepare(program(1))
    images = [await register(host.registry, number) for number in range(10, 15)]
    host.clock.advance(6 * DAY_MS)
    await host.registry.use(images[0].image_id, TENANT, version=2)
    assert await passes(host, cleaner) == (0, 0, 0)
    host.clock.advance(DAY_MS)
    kept = await host.storage.get_instance(sleeping)
    assert kept is not None
    assert await passes(host, cleaner) == (3, 3, 0)
    left = await host.registry.list_versions(images[0].image_id, TENANT)
    assert [version.version for version in left] == [5, 2]
    assert artifacts(data) >= {images[1].digest, images[4].digest}
    assert await host.registry.resolve(kept.image_id or "", TENANT, version=1)

    host.clock.advance(8 * DAY_MS)
    assert (await passes(host, cleaner))[0] == 2
    with pytest.raises(ImageNotFoundError):
        await host.registry.get(images[0].image_id, TENANT)
    again = await register(host.registry, 10)
    assert (again.version, again.image_id != images[0].image_id) == (1, True)
    assert await host.registry.resolve(kept.image_id or "", TENANT, version=1)


async def test_numbers_of_removed_versions_are_not_used_again(host: SupervisedHost, cleaner: ImageRetention) -> None:
    await host.create()  # holds the image of the host
    for number in (1, 2, 3):
        await register(host.registry, number)
    host.clock.advance(8 * DAY_MS)
    assert (await register(host.registry, 1)).version == 1
    assert await passes(host, cleaner) == (2, 2, 0)
    assert (await register(host.registry, 4)).version == 4


async def test_a_deleted_image_goes_and_the_retry_of_its_failed_instance_says_so(
    host: SupervisedHost, cleaner: ImageRetention, data: Path
) -> None:
    instance_id = await host.create("failed")
    await host.service.send_signal(instance_id, SignalType.CANCEL)
    instance = await host.settled(InstanceStatus.CANCELLED, instance_id)
    assert instance.image_id is not None
    await host.registry.delete(instance.image_id, TENANT)
    host.clock.advance(8 * DAY_MS)
    assert await passes(host, cleaner) == (1, 1, 0)
    restarts = Restarts(host.service, host.registry, Workspaces(data, host.launches), InputJudge())
    with pytest.raises(ImageNotFoundError, match="it has been removed"):
        await restarts.retry_instance(instance_id)


async def test_a_version_that_is_being_started_stays(
    host: SupervisedHost, cleaner: ImageRetention, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = await register(host.registry, 1)
    host.clock.advance(8 * DAY_MS)
    remove = cleaner._remove_version

    async def start_then_remove(image_id: str, version: int, before_ms: int) -> int:
        await host.registry.use(image_id, TENANT)
        return await remove(image_id, version, before_ms)

    monkeypatch.setattr(cleaner, "_remove_version", start_then_remove)
    assert await passes(host, cleaner) == (0, 0, 0)
    assert await host.registry.resolve(image.image_id, TENANT)


async def test_a_registration_that_has_no_row_yet_keeps_its_artifact(
    host: SupervisedHost, cleaner: ImageRetention
) -> None:
    await host.create()  # holds the image of the host
    image = await register(host.registry, 1)
    host.clock.advance(8 * DAY_MS)
    await cleaner.remove_unneeded()  # the row is gone
    host.clock.advance(HOUR_MS)
    async with host.registry.artifacts.putting(program(1)):
        removal = asyncio.create_task(cleaner.remove_unneeded())
        again = await register(host.registry, 1)
    assert (await removal)[1] == 0
    assert again.digest == image.digest
    assert await host.registry.resolve(again.image_id, TENANT)


async def test_artifacts_of_other_databases_and_of_unknown_ones_stay(
    host: SupervisedHost, cleaner: ImageRetention, data: Path
) -> None:
    await host.create()  # holds the image of the host
    shared, own = await register(host.registry, 1), await register(host.registry, 2, "others")
    stranger = data / "images" / ("0" * 64)
    stranger.mkdir()
    (stranger / "artifact").write_bytes(program(9))
    async with registry_of_another_database(host, data) as other:
        theirs = await register(other, 1)
        host.clock.advance(8 * DAY_MS)
        versions, removed, _ = await passes(host, cleaner)
        assert (versions, removed) == (2, 1)
        assert artifacts(data) >= {shared.digest, stranger.name}
        assert own.digest not in artifacts(data)
        assert await other.resolve(theirs.image_id, TENANT)
        assert await passes(host, cleaner_of(host, other)) == (1, 1, 0)
    assert shared.digest not in artifacts(data)


async def test_what_a_killed_process_left_is_removed(host: SupervisedHost, cleaner: ImageRetention, data: Path) -> None:
    image = await register(host.registry, 1)
    (data / "images/.removed-1").mkdir()
    (data / "images/.removed-1/artifact").touch()
    (data / "images/.upload-1").touch()  # one that may be in progress
    half = data / "images" / ("1" * 64)  # before the artifact took its place
    half.mkdir()
    (half / next(each.name for each in (data / "images" / image.digest).glob("used-by-*"))).touch()
    assert (await passes(host, cleaner))[1] == 1
    assert not (data / "images/.removed-1").exists()
    assert (data / "images/.upload-1").exists()
    assert not half.exists()
    assert await host.registry.resolve(image.image_id, TENANT)
