"""Creation and registration."""

from __future__ import annotations

import pytest
from runtara_sdk.errors import (
    ConcurrencyLimitError,
    InstanceExistsError,
    InstanceNotFoundError,
    InvalidInputError,
    InvalidStateError,
    StaleEpochError,
)
from runtara_sdk.models import EventType, InstanceStatus, SignalType, SleepState, TerminationReason

from runtara_core.models import LeaseKey, NewInstance
from runtara_core.storage import Storage
from runtara_core.testing.storage_suite.scenario import (
    START_MS,
    TENANT,
    claim,
    create,
    event_types,
    get,
    launched,
    limit_of,
    register,
    report,
    send,
)


class RegistrationCases:
    """`create_instance` and `register_instance`."""

    async def test_a_storage_that_is_durable_has_its_state_when_opened_again(self, storage: Storage) -> None:
        await register(storage)
        before = await storage.get_instance("own-1")
        await storage.close()
        await storage.open()
        await storage.check_health()
        assert await storage.get_instance("own-1") == (before if storage.is_durable else None)

    async def test_answers_health_checks(self, storage: Storage) -> None:
        await storage.check_health()

    async def test_registering_an_unknown_id_creates_a_running_instance(self, storage: Storage) -> None:
        assert await register(storage) == 1
        instance = await get(storage, "own-1")
        assert instance.status is InstanceStatus.RUNNING
        assert instance.tenant_id == TENANT
        assert instance.started_at_ms == instance.created_at_ms == instance.last_contact_at_ms == START_MS
        assert instance.image_id is None
        assert await event_types(storage, "own-1") == ["started"]

    @pytest.mark.parametrize("status", [InstanceStatus.RUNNING, InstanceStatus.SUSPENDED])
    async def test_a_second_process_takes_over_under_a_new_epoch(
        self, storage: Storage, status: InstanceStatus
    ) -> None:
        await register(storage)
        if status is InstanceStatus.SUSPENDED:
            await report(storage, LeaseKey("own-1", 1), EventType.SUSPENDED)
        assert await register(storage, now_ms=START_MS + 5) == 2
        instance = await get(storage, "own-1")
        assert instance.status is InstanceStatus.RUNNING
        assert instance.started_at_ms == START_MS + 5
        assert instance.termination_reason is None
        with pytest.raises(StaleEpochError):
            await storage.checkpoint("own-1", 1, "step", b"1", now_ms=START_MS)

    async def test_taking_over_clears_the_wake_time(self, storage: Storage) -> None:
        await register(storage)
        outcome = await storage.sleep("own-1", 1, "nap", b"", duration_ms=60_000, suspend_above_ms=0, now_ms=START_MS)
        assert outcome.state is SleepState.SUSPENDED
        await register(storage)
        assert (await get(storage, "own-1")).wake_at_ms is None

    @pytest.mark.parametrize("event_type", [EventType.COMPLETED, EventType.FAILED])
    async def test_a_finished_instance_stays_finished(self, storage: Storage, event_type: EventType) -> None:
        await register(storage)
        status = await report(storage, LeaseKey("own-1", 1), event_type, b"result")
        for epoch in (None, 1):
            with pytest.raises(InvalidStateError):
                await register(storage, epoch=epoch)
        assert (await get(storage, "own-1")).status is status

    async def test_registration_compares_the_tenant(self, storage: Storage) -> None:
        await register(storage)
        with pytest.raises(InvalidInputError):
            await register(storage, tenant_id="tenant-2")
        assert (await get(storage, "own-1")).epoch == 1

    async def test_a_registration_learns_no_more_of_a_taken_id_than_that(self, storage: Storage) -> None:
        """Whatever another tenant's instance is and does, the refusal is the same."""
        await create(storage, "pending")
        await launched(storage, "running")
        await register(storage, "own")
        done = await launched(storage, "done")
        await report(storage, done, EventType.COMPLETED, b"result")
        refusals = set()
        for instance_id in ("pending", "running", "own", "done"):
            for checkpoint_id in (None, "step"):
                with pytest.raises(InvalidInputError) as refusal:
                    await register(storage, instance_id, tenant_id="tenant-2", checkpoint_id=checkpoint_id)
                refusals.add(refusal.value.message.replace(instance_id, "ID"))
        (text,) = refusals
        for secret in (TENANT, "image-1", "pending", "running", "completed", "environment"):
            assert secret not in text

    async def test_registration_needs_a_known_checkpoint(self, storage: Storage) -> None:
        with pytest.raises(InvalidInputError):
            await register(storage, checkpoint_id="unheard-of")
        assert await storage.get_instance("own-1") is None
        await register(storage)
        await storage.checkpoint("own-1", 1, "step", b"1", now_ms=START_MS)
        assert await register(storage, checkpoint_id="step") == 2

    async def test_a_launch_registers_with_its_epoch_as_often_as_it_likes(self, storage: Storage) -> None:
        await launched(storage)
        assert await register(storage, "managed-1", epoch=1) == 1
        assert (await get(storage, "managed-1")).status is InstanceStatus.RUNNING

    async def test_only_its_launches_register_a_managed_instance(self, storage: Storage) -> None:
        await create(storage)
        with pytest.raises(InvalidStateError):
            await register(storage, "managed-1")

    async def test_a_launch_of_the_past_may_not_register(self, storage: Storage) -> None:
        await launched(storage)
        for epoch in (0, 2):
            with pytest.raises(StaleEpochError):
                await register(storage, "managed-1", epoch=epoch)

    async def test_a_suspended_launch_may_not_register_again(self, storage: Storage) -> None:
        key = await launched(storage)
        await report(storage, key, EventType.SUSPENDED)
        with pytest.raises(InvalidStateError):
            await register(storage, "managed-1", epoch=key.epoch)

    async def test_a_registration_that_is_repeated_changes_nothing(self, storage: Storage) -> None:
        assert await register(storage, registration_key="a") == 1
        assert await register(storage, registration_key="a", limits=limit_of(1), now_ms=START_MS + 5) == 1
        assert (await get(storage, "own-1")).started_at_ms == START_MS
        assert await event_types(storage, "own-1") == ["started"]
        key = await launched(storage)
        assert await register(storage, "managed-1", epoch=key.epoch, registration_key="b") == key.epoch
        assert await register(storage, "managed-1", epoch=key.epoch, registration_key="b") == key.epoch
        with pytest.raises(InvalidInputError):
            await register(storage, registration_key="x" * 2_001)

    async def test_a_registration_that_comes_late_takes_the_instance_from_nobody(self, storage: Storage) -> None:
        await register(storage, registration_key="first")
        assert await register(storage, registration_key="second") == 2
        with pytest.raises(StaleEpochError):
            await register(storage, registration_key="first")
        await report(storage, LeaseKey("own-1", 2), EventType.SUSPENDED)
        # Its process has stopped: nobody would be there to run it.
        for key in ("first", "second"):
            with pytest.raises(StaleEpochError):
                await register(storage, registration_key=key)
        assert (await get(storage, "own-1")).status is InstanceStatus.SUSPENDED
        assert await register(storage, registration_key="third") == 3

    async def test_only_the_first_registration_finds_the_instance_new(self, storage: Storage) -> None:
        async def is_new(instance_id: str, epoch: int | None, key: str) -> bool:
            registration = await storage.register_instance(
                instance_id,
                TENANT,
                epoch=epoch,
                checkpoint_id=None,
                registration_key=key,
                limits=limit_of(100),
                now_ms=START_MS,
            )
            return registration.is_new

        assert await is_new("own-1", None, "a")
        assert not await is_new("own-1", None, "b"), "another process has been there"
        await create(storage)
        (first,) = await claim(storage)
        assert await is_new("managed-1", first.epoch, "a")
        assert not await is_new("managed-1", first.epoch, "b"), "a second process of one launch"

    async def test_an_epoch_of_an_unknown_instance_is_not_found(self, storage: Storage) -> None:
        with pytest.raises(InstanceNotFoundError):
            await register(storage, epoch=1)

    async def test_registration_respects_the_limit(self, storage: Storage) -> None:
        await register(storage, "own-1", limits=limit_of(1))
        with pytest.raises(ConcurrencyLimitError):
            await register(storage, "own-2", limits=limit_of(1))
        assert await storage.get_instance("own-2") is None
        # The one that runs counts once, however often it registers.
        assert await register(storage, "own-1", limits=limit_of(1)) == 2
        await report(storage, LeaseKey("own-1", 2), EventType.COMPLETED)
        assert await register(storage, "own-2", limits=limit_of(1)) == 1

    async def test_a_claimed_launch_needs_no_second_place(self, storage: Storage) -> None:
        await create(storage)
        (claimed,) = await claim(storage, limits=limit_of(1))
        assert await register(storage, "managed-1", epoch=claimed.epoch, limits=limit_of(1)) == 1

    @pytest.mark.parametrize("instance_id", ["", "x" * 256, "with\0nul"])
    async def test_unusable_instance_ids_are_refused(self, storage: Storage, instance_id: str) -> None:
        with pytest.raises(InvalidInputError):
            await register(storage, instance_id)
        with pytest.raises(InvalidInputError):
            await create(storage, instance_id)

    @pytest.mark.parametrize("instance_id", ["x" * 255, "ünï/код:::1", "' OR 1=1 --", "%_"])
    async def test_unusual_instance_ids_are_kept_as_they_are(self, storage: Storage, instance_id: str) -> None:
        await register(storage, instance_id)
        assert (await get(storage, instance_id)).instance_id == instance_id

    async def test_creation_makes_a_pending_instance_that_is_due(self, storage: Storage) -> None:
        await create(storage)
        instance = await get(storage, "managed-1")
        assert instance.status is InstanceStatus.PENDING
        assert (instance.epoch, instance.image_id) == (0, "image-1")
        assert instance.input == b'{"data":{}}'
        assert instance.launch_options == b'{"timeout_ms":5}'
        assert instance.wake_at_ms == instance.created_at_ms == START_MS
        assert instance.started_at_ms is None
        assert await storage.next_wake_at_ms() == START_MS

    async def test_the_same_start_again_is_deduplicated(self, storage: Storage) -> None:
        new = NewInstance("managed-1", TENANT, "image-1", b"{}")
        assert not (await storage.create_instance(new, now_ms=START_MS)).deduplicated
        again = await storage.create_instance(new, now_ms=START_MS + 9)
        assert again.deduplicated
        assert (await get(storage, "managed-1")).created_at_ms == START_MS
        await send(storage, "managed-1", SignalType.CANCEL)
        assert (await storage.create_instance(new, now_ms=START_MS)).deduplicated
        assert (await get(storage, "managed-1")).termination_reason is TerminationReason.CANCELLED

    @pytest.mark.parametrize(("tenant_id", "image_id"), [("tenant-2", "image-1"), (TENANT, "image-2")])
    async def test_a_taken_id_is_refused_without_telling_more(
        self, storage: Storage, tenant_id: str, image_id: str
    ) -> None:
        await create(storage)
        with pytest.raises(InstanceExistsError) as refusal:
            await create(storage, tenant_id=tenant_id, image_id=image_id)
        for secret in (TENANT, "image-1", "pending"):
            assert secret not in refusal.value.message

    async def test_an_id_taken_by_a_process_of_its_own_is_refused(self, storage: Storage) -> None:
        await register(storage, "own-1")
        with pytest.raises(InstanceExistsError):
            await create(storage, "own-1")
