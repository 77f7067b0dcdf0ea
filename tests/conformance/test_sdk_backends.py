"""One behaviour wherever durable state is kept: a core daemon over QUIC, embedded SQLite, embedded PostgreSQL.

Time is real here, so waits are long where they must end early, and short where they must end.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from runtara_core.models import NewInstance
from runtara_sdk import (
    CustomSignal,
    InstanceCancelled,
    InstancePaused,
    InstanceShutdown,
    InstanceSuperseded,
    InstanceSuspended,
    InvalidInputError,
    InvalidStateError,
    RetryPolicy,
    RuntaraSdk,
    SignalTimeoutError,
    SignalType,
    TerminationReason,
    durable,
)
from runtara_sdk.models import Signal
from runtara_sdk.protocol import instance_pb2 as pb
from runtara_sdk.transport import QuicClient
from runtara_sdk.workflow.retry import DurableCalls

from .conftest import TENANT, Home, now_ms, until

PROGRAM = Path(__file__).with_name("programs") / "patient_buyer.py"
PROMPT_SECONDS = 60.0  # far below the hour that everything waits for
HOUR_MS = 3_600_000


class Shop:
    """Counts calls; fails as often as told, then answers."""

    def __init__(self, failures: int = 0) -> None:
        self.calls = 0
        self.failures = failures

    async def buy(self, order_id: str) -> str:
        self.calls += 1
        if self.calls <= self.failures:
            raise OSError("busy")
        return f"receipt of {order_id}"


BUY = f'durable::{__name__}:Shop.buy::"A-1"'


async def nap(sdk: RuntaraSdk) -> None:
    await sdk.durable_sleep(3_600, "wait")


async def back_off(sdk: RuntaraSdk) -> None:
    await sdk.step("wait", Failing(), retry=RetryPolicy(1, HOUR_MS))


async def call_agent(sdk: RuntaraSdk) -> None:
    await DurableCalls(sdk).call("agent", sleep_for_ever, RetryPolicy())


async def work(sdk: RuntaraSdk) -> None:
    await sdk.step("work", sleep_for_ever)


async def wait_for_approval(sdk: RuntaraSdk) -> None:
    await sdk.wait_for_signal("approval")


async def sleep_for_ever() -> None:
    await asyncio.Event().wait()


class Failing:
    async def __call__(self) -> None:
        raise OSError("busy")


class TestResults:
    async def test_a_later_run_finds_everything_and_repeats_nothing(self, home: Home) -> None:
        shop = Shop()
        for run in (1, 2):
            async with home.sdk() as sdk:
                assert (await sdk.checkpoint("first", b"1")).state in (b"", b"1")
                assert await sdk.step("second", lambda: shop.buy("S-1")) == "receipt of S-1"
                assert await durable(shop.buy)("A-1") == "receipt of A-1"
                async with asyncio.timeout(PROMPT_SECONDS):
                    await sdk.durable_sleep(0.2 if run == 1 else 3_600, "nap")
                await home.send_custom("approval", b"yes")
                assert await sdk.wait_for_signal("approval") == b"yes"
        assert shop.calls == 2
        assert (await home.row()).status == "running"

    @pytest.mark.parametrize("end", ["completed", "failed", "cancelled"])
    async def test_what_has_ended_refuses_to_start(self, home: Home, end: str) -> None:
        sdk = home.sdk()
        async with sdk:
            if end == "completed":
                await sdk.completed({"total": 3})
            elif end == "failed":
                await sdk.failed("no stock")
            else:
                await home.send(SignalType.CANCEL)
                await sdk.poll_signal_now()
                await sdk.check_signals()
        row = await home.row()
        assert row.status == end
        assert row.output == (b'{"total":3}' if end == "completed" else None)
        with pytest.raises(InvalidStateError, match=end):
            async with home.sdk():
                pytest.fail("started")

    async def test_a_newer_run_stops_the_older(self, home: Home) -> None:
        older, newer = home.sdk(), home.sdk()
        async with older:
            await newer.connect()
            await newer.register()
            await older.checkpoint("late", b"1")
        assert isinstance(older.interruption, InstanceSuperseded)
        assert await newer.get_checkpoint("late") is None
        await newer.close()

    async def test_a_newer_run_is_noticed_in_a_wait(self, home: Home) -> None:
        older, newer = home.sdk(), home.sdk()
        async with older:
            sleeper = asyncio.create_task(nap(older))
            await home.waits("wait")
            await newer.connect()
            await newer.register()
            await asyncio.wait_for(sleeper, PROMPT_SECONDS)
        assert isinstance(older.interruption, InstanceSuperseded)
        await newer.close()


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


class TestKilled:
    async def test_a_killed_program_goes_on_where_it_was(self, home: Home, tmp_path: Path) -> None:
        ledger = tmp_path / "ledger"
        ledger.touch()
        for attempts in (1, 2):  # killed in each of the two backoffs
            async with _program(home, ledger) as process:

                async def attempted(number: int = attempts) -> bool:
                    progress = await home.operator.get_progress(
                        "killed", 'durable::__main__:buy::"A-1"', now_ms=now_ms()
                    )
                    return progress.retry is not None and progress.retry.attempt_number == number + 1

                await until(attempted, f"{attempts} failed attempts")
                process.send_signal(signal.SIGKILL)
                assert await process.wait() == -signal.SIGKILL
            assert _attempts(ledger) == attempts
        async with _program(home, ledger) as process:
            await until(lambda: _stored(home, 'durable::__main__:buy::"A-1"'), "the purchase")
            process.send_signal(signal.SIGKILL)
            await process.wait()
        await home.send_custom("approval", b"yes", "killed")
        async with _program(home, ledger) as process:
            assert await asyncio.wait_for(process.wait(), 60) == 0
        assert ledger.read_text().splitlines() == ["reserve", "buy A-1", "buy A-1", "buy A-1"]
        row = await home.row("killed")
        assert row.status == "completed"
        assert json.loads(row.output or b"") == ["shelf 7", "receipt of A-1", "yes"]


@asynccontextmanager
async def _program(home: Home, ledger: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    variables = {**os.environ, **home.variables, "RUNTARA_INSTANCE_ID": "killed", "LEDGER": str(ledger)}
    process = await asyncio.create_subprocess_exec(sys.executable, str(PROGRAM), env=variables)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def _attempts(ledger: Path) -> int:
    return ledger.read_text().splitlines().count("buy A-1")


async def _stored(home: Home, checkpoint_id: str) -> bool:
    return await home.operator.get_checkpoint("killed", checkpoint_id) is not None


class TestLaunched:
    """What is only there where somebody launches programs: suspension instead of long waits."""

    @asynccontextmanager
    async def _launch(self, home: Home, instance_id: str = "i") -> AsyncIterator[RuntaraSdk]:
        assert home.daemon is not None
        (claim,) = await home.daemon.management.claim_launches(
            "environment-1", instance_id=instance_id, limit=1, lease_ms=30_000, wait_ms=0
        )
        sdk = home.sdk(instance_id, launch_epoch=claim.epoch, instance_token=claim.token, sleep_threshold_ms=500)
        async with sdk:
            yield sdk

    async def _create(self, home: Home) -> None:
        assert home.daemon is not None
        await home.daemon.management.create_instance(NewInstance("i", TENANT, "image-1", b"{}"))

    async def test_a_long_backoff_suspends_and_keeps_count(self, daemon_home: Home) -> None:
        shop = Shop(failures=1)
        buy = durable(shop.buy, max_retries=1, delay=2_000)
        await self._create(daemon_home)
        async with self._launch(daemon_home) as sdk:
            await buy("A-1")
        assert isinstance(sdk.interruption, InstanceSuspended)
        row = await daemon_home.row()
        assert (row.status, row.termination_reason) == ("suspended", TerminationReason.SLEEPING)
        assert row.wake_at_ms is not None
        await _pass(row.wake_at_ms)
        async with self._launch(daemon_home) as again:
            assert await buy("A-1") == "receipt of A-1"
            await again.completed()
        assert shop.calls == 2

    async def test_a_wait_for_a_signal_suspends_until_it_comes(self, daemon_home: Home) -> None:
        assert daemon_home.daemon is not None
        await self._create(daemon_home)
        async with self._launch(daemon_home) as sdk:
            await sdk.wait_for_signal("approval", timeout=3_600)
        assert isinstance(sdk.interruption, InstanceSuspended)
        row = await daemon_home.row()
        assert (row.status, row.termination_reason) == ("suspended", TerminationReason.WAITING_SIGNAL)
        await daemon_home.daemon.management.send_custom_signal("i", CustomSignal("approval", b"yes"))
        async with self._launch(daemon_home) as again:
            assert await again.wait_for_signal("approval", timeout=3_600) == b"yes"
            await again.completed()

    async def test_a_wait_for_a_signal_ends_at_its_deadline(self, daemon_home: Home) -> None:
        await self._create(daemon_home)
        async with self._launch(daemon_home) as sdk:
            await sdk.wait_for_signal("approval", timeout=1)
        row = await daemon_home.row()
        assert row.wake_at_ms is not None
        await _pass(row.wake_at_ms)
        async with self._launch(daemon_home) as again:
            with pytest.raises(SignalTimeoutError):
                await again.wait_for_signal("approval", timeout=1)
            await again.completed()

    async def test_cancel_of_a_sleeper_takes_effect_at_once(self, daemon_home: Home) -> None:
        await self._create(daemon_home)
        async with self._launch(daemon_home) as sdk:
            await nap(sdk)
        assert await daemon_home.send(SignalType.CANCEL) == "cancelled"
        row = await daemon_home.row()
        assert (row.status, row.wake_at_ms) == ("cancelled", None)

    async def test_unknown_signal_numbers_are_errors(self, daemon_home: Home) -> None:
        async with daemon_home.sdk() as sdk:
            client = QuicClient(daemon_home.server_addr, server_name="localhost", ca_file=daemon_home.ca_file)
            await client.connect()
            message = pb.SignalAck(instance_id="i", acknowledged=True)
            message.MergeFromString(b"\x10\x09")  # signal_type: 9
            answer = await client.call(pb.RpcRequest(signal_ack=message).SerializeToString())
            await client.close()
            assert "signal type 9 is not known" in pb.RpcResponse.FromString(answer).error.message
            await sdk.completed()


async def _pass(time_ms: int) -> None:
    await asyncio.sleep(max(0, time_ms - now_ms()) / 1000)
