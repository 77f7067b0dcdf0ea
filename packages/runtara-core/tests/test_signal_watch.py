"""Held polls: what ends one, what it costs while nothing does, and the order of looking and listening."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from runtara_core.due import DueBell
from runtara_core.instance_service import InstanceService
from runtara_core.management_service import ManagementService
from runtara_core.models import CoreLimits, NewInstance
from runtara_core.signal_watch import MAX_HELD_PER_INSTANCE, MAX_WAIT_MS, SignalWatch
from runtara_core.storage import Storage
from runtara_core.storages import open_storage
from runtara_sdk.errors import InstanceNotFoundError, StaleEpochError, StorageError
from runtara_sdk.models import (
    CustomSignal,
    EventType,
    InstanceEvent,
    InstanceStatus,
    SignalPoll,
    SignalType,
)
from runtara_sdk.testing.clock import ManualClock

DEADLINE_SECONDS = 120.0
WAIT_MS = 30_000


class CountingStorage:
    """A storage in whose verbs a test can count and interfere; `before` and `after` run around each call."""

    def __init__(self, storage: Storage) -> None:
        self.storage = storage
        self.calls: Counter[str] = Counter()
        self.failing: set[str] = set()
        self.after: dict[str, Callable[[], Awaitable[Any]]] = {}

    def __getattr__(self, verb: str) -> Any:
        method = getattr(self.storage, verb)
        if not asyncio.iscoroutinefunction(method):
            return method

        async def counted(*arguments: Any, **options: Any) -> Any:
            self.calls[verb] += 1
            if verb in self.failing:
                raise StorageError(f"{verb}: the database is away")
            answer = await method(*arguments, **options)
            after = self.after.pop(verb, None)
            if after is not None:
                await after()
            return answer

        return counted


class Core:
    """One core on a storage: both services and what they share."""

    def __init__(self, storage: Any, clock: ManualClock, *, max_held: int = 5_000) -> None:
        limits = CoreLimits(max_concurrent_instances=10_000)
        due = DueBell()
        self.clock = clock
        self.watch = SignalWatch(storage, clock, max_held=max_held)
        self.management = ManagementService(storage, clock, limits, due, watch=self.watch)
        self.instances = InstanceService(storage, clock, limits, due, self.watch)

    def hold(
        self,
        instance_id: str = "i",
        epoch: int = 1,
        *,
        signal_id: str | None = None,
        known: int = 0,
        wait_ms: int = WAIT_MS,
    ) -> asyncio.Task[SignalPoll]:
        call = self.instances.poll_signals(instance_id, epoch, signal_id, wait_ms=wait_ms, known_signal_id=known)
        return asyncio.create_task(call)

    async def register(self, instance_id: str = "i") -> int:
        return (await self.instances.register(instance_id, "tenant-1", epoch=None, checkpoint_id=None)).epoch

    async def settle(self, *held: asyncio.Task[SignalPoll]) -> None:
        """Return once these polls, and no others, are held, and have looked."""
        await until(lambda: self.watch.waiting == len(held))


async def until(condition: Callable[[], bool], clock: ManualClock | None = None, step_ms: int = 250) -> None:
    async with asyncio.timeout(DEADLINE_SECONDS):
        while not condition():
            if clock is not None:
                clock.advance(step_ms)
            await asyncio.sleep(0.001)


async def outcome(held: asyncio.Task[SignalPoll], clock: ManualClock | None = None) -> SignalPoll:
    await until(held.done, clock)
    return await held


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def storage(tmp_path: Path) -> AsyncIterator[CountingStorage]:
    opened = await open_storage(f"sqlite:///{tmp_path}/runtara.db")
    await opened.open()
    yield CountingStorage(opened)
    await opened.close()


@pytest.fixture
async def core(storage: CountingStorage, clock: ManualClock) -> AsyncIterator[Core]:
    made = Core(storage, clock)
    await made.register()
    yield made
    await made.watch.close()
    assert made.watch.held == 0


@pytest.fixture
async def other_core(storage: CountingStorage, clock: ManualClock) -> Core:
    """Another process on the same database."""
    return Core(storage, clock)


class TestNews:
    async def test_a_signal_of_this_core_is_heard_while_time_stands_still(self, core: Core) -> None:
        held = core.hold()
        await core.settle(held)
        await core.management.send_signal("i", SignalType.PAUSE, b"why")
        poll = await outcome(held)
        assert poll.signal is not None
        assert (poll.signal.signal_type, poll.signal.payload) == (SignalType.PAUSE, b"why")
        assert poll.status is InstanceStatus.RUNNING

    async def test_what_was_there_before_is_answered_at_once(self, core: Core) -> None:
        await core.management.send_signal("i", SignalType.CANCEL)
        poll = await outcome(core.hold())
        assert poll.signal is not None
        assert poll.signal.signal_type is SignalType.CANCEL

    async def test_the_known_signal_is_no_news_and_a_more_urgent_one_is(self, core: Core) -> None:
        await core.management.send_signal("i", SignalType.PAUSE)
        pause = (await outcome(core.hold())).signal
        assert pause is not None
        held = core.hold(known=pause.signal_id)
        await core.settle(held)
        await core.management.send_signal("i", SignalType.CANCEL)
        cancel = (await outcome(held)).signal
        assert cancel is not None
        assert cancel.signal_type is SignalType.CANCEL

    async def test_a_withdrawn_pause_is_heard(self, core: Core) -> None:
        await core.management.send_signal("i", SignalType.PAUSE)
        pause = (await outcome(core.hold())).signal
        assert pause is not None
        held = core.hold(known=pause.signal_id)
        await core.settle(held)
        await core.management.send_signal("i", SignalType.RESUME)
        poll = await outcome(held)
        assert (poll.signal, poll.status) == (None, InstanceStatus.RUNNING)

    async def test_a_custom_signal_reaches_who_waits_for_it_alone(self, core: Core) -> None:
        plain, other, held = core.hold(), core.hold(signal_id="other"), core.hold(signal_id="gate")
        await core.settle(plain, other, held)
        await core.management.send_custom_signal("i", CustomSignal("gate", b"yes"))
        assert (await outcome(held)).custom_signal == CustomSignal("gate", b"yes")
        again = await outcome(core.hold(signal_id="gate"))
        assert again.custom_signal == CustomSignal("gate", b"yes")
        await core.settle(plain, other)
        await core.management.send_signal("i", SignalType.CANCEL)
        await asyncio.gather(outcome(plain), outcome(other))

    async def test_a_newer_process_ends_the_poll_of_the_older(self, core: Core) -> None:
        held = core.hold()
        await core.settle(held)
        await core.register()
        with pytest.raises(StaleEpochError):
            await outcome(held)

    async def test_a_launch_ends_the_poll_of_the_one_before(self, core: Core, clock: ManualClock) -> None:
        await core.management.create_instance(NewInstance("managed", "tenant-1", "image", b"{}"))
        (first,) = await core.management.claim_launches("host", limit=1, lease_ms=1_000)
        held = core.hold("managed", first.epoch)
        await core.settle(held)
        clock.advance(1_500)
        (second,) = await core.management.claim_launches("host", limit=1, lease_ms=1_000)
        assert second.epoch > first.epoch
        with pytest.raises(StaleEpochError):
            await outcome(held)

    async def test_nothing_new_is_said_when_the_time_is_over(self, core: Core, clock: ManualClock) -> None:
        held = core.hold(wait_ms=5_000)
        await core.settle(held)
        clock.advance(4_999)
        await core.settle(held)
        clock.advance(1)
        assert await outcome(held) == SignalPoll()

    async def test_no_poll_is_held_for_longer_than_the_bound(self, core: Core, clock: ManualClock) -> None:
        held = core.hold(wait_ms=10**9)
        await core.settle(held)
        clock.advance(MAX_WAIT_MS)
        assert await outcome(held) == SignalPoll()

    async def test_a_known_signal_is_repeated_when_the_time_is_over(self, core: Core, clock: ManualClock) -> None:
        await core.management.send_signal("i", SignalType.PAUSE)
        pause = (await outcome(core.hold())).signal
        assert pause is not None
        held = core.hold(known=pause.signal_id)
        await core.settle(held)
        clock.advance(WAIT_MS)
        assert (await outcome(held)).signal == pause

    async def test_who_never_learned_an_epoch_is_answered_at_once(self, core: Core) -> None:
        poll = await core.instances.poll_signals("i", None, None, wait_ms=WAIT_MS)
        assert poll == SignalPoll(status=InstanceStatus.RUNNING)


class TestOtherProcesses:
    async def test_their_signal_is_heard_within_a_second(
        self, core: Core, other_core: Core, clock: ManualClock
    ) -> None:
        held = core.hold()
        await core.settle(held)
        await other_core.management.send_signal("i", SignalType.CANCEL)
        clock.advance(1_000)
        poll = await outcome(held)
        assert poll.signal is not None

    async def test_their_custom_signal_is_heard(self, core: Core, other_core: Core, clock: ManualClock) -> None:
        held = core.hold(signal_id="gate")
        await core.settle(held)
        await other_core.management.send_custom_signal("i", CustomSignal("gate", b"yes"))
        assert (await outcome(held, clock)).custom_signal == CustomSignal("gate", b"yes")

    async def test_their_registration_is_heard(self, core: Core, other_core: Core, clock: ManualClock) -> None:
        held = core.hold()
        await core.settle(held)
        await other_core.register()
        with pytest.raises(StaleEpochError):
            await outcome(held, clock)

    async def test_an_end_is_heard(self, core: Core, other_core: Core, clock: ManualClock) -> None:
        held = core.hold()
        await core.settle(held)
        await other_core.instances.report_event("i", 1, InstanceEvent(EventType.COMPLETED, b"1"))
        assert (await outcome(held, clock)).status is InstanceStatus.COMPLETED

    async def test_a_removal_is_heard(
        self, core: Core, other_core: Core, storage: CountingStorage, clock: ManualClock
    ) -> None:
        held = core.hold()
        await core.settle(held)
        await other_core.instances.report_event("i", 1, InstanceEvent(EventType.COMPLETED, b"1"))
        assert await storage.delete_finished(finished_before_ms=clock.now_ms() + 1, limit=10) == 1
        with pytest.raises(InstanceNotFoundError):
            await outcome(held, clock)

    async def test_a_database_that_is_away_for_a_while_loses_nothing(
        self, core: Core, other_core: Core, storage: CountingStorage, clock: ManualClock
    ) -> None:
        held = core.hold()
        await core.settle(held)
        storage.failing.add("find_news")
        await until(lambda: storage.calls["find_news"] >= 2, clock)
        await other_core.management.send_signal("i", SignalType.CANCEL)
        storage.failing.clear()
        assert (await outcome(held, clock)).signal is not None


class TestOrder:
    async def test_a_signal_that_comes_right_after_the_look_is_heard(
        self, core: Core, storage: CountingStorage
    ) -> None:
        async def signal() -> None:
            await core.management.send_signal("i", SignalType.CANCEL)

        storage.after["poll_signals"] = signal
        assert (await outcome(core.hold())).signal is not None

    async def test_one_of_another_process_right_after_the_look_is_heard(
        self, core: Core, other_core: Core, storage: CountingStorage, clock: ManualClock
    ) -> None:
        async def signal() -> None:
            await other_core.management.send_signal("i", SignalType.CANCEL)

        storage.after["poll_signals"] = signal
        assert (await outcome(core.hold(), clock)).signal is not None

    async def test_one_between_two_polls_is_heard(
        self, core: Core, other_core: Core, storage: CountingStorage, clock: ManualClock
    ) -> None:
        for sender in (core, other_core):
            await sender.management.send_signal("i", SignalType.RESUME)
            first = core.hold(wait_ms=2_000)
            await core.settle(first)
            assert await outcome(first, clock) == SignalPoll()
            await sender.management.send_signal("i", SignalType.PAUSE)
            assert (await outcome(core.hold(), clock)).signal is not None

    async def test_one_while_the_database_is_asked_for_news_is_heard(
        self, core: Core, other_core: Core, storage: CountingStorage, clock: ManualClock
    ) -> None:
        async def signal() -> None:
            await other_core.management.send_signal("i", SignalType.CANCEL)

        held = core.hold()
        await core.settle(held)
        storage.after["find_news"] = signal
        assert (await outcome(held, clock)).signal is not None

    async def test_a_newer_process_on_this_core_is_not_answered_from_what_the_older_knew(
        self, core: Core, clock: ManualClock
    ) -> None:
        first = core.hold(wait_ms=1_000)
        await core.settle(first)
        await outcome(first, clock)
        epoch = await core.register()
        with pytest.raises(StaleEpochError):
            await outcome(core.hold())
        held = core.hold("i", epoch)
        await core.settle(held)
        held.cancel()


class TestCost:
    async def test_a_thousand_idle_polls_cost_one_query_a_second(
        self, core: Core, storage: CountingStorage, clock: ManualClock
    ) -> None:
        for number in range(1_000):
            await core.register(f"i-{number}")
        held = [core.hold(f"i-{number}") for number in range(1_000)]
        await core.settle(*held)
        storage.calls.clear()
        ends_at_ms = clock.now_ms() + 10_000
        await until(lambda: clock.now_ms() >= ends_at_ms, clock)
        assert set(storage.calls) <= {"find_news"}
        assert storage.calls["find_news"] <= 10
        await until(lambda: storage.calls["find_news"] > 0, clock)
        await core.management.send_signal("i-500", SignalType.CANCEL)
        assert (await outcome(held[500])).signal is not None
        assert sum(poll.done() for poll in held) == 1

    async def test_a_poll_that_follows_another_costs_no_query(
        self, core: Core, storage: CountingStorage, clock: ManualClock
    ) -> None:
        first = core.hold(wait_ms=500)
        await core.settle(first)
        storage.calls.clear()
        clock.advance(500)
        await outcome(first)
        second = core.hold()
        await core.settle(second)
        assert not storage.calls
        second.cancel()

    async def test_nobody_waits_and_nothing_is_asked(
        self, core: Core, storage: CountingStorage, clock: ManualClock
    ) -> None:
        first = core.hold(wait_ms=500)
        await core.settle(first)
        clock.advance(500)
        await outcome(first)
        storage.calls.clear()
        await until(lambda: core.watch.is_idle, clock)
        assert not storage.calls

    async def test_waiting_counts_as_contact(self, core: Core, storage: CountingStorage, clock: ManualClock) -> None:
        began_at_ms = clock.now_ms()

        async def poll_on() -> None:
            while True:
                await core.instances.poll_signals("i", 1, None, wait_ms=WAIT_MS)

        polling = asyncio.create_task(poll_on())
        async with asyncio.timeout(DEADLINE_SECONDS):
            while (await storage.get_instance("i")).last_contact_at_ms < began_at_ms + 30_000:
                clock.advance(250)
        assert storage.calls["record_contacts"] > 0
        polling.cancel()


class TestBounds:
    async def test_over_the_bound_a_poll_is_answered_at_once(
        self, storage: CountingStorage, clock: ManualClock
    ) -> None:
        core = Core(storage, clock, max_held=2)
        await core.register()
        held = [core.hold(), core.hold()]
        await core.settle(*held)
        assert await outcome(core.hold()) == SignalPoll(status=InstanceStatus.RUNNING)
        held[0].cancel()
        await core.settle(held[1])
        third = core.hold()
        await core.settle(held[1], third)
        await core.watch.close()
        assert await outcome(third) == SignalPoll()

    async def test_one_instance_cannot_take_all(self, core: Core) -> None:
        held = [core.hold(signal_id=f"gate-{number}") for number in range(MAX_HELD_PER_INSTANCE)]
        await core.settle(*held)
        assert await outcome(core.hold()) == SignalPoll(status=InstanceStatus.RUNNING)
        epoch = await core.register("other")
        other = core.hold("other", epoch)
        await core.settle(*held, other)

    async def test_an_abandoned_poll_leaves_nothing(self, core: Core, clock: ManualClock) -> None:
        held = core.hold()
        await core.settle(held)
        held.cancel()
        await asyncio.wait({held})
        assert core.watch.held == 0
        await until(lambda: core.watch.is_idle, clock)

    async def test_the_end_of_the_core_answers_all_and_holds_no_more(self, core: Core) -> None:
        held = [core.hold(), core.hold(signal_id="gate")]
        await core.settle(*held)
        await core.instances.close()
        assert [await outcome(each) for each in held] == [SignalPoll(), SignalPoll()]
        assert await outcome(core.hold()) == SignalPoll(status=InstanceStatus.RUNNING)

    async def test_a_look_that_fails_tells_its_caller(self, core: Core, storage: CountingStorage) -> None:
        storage.failing.add("poll_signals")
        with pytest.raises(StorageError):
            await outcome(core.hold())
        storage.failing.clear()
        await core.management.send_signal("i", SignalType.CANCEL)
        assert (await outcome(core.hold())).signal is not None
