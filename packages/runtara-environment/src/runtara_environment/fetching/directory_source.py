"""A directory that several hosts see, such as a network file system: `DIRECTORY/SHA256`, complete or not there.

Environments of several databases may share it, and none sees the images of the others. So beside an artifact lies an
empty file `SHA256.used-by-DATABASE` for each database whose environments have put it there, or would have. Only an
artifact with the mark of one database alone is removed, by an environment of that database, once no image has it. What
an earlier version has put there has no mark, and is marked as used by `unknown` for ever.

No lock holds on every network file system, so the order of steps has to do:

* who puts an artifact there has a row of an image, then marks, and then looks whether the artifact is there;
* who removes one takes it aside, then removes the mark, and then looks for rows and marks once more. When there are
  any, it is put back.

So either the one finds nothing and writes the artifact, or the other finds row or mark. What a process that was killed
has left aside is settled in the same way by the next pass of an environment of its database.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import time
import uuid
from collections import defaultdict
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path

from runtara_sdk.errors import StorageError

from runtara_environment.fetching.checked_content import checked_blocks
from runtara_environment.fetching.needed import NeededArtifacts
from runtara_environment.fetching.source import UNCHANGED_FOR_MS, KeepingSource
from runtara_environment.registry import ArtifactContent, ArtifactUnavailableError
from runtara_environment.registry.durable_files import flush_directory
from runtara_environment.registry.verified_files import hash_file

_BLOCK_BYTES = 1024 * 1024
_UPLOAD_PREFIX = ".upload-"
_ABANDONED_AFTER_SECONDS = 3600
_RELEASED_OF_REMOVED = 10
"""So many artifacts may lose their mark for each that may be removed; others use most of them, maybe."""

_ARTIFACT = re.compile(r"([0-9a-f]{64})\Z")
_MARK = re.compile(r"([0-9a-f]{64})\.used-by-(\w+)\Z")
_ASIDE = re.compile(r"\.aside-([0-9a-f]{64})-(\w+)-[0-9a-f]{32}\Z")
_UNKNOWN = "unknown"
"""Stands for the databases of earlier versions, which have left no mark."""


@dataclass(slots=True)
class _Listing:
    artifacts: set[str] = field(default_factory=set)
    users: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    aside: list[tuple[str, str, Path]] = field(default_factory=list)


class DirectorySource(KeepingSource):
    """The artifacts in a directory."""

    def __init__(self, directory: Path, needed: NeededArtifacts) -> None:
        self.name = f"directory {directory}"
        self._directory = directory
        self._needed = needed

    async def read(self, digest: str, size_bytes: int, offset: int) -> AsyncGenerator[bytes, None]:
        path = self._directory / digest
        try:
            file = await asyncio.to_thread(path.open, "rb")
            with file:
                file.seek(offset)
                while block := await asyncio.to_thread(file.read, _BLOCK_BYTES):
                    yield block
        except FileNotFoundError:
            raise ArtifactUnavailableError("it has no such file") from None
        except OSError as error:
            raise StorageError(f"{path} cannot be read: {error.strerror or error}") from error

    async def keep(self, digest: str, content: ArtifactContent) -> None:
        path = self._directory / digest
        temporary = self._directory / f"{_UPLOAD_PREFIX}{uuid.uuid4().hex}"
        database_id = await self._needed.database_id()
        try:
            await asyncio.to_thread(self._prepare)
            await asyncio.to_thread(self._mark, digest, database_id)
            if await asyncio.to_thread(self._find_whole, digest):
                return
            file = await asyncio.to_thread(temporary.open, "xb")
            with file:
                async with aclosing(checked_blocks(content, digest)) as blocks:
                    async for block in blocks:
                        await asyncio.to_thread(file.write, block)
                await asyncio.to_thread(file.flush)
                await asyncio.to_thread(os.fsync, file.fileno())
            await asyncio.to_thread(temporary.replace, path)
            await asyncio.to_thread(flush_directory, self._directory)
        except OSError as error:
            raise StorageError(f"{path} cannot be written: {error.strerror or error}") from error
        finally:
            with contextlib.suppress(OSError):  # what is wrong with the place has been told
                await asyncio.to_thread(_remove, temporary)

    async def remove_damaged(self, digest: str, size_bytes: int) -> bool:
        path = self._directory / digest
        database_id = await self._needed.database_id()
        try:
            looked_at = await asyncio.to_thread(_identity, path)
            if await asyncio.to_thread(hash_file, path) == digest:
                return False
            aside = self._aside(digest, database_id)
            await asyncio.to_thread(path.rename, aside)
            if await asyncio.to_thread(_identity, aside) == looked_at:
                await asyncio.to_thread(_remove, aside)
                return True
            await self._settle(digest, aside, database_id)  # somebody has just replaced it
            return False
        except FileNotFoundError:
            return True
        except OSError as error:
            raise StorageError(f"{path} cannot be removed: {error.strerror or error}") from error

    async def missing(self, digests: Sequence[str]) -> list[str]:
        database_id = await self._needed.database_id()
        listing = await self._list()
        return [
            digest
            for digest in digests
            if digest not in listing.artifacts or database_id not in listing.users.get(digest, ())
        ]

    async def remove_unneeded(self, *, limit: int) -> int:
        database_id = await self._needed.database_id()
        listing = await self._list()
        marked = sorted(digest for digest, users in listing.users.items() if database_id in users)
        needed = await self._needed.of(marked)
        unneeded = [digest for digest in marked if digest not in needed][: _RELEASED_OF_REMOVED * limit]
        removed = 0
        try:
            for digest, taken_by, aside in listing.aside:
                if taken_by == database_id:
                    await self._settle(digest, aside, database_id)
            for digest in unneeded:
                if removed == limit:
                    break
                removed += await self._release(digest, database_id, listing)
        except OSError as error:
            raise StorageError(f"{self._directory} cannot be cleaned up: {error.strerror or error}") from error
        return removed

    async def _release(self, digest: str, database_id: str, listing: _Listing) -> bool:
        """Take the mark of this database away, and the artifact with it when nobody else has it; whether it was."""
        path = self._directory / digest
        mark = self._mark_of(digest, database_id)
        aside = None
        if listing.users[digest] == {database_id}:
            if await asyncio.to_thread(_is_new, path):
                return False
            aside = self._aside(digest, database_id)
            try:
                await asyncio.to_thread(path.rename, aside)
            except FileNotFoundError:
                aside = None
        await asyncio.to_thread(_remove, mark)
        if await self._needed.of([digest]):
            await asyncio.to_thread(mark.touch)
        return aside is not None and await self._settle(digest, aside, database_id)

    async def _settle(self, digest: str, aside: Path, database_id: str) -> bool:
        """Put back what was taken aside when somebody needs it, or remove it; whether it was removed."""
        path = self._directory / digest
        if not await asyncio.to_thread(path.exists):
            others = (await self._list()).users.get(digest, set()) - {database_id}
            is_needed = bool(others or await self._needed.of([digest]))
            if is_needed and await asyncio.to_thread(_is_whole, aside, digest):
                with contextlib.suppress(FileNotFoundError):  # another environment has settled it
                    await asyncio.to_thread(aside.rename, path)
                return False
        await asyncio.to_thread(_remove, aside)
        return True

    async def _list(self) -> _Listing:
        try:
            return await asyncio.to_thread(self._list_now)
        except OSError as error:
            raise StorageError(f"{self._directory} cannot be read: {error.strerror or error}") from error

    def _list_now(self) -> _Listing:
        listing = _Listing()
        try:
            names = os.listdir(self._directory)  # noqa: PTH208 - names alone, of which there may be many
        except FileNotFoundError:
            return listing
        for name in names:
            if match := _ARTIFACT.match(name):
                listing.artifacts.add(match[1])
            elif match := _MARK.match(name):
                listing.users[match[1]].add(match[2])
            elif match := _ASIDE.match(name):
                listing.aside.append((match[1], match[2], self._directory / name))
        return listing

    def _mark(self, digest: str, database_id: str) -> None:
        if (self._directory / digest).exists() and not any(self._directory.glob(f"{digest}.used-by-*")):
            self._mark_of(digest, _UNKNOWN).touch()
        self._mark_of(digest, database_id).touch()

    def _mark_of(self, digest: str, database_id: str) -> Path:
        return self._directory / f"{digest}.used-by-{database_id}"

    def _aside(self, digest: str, database_id: str) -> Path:
        return self._directory / f".aside-{digest}-{database_id}-{uuid.uuid4().hex}"

    def _find_whole(self, digest: str) -> bool:
        """Whether it is there as it should be; from then on no removal takes it away for an hour."""
        path = self._directory / digest
        try:
            os.utime(path)
        except FileNotFoundError:
            return False
        return _is_whole(path, digest)

    def _prepare(self) -> None:
        self._directory.mkdir(parents=True, exist_ok=True)
        oldest = time.time() - _ABANDONED_AFTER_SECONDS
        for leftover in self._directory.glob(f"{_UPLOAD_PREFIX}*"):
            try:
                if leftover.stat().st_mtime < oldest:
                    leftover.unlink()
            except FileNotFoundError:
                continue


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)


def _is_whole(path: Path, digest: str) -> bool:
    try:
        return hash_file(path) == digest
    except FileNotFoundError:
        return False


def _is_new(path: Path) -> bool:
    try:
        return time.time() - path.stat().st_mtime < UNCHANGED_FOR_MS / 1000
    except FileNotFoundError:
        return False


def _identity(path: Path) -> tuple[int, int]:
    found = path.stat()
    return (found.st_dev, found.st_ino)
