"""The directory in which base runtimes and toolchains are kept (`RUNTARA_NATIVE_LIBRARY_DIR`).

    bases/<key>/        a finished base runtime: base.json and layer.tar.gz
    toolchains/<key>/   Nuitka's environment and the objects compiled with it
    locks/<name>.lock   held while an entry is built
    building/           entries under construction; whatever lies there without its lock held is rubbish
    logs/               output of the last failed builds

An entry appears by one rename, complete. A killed build leaves only what the next build of the same entry sweeps.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from runtara_sdk.errors import ConfigurationError, RuntaraError
from runtara_sdk.settings import EnvironmentReader

LOCK_POLL_SECONDS = 0.1
MAXIMUM_LOGS = 10


class NativeBuildError(RuntaraError):
    """A native build failed; the message names what failed and the remedy."""

    code = "NATIVE_BUILD_ERROR"


class NativeLibrary:
    """Paths, locks and atomic placement within one library directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory.absolute()

    @classmethod
    def from_environment(cls, data_dir: Path | None, reader: EnvironmentReader | None = None) -> NativeLibrary:
        """The directory that `RUNTARA_NATIVE_LIBRARY_DIR` names, else `native` in the data directory.

        Without a data directory, that of `DATA_DIR` or else `.data` is meant.
        """
        reader = reader or EnvironmentReader()
        named = reader.optional_text("RUNTARA_NATIVE_LIBRARY_DIR")
        if named is not None:
            return cls(Path(named))
        return cls((data_dir or Path(reader.text("DATA_DIR", ".data"))) / "native")

    def entry(self, kind: str, key: str) -> Path:
        """Where the finished entry `key` of `kind` (`bases`, `toolchains`) lies or will lie."""
        return self.directory / kind / key

    @asynccontextmanager
    async def lock(self, name: str, *, deadline_seconds: float) -> AsyncIterator[bool]:
        """Hold the lock `name` among all processes; gives whether somebody else held it first.

        Raises `NativeBuildError` when it is not free within the deadline.
        """
        path = self.directory / "locks" / f"{name}.lock"
        with translated_disk_errors(self.directory):
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            waited = await _acquire(descriptor, path, deadline_seconds)
            yield waited
        finally:
            os.close(descriptor)

    @contextmanager
    def construction(self, key: str) -> Iterator[Path]:
        """An empty directory to build entry `key` in, removed at the end. Call it with the entry's lock held."""
        parent = self.directory / "building"
        with translated_disk_errors(self.directory):
            parent.mkdir(parents=True, exist_ok=True)
            for leftover in parent.glob(f"{key}-*"):
                shutil.rmtree(leftover, ignore_errors=True)
            directory = Path(tempfile.mkdtemp(prefix=f"{key}-", dir=parent))
        try:
            yield directory
        finally:
            shutil.rmtree(directory, ignore_errors=True)

    def place(self, built: Path, target: Path) -> None:
        """Move a complete directory to its place, instead of what is there. Call it with the entry's lock held."""
        with translated_disk_errors(self.directory):
            target.parent.mkdir(parents=True, exist_ok=True)
            if target.exists():
                aside = built.with_name(built.name + ".replaced")
                target.rename(aside)
                shutil.rmtree(aside, ignore_errors=True)
            built.rename(target)

    def keep_log(self, log: Path, name: str) -> Path:
        """Keep the output of a failed build for its reader; the oldest ones go."""
        directory = self.directory / "logs"
        directory.mkdir(parents=True, exist_ok=True)
        kept = directory / f"{name}.log"
        shutil.copyfile(log, kept)
        logs = sorted(directory.glob("*.log"), key=lambda path: path.stat().st_mtime, reverse=True)
        for old in logs[MAXIMUM_LOGS:]:
            old.unlink(missing_ok=True)
        return kept


@contextmanager
def translated_disk_errors(directory: Path) -> Iterator[None]:
    """Turn the ways in which a disk fails into errors that name the directory and the remedy."""
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise NativeBuildError(
                f"no space left for native builds in {directory}: free about 1 GB, "
                "or set RUNTARA_NATIVE_LIBRARY_DIR to another disk"
            ) from error
        if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
            raise ConfigurationError(
                f"cannot write to {directory} ({error.strerror}): "
                "set RUNTARA_NATIVE_LIBRARY_DIR to a directory that can be written"
            ) from error
        raise


async def _acquire(descriptor: int, path: Path, deadline_seconds: float) -> bool:
    waited = False
    try:
        async with asyncio.timeout(deadline_seconds):
            while True:
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    waited = True
                    await asyncio.sleep(LOCK_POLL_SECONDS)
                else:
                    return waited
    except TimeoutError:
        raise NativeBuildError(
            f"another build has held {path} for {deadline_seconds:.0f} seconds: wait for it or end it, then try again"
        ) from None
