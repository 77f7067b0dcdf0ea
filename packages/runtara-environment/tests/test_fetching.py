"""Artifacts that come from elsewhere: whole, checked, once at a time, and with the reason when they do not come."""

import asyncio
import hashlib
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path

import pytest
from runtara_environment.fetching import ArtifactFetcher, ArtifactSource
from runtara_environment.fetching.copies import ArtifactCopies
from runtara_environment.fetching.damaged_places import FIRST_PAUSE_MS
from runtara_environment.fetching.database_source import CHUNK_BYTES, DatabaseSource
from runtara_environment.fetching.directory_source import DirectorySource
from runtara_environment.fetching.needed import NeededArtifacts
from runtara_environment.fetching.source import ArtifactPlace
from runtara_environment.fetching.transfers import PART_BYTES, ArtifactTransfers
from runtara_environment.hosts import HostTable
from runtara_environment.registry import ArtifactStore, ArtifactUnavailableError
from runtara_environment.testing.supervised_host import SupervisedHost
from runtara_sdk.errors import InvalidInputError, StorageError
from runtara_sdk.models import InstanceStatus
from runtara_sdk.testing.clock import ManualClock

CONTENT = b"#!/bin/sh\n" + b"# more\n" * (CHUNK_BYTES // 3)
CLOCK = ManualClock()
DIGEST = hashlib.sha256(CONTENT).hexdigest()


class Given(ArtifactSource, ArtifactPlace):
    """A place that gives these blocks, and counts how often it is asked."""

    def __init__(self, *blocks: bytes, name: str = "given") -> None:
        self.name = name
        self.asked = 0
        self.may_give = asyncio.Event()
        self.may_give.set()
        self._blocks = blocks

    async def places(self, digest: str) -> Sequence[ArtifactPlace]:
        return (self,)

    async def read(self, digest: str, size_bytes: int, offset: int) -> AsyncGenerator[bytes, None]:
        self.asked += 1
        await self.may_give.wait()
        for block in self._blocks:
            if offset < len(block):
                yield block[offset:]
            offset = max(0, offset - len(block))


async def nothing() -> None:
    """Nobody is told."""


def fetcher(store: ArtifactStore, *sources: ArtifactSource) -> ArtifactFetcher:
    return ArtifactFetcher(store, sources, nothing, CLOCK)


@pytest.mark.parametrize("place", ["directory", "database"])
async def test_what_is_kept_in_a_place_comes_from_there(host: SupervisedHost, tmp_path: Path, place: str) -> None:
    needed = NeededArtifacts(host.database)
    made = (
        DirectorySource(tmp_path / "shared", needed)
        if place == "directory"
        else DatabaseSource(host.database, host.clock)
    )
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
    damaged = Given(CONTENT[:-1] + b"!", name="damaged")
    await fetcher(store, damaged, Given(CONTENT[:7], CONTENT[7:])).fetch(DIGEST, len(CONTENT))
    assert await store.digests() == {DIGEST}
    with pytest.raises(ArtifactUnavailableError, match="has the SHA-256"):
        await fetcher(ArtifactStore(tmp_path / "other"), damaged).fetch(DIGEST, len(CONTENT))


async def test_a_place_that_gives_damaged_bytes_is_passed_over_and_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    wrong, short = Given(b"!" + CONTENT[1:], name="host wrong"), Given(CONTENT[:-9], name="host short")
    clock = ManualClock()
    fetching = ArtifactFetcher(ArtifactStore(tmp_path / "one"), [wrong, short], nothing, clock)
    for _ in range(3):
        with pytest.raises(ArtifactUnavailableError, match=r"host wrong: .*host short: "):
            await fetching.fetch(DIGEST, len(CONTENT))
    assert (wrong.asked, short.asked) == (1, 1)
    clock.advance(FIRST_PAUSE_MS)
    with pytest.raises(ArtifactUnavailableError, match="has the SHA-256"):
        await fetching.fetch(DIGEST, len(CONTENT))
    with pytest.raises(ArtifactUnavailableError, match="it is not asked again for a while"):
        await fetching.fetch(DIGEST, len(CONTENT))
    assert (wrong.asked, short.asked) == (2, 2)
    told = [record.message for record in caplog.records if "gives artifact" in record.message]
    assert [each.partition(" gives")[0] for each in told] == ["host wrong", "host short"]

    # Within one fetch: the next place gives the rest, or all of it.
    good = Given(CONTENT, name="good")
    store = ArtifactStore(tmp_path / "two")
    await ArtifactFetcher(store, [short, wrong, good], nothing, clock).fetch(DIGEST, len(CONTENT))
    assert await store.digests() == {DIGEST}
    breaks = Given(b"?" + CONTENT[1:99], name="breaks")
    store = ArtifactStore(tmp_path / "three")
    await ArtifactFetcher(store, [breaks, good], nothing, clock).fetch(DIGEST, len(CONTENT))
    assert await store.digests() == {DIGEST}


async def test_what_cannot_be_stored_here_is_no_fault_of_a_place(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path, max_artifact_bytes=100)
    given = Given(CONTENT)
    fetching = fetcher(store, given)
    for _ in range(2):
        with pytest.raises(ArtifactUnavailableError, match="at most 100 are accepted"):
            await fetching.fetch(DIGEST, len(CONTENT))
    (tmp_path / "file").touch()
    blocked = fetcher(ArtifactStore(tmp_path / "file"), given)
    for _ in range(2):
        with pytest.raises(ArtifactUnavailableError, match="cannot store the artifact"):
            await blocked.fetch(DIGEST, len(CONTENT))


async def test_a_place_that_breaks_is_passed_over_and_told(tmp_path: Path) -> None:
    class Broken(Given):
        async def read(self, digest: str, size_bytes: int, offset: int) -> AsyncGenerator[bytes, None]:
            yield CONTENT[:7]
            raise ValueError("not foreseen")

    async def database_is_away() -> None:
        raise StorageError("the database is away")

    store = ArtifactStore(tmp_path)
    fetching = fetcher(store, Broken(name="broken"))
    with pytest.raises(ArtifactUnavailableError, match="not foreseen"):
        await fetching.fetch(DIGEST, len(CONTENT))
    assert "not foreseen" in fetching.begin(DIGEST, len(CONTENT), lambda: None)
    await fetching.close()
    await ArtifactFetcher(store, [Broken(name="broken"), Given(CONTENT)], database_is_away, CLOCK).fetch(
        DIGEST, len(CONTENT)
    )
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
    shared = DirectorySource(tmp_path / "shared", NeededArtifacts(host.database))
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
