"""Copies in shared places: removed when no image has them, replaced when damaged, kept for whoever needs them."""

from __future__ import annotations

import contextlib
import hashlib
import os
from pathlib import Path

import pytest
from runtara_core.database import Transaction, create_database
from runtara_environment import migrations
from runtara_environment.fetching import ArtifactFetcher
from runtara_environment.fetching.copies_upkeep import MAX_PUT, CopiesUpkeep
from runtara_environment.fetching.database_source import CHUNK_BYTES, DatabaseSource
from runtara_environment.fetching.directory_source import DirectorySource
from runtara_environment.fetching.needed import NeededArtifacts
from runtara_environment.fetching.source import UNCHANGED_FOR_MS, KeepingSource
from runtara_environment.registry import ArtifactStore, Image, ImageRegistry
from runtara_environment.sql.queries import environment_queries
from runtara_environment.testing.supervised_host import TENANT, SupervisedHost
from runtara_sdk.errors import RuntaraError

PLACES = ("directory", "database")


def program(number: int) -> bytes:
    return b"#!/bin/sh\necho %d\n" % number + b"# more\n" * (CHUNK_BYTES // 6)


class Shared:
    """A place, and what a test does to it behind its back."""

    def __init__(self, host: SupervisedHost, kind: str, directory: Path) -> None:
        self.directory = directory
        self.source: KeepingSource = (
            DirectorySource(directory, NeededArtifacts(host.database))
            if kind == "directory"
            else DatabaseSource(host.database, host.clock)
        )
        self._host = host

    async def has(self, digest: str) -> bool:
        """Whether a whole artifact is there."""
        with contextlib.suppress(RuntaraError):
            content = b"".join([block async for block in self.source.read(digest, len(program(1)), 0)])
            return hashlib.sha256(content).hexdigest() == digest
        return False

    async def damage(self, digest: str) -> None:
        """Flip a byte."""
        if isinstance(self.source, DirectorySource):
            path = self.directory / digest
            content = bytearray(path.read_bytes())
            content[-2] ^= 1
            path.write_bytes(content)
            return

        async def work(transaction: Transaction) -> None:
            row = await transaction.fetch_one("load_artifact_chunk", digest=digest, position=1)
            assert row is not None
            content = bytearray(row["content"])
            content[-2] ^= 1
            await transaction.execute("store_artifact_chunk", digest=digest, position=1, content=bytes(content))

        await self._host.database.run(work, operation="flip a byte")

    def age(self) -> None:
        """Let what is there be old."""
        self._host.clock.advance(2 * UNCHANGED_FOR_MS)
        if self.directory.exists():
            for path in self.directory.iterdir():
                os.utime(path, (0, 0))


@pytest.fixture(params=PLACES)
def shared(request: pytest.FixtureRequest, host: SupervisedHost, tmp_path: Path) -> Shared:
    return Shared(host, request.param, tmp_path / "shared")


def upkeep(host: SupervisedHost, store: ArtifactStore, *sources: KeepingSource) -> CopiesUpkeep:
    return CopiesUpkeep(store, sources, NeededArtifacts(host.database), host.clock)


async def nothing() -> None:
    """Nobody is told."""


async def register(host: SupervisedHost, number: int, name: str = "orders") -> Image:
    return await host.registry.register(tenant_id=TENANT, name=name, artifact=program(number))


async def forget(host: SupervisedHost, image: Image) -> None:
    """What retention does to an old version."""

    async def work(transaction: Transaction) -> None:
        await transaction.execute(
            "delete_old_image_version", image_id=image.image_id, version=image.version, before_ms=2**60
        )

    await host.database.run(work, operation="forget a version")


async def test_what_no_image_has_is_removed_and_the_rest_stays(host: SupervisedHost, shared: Shared) -> None:
    looking_after = upkeep(host, host.registry.artifacts, shared.source)
    images = [await register(host, number) for number in range(4)]
    for image in images:
        await shared.source.keep(image.digest, await host.registry.artifacts.open(image.digest))
    await host.registry.delete(images[0].image_id, TENANT)
    shared.age()
    assert await looking_after.remove_unneeded(2) == 0  # a deleted image keeps its versions for what sleeps
    await forget(host, images[0])
    await forget(host, images[1])
    shared.age()
    await shared.source.keep(images[1].digest, await host.registry.artifacts.open(images[1].digest))
    assert await looking_after.remove_unneeded(2) == 1  # what has just been put there is not removed
    assert [await shared.has(image.digest) for image in images] == [False, True, True, True]
    shared.age()
    assert await looking_after.remove_unneeded(2) == 1
    await forget(host, images[2])
    assert await looking_after.remove_unneeded(2) == 1
    assert [await shared.has(image.digest) for image in images] == [False, False, False, True]
    if shared.directory.exists():
        assert {path.name.partition(".")[0] for path in shared.directory.iterdir()} == {images[3].digest}


async def test_a_damaged_copy_is_replaced_by_a_whole_one(host: SupervisedHost, shared: Shared, tmp_path: Path) -> None:
    image = await register(host, 1)
    holder = host.registry.artifacts
    await shared.source.keep(image.digest, await holder.open(image.digest))
    await shared.damage(image.digest)
    second = ArtifactStore(tmp_path / "second")
    with pytest.raises(RuntaraError, match="has the SHA-256"):
        await ArtifactFetcher(second, [shared.source], nothing, host.clock).fetch(image.digest, image.size_bytes)
    # It is away now, so whoever holds the artifact puts it there again, and nobody else does.
    looking_after = upkeep(host, holder, shared.source)
    assert await upkeep(host, second, shared.source).put_missing() == 0
    assert await looking_after.put_missing() == 2  # the image of the host is the other
    assert await looking_after.put_missing() == 0
    assert await shared.has(image.digest)
    await ArtifactFetcher(second, [shared.source], nothing, host.clock).fetch(image.digest, image.size_bytes)

    # The same when there is another place: the host that fetched it from there puts it into this one.
    await shared.damage(image.digest)
    third = ArtifactStore(tmp_path / "third")
    other = DirectorySource(tmp_path / "other", NeededArtifacts(host.database))
    await other.keep(image.digest, await holder.open(image.digest))
    await ArtifactFetcher(third, [shared.source, other], nothing, host.clock).fetch(image.digest, image.size_bytes)
    assert await shared.has(image.digest)

    # And when the image is registered again.
    await shared.damage(image.digest)
    await shared.source.keep(image.digest, await holder.open(image.digest))
    assert await shared.has(image.digest)
    assert not await shared.source.remove_damaged(image.digest, image.size_bytes)


async def test_nothing_damaged_is_put_anywhere_and_a_round_is_bounded(
    host: SupervisedHost, shared: Shared, tmp_path: Path
) -> None:
    images = [await register(host, number) for number in range(MAX_PUT + 2)]
    place = tmp_path / "images" / images[0].digest / "artifact"
    place.chmod(0o755)
    place.write_bytes(program(0).replace(b"echo", b"ECHO"))
    unneeded = (await host.registry.artifacts.put(program(99))).digest
    looking_after = upkeep(host, host.registry.artifacts, shared.source)
    rounds = [await looking_after.put_missing() for _ in range(4)]
    assert max(rounds) <= MAX_PUT
    assert [await shared.has(image.digest) for image in images] == [False] + [True] * (MAX_PUT + 1)
    assert not await shared.has(unneeded)


async def test_what_another_database_has_put_there_stays(host: SupervisedHost, tmp_path: Path) -> None:
    database = create_database(f"sqlite:///{tmp_path}/other.db", environment_queries())
    await database.open()
    await migrations.run(database)
    directory = tmp_path / "shared"
    ours = DirectorySource(directory, NeededArtifacts(host.database))
    theirs = DirectorySource(directory, NeededArtifacts(database))
    both, alone, old = [await register(host, number) for number in range(3)]
    for source, image in ((ours, both), (theirs, both), (ours, alone)):
        await source.keep(image.digest, await host.registry.artifacts.open(image.digest))
    (directory / old.digest).write_bytes(program(2))  # by an earlier version, which marks nothing
    assert set(await ours.missing([both.digest, alone.digest, old.digest])) == {old.digest}
    await ours.keep(old.digest, await host.registry.artifacts.open(old.digest))
    await ImageRegistry(database, tmp_path, clock=host.clock).register(
        tenant_id=TENANT, name="theirs", artifact=program(0)
    )
    for image in (both, alone, old):
        await forget(host, image)
    await host.registry.register(tenant_id=TENANT, name="orders", artifact=program(4))
    await forget(host, old)
    for path in directory.iterdir():
        os.utime(path, (0, 0))
    assert await ours.remove_unneeded(limit=10) == 1
    assert {path.name for path in directory.iterdir() if "." not in path.name} == {both.digest, old.digest}
    assert await theirs.remove_unneeded(limit=10) == 0
    await database.close()


async def test_what_was_taken_aside_is_put_back_for_whoever_needs_it(host: SupervisedHost, tmp_path: Path) -> None:
    directory = tmp_path / "shared"
    source = DirectorySource(directory, NeededArtifacts(host.database))
    image = await register(host, 1)
    await source.keep(image.digest, await host.registry.artifacts.open(image.digest))
    database_id = await NeededArtifacts(host.database).database_id()
    whole, damaged = (f".aside-{image.digest}-{database_id}-{letter * 32}" for letter in "ab")
    (directory / image.digest).rename(directory / whole)
    assert await source.remove_unneeded(limit=10) == 0
    assert (directory / image.digest).read_bytes() == program(1)
    (directory / image.digest).unlink()
    (directory / damaged).write_bytes(b"something else")
    (directory / f".aside-{'0' * 64}-{database_id}-{'c' * 32}").write_bytes(b"of nobody")
    assert await source.remove_unneeded(limit=10) == 0
    assert {path.name for path in directory.iterdir()} == {f"{image.digest}.used-by-{database_id}"}
