"""Polls that the store holds: what they tell the program, and that they never poll in vain nor lose a signal."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from runtara_sdk import InstanceCancelled, InstancePaused, InstanceShutdown, InstanceSuperseded, SignalType
from runtara_sdk.instance_calls import calls_of
from runtara_sdk.interruption import InterruptionWatch
from runtara_sdk.models import Signal
from runtara_sdk.protocol import instance_pb2 as pb
from runtara_sdk.signal_polls import LONGEST_HOLD_MS, MAX_HELD

DEADLINE_SECONDS = 120.0


@pytest.fixture(autouse=True)
def _core_holds_polls(core: Any) -> None:
    core.holds_polls = True


async def until(condition: Callable[[], object], clock: Any = None, step_ms: int = 1_000) -> None:
    """Let other tasks run (and the clock move) until the condition holds."""
    async with asyncio.timeout(DEADLINE_SECONDS):
        while not condition():
            if clock is not None:
                clock.advance(step_ms)
            await asyncio.sleep(0)


class TestNews:
    """The clock stands still: what is heard is heard at once."""

    @pytest.mark.parametrize(
        ("signal", "interruption"),
        [
            (pb.SIGNAL_CANCEL, InstanceCancelled),
            (pb.SIGNAL_PAUSE, InstancePaused),
            (pb.SIGNAL_SHUTDOWN, InstanceShutdown),
        ],
    )
    async def test_a_signal_ends_a_sleep(self, core: Any, make_sdk: Any, signal: Any, interruption: Any) -> None:
        sdk = make_sdk()
        async with sdk:
            sleeping = asyncio.create_task(sdk.durable_sleep(20, "nap"))
            await until(lambda: core.held_polls and "nap" in core.deadlines)
            core.send(signal)
            await sleeping
        assert isinstance(sdk.interruption, interruption)

    async def test_a_custom_signal_ends_a_wait(self, core: Any, make_sdk: Any) -> None:
        async with make_sdk() as sdk:
            waiting = asyncio.create_task(sdk.wait_for_signal("approval", timeout=20))
            await until(lambda: any(poll.checkpoint_id == "approval" for poll in core.held_polls))
            core.custom_signals["approval"] = b"yes"
            assert await asyncio.wait_for(waiting, DEADLINE_SECONDS) == b"yes"
            await sdk.completed()

    async def test_a_newer_launch_ends_the_work(self, core: Any, make_sdk: Any) -> None:
        sdk = make_sdk()
        async with sdk:
            work = asyncio.create_task(sdk.run_interruptible(asyncio.Event().wait()))
            await until(lambda: core.held_polls)
            core.epoch += 1
            await work
        assert isinstance(sdk.interruption, InstanceSuperseded)

    @pytest.mark.parametrize("status", [pb.STATUS_FAILED, pb.STATUS_CANCELLED, pb.STATUS_COMPLETED])
    async def test_an_end_from_outside_ends_the_work(self, core: Any, make_sdk: Any, status: Any) -> None:
        sdk = make_sdk()
        async with sdk:
            work = asyncio.create_task(sdk.run_interruptible(asyncio.Event().wait()))
            await until(lambda: core.held_polls)
            core.status = status
            await work
        assert isinstance(sdk.interruption, InstanceSuperseded)
        assert "this program no longer advances it" in str(sdk.interruption)
        assert core.events == []

    async def test_its_own_end_interrupts_nothing(self, core: Any, make_sdk: Any) -> None:
        sdk = make_sdk()
        async with sdk:
            await until(lambda: core.held_polls)
            await sdk.completed({"total": 3})
            calls_of(sdk).raise_if_interrupted()
        assert sdk.interruption is None
        assert core.status == pb.STATUS_COMPLETED

    async def test_a_signal_that_an_overtaken_answer_made_forgotten_is_heard_again(
        self, core: Any, make_sdk: Any
    ) -> None:
        sdk = make_sdk()
        async with sdk:
            core.send(pb.SIGNAL_PAUSE)
            await until(lambda: core.held_polls and core.held_polls[-1].known_signal_id == 7)
            # The answer of a checkpoint that was made before the signal, and comes after it.
            sdk._watch.observe(None)
            await until(lambda: core.held_polls[-1].known_signal_id == 7 and sdk._watch.signal)
            await sdk.check_signals()
        assert isinstance(sdk.interruption, InstancePaused)


class TestQuiet:
    async def test_a_poll_follows_when_the_one_before_was_held_in_full(
        self, core: Any, clock: Any, make_sdk: Any
    ) -> None:
        async with make_sdk() as sdk:
            began_at_ms = clock.now_ms()
            await until(lambda: len(core.held_polls) == 4, clock)
            assert clock.now_ms() - began_at_ms >= 3 * LONGEST_HOLD_MS
            await sdk.completed()

    async def test_a_store_that_does_not_hold_is_asked_once_an_interval(
        self, core: Any, clock: Any, make_sdk: Any
    ) -> None:
        core.holds_polls = False
        async with make_sdk(signal_poll_interval_ms=500) as sdk:
            began_at_ms = clock.now_ms()
            await until(lambda: len(core.held_polls) >= 5, clock, step_ms=100)
            assert clock.now_ms() - began_at_ms >= 4 * 500
            await sdk.completed()

    async def test_a_signal_that_stays_does_not_make_it_ask_in_a_row(
        self, core: Any, clock: Any, make_sdk: Any
    ) -> None:
        core.holds_polls = False
        core.send(pb.SIGNAL_PAUSE)
        async with make_sdk() as sdk:
            began_at_ms = clock.now_ms()
            await until(lambda: len(core.held_polls) >= 5, clock, step_ms=100)
            assert clock.now_ms() - began_at_ms >= 3 * 1_000
            await sdk.completed()

    async def test_many_waits_at_a_time_hold_few_polls(self, core: Any, clock: Any, make_sdk: Any) -> None:
        async with make_sdk() as sdk:
            waits = [asyncio.create_task(sdk.wait_for_signal(f"gate-{number}")) for number in range(40)]
            await until(lambda: len(core.held_polls) == MAX_HELD)
            await until(lambda: core.calls.count("poll_signals") >= 41 - MAX_HELD)
            assert len(core.held_polls) == MAX_HELD
            for number in range(40):
                core.custom_signals[f"gate-{number}"] = b"%d" % number
            await until(lambda: all(wait.done() for wait in waits), clock)
            assert [await wait for wait in waits] == [b"%d" % number for number in range(40)]
            await sdk.completed()

    async def test_a_held_poll_stands_for_the_usual_heartbeats(self, core: Any, clock: Any, make_sdk: Any) -> None:
        async with make_sdk(heartbeat_interval_ms=30_000) as sdk:
            await until(lambda: len(core.held_polls) == 5, clock)
            assert core.reported(pb.EVENT_HEARTBEAT) == []
            await sdk.completed()

    async def test_more_frequent_heartbeats_are_sent(self, core: Any, clock: Any, make_sdk: Any) -> None:
        async with make_sdk(heartbeat_interval_ms=5_000) as sdk:
            await until(lambda: len(core.reported(pb.EVENT_HEARTBEAT)) >= 3, clock)
            await sdk.completed()


class TestWatch:
    async def test_a_withdrawal_ends_the_wait_for_it(self) -> None:
        watch = InterruptionWatch()
        watch.observe(Signal(SignalType.PAUSE))
        withdrawal = asyncio.create_task(watch.withdrawal())
        await asyncio.sleep(0)
        watch.observe(Signal(SignalType.PAUSE))
        assert not withdrawal.done()
        watch.observe(None)
        await asyncio.wait_for(withdrawal, DEADLINE_SECONDS)

    @pytest.mark.parametrize("order", [("pause", "shutdown"), ("shutdown", "pause")])
    async def test_what_takes_its_place_ends_the_wait_too(self, order: tuple[str, str]) -> None:
        watch = InterruptionWatch()
        watch.observe(Signal(SignalType(order[0])))
        withdrawal = asyncio.create_task(watch.withdrawal())
        await asyncio.sleep(0)
        watch.observe(Signal(SignalType(order[1])))
        await asyncio.wait_for(withdrawal, DEADLINE_SECONDS)
        expected = InstancePaused if order[1] == "pause" else InstanceShutdown
        assert isinstance(watch.interruption(suspension_too=True), expected)
        assert watch.interruption(suspension_too=False) is None
        watch.obeyed(Signal(SignalType(order[1])))
        assert watch.interruption(suspension_too=True) is None

    def test_an_end_that_failed_to_be_reported_may_still_come_from_outside(self) -> None:
        watch = InterruptionWatch()

        def report() -> None:
            with watch.ending():
                watch.end("the instance is failed")
                raise OSError("lost")

        with pytest.raises(OSError, match="lost"):
            report()
        assert not watch.is_superseded
        watch.end("the instance is failed")
        assert watch.is_superseded

    def test_an_end_of_its_own_stays_so(self) -> None:
        watch = InterruptionWatch()
        with watch.ending():
            pass
        watch.end("the instance is completed")
        assert not watch.is_superseded
