"""A slow walk through all artifacts, which finds what the disk has damaged while nothing was written.

A file is trusted for the life of a process once its SHA-256 was compared, unless the file system tells of a change. A
byte that flips on the disk changes nothing there. So all files are read again once a day, from the disk where the
system does not need them in memory, at 8 MiB a second: that is a tenth of what a slow disk reads and a hundredth of one
processor, and 10 GB take twenty minutes. Damage is logged; an unpacked layer is mended, and other images wait.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import logging
import os
from collections.abc import Generator
from pathlib import Path

from runtara_sdk.clock import Clock
from runtara_sdk.errors import RuntaraError

from runtara_environment.registry.artifact_files import ArtifactDirectory, artifact_directories
from runtara_environment.registry.artifact_store import ArtifactStore

logger = logging.getLogger(__name__)

BYTES_PER_SECOND = 8 * 1024 * 1024
INTERVAL_SECONDS = 86_400
FIRST_AFTER_SECONDS = 3_600
"""What is launched before was read by its first launch."""

_BLOCK_BYTES = 1024 * 1024


class ArtifactScrub:
    """The walk through the artifacts of one host."""

    def __init__(self, store: ArtifactStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def keep_scrubbing(self) -> None:
        """Walk once a day until cancelled."""
        await self._clock.sleep(FIRST_AFTER_SECONDS)
        while True:
            try:
                await self.scrub()
            except (OSError, RuntaraError) as error:
                logger.warning("artifacts were not read through: %s", error)
            except Exception:
                logger.exception("artifacts were not read through")
            await self._clock.sleep(INTERVAL_SECONDS)

    async def scrub(self) -> list[Path]:
        """One walk; returns the files that are damaged. Those of an unpacked layer have been mended, if possible."""
        damaged: list[Path] = []
        layers = self._store.layers
        for directory in await asyncio.to_thread(lambda: list(artifact_directories(self._store.images))):
            whole = {directory.whole: directory.path.name}
            damaged += await self._compare(whole)
            if not await asyncio.to_thread(_is_sound, directory):
                damaged.append(directory.remainder)
        for digest in await asyncio.to_thread(lambda: list(layers.digests())):
            damaged += await self._compare({layers.packed(digest): digest})
            wrong = await self._compare(await asyncio.to_thread(layers.listed, digest))
            damaged += wrong
            if wrong:
                await self._mend(digest)
        for path in damaged:
            self._store.verified.forget(path)
            logger.error("%s is damaged: register the images again that have it", path)
        return damaged

    async def _mend(self, digest: str) -> None:
        self._store.layers.distrust(digest)
        try:
            await asyncio.to_thread(self._store.layers.require_unpacked, digest, f"layer {digest}")
        except (OSError, RuntaraError) as error:
            logger.error("layer %s cannot be mended: %s", digest, error)

    async def _compare(self, files: dict[Path, str]) -> list[Path]:
        """Those of the files that do not have their SHA-256, or that the disk cannot read any more.

        One that is missing is nobody's here.
        """
        damaged = []
        for path, sha256 in files.items():
            digest = hashlib.sha256()
            is_readable = True
            blocks = _blocks(path)
            try:
                while block := await asyncio.to_thread(next, blocks, b""):
                    digest.update(block)
                    await self._clock.sleep(len(block) / BYTES_PER_SECOND)
            except FileNotFoundError:
                continue
            except OSError as error:
                if error.errno != errno.EIO:
                    raise
                is_readable = False
            finally:
                blocks.close()
            if not (is_readable and digest.hexdigest() == sha256) and path.exists():
                damaged.append(path)
        return damaged


def _is_sound(directory: ArtifactDirectory) -> bool:
    try:
        return directory.remainder_is_sound()
    except FileNotFoundError:
        return True
    except OSError as error:
        if error.errno != errno.EIO:
            raise
        return False


def _blocks(path: Path) -> Generator[bytes, None, None]:
    with path.open("rb") as file:
        # What no program has mapped is read from the disk, where damage shows.
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        while block := file.read(_BLOCK_BYTES):
            yield block
