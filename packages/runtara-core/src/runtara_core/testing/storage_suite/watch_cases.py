"""Looking after many waiting instances at once."""

from __future__ import annotations

import pytest
from runtara_sdk.errors import InvalidInputError
from runtara_sdk.models import CustomSignal, EventType, SignalType

from runtara_core.models import LeaseKey, WatchedInstance
from runtara_core.storage import MAX_WATCHED, Storage
from runtara_core.testing.storage_suite.scenario import (
    START_MS,
    claim,
    get,
    launched,
    park_for_signal,
    register,
    report,
    send,
)


async def _signal_id(storage: Storage, key: LeaseKey) -> int:
    poll = await storage.poll_signals(key.instance_id, key.epoch, None, now_ms=START_MS)
    return poll.signal.signal_id if poll.signal else 0


async def _has_news(
    storage: Storage, key: LeaseKey, *, signal_id: int = 0, checkpoint_id: str | None = None, epoch: int | None = None
) -> bool:
    watched = WatchedInstance(key.instance_id, key.epoch if epoch is None else epoch, signal_id, checkpoint_id)
    found = await storage.find_news([watched])
    assert found in ([], [watched])
    return bool(found)


class WatchCases:
    """`find_news`, `record_contacts`."""

    async def test_nothing_new_is_no_news(self, storage: Storage) -> None:
        key = await launched(storage)
        assert not await _has_news(storage, key)
        assert not await _has_news(storage, key, checkpoint_id="gate")
        await report(storage, key, EventType.CUSTOM, subtype="note")
        await storage.send_custom_signal("managed-1", CustomSignal("other"), now_ms=START_MS)
        assert not await _has_news(storage, key, checkpoint_id="gate")
        assert await storage.find_news([]) == []

    async def test_the_most_urgent_signal_is_news_to_who_knows_another(self, storage: Storage) -> None:
        key = await launched(storage)
        await send(storage, "managed-1", SignalType.PAUSE)
        pause = await _signal_id(storage, key)
        assert await _has_news(storage, key)
        assert not await _has_news(storage, key, signal_id=pause)
        await send(storage, "managed-1", SignalType.CANCEL)
        assert await _has_news(storage, key, signal_id=pause)
        cancel = await _signal_id(storage, key)
        assert cancel != pause
        assert not await _has_news(storage, key, signal_id=cancel)

    async def test_a_withdrawn_pause_is_news(self, storage: Storage) -> None:
        key = await launched(storage)
        await send(storage, "managed-1", SignalType.PAUSE)
        pause = await _signal_id(storage, key)
        await send(storage, "managed-1", SignalType.RESUME)
        assert await _has_news(storage, key, signal_id=pause)
        assert not await _has_news(storage, key)

    async def test_the_custom_signal_is_news_to_who_waits_for_it(self, storage: Storage) -> None:
        key = await launched(storage)
        await storage.send_custom_signal("managed-1", CustomSignal("gate", b"yes"), now_ms=START_MS)
        assert await _has_news(storage, key, checkpoint_id="gate")
        assert not await _has_news(storage, key)

    @pytest.mark.parametrize("end", [EventType.COMPLETED, EventType.FAILED])
    async def test_the_end_is_news_and_a_suspension_is_not(self, storage: Storage, end: EventType) -> None:
        parked, ended = await launched(storage), await launched(storage, "managed-2")
        await park_for_signal(storage, parked, "gate")
        await report(storage, ended, end, b'{"total":3}')
        assert not await _has_news(storage, parked)
        assert await _has_news(storage, ended)

    async def test_another_epoch_and_a_removed_instance_are_news(self, storage: Storage) -> None:
        key = await launched(storage)
        await park_for_signal(storage, key, "gate")
        await storage.send_custom_signal("managed-1", CustomSignal("gate"), now_ms=START_MS)
        (claimed,) = await claim(storage)
        assert await _has_news(storage, key)
        assert not await _has_news(storage, key, epoch=claimed.epoch)
        assert await _has_news(storage, LeaseKey("nobody", 1))

    async def test_only_those_with_news_are_told(self, storage: Storage) -> None:
        keys = [await launched(storage, f"managed-{number}") for number in range(1, 6)]
        watched = [WatchedInstance(key.instance_id, key.epoch) for key in keys]
        await send(storage, "managed-2", SignalType.CANCEL)
        await send(storage, "managed-4", SignalType.PAUSE)
        assert set(await storage.find_news(watched)) == {watched[1], watched[3]}

    async def test_ids_of_any_script_are_watched(self, storage: Storage) -> None:
        epoch = await register(storage, 'größe "1" \\ 日本')
        watched = WatchedInstance('größe "1" \\ 日本', epoch, 0, 'tür "a"')
        assert await storage.find_news([watched]) == []
        await storage.send_custom_signal(watched.instance_id, CustomSignal('tür "a"'), now_ms=START_MS)
        assert await storage.find_news([watched]) == [watched]

    async def test_contacts_of_the_current_and_running_are_stamped(self, storage: Storage) -> None:
        current, stale, parked = [await launched(storage, f"managed-{number}") for number in range(1, 4)]
        await park_for_signal(storage, parked, "gate")
        keys = [current, LeaseKey(stale.instance_id, stale.epoch + 1), parked, LeaseKey("nobody", 1)]
        await storage.record_contacts(keys, now_ms=START_MS + 7)
        await storage.record_contacts([], now_ms=START_MS + 9)
        stamps = [(await get(storage, key.instance_id)).last_contact_at_ms for key in (current, stale, parked)]
        assert stamps == [START_MS + 7, START_MS, START_MS]

    async def test_too_many_at_a_time_are_refused(self, storage: Storage) -> None:
        many = range(MAX_WATCHED + 1)
        with pytest.raises(InvalidInputError, match="more than"):
            await storage.find_news([WatchedInstance(f"i-{number}", 1) for number in many])
        with pytest.raises(InvalidInputError, match="more than"):
            await storage.record_contacts([LeaseKey(f"i-{number}", 1) for number in many], now_ms=START_MS)
