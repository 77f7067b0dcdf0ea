"""A shared directory whose file system hangs: the failure names it, nothing else waits, and it works again later.

A pipe stands for a file of such a file system: opening it waits until somebody writes.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import pytest
from runtara_environment.fetching import ArtifactFetcher
from runtara_environment.fetching import directory_source as module
from runtara_environment.fetching.directory_source import DirectorySource, SilentDirectoryError
from runtara_environment.fetching.needed import NeededArtifacts
from runtara_environment.registry import ArtifactStore, ArtifactUnavailableError
from runtara_environment.testing.supervised_host import TENANT, SupervisedHost
from runtara_sdk.errors import StorageError

CONTENT = b"#!/bin/sh\n" + b"# more\n" * 100_000


async def nothing() -> None:
    """Nobody is told."""


class Hanging:
    """A shared directory with one artifact, which hangs until `answer`."""

    def __init__(self, host: SupervisedHost, directory: Path, digest: str, monkeypatch: pytest.MonkeyPatch) -> None:
        directory.mkdir()
        self.source = DirectorySource(directory, NeededArtifacts(host.database), seconds=0.05)
        self.digest = digest
        self._path = directory / digest
        self._answers = threading.Event()
        self._store = host.registry.artifacts
        os.mkfifo(self._path)
        list_now = DirectorySource._list_now

        def hang(source: DirectorySource) -> module._Listing:
            self._answers.wait()
            return list_now(source)

        monkeypatch.setattr(DirectorySource, "_list_now", hang)

    async def read(self) -> bytes:
        """The artifact."""
        return b"".join([block async for block in self.source.read(self.digest, len(CONTENT), 0)])

    async def keep(self) -> None:
        """Put it there."""
        await self.source.keep(self.digest, await self._store.open(self.digest))

    async def remove_damaged(self) -> None:
        """Look at it."""
        await self.source.remove_damaged(self.digest, len(CONTENT))

    async def missing(self) -> list[str]:
        """Whether it has to be put there."""
        return await self.source.missing([self.digest])

    async def remove_unneeded(self) -> None:
        """Clean up."""
        await self.source.remove_unneeded(limit=1)

    def answer(self) -> None:
        """Let what hangs come back, and a whole artifact be there."""
        self._answers.set()
        with suppress(OSError):  # nobody waits for a writer
            while True:
                os.close(os.open(self._path, os.O_WRONLY | os.O_NONBLOCK))
        self._path.unlink()
        self._path.write_bytes(CONTENT)


@pytest.fixture
async def hanging(host: SupervisedHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hanging:
    image = await host.registry.register(tenant_id=TENANT, name="orders", artifact=CONTENT)
    return Hanging(host, tmp_path / "shared", image.digest, monkeypatch)


@pytest.mark.parametrize("call", ["read", "keep", "remove_damaged", "missing", "remove_unneeded"])
async def test_every_call_has_a_deadline_and_names_the_directory(hanging: Hanging, tmp_path: Path, call: str) -> None:
    works: Callable[[], Awaitable[object]] = getattr(hanging, call)
    async with asyncio.timeout(60):
        for _ in range(8):
            with pytest.raises(SilentDirectoryError, match=rf"^{tmp_path}/shared does not answer"):
                await works()
        assert await asyncio.to_thread(max, 1, 2) == 2  # nobody else lacks a thread
        hanging.answer()
        while True:
            try:
                await works()
                break
            except StorageError:
                continue
        assert await answered(hanging.read) == CONTENT


async def answered(call: Callable[[], Awaitable[bytes]]) -> bytes:
    """What comes of a call on a machine that may be busy."""
    while True:
        with suppress(SilentDirectoryError):
            return await call()


async def test_a_fetch_tells_which_directory_is_silent_and_takes_the_artifact_later(
    hanging: Hanging, host: SupervisedHost, tmp_path: Path
) -> None:
    fetcher = ArtifactFetcher(ArtifactStore(tmp_path / "second"), [hanging.source], nothing, host.clock)
    for _ in range(4):
        with pytest.raises(ArtifactUnavailableError, match=rf"{tmp_path}/shared does not answer"):
            await fetcher.fetch(hanging.digest, len(CONTENT))
    hanging.answer()
    async with asyncio.timeout(60):
        while True:
            try:
                await fetcher.fetch(hanging.digest, len(CONTENT))
                break
            except ArtifactUnavailableError:
                continue


async def test_what_is_written_comes_in_parts_that_are_each_flushed(
    host: SupervisedHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_WRITTEN_BYTES", 100_000)
    monkeypatch.setattr(module, "_READ_BYTES", 70_000)
    image = await host.registry.register(tenant_id=TENANT, name="orders", artifact=CONTENT)
    source = DirectorySource(tmp_path / "shared", NeededArtifacts(host.database))
    await source.keep(image.digest, await host.registry.artifacts.open(image.digest))
    assert (tmp_path / "shared" / image.digest).read_bytes() == CONTENT
    for offset in (0, 1, 70_000, len(CONTENT)):
        blocks = [block async for block in source.read(image.digest, len(CONTENT), offset)]
        assert b"".join(blocks) == CONTENT[offset:]
        assert all(len(block) <= 70_000 for block in blocks)
    assert not await source.remove_damaged(image.digest, len(CONTENT))
