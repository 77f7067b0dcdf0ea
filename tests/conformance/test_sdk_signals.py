"""Signals do the same wherever durable state is kept: a core daemon, embedded SQLite, embedded PostgreSQL.

Time is real here, so waits are long where they must end early, and short where they must end.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest
from runtara_sdk import (
    InstanceCancelled,
    InstancePaused,
    InstanceShutdown,
    InvalidInputError,
    InvalidStateError,
    RuntaraSdk,
    SignalTimeoutError,
    SignalType,
    TerminationReason,
    durable,
)
from runtara_sdk.models import Signal

from .conftest import Home, now_ms
from .durable_programs import BUY, HOUR_MS, PROMPT_SECONDS, Shop, back_off, call_agent, nap, wait_for_approval, work


class TestSignals:
    @pytest.mark.parametrize("wait", [nap, back_off, call_agent, work, wait_for_approval])
    async def test_cancel_interrupts_promptly(self, home: Home, wait: Callable[[RuntaraSdk], Awaitable[None]]) -> None:
        sdk = home.sdk()
        async with sdk:
            running = asyncio.create_task(wait(sdk))
            if wait in (nap, back_off):
                await home.waits("step::wait" if wait is back_off else "wait")
            await home.send(SignalType.CANCEL)
            await asyncio.wait_for(running, PROMPT_SECONDS)
        assert isinstance(sdk.interruption, InstanceCancelled)
        row = await home.row()
        assert (row.status, row.termination_reason) == ("cancelled", TerminationReason.CANCELLED)

    async def test_pause_in_a_sleep_leaves_its_deadline(self, home: Home) -> None:
        started = time.monotonic()
        sdk = home.sdk()
        async with sdk:
            sleeper = asyncio.create_task(sdk.durable_sleep(4, "wait"))
            await home.waits("wait")
            await home.send(SignalType.PAUSE)
            await sleeper
        assert isinstance(sdk.interruption, InstancePaused)
        row = await home.row()
        assert (row.status, row.termination_reason, row.wake_at_ms) == ("suspended", TerminationReason.PAUSED, None)
        await home.send(SignalType.RESUME)
        async with home.sdk() as again:
            async with asyncio.timeout(PROMPT_SECONDS):
                await again.durable_sleep(3_600, "wait")
            assert time.monotonic() - started > 3.9
            await again.completed()

    async def test_pause_in_a_backoff_leaves_its_count(self, home: Home) -> None:
        shop = Shop(failures=1)
        buy = durable(shop.buy, max_retries=1, delay=4_000)
        started = time.monotonic()
        sdk = home.sdk()
        async with sdk:
            running = asyncio.create_task(buy("A-1"))
            await home.waits(BUY)
            await home.send(SignalType.PAUSE)
            await running
        assert isinstance(sdk.interruption, InstancePaused)
        assert shop.calls == 1
        await home.send(SignalType.RESUME)
        later_buy = durable(shop.buy, max_retries=1, delay=HOUR_MS)
        async with home.sdk() as again:
            async with asyncio.timeout(PROMPT_SECONDS):
                assert await later_buy("A-1") == "receipt of A-1"
            assert time.monotonic() - started > 3.9
            await again.completed()
        assert shop.calls == 2

    @pytest.mark.parametrize("wait", [nap, back_off, wait_for_approval])
    async def test_shutdown_ends_a_wait_and_the_next_run_goes_on(
        self, home: Home, wait: Callable[[RuntaraSdk], Awaitable[None]]
    ) -> None:
        sdk = home.sdk()
        async with sdk:
            await sdk.checkpoint("first", b"1")
            running = asyncio.create_task(wait(sdk))
            if wait in (nap, back_off):
                await home.waits("step::wait" if wait is back_off else "wait")
            await home.send(SignalType.SHUTDOWN)
            await asyncio.wait_for(running, PROMPT_SECONDS)
        assert isinstance(sdk.interruption, InstanceShutdown)
        row = await home.row()
        assert (row.status, row.termination_reason) == ("suspended", TerminationReason.SHUTDOWN_REQUESTED)
        assert row.wake_at_ms is not None
        assert row.wake_at_ms <= now_ms()
        async with home.sdk() as again:
            assert await again.poll_signal_now() is None
            assert (await again.checkpoint("first", b"2")).existing_state == b"1"
            await again.completed()
        assert (await home.row()).status == "completed"

    @pytest.mark.parametrize("order", [("cancel", "pause"), ("pause", "cancel")])
    async def test_cancel_comes_before_pause(self, home: Home, order: tuple[str, str]) -> None:
        sdk = home.sdk()
        async with sdk:
            for signal_type in order:
                await home.send(SignalType(signal_type))
            await sdk.poll_signal_now()
            await sdk.check_signals()
        assert isinstance(sdk.interruption, InstanceCancelled)
        assert (await home.row()).status == "cancelled"

    async def test_resume_withdraws_a_pause_that_was_seen_but_not_obeyed(self, home: Home) -> None:
        async with home.sdk() as sdk:
            await home.send(SignalType.PAUSE)
            assert (await sdk.checkpoint("a", b"")).should_pause
            await home.send(SignalType.RESUME)
            assert await sdk.poll_signal_now() is None
            await sdk.check_signals()
            await sdk.completed()
        assert (await home.row()).status == "completed"

    async def test_acknowledgements_name_their_signal_and_may_be_repeated(self, home: Home) -> None:
        async with home.sdk() as sdk:
            await home.send(SignalType.PAUSE)
            pause = await sdk.poll_signal_now()
            assert pause is not None
            assert pause.signal_id > 0
            with pytest.raises(InvalidInputError):
                await sdk.acknowledge_signal(Signal(SignalType.PAUSE, signal_id=pause.signal_id + 1))
            for _ in range(2):
                await sdk.acknowledge_signal(pause)
            assert (await home.row()).status == "suspended"

    async def test_cancel_of_a_suspended_instance_needs_no_process(self, home: Home) -> None:
        async with home.sdk() as sdk:
            await sdk.suspended()
        assert await home.send(SignalType.CANCEL) == "cancelled"
        with pytest.raises(InvalidStateError):
            await home.sdk().__aenter__()


class TestWaitForSignal:
    async def test_it_comes_and_stays(self, home: Home) -> None:
        async with home.sdk() as sdk:
            waiting = asyncio.create_task(sdk.wait_for_signal("approval"))
            await asyncio.wait([waiting], timeout=0.1)
            assert not waiting.done()
            await home.send_custom("approval", b"yes")
            assert await asyncio.wait_for(waiting, PROMPT_SECONDS) == b"yes"
        await home.send_custom("approval", b"no")
        async with home.sdk() as again:
            assert await again.wait_for_signal("approval", timeout=1) == b"yes"
            await again.completed()

    async def test_the_first_deadline_counts_and_stays_passed(self, home: Home) -> None:
        async with home.sdk() as sdk:
            with pytest.raises(SignalTimeoutError, match="approval"):
                await sdk.wait_for_signal("approval", timeout=0.3)
        await home.send_custom("approval", b"late")
        async with home.sdk() as again:
            with pytest.raises(SignalTimeoutError):
                await again.wait_for_signal("approval", timeout=3_600)
            await again.completed()
