"""Artifacts that come from elsewhere: whole, checked, once at a time, and with the reason when they do not come."""

import asyncio
import hashlib
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
from runtara_environment.fetching import ArtifactFetcher, ArtifactSource
from runtara_environment.fetching.copies import ArtifactCopies
from runtara_environment.fetching.database_source import CHUNK_BYTES, DatabaseSource
from runtara_environment.fetching.directory_source import DirectorySource
from runtara_environment.fetching.transfers import PART_BYTES, ArtifactTransfers
from runtara_environment.hosts import HostTable
from runtara_environment.registry import ArtifactStore, ArtifactUnavailableError
from runtara_environment.testing.supervised_host import SupervisedHost
from runtara_sdk.errors import InvalidInputError, StorageError
from runtara_sdk.models import InstanceStatus

CONTENT = b"#!/bin/sh\n" + b"# more\n" * (CHUNK_BYTES // 3)
DIGEST = hashlib.sha256(CONTENT).hexdigest()


class Given(ArtifactSource):
    """A place that gives these blocks, and counts how often it is asked."""

    def __init__(self, *blocks: bytes) -> None:
        self.name = "given"
        self.asked = 0
        self.may_give = asyncio.Event()
        self.may_give.set()
        self._blocks = blocks

    async def read(self, digest: str, size_bytes: int) -> AsyncGenerator[bytes, None]:
        self.asked += 1
        await self.may_give.wait()
        for block in self._blocks:
            yield block


async def nothing() -> None:
    """Nobody is told."""


def fetcher(store: ArtifactStore, *sources: ArtifactSource) -> ArtifactFetcher:
    return ArtifactFetcher(store, sources, nothing)


@pytest.mark.parametrize("place", ["directory", "database"])
async def test_what_is_kept_in_a_place_comes_from_there(host: SupervisedHost, tmp_path: Path, place: str) -> None:
    made = DirectorySource(tmp_path / "shared") if place == "directory" else DatabaseSource(host.database, host.clock)
    first, second = ArtifactStore(tmp_path / "first"), ArtifactStore(tmp_path / "second")
    with pytest.raises(ArtifactUnavailableError, match=r"it has no such file|it is not kept there"):
        await fetcher(second, made).fetch(DIGEST, len(CONTENT))
    await first.put(CONTENT)
    copies = ArtifactCopies(first, [made], HostTable(host.database), "host-1", None, host.clock, nothing, copies=1)
    for _ in range(2):
        assert await copies.spread(DIGEST, len(CONTENT)) is None
    await fetcher(second, made).fetch(DIGEST, len(CONTENT))
    assert await second.digests() == {DIGEST}


async def test_what_is_not_as_it_should_be_is_taken_from_the_next_place(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path)
    damaged = Given(CONTENT[:-1] + b"!")
    await fetcher(store, damaged, Given(CONTENT[:7], CONTENT[7:])).fetch(DIGEST, len(CONTENT))
    assert await store.digests() == {DIGEST}
    with pytest.raises(ArtifactUnavailableError, match="has the SHA-256"):
        await fetcher(ArtifactStore(tmp_path / "other"), damaged).fetch(DIGEST, len(CONTENT))


async def test_a_place_that_breaks_is_passed_over_and_told(tmp_path: Path) -> None:
    class Broken(Given):
        async def read(self, digest: str, size_bytes: int) -> AsyncGenerator[bytes, None]:
            yield CONTENT[:7]
            raise ValueError("not foreseen")

    async def database_is_away() -> None:
        raise StorageError("the database is away")

    store = ArtifactStore(tmp_path)
    fetching = ArtifactFetcher(store, [Broken()], nothing)
    with pytest.raises(ArtifactUnavailableError, match="not foreseen"):
        await fetching.fetch(DIGEST, len(CONTENT))
    assert "not foreseen" in fetching.begin(DIGEST, len(CONTENT), lambda: None)
    await fetching.close()
    await ArtifactFetcher(store, [Broken(), Given(CONTENT)], database_is_away).fetch(DIGEST, len(CONTENT))
    assert await store.digests() == {DIGEST}


async def test_one_fetch_of_a_digest_at_a_time(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path)
    source = Given(CONTENT)
    source.may_give.clear()
    fetching = fetcher(store, source)
    waiting = [asyncio.create_task(fetching.fetch(DIGEST, len(CONTENT))) for _ in range(5)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    source.may_give.set()
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    assert isinstance(outcomes[0], asyncio.CancelledError)
    assert outcomes[1:] == [None] * 4
    assert source.asked == 1


async def test_an_instance_waits_with_the_reason_and_is_launched_on_arrival(
    host: SupervisedHost, tmp_path: Path
) -> None:
    shared = DirectorySource(tmp_path / "shared")
    (artifact,) = tmp_path.rglob("artifact")
    content = artifact.read_bytes()
    artifact.unlink()
    host.fetch_from(shared)
    await host.supervise()
    await host.create()

    async def waits() -> bool:
        error = (await host.instance()).error or ""
        return "the last attempt failed: directory" in error and "it has no such file" in error

    await host.until(waits, "the reason", advance_ms=100)
    assert (await host.instance()).status is InstanceStatus.PENDING
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared" / hashlib.sha256(content).hexdigest()).write_bytes(content)

    async def is_launched() -> bool:
        return bool(host.runner.processes)

    await host.until(is_launched, "a launch", advance_ms=100)


async def test_parts_go_on_at_any_offset(host: SupervisedHost, tmp_path: Path) -> None:
    content = b"#!/bin/sh\n" + bytes(range(256)) * (PART_BYTES // 100)
    store = ArtifactStore(tmp_path / "big")
    digest = (await store.put(content)).digest
    transfers = ArtifactTransfers(store, host.clock)
    received = b""
    while part := (await transfers.read(digest, len(received))).content:
        received += part
    assert received == content
    assert (await transfers.read(digest, 1_000_003)).content == content[1_000_003 : 1_000_003 + PART_BYTES]
    assert not (await transfers.read("0" * 64, 0)).found
    with pytest.raises(InvalidInputError, match="is no SHA-256"):
        await transfers.read("../../etc/passwd", 0)
