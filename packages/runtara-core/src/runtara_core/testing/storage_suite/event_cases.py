"""Events."""

from __future__ import annotations

import pytest
from runtara_sdk.errors import InstanceNotFoundError, InvalidInputError, InvalidStateError, StaleEpochError
from runtara_sdk.models import CustomSignal, EventType, InstanceStatus, SignalType, TerminationReason

from runtara_core.models import EventFilter, LeaseKey
from runtara_core.storage import Storage
from runtara_core.testing.storage_suite.scenario import (
    START_MS,
    claim,
    event_types,
    get,
    launched,
    park_for_signal,
    register,
    report,
    send,
)


class EventCases:
    """`report_event` and `list_events`."""

    async def test_completion_stores_event_status_and_output_together(self, storage: Storage) -> None:
        key = await launched(storage)
        assert await report(storage, key, EventType.COMPLETED, b'{"ok":1}', now_ms=START_MS + 9) == "completed"
        instance = await get(storage, "managed-1")
        assert instance.status is InstanceStatus.COMPLETED
        assert instance.output == b'{"ok":1}'
        assert instance.error is None
        assert instance.finished_at_ms == START_MS + 9
        assert instance.termination_reason is TerminationReason.COMPLETED
        assert await event_types(storage, "managed-1") == ["started", "completed"]
        page = await storage.list_events("managed-1", EventFilter(ascending=True))
        assert [event.payload for event in page.events] == [None, b'{"ok":1}']
        assert await storage.next_wake_at_ms() is None

    async def test_failure_stores_the_error(self, storage: Storage) -> None:
        key = await launched(storage)
        await report(storage, key, EventType.FAILED, "kaputt ✗".encode())
        instance = await get(storage, "managed-1")
        assert instance.status is InstanceStatus.FAILED
        assert instance.error == "kaputt ✗"
        assert instance.output is None
        assert instance.termination_reason is TerminationReason.APPLICATION_ERROR

    @pytest.mark.parametrize("payload", [b"", b"\xff\xfe", b"nul\0nul", b"x" * 1_000_000])
    async def test_any_failure_payload_gives_an_error_text(self, storage: Storage, payload: bytes) -> None:
        key = await launched(storage)
        await report(storage, key, EventType.FAILED, payload)
        assert (await get(storage, "managed-1")).error

    @pytest.mark.parametrize("event_type", [EventType.COMPLETED, EventType.FAILED, EventType.SUSPENDED])
    async def test_the_same_end_reported_again_is_a_no_op(self, storage: Storage, event_type: EventType) -> None:
        key = await launched(storage)
        first = await report(storage, key, event_type, b"first")
        before = await get(storage, "managed-1")
        assert await report(storage, key, event_type, b"second", now_ms=START_MS + 1) is first
        assert await get(storage, "managed-1") == before
        assert len(await event_types(storage, "managed-1")) == 2

    async def test_any_other_end_is_refused(self, storage: Storage) -> None:
        key = await launched(storage)
        await report(storage, key, EventType.COMPLETED, b"1")
        for event_type in (EventType.FAILED, EventType.SUSPENDED):
            with pytest.raises(InvalidStateError):
                await report(storage, key, event_type, b"2")
        assert (await get(storage, "managed-1")).output == b"1"
        assert await event_types(storage, "managed-1") == ["started", "completed"]

    async def test_the_end_of_another_launch_is_refused(self, storage: Storage) -> None:
        key = await launched(storage)
        with pytest.raises(StaleEpochError):
            await report(storage, LeaseKey("managed-1", key.epoch + 1), EventType.COMPLETED)
        with pytest.raises(InstanceNotFoundError):
            await report(storage, LeaseKey("nobody", 1), EventType.CUSTOM)

    async def test_an_instance_does_not_report_its_start(self, storage: Storage) -> None:
        key = await launched(storage)
        with pytest.raises(InvalidInputError):
            await report(storage, key, EventType.STARTED)

    async def test_heartbeats_stamp_the_contact_and_leave_no_row(self, storage: Storage) -> None:
        key = await launched(storage)
        assert await report(storage, key, EventType.HEARTBEAT, now_ms=START_MS + 60_000) == "running"
        assert (await get(storage, "managed-1")).last_contact_at_ms == START_MS + 60_000
        assert await event_types(storage, "managed-1") == ["started"]

    async def test_custom_events_change_no_state(self, storage: Storage) -> None:
        key = await launched(storage)
        status = await report(storage, key, EventType.CUSTOM, b"\x00\xff", subtype="progress", checkpoint_id="step")
        assert status is InstanceStatus.RUNNING
        (event,) = (await storage.list_events("managed-1", EventFilter(event_type="custom"))).events
        assert (event.subtype, event.checkpoint_id, event.payload) == ("progress", "step", b"\x00\xff")
        assert event.instance_id == "managed-1"

    async def test_an_event_key_is_appended_once(self, storage: Storage) -> None:
        key = await launched(storage)
        for payload in (b"1", b"2"):
            await report(storage, key, EventType.CUSTOM, payload, subtype="note", event_key="note-1")
        await report(storage, key, EventType.CUSTOM, b"3", subtype="note", event_key="note-2")
        await launched(storage, "managed-2")
        await report(storage, LeaseKey("managed-2", 1), EventType.CUSTOM, event_key="note-1")
        page = await storage.list_events("managed-1", EventFilter(subtype="note", ascending=True))
        assert [event.payload for event in page.events] == [b"1", b"3"]
        assert (await storage.list_events("managed-2", EventFilter(event_type="custom"))).total_count == 1

    async def test_a_suspended_event_parks_the_instance(self, storage: Storage) -> None:
        key = await launched(storage)
        assert await report(storage, key, EventType.SUSPENDED) is InstanceStatus.SUSPENDED
        instance = await get(storage, "managed-1")
        assert instance.termination_reason is TerminationReason.SUSPENDED
        assert (instance.wake_at_ms, instance.finished_at_ms) == (None, None)
        assert await claim(storage, now_ms=START_MS + 10**9) == []

    @pytest.mark.parametrize(
        ("payload", "state"), [(b"", b""), (b'{"state":"aGk="}', b"hi"), (b'{"state":7}', b""), (b'{"state":"?"}', b"")]
    )
    async def test_a_suspension_may_leave_a_checkpoint(self, storage: Storage, payload: bytes, state: bytes) -> None:
        key = await launched(storage)
        await storage.checkpoint(key.instance_id, key.epoch, "step-1", b"1", now_ms=START_MS)
        for _ in range(2):  # the answer was lost, and the report repeated
            await report(storage, key, EventType.SUSPENDED, payload, checkpoint_id="step-2")
        instance = await get(storage, "managed-1")
        assert (instance.status, instance.termination_reason) == (InstanceStatus.SUSPENDED, TerminationReason.SUSPENDED)
        assert (instance.checkpoint_id, instance.checkpoint_count) == ("step-2", 2)
        assert await storage.get_checkpoint("managed-1", "step-2") == state

    async def test_a_suspension_keeps_the_checkpoint_that_is_there(self, storage: Storage) -> None:
        key = await launched(storage)
        await storage.checkpoint(key.instance_id, key.epoch, "step-1", b"1", now_ms=START_MS)
        await report(storage, key, EventType.SUSPENDED, b'{"state":"aGk="}', checkpoint_id="step-1")
        assert await storage.get_checkpoint("managed-1", "step-1") == b"1"
        assert (await get(storage, "managed-1")).checkpoint_count == 1

    async def test_parking_for_a_signal_leaves_no_checkpoint(self, storage: Storage) -> None:
        key = await launched(storage)
        await park_for_signal(storage, key, "gate")
        assert await storage.get_checkpoint("managed-1", "gate") is None

    @pytest.mark.parametrize("payload", [b"{}", b"[1]", b"null", b"\xff", b'{"wake_at_ms":"soon"}'])
    async def test_an_unreadable_suspension_is_a_plain_one(self, storage: Storage, payload: bytes) -> None:
        key = await launched(storage)
        await report(storage, key, EventType.SUSPENDED, payload)
        instance = await get(storage, "managed-1")
        assert (instance.termination_reason, instance.wake_at_ms) == (TerminationReason.SUSPENDED, None)

    async def test_a_suspension_may_carry_its_wake_time(self, storage: Storage) -> None:
        key = await launched(storage)
        await report(storage, key, EventType.SUSPENDED, b'{"wake_at_ms":%d}' % (START_MS + 5))
        instance = await get(storage, "managed-1")
        assert instance.termination_reason is TerminationReason.SLEEPING
        assert instance.wake_at_ms == START_MS + 5
        assert len(await claim(storage, now_ms=START_MS + 5)) == 1

    async def test_parking_for_a_signal_that_has_come_is_due_at_once(self, storage: Storage) -> None:
        key = await launched(storage)
        await storage.send_custom_signal("managed-1", CustomSignal("gate", b"open"), now_ms=START_MS)
        await park_for_signal(storage, key, "gate", now_ms=START_MS + 3)
        instance = await get(storage, "managed-1")
        assert instance.termination_reason is TerminationReason.WAITING_SIGNAL
        assert instance.wake_at_ms == START_MS + 3

    async def test_parking_with_a_waiting_cancel_cancels(self, storage: Storage) -> None:
        key = await launched(storage)
        await send(storage, "managed-1", SignalType.PAUSE)
        await send(storage, "managed-1", SignalType.CANCEL)
        assert await park_for_signal(storage, key, "gate") is InstanceStatus.CANCELLED
        assert (await get(storage, "managed-1")).finished_at_ms == START_MS

    async def test_parking_with_a_waiting_pause_pauses(self, storage: Storage) -> None:
        key = await launched(storage)
        await send(storage, "managed-1", SignalType.PAUSE)
        await report(storage, key, EventType.SUSPENDED, b'{"wake_at_ms":%d}' % (START_MS + 5))
        instance = await get(storage, "managed-1")
        assert (instance.termination_reason, instance.wake_at_ms) == (TerminationReason.PAUSED, None)

    async def test_completion_wins_over_a_waiting_cancel(self, storage: Storage) -> None:
        key = await launched(storage)
        await send(storage, "managed-1", SignalType.CANCEL)
        assert await report(storage, key, EventType.COMPLETED, b"1") is InstanceStatus.COMPLETED

    async def test_events_are_listed_by_filter_and_page(self, storage: Storage) -> None:
        await register(storage)
        key = LeaseKey("own-1", 1)
        for number in range(6):
            subtype = "even" if number % 2 == 0 else "odd"
            await report(storage, key, EventType.CUSTOM, b"%d" % number, subtype=subtype, now_ms=START_MS + number)

        async def payloads(where: EventFilter) -> tuple[list[bytes | None], int]:
            page = await storage.list_events("own-1", where)
            return [event.payload for event in page.events], page.total_count

        assert await payloads(EventFilter(event_type="custom", limit=2)) == ([b"5", b"4"], 6)
        assert await payloads(EventFilter(event_type="custom", limit=2, offset=2)) == ([b"3", b"2"], 6)
        assert await payloads(EventFilter(subtype="odd", ascending=True)) == ([b"1", b"3", b"5"], 3)
        window = EventFilter(subtype="even", created_after_ms=START_MS + 2, created_before_ms=START_MS + 4, limit=10)
        assert await payloads(window) == ([b"2"], 1)
        third = (await storage.list_events("own-1", EventFilter(subtype="odd", ascending=True))).events[1]
        following = EventFilter(after_event_id=third.event_id, ascending=True)
        assert await payloads(following) == ([b"4", b"5"], 2)
        assert await payloads(EventFilter(event_type="completed")) == ([], 0)
        with pytest.raises(InvalidInputError):
            await payloads(EventFilter(offset=-1))
