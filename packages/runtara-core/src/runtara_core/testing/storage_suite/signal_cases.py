"""Signals."""

from __future__ import annotations

import json

import pytest
from runtara_sdk.errors import InstanceNotFoundError, InvalidInputError, InvalidStateError, StaleEpochError
from runtara_sdk.models import (
    CustomSignal,
    EventType,
    InstanceStatus,
    Signal,
    SignalPoll,
    SignalType,
    TerminationReason,
)

from runtara_core.models import EventFilter, LeaseKey
from runtara_core.storage import Storage
from runtara_core.testing.storage_suite.scenario import (
    START_MS,
    claim,
    create,
    get,
    launch,
    launched,
    park_for_signal,
    register,
    report,
    send,
)


async def _poll(storage: Storage, key: LeaseKey, now_ms: int = START_MS) -> Signal | None:
    return (await storage.poll_signals(key.instance_id, key.epoch, None, now_ms=now_ms)).signal


async def _acknowledge(storage: Storage, key: LeaseKey, signal: Signal) -> InstanceStatus:
    return await storage.acknowledge_signal(
        key.instance_id, key.epoch, signal.signal_type, signal.signal_id, now_ms=START_MS
    )


class SignalCases:
    """`send_signal`, `send_custom_signal`, `poll_signals`, `acknowledge_signal`."""

    async def test_a_running_instance_finds_its_signal_until_it_acknowledges(self, storage: Storage) -> None:
        key = await launched(storage)
        empty = SignalPoll(status=InstanceStatus.RUNNING)
        assert await storage.poll_signals("managed-1", key.epoch, "gate", now_ms=START_MS) == empty
        assert await storage.send_signal("managed-1", SignalType.PAUSE, b"why", now_ms=START_MS) == "running"
        signal = await _poll(storage, key)
        assert signal is not None
        assert (signal.signal_type, signal.payload) == (SignalType.PAUSE, b"why")
        assert await _poll(storage, key) == signal
        for _ in range(2):
            assert await _acknowledge(storage, key, signal) is InstanceStatus.SUSPENDED
        assert await _poll(storage, key) is None
        instance = await get(storage, "managed-1")
        assert instance.termination_reason is TerminationReason.PAUSED
        assert (instance.wake_at_ms, instance.finished_at_ms) == (None, None)
        assert await claim(storage, now_ms=START_MS + 10**9) == []

    async def test_an_acknowledged_cancel_is_final(self, storage: Storage) -> None:
        key = await launched(storage)
        await send(storage, "managed-1", SignalType.CANCEL)
        signal = await _poll(storage, key)
        assert signal is not None
        for _ in range(2):
            assert await _acknowledge(storage, key, signal) is InstanceStatus.CANCELLED
        instance = await get(storage, "managed-1")
        assert instance.termination_reason is TerminationReason.CANCELLED
        assert instance.finished_at_ms == START_MS
        with pytest.raises(InvalidStateError):
            await report(storage, key, EventType.COMPLETED, b"late")

    async def test_the_reason_of_a_cancel_stays_as_an_event(self, storage: Storage) -> None:
        await launched(storage)
        await create(storage, "pending")
        for instance_id in ("managed-1", "pending"):
            await storage.send_signal(instance_id, SignalType.CANCEL, "by h\u00e4nd\0".encode(), now_ms=START_MS)
        for _ in range(2):
            await storage.send_signal("managed-1", SignalType.CANCEL, b"\xff", now_ms=START_MS)
        await storage.send_signal("managed-1", SignalType.CANCEL, b"", now_ms=START_MS)
        where = EventFilter(subtype="instance_cancel_requested")
        reasons = {
            instance_id: sorted(
                json.loads(event.payload or b"")["reason"]
                for event in (await storage.list_events(instance_id, where)).events
            )
            for instance_id in ("managed-1", "pending")
        }
        assert reasons == {"managed-1": ["by h\u00e4nd\0", "\ufffd"], "pending": ["by h\u00e4nd\0"]}

    async def test_cancel_comes_before_pause_in_either_order(self, storage: Storage) -> None:
        for instance_id, order in (
            ("a", (SignalType.CANCEL, SignalType.PAUSE)),
            ("b", (SignalType.PAUSE, SignalType.CANCEL)),
        ):
            key = await launched(storage, instance_id)
            for signal_type in order:
                await send(storage, instance_id, signal_type)
            signal = await _poll(storage, key)
            assert signal is not None
            assert signal.signal_type is SignalType.CANCEL

    async def test_acknowledging_a_pause_while_a_cancel_waits_cancels(self, storage: Storage) -> None:
        key = await launched(storage)
        await send(storage, "managed-1", SignalType.PAUSE)
        pause = await _poll(storage, key)
        assert pause is not None
        await send(storage, "managed-1", SignalType.CANCEL)
        assert await _acknowledge(storage, key, pause) is InstanceStatus.CANCELLED

    async def test_a_signal_sent_again_keeps_its_id_and_the_last_payload(self, storage: Storage) -> None:
        key = await launched(storage)
        await storage.send_signal("managed-1", SignalType.CANCEL, b"1", now_ms=START_MS)
        first = await _poll(storage, key)
        await storage.send_signal("managed-1", SignalType.CANCEL, b"2", now_ms=START_MS)
        second = await _poll(storage, key)
        assert first is not None
        assert second is not None
        assert second.payload == b"2"
        assert await _acknowledge(storage, key, first) is InstanceStatus.CANCELLED

    async def test_signals_of_the_next_launch_are_new_ones(self, storage: Storage) -> None:
        key = await launched(storage)
        await send(storage, "managed-1", SignalType.PAUSE)
        first = await _poll(storage, key)
        assert first is not None
        await _acknowledge(storage, key, first)
        await send(storage, "managed-1", SignalType.RESUME)
        again = await launch(storage)
        assert await _poll(storage, again) is None
        await send(storage, "managed-1", SignalType.PAUSE)
        second = await _poll(storage, again)
        assert second is not None
        assert second.signal_id != first.signal_id

    async def test_a_client_without_ids_acknowledges_by_type(self, storage: Storage) -> None:
        await register(storage)
        await send(storage, "own-1", SignalType.CANCEL)
        status = await storage.acknowledge_signal("own-1", None, SignalType.CANCEL, None, now_ms=START_MS)
        assert status is InstanceStatus.CANCELLED

    async def test_only_what_was_sent_is_acknowledged(self, storage: Storage) -> None:
        key = await launched(storage)
        with pytest.raises(InvalidInputError):
            await _acknowledge(storage, key, Signal(SignalType.CANCEL, signal_id=12345))
        await send(storage, "managed-1", SignalType.CANCEL)
        signal = await _poll(storage, key)
        assert signal is not None
        with pytest.raises(StaleEpochError):
            await _acknowledge(storage, LeaseKey("managed-1", key.epoch + 1), signal)
        await report(storage, key, EventType.COMPLETED)
        with pytest.raises(InvalidStateError):
            await _acknowledge(storage, key, signal)

    async def test_resume_withdraws_a_pause_that_nobody_has_read(self, storage: Storage) -> None:
        key = await launched(storage)
        await send(storage, "managed-1", SignalType.PAUSE)
        assert await send(storage, "managed-1", SignalType.RESUME) is InstanceStatus.RUNNING
        assert await _poll(storage, key) is None

    async def test_a_withdrawn_pause_that_was_read_leads_to_a_new_launch(self, storage: Storage) -> None:
        key = await launched(storage)
        await send(storage, "managed-1", SignalType.PAUSE)
        pause = await _poll(storage, key)
        assert pause is not None
        await send(storage, "managed-1", SignalType.RESUME)
        assert await _acknowledge(storage, key, pause) is InstanceStatus.SUSPENDED
        assert (await get(storage, "managed-1")).wake_at_ms == START_MS

    @pytest.mark.parametrize("suspended", [False, True])
    async def test_cancel_takes_effect_at_once_without_a_process(self, storage: Storage, suspended: bool) -> None:
        if suspended:
            key = await launched(storage)
            await storage.sleep("managed-1", key.epoch, "nap", b"", duration_ms=9, suspend_above_ms=0, now_ms=START_MS)
        else:
            await create(storage)
        assert await send(storage, "managed-1", SignalType.CANCEL) is InstanceStatus.CANCELLED
        instance = await get(storage, "managed-1")
        assert instance.wake_at_ms is None
        assert instance.finished_at_ms == START_MS
        assert instance.termination_reason is TerminationReason.CANCELLED
        assert await storage.next_wake_at_ms() is None

    @pytest.mark.parametrize("suspended", [False, True])
    async def test_pause_and_resume_take_effect_at_once_without_a_process(
        self, storage: Storage, suspended: bool
    ) -> None:
        if suspended:
            key = await launched(storage)
            await storage.sleep("managed-1", key.epoch, "nap", b"", duration_ms=9, suspend_above_ms=0, now_ms=START_MS)
        else:
            await create(storage)
        assert await send(storage, "managed-1", SignalType.PAUSE) is InstanceStatus.SUSPENDED
        instance = await get(storage, "managed-1")
        assert (instance.termination_reason, instance.wake_at_ms) == (TerminationReason.PAUSED, None)
        assert await claim(storage, now_ms=START_MS + 10**9) == []
        assert await send(storage, "managed-1", SignalType.RESUME, now_ms=START_MS + 4) == "suspended"
        assert (await get(storage, "managed-1")).wake_at_ms == START_MS + 4
        assert len(await claim(storage, now_ms=START_MS + 4)) == 1

    @pytest.mark.parametrize("signal_type", list(SignalType))
    async def test_a_finished_instance_takes_no_signal(self, storage: Storage, signal_type: SignalType) -> None:
        key = await launched(storage)
        await report(storage, key, EventType.COMPLETED, b"result")
        with pytest.raises(InvalidStateError):
            await send(storage, "managed-1", signal_type)
        with pytest.raises(InvalidStateError):
            await storage.send_custom_signal("managed-1", CustomSignal("gate"), now_ms=START_MS)
        instance = await get(storage, "managed-1")
        assert (instance.status, instance.output) == (InstanceStatus.COMPLETED, b"result")

    async def test_an_unknown_instance_takes_no_signal(self, storage: Storage) -> None:
        with pytest.raises(InstanceNotFoundError):
            await send(storage, "nobody", SignalType.CANCEL)
        with pytest.raises(InstanceNotFoundError):
            await storage.send_custom_signal("nobody", CustomSignal("gate"), now_ms=START_MS)
        with pytest.raises(InstanceNotFoundError):
            await storage.poll_signals("nobody", 1, None, now_ms=START_MS)

    async def test_custom_signals_are_read_without_being_consumed(self, storage: Storage) -> None:
        key = await launched(storage)
        for payload in (b"old", b"new"):
            await storage.send_custom_signal("managed-1", CustomSignal("gate", payload), now_ms=START_MS)
        for _ in range(2):
            poll = await storage.poll_signals("managed-1", key.epoch, "gate", now_ms=START_MS)
            assert poll.custom_signal == CustomSignal("gate", b"new")
        other = await storage.poll_signals("managed-1", key.epoch, "other", now_ms=START_MS)
        assert other.custom_signal is None

    async def test_a_custom_signal_wakes_who_waits_for_one(self, storage: Storage) -> None:
        key = await launched(storage)
        await park_for_signal(storage, key, "gate")
        assert (await get(storage, "managed-1")).wake_at_ms is None
        await storage.send_custom_signal("managed-1", CustomSignal("gate"), now_ms=START_MS + 6)
        assert (await get(storage, "managed-1")).wake_at_ms == START_MS + 6

    async def test_a_custom_signal_wakes_nobody_else(self, storage: Storage) -> None:
        key = await launched(storage)
        await park_for_signal(storage, key, "gate")
        await send(storage, "managed-1", SignalType.PAUSE)
        await storage.send_custom_signal("managed-1", CustomSignal("gate"), now_ms=START_MS + 6)
        assert (await get(storage, "managed-1")).wake_at_ms is None

    async def test_polls_stamp_the_contact_every_ten_seconds(self, storage: Storage) -> None:
        key = await launched(storage)
        await _poll(storage, key, START_MS + 9_999)
        assert (await get(storage, "managed-1")).last_contact_at_ms == START_MS
        await _poll(storage, key, START_MS + 10_000)
        assert (await get(storage, "managed-1")).last_contact_at_ms == START_MS + 10_000

    async def test_polls_of_the_past_are_refused(self, storage: Storage) -> None:
        key = await launched(storage)
        for epoch in (None, key.epoch + 1):
            with pytest.raises(StaleEpochError):
                await storage.poll_signals("managed-1", epoch, None, now_ms=START_MS)
