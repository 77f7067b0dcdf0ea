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

A network file system may hang, and with it whatever looks at it. So each step is a function that opens what it needs,
comes back soon, and has a deadline; nothing is left open between two of them. A step that hangs may be done long after
it was given up. What it takes away then is missing in the next pass, and put there again.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import re
import time
import uuid
from collections import defaultdict
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from runtara_sdk.errors import StorageError

from runtara_environment.fetching.checked_content import checked_blocks
from runtara_environment.fetching.needed import NeededArtifacts
from runtara_environment.fetching.source import UNCHANGED_FOR_MS, KeepingSource
from runtara_environment.own_threads import NoAnswerError, OwnThreads
from runtara_environment.registry import ArtifactContent, ArtifactUnavailableError
from runtara_environment.registry.durable_files import flush_directory

_T = TypeVar("_T")

_READ_BYTES = 4 * 1024 * 1024
_WRITTEN_BYTES = 8 * 1024 * 1024
_SECONDS = 30.0
"""How long one step may take: it reads or writes no more than that, or lists the directory."""

_TIDYING_SECONDS = 2.0
_THREADS = 2
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


class SilentDirectoryError(StorageError):
    """The directory does not answer: its file system hangs. What was asked of it may be done later."""


class DirectorySource(KeepingSource):
    """The artifacts in a directory.

    Every call raises `SilentDirectoryError` once a step of it has taken `seconds`.
    """

    def __init__(self, directory: Path, needed: NeededArtifacts, *, seconds: float = _SECONDS) -> None:
        self.name = f"directory {directory}"
        self._directory = directory
        self._needed = needed
        self._seconds = seconds
        self._threads = OwnThreads(_THREADS, self.name, seconds=seconds)

    async def read(self, digest: str, size_bytes: int, offset: int) -> AsyncGenerator[bytes, None]:
        path = self._directory / digest
        try:
            while block := await self._do(_read, path, offset):
                yield block
                offset += len(block)
        except FileNotFoundError:
            raise ArtifactUnavailableError("it has no such file") from None
        except OSError as error:
            raise StorageError(f"{path} cannot be read: {error.strerror or error}") from error

    async def keep(self, digest: str, content: ArtifactContent) -> None:
        path = self._directory / digest
        database_id = await self._needed.database_id()
        try:
            await self._do(self._prepare)
            await self._do(self._mark, digest, database_id)
            # From then on no removal takes it away for an hour.
            if await self._do(_touch, path) and await self._is_whole(path, digest):
                return
            await self._write(path, digest, content)
        except OSError as error:
            raise StorageError(f"{path} cannot be written: {error.strerror or error}") from error

    async def _write(self, path: Path, digest: str, content: ArtifactContent) -> None:
        temporary = self._directory / f"{_UPLOAD_PREFIX}{uuid.uuid4().hex}"
        try:
            part = bytearray()
            async with aclosing(checked_blocks(content, digest)) as blocks:
                async for block in blocks:
                    part += block
                    if len(part) >= _WRITTEN_BYTES:
                        await self._do(_append, temporary, part)
                        part = bytearray()
            await self._do(_append, temporary, part)
            await self._do(temporary.replace, path)
            await self._do(flush_directory, self._directory)
        except SilentDirectoryError:  # it would not answer now either; what is left there goes after an hour
            raise
        except BaseException:
            # What is wrong with the place is told. Whoever ends this, such as a daemon that stops, does not wait long.
            with contextlib.suppress(OSError, StorageError):
                async with asyncio.timeout(_TIDYING_SECONDS):
                    await self._do(_remove, temporary)
            raise

    async def remove_damaged(self, digest: str, size_bytes: int) -> bool:
        path = self._directory / digest
        database_id = await self._needed.database_id()
        try:
            looked_at = await self._do(_identity, path)
            if await self._has_digest(path, digest):
                return False
            aside = self._aside(digest, database_id)
            await self._do(path.rename, aside)
            if await self._do(_identity, aside) == looked_at:
                await self._do(_remove, aside)
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
            if await self._do(_is_new, path):
                return False
            aside = self._aside(digest, database_id)
            try:
                await self._do(path.rename, aside)
            except FileNotFoundError:
                aside = None
        await self._do(_remove, mark)
        if await self._needed.of([digest]):
            await self._do(mark.touch)
        return aside is not None and await self._settle(digest, aside, database_id)

    async def _settle(self, digest: str, aside: Path, database_id: str) -> bool:
        """Put back what was taken aside when somebody needs it, or remove it; whether it was removed."""
        path = self._directory / digest
        if not await self._do(path.exists):
            others = (await self._list()).users.get(digest, set()) - {database_id}
            is_needed = bool(others or await self._needed.of([digest]))
            if is_needed and await self._is_whole(aside, digest):
                with contextlib.suppress(FileNotFoundError):  # another environment has settled it
                    await self._do(aside.rename, path)
                return False
        await self._do(_remove, aside)
        return True

    async def _is_whole(self, path: Path, digest: str) -> bool:
        try:
            return await self._has_digest(path, digest)
        except FileNotFoundError:
            return False

    async def _has_digest(self, path: Path, digest: str) -> bool:
        found, offset = hashlib.sha256(), 0
        while read := await self._do(_hash, path, offset, found):
            offset += read
        return found.hexdigest() == digest

    async def _do(self, function: Callable[..., _T], *arguments: Any) -> _T:
        """One step; raises what it raises, or `SilentDirectoryError`."""
        try:
            return await self._threads.run(function, *arguments)
        except NoAnswerError:
            raise SilentDirectoryError(
                f"{self._directory} does not answer: a step has taken {self._seconds:g} s"
            ) from None

    async def _list(self) -> _Listing:
        try:
            return await self._do(self._list_now)
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

    def _prepare(self) -> None:
        self._directory.mkdir(parents=True, exist_ok=True)
        oldest = time.time() - _ABANDONED_AFTER_SECONDS
        for leftover in self._directory.glob(f"{_UPLOAD_PREFIX}*"):
            try:
                if leftover.stat().st_mtime < oldest:
                    leftover.unlink()
            except FileNotFoundError:
                continue


def _read(path: Path, offset: int) -> bytes:
    """A block; empty behind the end."""
    with path.open("rb", buffering=0) as file:
        file.seek(offset)
        return file.read(_READ_BYTES)


def _hash(path: Path, offset: int, digest: hashlib._Hash) -> int:
    block = _read(path, offset)
    digest.update(block)
    return len(block)


def _append(path: Path, content: bytes) -> None:
    with path.open("ab") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _touch(path: Path) -> bool:
    """Whether it is there."""
    try:
        os.utime(path)
    except FileNotFoundError:
        return False
    return True


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)


def _is_new(path: Path) -> bool:
    try:
        return time.time() - path.stat().st_mtime < UNCHANGED_FOR_MS / 1000
    except FileNotFoundError:
        return False


def _identity(path: Path) -> tuple[int, int]:
    found = path.stat()
    return (found.st_dev, found.st_ino)
