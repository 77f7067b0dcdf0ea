"""Removal of finished instances."""

from __future__ import annotations

import asyncio

import pytest
from runtara_sdk.errors import InstanceNotFoundError, InvalidStateError, StaleEpochError
from runtara_sdk.models import CallProgress, CustomSignal, EventType, InstanceStatus, SignalType

from runtara_core.models import CheckpointFilter, EventFilter, InstanceFilter, LeaseKey, NewInstance
from runtara_core.storage import Storage
from runtara_core.testing.storage_suite.scenario import (
    START_MS,
    TENANT,
    claim,
    create,
    get,
    launched,
    register,
    report,
    send,
)

_LATER_MS = START_MS + 1_000


async def _finished(storage: Storage, instance_id: str, *, now_ms: int = START_MS) -> LeaseKey:
    key = await launched(storage, instance_id, now_ms=now_ms)
    await report(storage, key, EventType.COMPLETED, b"{}", now_ms=now_ms)
    return key


async def _left(storage: Storage) -> set[str]:
    return {instance.instance_id for instance in (await storage.list_instances(InstanceFilter())).instances}


class RetentionCases:
    """`delete_finished`."""

    async def test_only_what_finished_before_goes(self, storage: Storage) -> None:
        await _finished(storage, "old", now_ms=START_MS)
        await _finished(storage, "new", now_ms=START_MS + 5)
        assert await storage.delete_finished(finished_before_ms=START_MS, limit=10) == 0
        assert await storage.delete_finished(finished_before_ms=START_MS + 5, limit=10) == 1
        assert await _left(storage) == {"new"}

    async def test_every_end_counts_as_finished(self, storage: Storage) -> None:
        await _finished(storage, "completed")
        await report(storage, await launched(storage, "failed"), EventType.FAILED, b"no")
        await create(storage, "cancelled")
        await send(storage, "cancelled", SignalType.CANCEL)
        assert await storage.delete_finished(finished_before_ms=_LATER_MS, limit=10) == 3
        assert await _left(storage) == set()

    async def test_nothing_that_can_still_run_goes(self, storage: Storage) -> None:
        await create(storage, "pending")
        running = await launched(storage, "running")
        await report(storage, await launched(storage, "suspended"), EventType.SUSPENDED)
        sleeping = await launched(storage, "sleeping")
        await storage.sleep("sleeping", sleeping.epoch, "nap", b"", duration_ms=9, suspend_above_ms=0, now_ms=START_MS)
        await register(storage, "own")
        assert await storage.delete_finished(finished_before_ms=START_MS + 10**12, limit=100) == 0
        assert await _left(storage) == {"pending", "running", "suspended", "sleeping", "own"}
        assert (await get(storage, "running")).epoch == running.epoch

    async def test_the_oldest_go_first_and_no_more_than_the_limit(self, storage: Storage) -> None:
        for number in (3, 1, 2):
            await _finished(storage, f"finished-{number}", now_ms=START_MS + number)
        assert await storage.delete_finished(finished_before_ms=_LATER_MS, limit=0) == 0
        assert await storage.delete_finished(finished_before_ms=_LATER_MS, limit=2) == 2
        assert await _left(storage) == {"finished-3"}
        assert await storage.delete_finished(finished_before_ms=_LATER_MS, limit=2) == 1
        assert await storage.delete_finished(finished_before_ms=_LATER_MS, limit=2) == 0

    async def test_everything_of_an_instance_goes_with_it(self, storage: Storage) -> None:
        key = await launched(storage, "gone")
        await storage.checkpoint("gone", key.epoch, "step", b"1", now_ms=START_MS)
        await storage.sleep("gone", key.epoch, "nap", b"", duration_ms=9, suspend_above_ms=None, now_ms=START_MS)
        await storage.record_retry_attempt("gone", key.epoch, "call", attempt_number=2, error="no", now_ms=START_MS)
        await storage.send_custom_signal("gone", CustomSignal("gate", b"open"), now_ms=START_MS)
        await send(storage, "gone", SignalType.PAUSE)
        await report(storage, key, EventType.CUSTOM, b"note", event_key="note")
        await report(storage, key, EventType.COMPLETED, b"{}")
        assert await storage.delete_finished(finished_before_ms=_LATER_MS, limit=10) == 1
        assert await storage.get_instance("gone") is None
        assert (await storage.list_events("gone", EventFilter())).total_count == 0
        assert (await storage.list_checkpoints("gone", CheckpointFilter(limit=10, offset=0))).total_count == 0
        with pytest.raises(InstanceNotFoundError):
            await storage.send_signal("gone", SignalType.CANCEL, b"", now_ms=_LATER_MS)

        again = await launched(storage, "gone", now_ms=_LATER_MS)
        assert (await get(storage, "gone")).checkpoint_count == 0
        assert await storage.get_progress("gone", "call", now_ms=_LATER_MS) == CallProgress()
        poll = await storage.poll_signals("gone", again.epoch, "gate", now_ms=_LATER_MS)
        assert (poll.signal, poll.custom_signal) == (None, None)
        await report(storage, again, EventType.CUSTOM, b"other", event_key="note", now_ms=_LATER_MS)
        assert (await storage.list_events("gone", EventFilter(event_type="custom"))).total_count == 1

    async def test_an_id_used_again_begins_above_the_epochs_of_the_removed_one(self, storage: Storage) -> None:
        """Nothing of the old instance, neither its process nor its token, fits the one of another tenant."""
        old = await _finished(storage, "again")
        assert await storage.delete_finished(finished_before_ms=_LATER_MS, limit=10) == 1
        await storage.create_instance(NewInstance("again", "tenant-2", "image-2", b"{}"), now_ms=_LATER_MS)
        assert (await get(storage, "again")).epoch > old.epoch
        with pytest.raises(StaleEpochError):
            await storage.checkpoint("again", old.epoch, "step", b"", now_ms=_LATER_MS)
        with pytest.raises(StaleEpochError):
            await register(storage, "again", epoch=old.epoch, tenant_id="tenant-2", now_ms=_LATER_MS)
        new = await _launch_of_tenant(storage, "again", "tenant-2", now_ms=_LATER_MS)
        for epoch in range(new.epoch):
            with pytest.raises(StaleEpochError):
                await storage.checkpoint("again", epoch, "step", b"", now_ms=_LATER_MS)
            with pytest.raises(StaleEpochError):
                await storage.get_progress("again", "step", now_ms=_LATER_MS, epoch=epoch)
        assert await storage.get_progress("again", "step", now_ms=_LATER_MS, epoch=new.epoch) == CallProgress()

        other = await register(storage, "own", now_ms=START_MS)
        await report(storage, LeaseKey("own", other), EventType.COMPLETED)
        await storage.delete_finished(finished_before_ms=_LATER_MS, limit=10)
        assert await register(storage, "own", now_ms=_LATER_MS) > other

    async def test_a_removal_and_a_creation_agree(self, storage: Storage) -> None:
        """However the two interleave, the id belongs to the old instance or to one above its epochs."""
        for number in range(6):
            old = await _finished(storage, f"again-{number}")
            new = NewInstance(old.instance_id, TENANT, "image-1", b"{}")
            created, removed = await asyncio.gather(
                storage.create_instance(new, now_ms=_LATER_MS),
                storage.delete_finished(finished_before_ms=_LATER_MS, limit=10),
            )
            instance = await storage.get_instance(old.instance_id)
            assert removed == 1
            if created.deduplicated:
                assert instance is None
            else:
                assert instance is not None
                assert instance.epoch > old.epoch
                assert instance.status is InstanceStatus.PENDING

    async def test_concurrent_removals_share_the_work(self, storage: Storage) -> None:
        for number in range(6):
            await _finished(storage, f"finished-{number}")
        removed = await asyncio.gather(
            *(storage.delete_finished(finished_before_ms=_LATER_MS, limit=2) for _ in range(3))
        )
        left = await _left(storage)
        assert sum(removed) + len(left) == 6
        assert await storage.delete_finished(finished_before_ms=_LATER_MS, limit=10) == len(left)

    async def test_a_removed_instance_is_out_of_reach(self, storage: Storage) -> None:
        key = await _finished(storage, "gone")
        with pytest.raises(InvalidStateError):
            await send(storage, "gone", SignalType.RESUME)
        await storage.delete_finished(finished_before_ms=_LATER_MS, limit=10)
        with pytest.raises(InstanceNotFoundError):
            await storage.checkpoint("gone", key.epoch, "step", b"", now_ms=_LATER_MS)
        assert await claim(storage, now_ms=_LATER_MS) == []
        assert await storage.renew_leases("environment-1", [key], lease_ms=1, now_ms=_LATER_MS) == [key]


async def _launch_of_tenant(storage: Storage, instance_id: str, tenant_id: str, *, now_ms: int) -> LeaseKey:
    """Claim an instance and let its process register."""
    (claimed,) = await claim(storage, instance_id=instance_id, now_ms=now_ms)
    await register(storage, instance_id, epoch=claimed.epoch, tenant_id=tenant_id, now_ms=now_ms)
    return LeaseKey(instance_id, claimed.epoch)
