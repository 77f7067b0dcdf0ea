"""The cache of artifacts: one directory per content key, built under a lock and moved into place whole.

    {data_dir}/cache/artifacts/{key}/scenario        the artifact
    {data_dir}/cache/artifacts/{key}/workflow.py     the generated module
    {data_dir}/cache/artifacts/{key}/entry.json      size and digest of the artifact

An entry is immutable. A reader verifies the digest, so an entry that was damaged counts as missing and is built again.
"""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from runtara_sdk.clock import Clock, SystemClock
from runtara_sdk.errors import DeadlineExceededError

from runtara_compiler.placement import CacheError

ARTIFACT_NAME = "scenario"
SOURCE_NAME = "workflow.py"
_ENTRY_NAME = "entry.json"
_LOCK_POLL_SECONDS = 0.1
_LONGEST_BUILD_SECONDS = 1800.0


@dataclass(frozen=True, slots=True)
class CacheEntry:
    """A finished artifact. `sha256` is in hexadecimal, `size` in bytes."""

    artifact: Path
    source: Path
    sha256: str
    size: int


class ArtifactCache:
    """The artifacts below one data directory; shared safely by any number of processes."""

    def __init__(self, data_dir: Path, clock: Clock | None = None) -> None:
        self._root = data_dir / "cache" / "artifacts"
        self._clock = clock or SystemClock()

    async def find(self, key: str) -> CacheEntry | None:
        """The undamaged entry of `key`, or None."""
        return await asyncio.to_thread(_read_entry, self._root / key)

    async def build(self, key: str, source: str, build: Callable[[Path], Awaitable[Path]]) -> tuple[CacheEntry, bool]:
        """The entry of `key`, and whether another process had built it meanwhile.

        Args:
            key: digest of everything that the artifact depends on.
            source: the generated module, kept beside the artifact.
            build: called with an empty directory; returns the path of the artifact in it.

        Raises:
            CacheError: the directory cannot be written (full, not permitted).
            DeadlineExceededError: another process held the lock for half an hour.
        """
        try:
            self._root.mkdir(parents=True, exist_ok=True)
            async with self._locked(key):
                if (entry := await self.find(key)) is not None:
                    return entry, True
                return await self._build(key, source, build), False
        except OSError as error:
            raise CacheError(f"the artifact cache {self._root} cannot be written: {error.strerror or error}") from error

    async def _build(self, key: str, source: str, build: Callable[[Path], Awaitable[Path]]) -> CacheEntry:
        for leftover in self._root.glob(f".{key}-*"):  # of a build that was killed; the lock is ours
            shutil.rmtree(leftover, ignore_errors=True)
        with tempfile.TemporaryDirectory(prefix=f".{key}-", dir=self._root) as scratch:
            work_dir, staged = Path(scratch, "work"), Path(scratch, "entry")
            work_dir.mkdir()
            artifact = await build(work_dir)
            await asyncio.to_thread(_stage, artifact, source, staged)
            final = self._root / key
            shutil.rmtree(final, ignore_errors=True)  # a damaged entry
            staged.rename(final)
            _sync_directory(self._root)
        entry = _read_entry(final)
        if entry is None:
            raise CacheError(f"the artifact in {final} changed while it was put in place")
        return entry

    @asynccontextmanager
    async def _locked(self, key: str) -> AsyncIterator[None]:
        # The file stays: removing it would let two processes hold locks on two files of the same name.
        descriptor = os.open(self._root / f"{key}.lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o644)
        try:
            started_at_ms = self._clock.now_ms()
            while not _try_lock(descriptor):
                if self._clock.now_ms() - started_at_ms > _LONGEST_BUILD_SECONDS * 1000:
                    raise DeadlineExceededError(f"another process builds {key} and does not finish: stop it")
                await self._clock.sleep(_LOCK_POLL_SECONDS)
            yield
        finally:
            os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _stage(artifact: Path, source: str, staged: Path) -> None:
    staged.mkdir()
    artifact.rename(staged / ARTIFACT_NAME)
    (staged / SOURCE_NAME).write_text(source, encoding="utf-8")
    sha256, size = _digest(staged / ARTIFACT_NAME)
    (staged / _ENTRY_NAME).write_text(json.dumps({"sha256": sha256, "size": size}), encoding="utf-8")
    for path in staged.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())
    _sync_directory(staged)


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read_entry(directory: Path) -> CacheEntry | None:
    try:
        recorded = json.loads((directory / _ENTRY_NAME).read_bytes())
        sha256, size = _digest(directory / ARTIFACT_NAME)
    except (OSError, ValueError):
        return None
    if recorded != {"sha256": sha256, "size": size} or not (directory / SOURCE_NAME).is_file():
        return None
    return CacheEntry(directory / ARTIFACT_NAME, directory / SOURCE_NAME, sha256, size)


def _digest(path: Path) -> tuple[str, int]:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256")
        return digest.hexdigest(), file.tell()
