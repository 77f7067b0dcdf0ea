"""Several checkpoints in one call."""

from __future__ import annotations

import asyncio

import pytest
from runtara_sdk.errors import (
    AnswerTooLargeError,
    InstanceNotFoundError,
    InvalidInputError,
    InvalidStateError,
    StaleEpochError,
)
from runtara_sdk.models import MAX_CHECKPOINTS, CustomSignal, EventType, NewCheckpoint, SignalType

from runtara_core.models import CheckpointFilter, LeaseKey
from runtara_core.storage import MAX_FOUND_BYTES, Storage
from runtara_core.testing.storage_suite.scenario import START_MS, get, launched, register, report, send


class SeveralCheckpointCases:
    """`checkpoints`: each as alone, and all or nothing."""

    async def test_several_checkpoints_are_stored_in_their_order(self, storage: Storage) -> None:
        await register(storage)
        new = [NewCheckpoint(f"step-{number}", b"%d" % number) for number in range(5)]
        results = await storage.checkpoints("own-1", 1, new, now_ms=START_MS + 1)
        assert [(result.found, result.state) for result in results] == [(False, b"")] * 5
        page = await storage.list_checkpoints("own-1", CheckpointFilter(limit=10, offset=0))
        assert [each.checkpoint_id for each in page.checkpoints] == [f"step-{number}" for number in range(4, -1, -1)]
        assert {each.created_at_ms for each in page.checkpoints} == {START_MS + 1}
        assert await storage.get_checkpoint("own-1", "step-3") == b"3"
        instance = await get(storage, "own-1")
        assert (instance.checkpoint_id, instance.checkpoint_count) == ("step-4", 5)
        assert instance.last_contact_at_ms == START_MS + 1

    async def test_what_is_there_is_found_and_the_others_are_stored(self, storage: Storage) -> None:
        await register(storage)
        for name in ("one", "three"):
            await storage.checkpoint("own-1", 1, name, b"old", now_ms=START_MS)
        new = [NewCheckpoint(name, b"new") for name in ("one", "two", "three")]
        results = await storage.checkpoints("own-1", 1, new, now_ms=START_MS)
        assert [result.existing_state for result in results] == [b"old", None, b"old"]
        assert await storage.get_checkpoint("own-1", "two") == b"new"
        instance = await get(storage, "own-1")
        assert (instance.checkpoint_id, instance.checkpoint_count) == ("two", 3)
        again = await storage.checkpoints("own-1", 1, new, now_ms=START_MS)
        assert [result.existing_state for result in again] == [b"old", b"new", b"old"]
        assert (await get(storage, "own-1")).checkpoint_count == 3

    async def test_of_two_with_one_id_the_second_finds_the_first(self, storage: Storage) -> None:
        await register(storage)
        new = [NewCheckpoint("a", b"1", b"k1"), NewCheckpoint("b"), NewCheckpoint("a", b"2", b"k2")]
        results = await storage.checkpoints("own-1", 1, new, now_ms=START_MS)
        assert [result.existing_state for result in results] == [None, None, b"1"]
        instance = await get(storage, "own-1")
        assert (instance.checkpoint_id, instance.checkpoint_count) == ("b", 2)
        assert await storage.get_checkpoint("own-1", "a") == b"1"

    async def test_the_calls_that_stored_them_hear_the_same_when_they_are_repeated(self, storage: Storage) -> None:
        await register(storage)
        await storage.checkpoint("own-1", 1, "old", b"old", now_ms=START_MS)
        new = [NewCheckpoint("old", b"1", b"k1"), NewCheckpoint("new", b"2", b"k2"), NewCheckpoint("bare", b"3")]
        first = await storage.checkpoints("own-1", 1, new, now_ms=START_MS)
        assert [result.existing_state for result in first] == [b"old", None, None]
        again = await storage.checkpoints("own-1", 1, new, now_ms=START_MS)
        assert [result.existing_state for result in again] == [b"old", None, b"3"]
        alone = await storage.checkpoint("own-1", 1, "new", b"2", now_ms=START_MS, call_key=b"k2")
        assert not alone.found
        other = await storage.checkpoints("own-1", 1, [NewCheckpoint("new", b"4", b"k3")], now_ms=START_MS)
        assert [result.existing_state for result in other] == [b"2"]

    async def test_all_bring_the_waiting_signals(self, storage: Storage) -> None:
        key = await launched(storage)
        await storage.checkpoint("managed-1", key.epoch, "old", b"", now_ms=START_MS)
        await send(storage, "managed-1", SignalType.PAUSE)
        for name in ("old", "new"):
            await storage.send_custom_signal("managed-1", CustomSignal(name, name.encode()), now_ms=START_MS)
        new = [NewCheckpoint(name) for name in ("old", "new", "other")]
        results = await storage.checkpoints("managed-1", key.epoch, new, now_ms=START_MS)
        assert all(result.should_pause for result in results)
        assert [result.custom_signal for result in results] == [
            CustomSignal("old", b"old"),
            CustomSignal("new", b"new"),
            None,
        ]

    @pytest.mark.parametrize("bad", [NewCheckpoint(""), NewCheckpoint("x\0"), NewCheckpoint("long", b"", bytes(65))])
    async def test_one_that_is_refused_is_named_and_nothing_is_stored(
        self, storage: Storage, bad: NewCheckpoint
    ) -> None:
        await register(storage)
        with pytest.raises(InvalidInputError, match="checkpoint 2"):
            await storage.checkpoints("own-1", 1, [NewCheckpoint("good"), bad, NewCheckpoint("")], now_ms=START_MS)
        assert await storage.get_checkpoint("own-1", "good") is None
        assert (await get(storage, "own-1")).checkpoint_count == 0

    async def test_as_many_as_the_limit_are_stored_and_no_more(self, storage: Storage) -> None:
        await register(storage)
        new = [NewCheckpoint(f"step-{number}") for number in range(MAX_CHECKPOINTS + 1)]
        for refused in (new, []):
            with pytest.raises(InvalidInputError):
                await storage.checkpoints("own-1", 1, refused, now_ms=START_MS)
        assert (await get(storage, "own-1")).checkpoint_count == 0
        await storage.checkpoints("own-1", 1, new[:-1], now_ms=START_MS)
        instance = await get(storage, "own-1")
        assert (instance.checkpoint_id, instance.checkpoint_count) == (new[-2].checkpoint_id, MAX_CHECKPOINTS)

    async def test_large_states_are_stored_together_and_found_apart(self, storage: Storage) -> None:
        await register(storage)
        large = bytes(MAX_FOUND_BYTES // 2)
        await storage.checkpoints(
            "own-1", 1, [NewCheckpoint("a", large, b"a"), NewCheckpoint("b", large)], now_ms=START_MS
        )
        await storage.checkpoint("own-1", 1, "c", b"c", now_ms=START_MS)
        too_large = [NewCheckpoint(name) for name in ("a", "b", "c")]
        with pytest.raises(AnswerTooLargeError):
            await storage.checkpoints("own-1", 1, too_large, now_ms=START_MS)
        results = await storage.checkpoints("own-1", 1, too_large[1:], now_ms=START_MS)
        assert [len(result.state) for result in results] == [len(large), 1]

    async def test_they_need_the_current_process_of_a_running_instance(self, storage: Storage) -> None:
        new = [NewCheckpoint("a"), NewCheckpoint("b")]
        with pytest.raises(InstanceNotFoundError):
            await storage.checkpoints("nobody", 1, new, now_ms=START_MS)
        await register(storage)
        assert not (await storage.checkpoints("own-1", None, new[:1], now_ms=START_MS))[0].found
        key = await launched(storage)
        for epoch in (None, key.epoch + 1):
            with pytest.raises(StaleEpochError):
                await storage.checkpoints("managed-1", epoch, new, now_ms=START_MS)
        await report(storage, LeaseKey("own-1", 1), EventType.COMPLETED)
        with pytest.raises(InvalidStateError):
            await storage.checkpoints("own-1", 1, new, now_ms=START_MS)
        assert await storage.get_checkpoint("own-1", "b") is None

    async def test_calls_for_the_same_ids_at_once_agree_on_the_winners(self, storage: Storage) -> None:
        await register(storage)
        for number in range(4):
            names = [f"{number}-{index}" for index in range(5)]
            # Some forwards, some backwards: whoever comes second waits, and no two wait for each other.
            calls = [
                [NewCheckpoint(name, b"%d" % caller) for name in names[:: 1 if caller % 2 else -1]]
                for caller in range(6)
            ]
            together, alone = await asyncio.gather(
                asyncio.gather(*(storage.checkpoints("own-1", 1, new, now_ms=START_MS) for new in calls)),
                storage.checkpoint("own-1", 1, names[2], b"alone", now_ms=START_MS),
            )
            for index, name in enumerate(names):
                results = [results[index if caller % 2 else -1 - index] for caller, results in enumerate(together)]
                if index == 2:
                    results.append(alone)
                assert [result.found for result in results].count(False) == 1
                assert {result.state for result in results if result.found} == {
                    await storage.get_checkpoint("own-1", name)
                }
        assert (await get(storage, "own-1")).checkpoint_count == 20
