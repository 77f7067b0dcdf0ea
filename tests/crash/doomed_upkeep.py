"""Processes that look after images and copies, and die with SIGKILL before a step that can be seen from outside.

    python doomed_upkeep.py < orders > answers

Steps are changes of files below the directory of the order, and transactions of the database that write. An order is a
line of JSON: `work`, `directory`, and `die_at`, the number of the step before which the process dies (0: it does not).
The answer is a line with the exit status of the process and the steps that it passed. Each work is done by a fork, so
that nothing is imported twice. Time does not pass but by `pass_time`.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import hashlib
import itertools
import json
import os
import signal
import sqlite3
import sys
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

from runtara_compiler.native.artifact import write_artifact
from runtara_compiler.native.layers import write_layer
from runtara_core.database import sqlite as sqlite_database
from runtara_environment.fetching import ArtifactFetcher
from runtara_environment.fetching.copies_upkeep import CopiesUpkeep
from runtara_environment.fetching.database_source import DatabaseSource
from runtara_environment.fetching.directory_source import DirectorySource
from runtara_environment.fetching.needed import NeededArtifacts
from runtara_environment.registry import ArtifactStore, Image, retention
from runtara_environment.registry.artifact_store import StoredArtifact
from runtara_environment.registry.retention import ImageRetention
from runtara_environment.testing.supervised_host import TENANT, SupervisedHost, supervised_host
from runtara_sdk.errors import StorageError

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.utime"}
WRITES = os.O_WRONLY | os.O_RDWR


class Place:
    """Everything that one order is about."""

    def __init__(self, host: SupervisedHost, directory: Path) -> None:
        self.host = host
        self.store = host.registry.artifacts
        self.second = ArtifactStore(directory / "second")
        needed = NeededArtifacts(host.database)
        self.shared = DirectorySource(directory / "shared", needed)
        self.stored = DatabaseSource(host.database, host.clock)
        self.copies = CopiesUpkeep(self.store, [self.shared, self.stored], needed, host.clock)
        self.fetcher = ArtifactFetcher(self.second, [self.shared], nothing, host.clock)
        self.retention = ImageRetention(
            host.database,
            host.service,
            self.store,
            host.clock,
            max_age_days=7,
            batch_size=50,
            poll_interval_seconds=60,
        )
        self._directory = directory

    async def images(self) -> dict[str, Image]:
        """By name."""
        return {image.name: image for image in (await self.host.registry.list_images(TENANT)).images}

    def pass_time(self, milliseconds: int) -> None:
        """Let what is there be older."""
        self.host.clock.advance(milliseconds)
        for path in self._directory.rglob("*"):
            os.utime(path, (1, 1), follow_symlinks=False)


async def nothing() -> None:
    """Nobody is told."""


def native(directory: Path, text: str) -> bytes:
    """An artifact with two layers, of which the base is the same for all."""
    made = []
    for name, files in (("base", {"runtara-base": "#!/bin/sh\n", "library": "x" * 9_000}), ("workflow", {"a": text})):
        (directory / name).mkdir(parents=True)
        for file, content in files.items():
            (directory / name / file).write_text(content)
            (directory / name / file).chmod(0o755)
        made.append(write_layer(directory / name, directory / f"{name}.tar.gz", level=1))
    return write_artifact(directory / "artifact", {}, workflow=made[1], base=made[0]).read_bytes()


async def prepare(place: Place, directory: Path) -> None:
    """An image that sleeps, one that is current, versions and an orphan that nobody needs, and copies of all."""
    host = place.host
    await host.create("sleeping")  # of the image "program"
    for name, text in (("old", "old"), ("kept", "kept")):
        await host.registry.register(tenant_id=TENANT, name=name, artifact=native(directory / text, text))
    await place.store.put(native(directory / "orphan", "orphan"))
    await place.copies.put_missing()
    whole = await host.registry.register(tenant_id=TENANT, name="whole", artifact=native(directory / "whole", "whole"))
    # As an earlier version has stored it.
    artifact = place.store.directory(whole.digest)
    artifact.whole.write_bytes((directory / "whole" / "artifact").read_bytes())
    artifact.remainder.unlink()
    host.clock.advance(8 * DAY_MS)
    for name in ("kept", "whole"):
        await host.registry.use((await place.images())[name].image_id, TENANT)


async def sweep(place: Place, _: Path) -> None:
    """A retention sweep, with the removal of an orphan and of layers."""
    for _round in range(2):
        await place.retention.remove_unneeded()
        place.pass_time(HOUR_MS + 1)


async def split(place: Place, _: Path) -> None:
    """The splitting of a native artifact into layers."""
    image = (await place.images())["whole"]
    await place.store.command(StoredArtifact(image.digest, image.size_bytes, image.kind))


async def fetch(place: Place, _: Path) -> None:
    """A fetch, past a damaged copy that is put anew."""
    image = (await place.images())["kept"]
    await place.fetcher.fetch(image.digest, image.size_bytes)


async def copies(place: Place, directory: Path) -> None:
    """A removal of copies, and the replacement of one that is damaged."""
    image = (await place.images())["kept"]
    path = directory / "shared" / image.digest
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    await place.shared.remove_damaged(image.digest, image.size_bytes)
    await place.retention.remove_unneeded()
    place.pass_time(HOUR_MS + 1)
    await place.copies.remove_unneeded(50)
    await place.copies.put_missing()


async def recover(place: Place, directory: Path) -> None:
    """What the next process does in an hour or two; then nothing is stranded, and nothing is half there."""
    for _ in range(3):
        place.pass_time(2 * HOUR_MS)
        await place.retention.remove_unneeded()
        await place.copies.remove_unneeded(50)
        await place.copies.put_missing()
        await asyncio.to_thread(place.second.remove_leftovers)
    images = await place.images()
    assert set(images) == {"program", "kept", "whole"}, sorted(images)
    needed = {image.digest for image in images.values()}
    for image in images.values():
        assert await place.host.registry.resolve(image.image_id, TENANT, digest=image.digest)
    try:
        await place.fetcher.fetch(images["kept"].digest, images["kept"].size_bytes)
    except StorageError:  # by which the damage was found
        await place.copies.put_missing()
        place.pass_time(HOUR_MS)
        await place.fetcher.fetch(images["kept"].digest, images["kept"].size_bytes)
    assert await place.second.digests() == {images["kept"].digest}
    for store in (place.store, place.second):
        digests = await store.digests()
        assert {path.name for path in store.images.iterdir()} == {*digests, ".lock"}, list(store.images.iterdir())
        for digest in digests:
            await whole(digest, (await store.open(digest)).blocks)
        layers = {path.name for path in store.layers.directory.iterdir()}
        expected = {f"sha256-{each}{end}" for each in store.needed_layers() for end in ("", ".files", ".tar.gz")}
        assert layers == expected, layers ^ expected
    assert await place.store.digests() == needed
    database_id = await NeededArtifacts(place.host.database).database_id()
    names = {path.name for path in (directory / "shared").iterdir()}
    assert names == {*needed, *(f"{digest}.used-by-{database_id}" for digest in needed)}, names
    with contextlib.closing(sqlite3.connect(directory / "runtara.db")) as connection:
        kept = dict(connection.execute("SELECT digest, size_bytes FROM stored_artifacts"))
        chunks = {digest for (digest,) in connection.execute("SELECT digest FROM artifact_chunks")}
    assert kept == {image.digest: image.size_bytes for image in images.values()}
    assert chunks == needed
    for source in (place.shared, place.stored):
        for image in images.values():
            await whole(image.digest, source.read(image.digest, image.size_bytes, 0))


async def whole(digest: str, blocks: AsyncIterator[bytes]) -> None:
    """Fail unless these are the bytes of an artifact."""
    assert hashlib.sha256(b"".join([block async for block in blocks])).hexdigest() == digest


WORKS: dict[str, Callable[[Place, Path], Awaitable[None]]] = {
    each.__name__: each for each in (prepare, sweep, split, fetch, copies, recover)
}


class Steps:
    """Counts steps, and is the end of the process before one of them."""

    def __init__(self, directory: Path, die_at: int) -> None:
        self.passed = 0
        self._numbers = itertools.count(1)
        self._directory = str(directory)
        self._die_at = die_at

    def arm(self) -> None:
        """From now on steps count."""
        run = sqlite_database.SqliteDatabase.run

        async def counted(database: Any, work: Any, *, operation: str, read_only: bool = False) -> Any:
            if not read_only:
                self._step()
            return await run(database, work, operation=operation, read_only=read_only)

        sqlite_database.SqliteDatabase.run = counted  # type: ignore[method-assign, assignment]  # dies in one
        sys.addaudithook(self._see)

    def _see(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, _, flags = arguments
            is_change = isinstance(flags, int) and bool(flags & WRITES)
        else:
            path, is_change = arguments[0] if arguments else None, event in CHANGES
        if is_change and not isinstance(path, int) and os.fsdecode(path).startswith(self._directory):
            self._step()

    def _step(self) -> None:
        self.passed = next(self._numbers)
        if self.passed == self._die_at:
            os.kill(os.getpid(), signal.SIGKILL)


async def do(order: dict[str, Any], answer: int) -> None:
    """One work, in the fork."""
    retention.PAUSE_SECONDS = 0.0
    directory = Path(order["directory"])
    steps = Steps(directory, order["die_at"])
    async with supervised_host(directory) as host:
        place = Place(host, directory)
        host.clock.advance(order["later_ms"])
        if order["work"] not in ("prepare", "recover"):
            steps.arm()
        await WORKS[order["work"]](place, directory)
        os.write(answer, str(steps.passed).encode())


def main() -> None:
    """Fork for each line, until there is none."""
    gc.collect()
    gc.freeze()
    for line in sys.stdin:
        order = json.loads(line)
        read, write = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                ctypes.CDLL(None).prctl(1, int(signal.SIGKILL), 0, 0, 0)  # it dies with its parent
                asyncio.run(do(order, write))
            except BaseException:  # noqa: BLE001 - a fork must never return into the loop of its parent
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        os.close(write)
        passed = os.read(read, 100).decode()
        os.close(read)
        _, status = os.waitpid(pid, 0)
        print(json.dumps({"exit": os.waitstatus_to_exitcode(status), "steps": int(passed or 0)}), flush=True)


if __name__ == "__main__":
    main()
