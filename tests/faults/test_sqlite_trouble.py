"""The SQLite file meets a full disk, a lock of another process, and a file that cannot be written.

What a caller is told of the file is a message like any other, so one transport does: QUIC.
"""

from __future__ import annotations

import asyncio
import dataclasses
import os
import resource
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from daemon_process import DaemonProcess
from runtara_core.daemon import CoreDaemon
from runtara_core.management import CoreManagement
from runtara_sdk.core_backend import CoreBackend
from runtara_sdk.errors import ConfigurationError, StorageError
from workload import connection_settings

STATE_BYTES = 50_000
LOCK = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4M", "tmpfs", disk], capture_output=True, check=False)
    if mounted.returncode != 0:
        pytest.skip("mounting needs root; the limit on file sizes stands in for it")
    yield disk
    subprocess.run(["umount", "--lazy", disk], check=True)


def impatient_backend(core: CoreDaemon) -> AbstractAsyncContextManager[CoreBackend]:
    assert core.identity.ca_path is not None
    return registered_backend(core.instance_address, core.identity.ca_path)


@asynccontextmanager
async def registered_backend(address: str, ca_file: Path) -> AsyncIterator[CoreBackend]:
    """A registered instance that is told of trouble instead of waiting for its end."""
    settings = connection_settings("writer", address, ca_file)
    backend = CoreBackend(dataclasses.replace(settings, reconnect_deadline_ms=0))
    try:
        await backend.register(None)
        yield backend
    finally:
        await backend.close()


def state(number: int) -> bytes:
    return b"%d " % number * (STATE_BYTES // len(b"%d " % number))


async def write_until_refused(backend: CoreBackend) -> tuple[int, StorageError]:
    """Checkpoint after checkpoint; how many were acknowledged, and the error that ended it."""
    for number in range(1_000):
        try:
            await backend.checkpoint(f"c-{number}", state(number))
        except StorageError as error:
            return number, error
    raise AssertionError("the disk never became full")


async def check_all_there(management: CoreManagement, count: int) -> None:
    for number in range(count):
        record = await management.get_checkpoint("writer", f"c-{number}")
        assert record is not None, f"c-{number} was acknowledged and is lost"
        assert record.state == state(number)


@pytest.mark.privileged
async def test_a_full_disk_loses_nothing_and_work_goes_on_when_there_is_room(
    running_core: Any, small_disk: Path
) -> None:
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(1024 * 1024))
    url = f"sqlite:///{small_disk}/core.db"
    async with asyncio.timeout(60), running_core(url) as core, impatient_backend(core) as backend:
        count, error = await write_until_refused(backend)
        assert count > 5
        assert error.retryable
        assert error.message == "checkpoint: the disk is full"
        await check_all_there(core.management, count)
        ballast.unlink()
        await backend.checkpoint(f"c-{count}", state(count))
    async with running_core(url) as core:
        await check_all_there(core.management, count + 1)


async def test_a_limit_on_file_sizes_loses_nothing_and_work_goes_on_when_it_is_raised(
    daemon_process: DaemonProcess,
) -> None:
    await daemon_process.start()
    limit = 2 * 1024 * 1024
    resource.prlimit(daemon_process.process_id, resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    management = daemon_process.management()
    address = daemon_process.addresses["instance"]
    async with asyncio.timeout(60), registered_backend(address, daemon_process.ca_file) as backend:
        count, error = await write_until_refused(backend)
        assert count > 5
        assert error.retryable
        assert error.message.startswith("checkpoint: ")
        await check_all_there(management, count)
        no_limit = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
        resource.prlimit(daemon_process.process_id, resource.RLIMIT_FSIZE, no_limit)
        await backend.checkpoint(f"c-{count}", state(count))
        await daemon_process.kill()
    await management.close()
    await daemon_process.start()
    management = daemon_process.management()
    await check_all_there(management, count + 1)
    await management.close()


@asynccontextmanager
async def locked_by_another_process(path: Path) -> AsyncIterator[None]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", LOCK, str(path), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        assert await asyncio.wait_for(process.stdout.readline(), 30) == b"locked\n"
        yield
    finally:
        process.kill()
        await process.wait()


async def test_a_file_locked_for_too_long_is_told_as_retryable(
    running_core: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtara_core.database.sqlite._BUSY_TIMEOUT_MS", 300)
    async with asyncio.timeout(60), running_core() as core, impatient_backend(core) as backend:
        await backend.checkpoint("before", b"1")
        async with locked_by_another_process(tmp_path / "core.db"):
            with pytest.raises(StorageError, match="another process holds the database file locked") as refusal:
                await backend.checkpoint("during", b"2")
            assert refusal.value.retryable
            assert await backend.get_checkpoint("before") == b"1"
        await backend.checkpoint("during", b"2")


async def test_a_file_locked_for_a_moment_only_delays(running_core: Any, tmp_path: Path) -> None:
    async with asyncio.timeout(60), running_core() as core, impatient_backend(core) as backend:
        async with locked_by_another_process(tmp_path / "core.db"):
            write = asyncio.create_task(backend.checkpoint("during", b"2"))
            assert await backend.get_checkpoint("during") is None
        assert not (await write).found
        assert await backend.get_checkpoint("during") == b"2"


@pytest.mark.privileged
async def test_a_read_only_file_is_refused_in_one_line(running_core: Any, tmp_path: Path) -> None:
    directory = tmp_path / "disk"
    directory.mkdir()
    mount_if_root(directory)
    try:
        async with running_core(f"sqlite:///{directory}/core.db"):
            pass
        make_read_only(directory)
        with pytest.raises((ConfigurationError, StorageError)) as refusal:
            async with running_core(f"sqlite:///{directory}/core.db"):
                pass
        assert "core.db" in refusal.value.message
        assert "\n" not in refusal.value.message
    finally:
        make_removable(directory)


def mount_if_root(directory: Path) -> None:
    """Root may write whatever its mode says, but not on a file system that is read-only."""
    if os.geteuid() == 0:
        mounted = subprocess.run(["mount", "-t", "tmpfs", "tmpfs", directory], capture_output=True, check=False)
        if mounted.returncode != 0:
            pytest.skip("root may write everything, and may not mount here")


def make_read_only(directory: Path) -> None:
    if os.geteuid() == 0:
        subprocess.run(["mount", "-o", "remount,ro", directory], check=True)
    else:
        (directory / "core.db").chmod(0o444)
        directory.chmod(0o555)


def make_removable(directory: Path) -> None:
    if os.geteuid() == 0:
        subprocess.run(["umount", "--lazy", directory], check=True)
    else:
        directory.chmod(0o755)


async def test_a_file_that_becomes_read_only_under_the_daemon_is_no_retry(
    running_core: Any,
) -> None:
    """As when the file system is remounted after an error of the disk."""
    async with asyncio.timeout(60), running_core() as core, impatient_backend(core) as backend:
        await backend.checkpoint("before", b"1")
        await refuse_writes(core)
        with pytest.raises(StorageError, match="the database file is read-only") as refusal:
            await backend.checkpoint("during", b"2")
        assert not refusal.value.retryable
        assert await backend.get_checkpoint("before") == b"1"


async def refuse_writes(core: CoreDaemon) -> None:
    storage: Any = core._storage

    async def work(transaction: Any) -> None:
        transaction._connection.execute("PRAGMA query_only = ON")

    await storage._database.run(work, operation="test")
