import asyncio
import json
from datetime import timedelta

import pytest
from runtara_sdk import (
    ConfigurationError,
    DeadlineExceededError,
    InstanceCancelled,
    InstanceInterrupted,
    InstancePaused,
    InstanceShutdown,
    InstanceSuperseded,
    InstanceSuspended,
    InvalidInputError,
    InvalidStateError,
    ProtocolError,
    SignalTimeoutError,
    SignalType,
    StorageError,
    TransportError,
    current_sdk,
)
from runtara_sdk.protocol import instance_pb2 as pb


async def until(condition, clock=None, step_ms=1000):
    """Let other tasks run (and the clock move) until the condition holds."""
    for _ in range(500):
        if condition():
            return
        if clock is not None:
            clock.advance(step_ms)
        await asyncio.sleep(0)
    raise AssertionError("the condition never held")


class TestBlock:
    async def test_enters_registered_and_leaves_closed(self, core, make_sdk):
        async with make_sdk() as sdk:
            assert sdk.is_connected
            assert sdk.is_registered
            assert current_sdk() is sdk
            await sdk.completed({"orders": 3})
        assert core.status == pb.STATUS_COMPLETED
        assert json.loads(core.reported(pb.EVENT_COMPLETED)[0]) == {"orders": 3}
        assert core.closed == 1
        with pytest.raises(ConfigurationError):
            current_sdk()

    async def test_reports_an_exception_as_failure_and_lets_it_through(self, core, make_sdk):
        with pytest.raises(ValueError, match="no stock"):
            async with make_sdk():
                raise ValueError("no stock")
        assert core.reported(pb.EVENT_FAILED) == [b"ValueError: no stock"]

    async def test_does_not_report_a_result_twice(self, core, make_sdk):
        async def program():
            async with make_sdk() as sdk:
                await sdk.completed(None)
                raise ValueError("late")

        with pytest.raises(ValueError, match="late"):
            await program()
        assert core.status == pb.STATUS_COMPLETED

    async def test_does_not_fail_a_run_whose_core_is_away(self, core, make_sdk):
        async def program():
            async with make_sdk(reconnect_deadline_ms=0) as sdk:
                core.faults.append(TransportError("gone"))
                try:
                    await sdk.checkpoint("a", b"1")
                except TransportError as error:
                    raise RuntimeError("wrapped") from error

        with pytest.raises(RuntimeError, match="wrapped"):
            await program()
        assert core.events == []
        assert core.status == pb.STATUS_RUNNING

    async def test_leaves_an_unreported_run_running_with_a_warning(self, core, make_sdk, caplog):
        async with make_sdk():
            pass
        assert core.status == pb.STATUS_RUNNING
        assert "stays running" in caplog.text

    async def test_refuses_an_ended_instance_and_closes(self, core, make_sdk):
        core.status = pb.STATUS_COMPLETED
        with pytest.raises(InvalidStateError, match="has ended"):
            async with make_sdk():
                pytest.fail("entered")
        assert core.closed == 1

    async def test_blocks_do_not_know_each_other(self, make_sdk):
        async with make_sdk() as outer:
            async with make_sdk() as inner:
                assert current_sdk() is inner
            assert current_sdk() is outer

    async def test_calls_before_connecting_say_what_to_do(self, make_sdk):
        with pytest.raises(ConfigurationError, match="connect"):
            await make_sdk().checkpoint("a", b"")


class TestCheckpoints:
    async def test_first_state_wins(self, make_sdk):
        async with make_sdk() as sdk:
            assert (await sdk.checkpoint("a", b"1")).existing_state is None
            assert (await sdk.checkpoint("a", b"2")).existing_state == b"1"
            assert await sdk.get_checkpoint("a") == b"1"
            assert await sdk.get_checkpoint("b") is None

    async def test_tells_of_signals_without_raising(self, core, make_sdk):
        async with make_sdk() as sdk:
            core.send(pb.SIGNAL_PAUSE)
            pause = await sdk.checkpoint("a", b"")
            assert (pause.should_cancel, pause.should_pause, pause.should_suspend, pause.should_exit) == (0, 1, 1, 1)
            core.send(pb.SIGNAL_SHUTDOWN)
            shutdown = await sdk.checkpoint("b", b"")
            assert (shutdown.should_cancel, shutdown.should_pause) == (False, False)
            assert (shutdown.should_suspend, shutdown.should_exit) == (True, True)
            core.send(pb.SIGNAL_CANCEL)
            cancel = await sdk.checkpoint("c", b"")
            assert (cancel.should_cancel, cancel.should_suspend, cancel.should_exit) == (True, False, True)


class TestSleep:
    async def test_short_sleep_waits_here(self, core, clock, make_sdk):
        async with make_sdk() as sdk:
            sleeper = asyncio.create_task(sdk.durable_sleep(timedelta(seconds=5), "nap"))
            await until(lambda: "nap" in core.deadlines)
            await asyncio.sleep(0)
            assert not sleeper.done()
            await until(sleeper.done, clock)
            assert "nap" in core.done_sleeps

    async def test_replayed_sleep_waits_only_for_the_rest_and_never_again(self, core, clock, make_sdk):
        core.deadlines["nap"] = clock.now_ms() + 1
        clock.advance(5)
        async with make_sdk() as sdk:
            await sdk.durable_sleep(3600, "nap")
            await sdk.durable_sleep(3600, "nap")

    async def test_long_sleep_suspends_a_launched_program(self, core, make_sdk):
        sdk = make_sdk(launch_epoch=1)
        async with sdk:
            await sdk.durable_sleep(timedelta(days=3), "wait")
            pytest.fail("went on")
        assert isinstance(sdk.interruption, InstanceSuspended)
        assert core.status == pb.STATUS_SUSPENDED
        assert core.events == []

    async def test_long_sleep_waits_where_nobody_starts_the_program_again(self, core, clock, make_sdk):
        async with make_sdk() as sdk:
            sleeper = asyncio.create_task(sdk.durable_sleep(timedelta(days=1), "wait"))
            await until(sleeper.done, clock, step_ms=3_600_000)
            assert core.status == pb.STATUS_RUNNING

    @pytest.mark.parametrize(
        ("number", "expected"),
        [
            (pb.SIGNAL_CANCEL, InstanceCancelled),
            (pb.SIGNAL_PAUSE, InstancePaused),
            (pb.SIGNAL_SHUTDOWN, InstanceShutdown),
        ],
    )
    async def test_signals_end_the_wait(self, core, clock, make_sdk, number, expected):
        sdk = make_sdk()
        async with sdk:
            sleeper = asyncio.create_task(sdk.durable_sleep(20, "nap"))
            await until(lambda: "nap" in core.deadlines)
            core.send(number)
            await until(sleeper.done, clock, step_ms=100)
            assert clock.now_ms() < core.deadlines["nap"]
            await sleeper
        assert isinstance(sdk.interruption, expected)

    async def test_signal_of_a_long_sleeper_is_met_at_once(self, core, make_sdk):
        sdk = make_sdk(launch_epoch=1)
        async with sdk:
            core.send(pb.SIGNAL_PAUSE)
            await sdk.durable_sleep(timedelta(days=3), "wait")
        assert isinstance(sdk.interruption, InstancePaused)
        assert core.acknowledged == [7]

    async def test_refuses_impossible_durations(self, make_sdk):
        async with make_sdk() as sdk:
            with pytest.raises(InvalidInputError, match="duration"):
                await sdk.durable_sleep(-1, "nap")
            await sdk.completed()


class TestWaitForSignal:
    async def test_a_signal_that_is_there_is_recorded(self, core, make_sdk):
        core.custom_signals["approval"] = b"yes"
        async with make_sdk() as sdk:
            assert await sdk.wait_for_signal("approval") == b"yes"
            core.custom_signals["approval"] = b"no"
            assert await sdk.wait_for_signal("approval", timeout=1) == b"yes"
            await sdk.completed()
        assert core.checkpoints == {"approval": b"yes"}

    async def test_a_short_wait_polls_here(self, core, clock, make_sdk):
        async with make_sdk() as sdk:
            waiting = asyncio.create_task(sdk.wait_for_signal("approval", timeout=20))
            await until(lambda: [poll.checkpoint_id for poll in core.held_polls].count("approval") >= 3, clock)
            assert not waiting.done()
            core.custom_signals["approval"] = b"yes"
            await until(waiting.done, clock)
            assert await waiting == b"yes"
            await sdk.completed()

    async def test_the_deadline_of_the_first_wait_counts_and_stays_passed(self, core, clock, make_sdk):
        core.deadlines["approval"] = clock.now_ms() + 5_000
        async with make_sdk() as sdk:
            waiting = asyncio.create_task(sdk.wait_for_signal("approval", timeout=timedelta(days=1)))
            await until(waiting.done, clock, step_ms=500)
            with pytest.raises(SignalTimeoutError, match="approval"):
                await waiting
            core.custom_signals["approval"] = b"late"
            with pytest.raises(SignalTimeoutError):
                await sdk.wait_for_signal("approval", timeout=1)
            await sdk.completed()

    @pytest.mark.parametrize("timeout", [None, timedelta(days=3)])
    async def test_a_long_wait_suspends_a_launched_program(self, core, make_sdk, timeout):
        sdk = make_sdk(launch_epoch=1)
        async with sdk:
            await sdk.wait_for_signal("approval", timeout)
        assert isinstance(sdk.interruption, InstanceSuspended)
        assert core.status == pb.STATUS_SUSPENDED

    @pytest.mark.parametrize(
        ("number", "expected"),
        [
            (pb.SIGNAL_CANCEL, InstanceCancelled),
            (pb.SIGNAL_PAUSE, InstancePaused),
            (pb.SIGNAL_SHUTDOWN, InstanceShutdown),
        ],
    )
    async def test_signals_end_the_wait(self, core, clock, make_sdk, number, expected):
        sdk = make_sdk()
        async with sdk:
            waiting = asyncio.create_task(sdk.wait_for_signal("approval"))
            await until(lambda: "wait_signal" in core.calls)
            core.send(number)
            await until(waiting.done, clock, step_ms=100)
            await waiting
        assert isinstance(sdk.interruption, expected)


class TestInterruptions:
    @pytest.mark.parametrize(
        ("number", "expected", "status"),
        [
            (pb.SIGNAL_CANCEL, InstanceCancelled, pb.STATUS_CANCELLED),
            (pb.SIGNAL_PAUSE, InstancePaused, pb.STATUS_SUSPENDED),
            (pb.SIGNAL_SHUTDOWN, InstanceShutdown, pb.STATUS_SUSPENDED),
        ],
    )
    async def test_block_acknowledges_after_clean_up_and_ends_quietly(self, core, make_sdk, number, expected, status):
        sdk = make_sdk()
        async with sdk:
            core.send(number, signal_id=42)
            try:
                await sdk.check_signals()
            finally:
                assert core.acknowledged == []
                await sdk.checkpoint("clean-up", b"")
        assert isinstance(sdk.interruption, expected)
        assert core.acknowledged == [42]
        assert core.status == status
        assert core.events == []

    async def test_no_except_exception_swallows_them(self, core, make_sdk):
        sdk = make_sdk()
        async with sdk:
            core.send(pb.SIGNAL_CANCEL)
            try:
                await sdk.check_cancelled()
            except Exception:  # noqa: BLE001 - the point of the test
                pytest.fail("swallowed")
        assert isinstance(sdk.interruption, InstanceCancelled)

    async def test_group_of_a_task_group_counts(self, core, make_sdk):
        sdk = make_sdk()
        async with sdk:
            core.send(pb.SIGNAL_CANCEL)
            async with asyncio.TaskGroup() as group:
                group.create_task(sdk.check_signals())
        assert isinstance(sdk.interruption, InstanceCancelled)
        assert core.acknowledged == [7]

    async def test_checks_are_selective(self, core, make_sdk):
        async with make_sdk() as sdk:
            core.send(pb.SIGNAL_PAUSE)
            await sdk.check_cancelled()
            with pytest.raises(InstancePaused):
                await sdk.check_paused()
            await sdk.completed()

    async def test_resume_is_acknowledged_and_ignored(self, core, make_sdk):
        async with make_sdk() as sdk:
            core.send(pb.SIGNAL_RESUME)
            await sdk.check_signals()
            assert core.acknowledged == [7]
            await sdk.completed()

    async def test_cached_pause_does_not_hide_a_cancel(self, core, make_sdk):
        async with make_sdk() as sdk:
            core.send(pb.SIGNAL_PAUSE)
            assert (await sdk.poll_signal()).signal_type is SignalType.PAUSE
            core.send(pb.SIGNAL_CANCEL)
            assert (await sdk.poll_signal_now()).signal_type is SignalType.CANCEL
            with pytest.raises(InstanceCancelled):
                await sdk.check_signals()
            await sdk.completed()

    async def test_an_unknown_signal_is_an_error_and_no_cancel(self, core, make_sdk):
        async with make_sdk() as sdk:
            core.signal = pb.Signal.FromString(b"\x10\x09")
            with pytest.raises(ProtocolError, match="unknown signal 9"):
                await sdk.check_signals()
            core.signal = None
            await sdk.completed()

    async def test_polls_are_limited(self, core, make_sdk):
        async with make_sdk() as sdk:
            for _ in range(10):
                await sdk.poll_signal()
            assert core.calls.count("poll_signals") == 1
            await sdk.completed()

    async def test_interruptible_work_is_cancelled_by_the_poller(self, core, clock, make_sdk):
        sdk = make_sdk()
        ended = asyncio.Event()

        async def work():
            try:
                await asyncio.Event().wait()
            finally:
                ended.set()

        async with sdk:
            running = asyncio.create_task(sdk.run_interruptible(work()))
            await asyncio.sleep(0)
            core.send(pb.SIGNAL_CANCEL)
            await until(running.done, clock)
            assert ended.is_set()
            await running
        assert isinstance(sdk.interruption, InstanceCancelled)
        assert core.status == pb.STATUS_CANCELLED

    async def test_finished_work_beats_its_cancellation(self, core, clock, make_sdk):
        async def stubborn():
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                return "done"

        async with make_sdk() as sdk:
            running = asyncio.create_task(sdk.run_interruptible(stubborn()))
            await asyncio.sleep(0)
            core.send(pb.SIGNAL_CANCEL)
            await until(running.done, clock)
            assert await running == "done"
            await sdk.completed()

    async def test_newer_launch_stops_this_one_without_a_report(self, core, make_sdk):
        sdk = make_sdk()
        async with sdk:
            core.epoch += 1
            await sdk.checkpoint("a", b"")
        assert isinstance(sdk.interruption, InstanceSuperseded)
        assert core.events == []
        assert core.checkpoints == {}

    async def test_newer_launch_is_noticed_by_the_poller(self, core, clock, make_sdk):
        sdk = make_sdk()
        async with sdk:
            running = asyncio.create_task(sdk.run_interruptible(asyncio.Event().wait()))
            core.epoch += 1
            await until(running.done, clock)
            await running
        assert isinstance(sdk.interruption, InstanceSuperseded)

    async def test_cancelled_task_is_no_failure(self, core, make_sdk):
        async def program():
            async with make_sdk() as sdk:
                await sdk.run_interruptible(asyncio.Event().wait())

        task = asyncio.create_task(program())
        await until(lambda: core.status == pb.STATUS_RUNNING)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert core.events == []
        assert core.status == pb.STATUS_RUNNING

    async def test_acknowledgement_that_fails_does_not_hide_the_end(self, core, make_sdk, caplog):
        sdk = make_sdk(reconnect_deadline_ms=0)
        async with sdk:
            core.send(pb.SIGNAL_CANCEL)
            await sdk.poll_signal_now()
            core.faults.append(TransportError("gone"))
            await sdk.check_signals()
        assert isinstance(sdk.interruption, InstanceInterrupted)
        assert "not acknowledged" in caplog.text


class TestEvents:
    async def test_heartbeats_go_on_by_themselves(self, core, clock, make_sdk):
        async with make_sdk(heartbeat_interval_ms=30_000) as sdk:
            await until(lambda: len(core.reported(pb.EVENT_HEARTBEAT)) >= 3, clock, step_ms=10_000)
            await sdk.completed()

    async def test_repeated_report_of_a_custom_event_is_one_event(self, core, make_sdk):
        async with make_sdk() as sdk:
            core.lose_answers = 1
            await sdk.custom_event("shipped", b"1")
            assert core.reported(pb.EVENT_CUSTOM) == [b"1"]
            await sdk.custom_event("shipped", b"2", event_key="k")
            await sdk.custom_event("shipped", b"2", event_key="k")
            assert core.reported(pb.EVENT_CUSTOM) == [b"1", b"2"]
            await sdk.completed(b"[]")

    async def test_custom_signal_is_read_without_consuming(self, core, make_sdk):
        async with make_sdk() as sdk:
            assert await sdk.poll_custom_signal("approval") is None
            core.custom_signals["approval"] = b"yes"
            assert await sdk.poll_custom_signal("approval") == b"yes"
            assert await sdk.poll_custom_signal("approval") == b"yes"
            await sdk.completed()

    async def test_output_must_be_json(self, make_sdk):
        async with make_sdk() as sdk:
            with pytest.raises(InvalidInputError, match="output"):
                await sdk.completed(object())
            await sdk.failed("given up")

    async def test_status(self, make_sdk):
        async with make_sdk() as sdk:
            assert (await sdk.get_status()).status == "running"
            assert not (await sdk.get_instance_status("other")).found
            await sdk.suspended()


class TestReconnection:
    @pytest.mark.parametrize("fault", [TransportError("gone"), DeadlineExceededError("slow"), StorageError("down")])
    async def test_calls_survive_an_absence(self, core, make_sdk, fault):
        async with make_sdk(reconnect_deadline_ms=10_000) as sdk:
            core.faults += [fault, fault]
            assert not (await sdk.checkpoint("a", b"1")).found
            await sdk.completed()

    async def test_lost_answer_is_asked_for_again(self, core, make_sdk):
        async with make_sdk(reconnect_deadline_ms=10_000) as sdk:
            core.lose_answers = 1
            await sdk.checkpoint("a", b"1")
            assert core.calls.count("checkpoint") == 2
            await sdk.completed()
            assert core.reported(pb.EVENT_COMPLETED) == [b"null"]

    async def test_gives_up_in_the_end_with_the_address(self, core, make_sdk):
        core.faults += [TransportError("refused")] * 100
        with pytest.raises(TransportError, match=r"127\.0\.0\.1:8001.*connect.*refused"):
            async with make_sdk(reconnect_deadline_ms=120):
                pytest.fail("entered")

    async def test_what_cannot_help_is_not_repeated(self, core, make_sdk):
        core.faults.append(TransportError("bad certificate", retryable=False))
        with pytest.raises(TransportError, match="bad certificate"):
            await make_sdk(reconnect_deadline_ms=60_000).connect()
