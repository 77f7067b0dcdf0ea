"""What the storage adds: the log of changes."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from runtara_core.models import InstanceFork, NewInstance
from runtara_core.storages import open_storage
from runtara_sdk.errors import ConfigurationError
from runtara_sdk.models import SignalType

from {{ cookiecutter.__module }}.plugin import SCHEME, runtara_storage
from {{ cookiecutter.__module }}.storage import AuditedStorage

INSTANCE = NewInstance("i-1", "t-1", "image-1", b'{"data": {}}', b"{}")


@pytest.fixture
async def storage(tmp_path: Path) -> AsyncIterator[AuditedStorage]:
    storage = await open_storage(f"{SCHEME}:///{tmp_path}/core.db")
    assert isinstance(storage, AuditedStorage)
    await storage.open()
    yield storage
    await storage.close()


def lines(storage: AuditedStorage) -> list[dict[str, str | int]]:
    return [json.loads(line) for line in storage.audit_path.read_text().splitlines()]


async def test_what_happens_to_an_instance_is_in_the_log(storage: AuditedStorage) -> None:
    await storage.create_instance(INSTANCE, now_ms=1000)
    await storage.create_instance(INSTANCE, now_ms=1001)  # the same start again starts nothing
    await storage.send_signal("i-1", SignalType.CANCEL, b"", now_ms=1002)
    await storage.retry_instance("i-1", now_ms=1003)
    await storage.fork_instance(InstanceFork("i-2", "i-1", dry_run=True), now_ms=1004)
    await storage.fork_instance(InstanceFork("i-2", "i-1"), now_ms=1005)
    assert lines(storage) == [
        {"at_ms": 1000, "change": "created", "instance_id": "i-1", "tenant_id": "t-1"},
        {"at_ms": 1002, "change": "signal", "instance_id": "i-1", "signal": "cancel"},
        {"at_ms": 1003, "change": "retried", "instance_id": "i-1"},
        {"at_ms": 1005, "change": "forked", "instance_id": "i-2", "origin_id": "i-1"},
    ]
    assert storage.audit_path.stat().st_mode & 0o777 == 0o600


async def test_a_log_that_cannot_be_written_fails_no_instance(
    storage: AuditedStorage, caplog: pytest.LogCaptureFixture
) -> None:
    storage.audit_path.mkdir()
    await storage.create_instance(INSTANCE, now_ms=1000)
    assert await storage.get_instance("i-1") is not None
    assert "'i-1'" in caplog.text


async def test_neither_a_cancelled_call_nor_a_stop_loses_a_line(storage: AuditedStorage) -> None:
    call = asyncio.create_task(storage.create_instance(INSTANCE, now_ms=1000))
    await asyncio.sleep(0)  # the call begins
    call.cancel()
    await storage.close()
    assert call.cancelled()
    assert [line["change"] for line in lines(storage)] == ["created"]


def test_other_urls_are_left_to_other_storages() -> None:
    assert runtara_storage("sqlite:///core.db") is None
    assert runtara_storage("core.db") is None


def test_a_url_without_a_file_is_refused() -> None:
    for url in (f"{SCHEME}://:memory:", f"{SCHEME}:///"):
        with pytest.raises(ConfigurationError):
            runtara_storage(url)
