import asyncio
import json
from datetime import date
from uuid import UUID

import pytest
from pydantic import BaseModel
from runtara_sdk import (
    ConfigurationError,
    DeadlineExceededError,
    InstanceCancelled,
    InstancePaused,
    InstanceShutdown,
    InstanceSuspended,
    InvalidInputError,
    ProtocolError,
    RetryPolicy,
    TransportError,
    durable,
    idempotency_key,
)
from runtara_sdk.protocol import instance_pb2 as pb

HERE = __name__


class Shop:
    """Counts calls; fails as often as told."""

    def __init__(self, failures: int = 0, error: Exception | None = None) -> None:
        self.calls = 0
        self.called = asyncio.Event()
        self.failures = failures
        self.error = error or OSError("busy")

    async def order(self, order_id: str) -> dict[str, object]:
        self.calls += 1
        self.called.set()
        if self.calls <= self.failures:
            raise self.error
        return {"id": order_id, "call": self.calls}


async def finish(task, clock):
    for _ in range(500):
        if task.done():
            return await task
        clock.advance(500)
        await asyncio.sleep(0)
    raise AssertionError("never done")


async def test_result_is_recorded_and_returned(core, make_sdk):
    shop = Shop()

    @durable
    async def buy(order_id: str) -> dict[str, object]:
        return await shop.order(order_id)

    async with make_sdk() as sdk:
        first = await buy("A-1")
        assert await buy("A-1") == first
        assert (await buy("A-2"))["call"] == 2
        await sdk.completed()
    key = f'durable::{HERE}:test_result_is_recorded_and_returned.<locals>.buy::"A-1"'
    assert json.loads(core.checkpoints[key]) == first


async def test_failures_are_retried_recorded_and_spaced(core, clock, make_sdk):
    shop = Shop(failures=3)
    durably = durable(shop.order, max_retries=3, delay=1000)
    async with make_sdk() as sdk:
        started_ms = clock.now_ms()
        result = await finish(asyncio.create_task(durably("A-1")), clock)
        assert result["call"] == 4
        assert clock.now_ms() - started_ms >= 1000 + 2000 + 4000
        await sdk.completed()
    assert [(number, error) for _, number, error in core.attempts] == [
        (2, "OSError: busy"),
        (3, "OSError: busy"),
        (4, "OSError: busy"),
    ]


async def test_last_error_is_raised(core, clock, make_sdk):
    shop = Shop(failures=9)
    with pytest.raises(OSError, match="busy"):
        async with make_sdk():
            await finish(asyncio.create_task(durable(shop.order, max_retries=1, strategy="fixed")("A-1")), clock)
    assert shop.calls == 2
    assert core.checkpoints == {}


async def test_permanent_errors_are_not_retried(make_sdk):
    shop = Shop(failures=9, error=InvalidInputError("no such article"))
    with pytest.raises(InvalidInputError):
        async with make_sdk():
            await durable(shop.order)("A-1")
    assert shop.calls == 1


async def test_failed_lookup_fails_the_call_without_work(core, make_sdk):
    shop = Shop()

    async def program():
        async with make_sdk(reconnect_deadline_ms=0):
            core.faults.append(TransportError("gone"))
            await durable(shop.order)("A-1")

    with pytest.raises(TransportError):
        await program()
    assert shop.calls == 0


async def test_unreadable_record_fails_the_call_without_work(core, make_sdk):
    shop = Shop()
    core.checkpoints[f'durable::{HERE}:Shop.order::"A-1"'] = b"\xff"
    with pytest.raises(ProtocolError, match=r"A-1.*JSON"):
        async with make_sdk():
            await durable(shop.order)("A-1")
    assert shop.calls == 0


async def test_cancel_ends_the_wait_between_attempts(core, clock, make_sdk):
    shop = Shop(failures=9)
    sdk = make_sdk()
    async with sdk:
        running = asyncio.create_task(durable(shop.order, delay=3_600_000)("A-1"))
        await shop.called.wait()
        core.send(pb.SIGNAL_CANCEL)
        await finish(running, clock)
    assert isinstance(sdk.interruption, InstanceCancelled)
    assert shop.calls == 1


async def test_cancel_is_obeyed_once_the_result_is_recorded(core, make_sdk):
    sdk = make_sdk()
    async with sdk:
        core.send(pb.SIGNAL_CANCEL)
        await sdk.step("charge", lambda: Shop().order("A-1"))
    assert isinstance(sdk.interruption, InstanceCancelled)
    assert "step::charge" in core.checkpoints


async def test_key_function_and_idempotency_key(core, make_sdk):
    keys = []

    @durable(key=lambda customer, order: f"{customer}/{order}")
    async def buy(customer: str, order: str) -> None:
        keys.append(idempotency_key())

    async with make_sdk() as sdk:
        await buy("c", order="o")
        await sdk.completed()
    assert keys[0].startswith("i/durable::")
    assert keys[0].endswith('::"c/o"')
    with pytest.raises(ConfigurationError):
        idempotency_key()


async def test_calls_at_the_same_time_are_done_once(make_sdk):
    shop = Shop()
    async with make_sdk() as sdk:
        results = await asyncio.gather(*(durable(shop.order)("A-1") for _ in range(5)))
        assert results == [{"id": "A-1", "call": 1}] * 5
        await sdk.completed()


async def test_a_call_within_itself_is_refused(make_sdk):
    async with make_sdk() as sdk:

        async def again() -> None:
            await sdk.step("outer", again)

        with pytest.raises(ConfigurationError, match="step::outer"):
            await sdk.step("outer", again)
        await sdk.completed()


async def test_calls_nest(core, make_sdk):
    async with make_sdk() as sdk:

        async def outer() -> str:
            await sdk.step("inner", inner)
            return idempotency_key()

        async def inner() -> str:
            return idempotency_key()

        assert await sdk.step("outer", outer) == "i/step::outer"
        assert json.loads(core.checkpoints["step::inner"]) == "i/step::inner"
        await sdk.completed()


async def test_step_is_done_once(make_sdk):
    shop = Shop()
    async with make_sdk() as sdk:
        assert await sdk.step("charge", lambda: shop.order("A-1")) == await sdk.step(
            "charge", lambda: shop.order("A-1")
        )
        assert shop.calls == 1
        await sdk.completed()


async def test_misuse_is_explained(make_sdk):
    @durable
    async def nothing() -> None: ...

    with pytest.raises(ConfigurationError, match="async with"):
        await nothing()
    with pytest.raises(ConfigurationError, match="key function"):
        async with make_sdk():
            await nothing()
    with pytest.raises(ConfigurationError, match="max_retries"):
        durable(max_retries=-1)
    with pytest.raises(ConfigurationError, match="strategy"):
        durable(strategy="sometimes")


async def test_result_must_be_json(make_sdk):
    async def make() -> object:
        return object()

    with pytest.raises(InvalidInputError, match="charge"):
        async with make_sdk() as sdk:
            await sdk.step("charge", make)


class TestRestarts:
    async def test_a_restart_in_a_backoff_keeps_count_and_time(self, core, clock, make_sdk):
        shop = Shop(failures=9)
        durably = durable(shop.order, max_retries=2, delay=40_000)
        for attempts, wait_ms in ((1, 40_000), (2, 80_000)):
            sdk = make_sdk(launch_epoch=core.epoch or 1)
            async with sdk:
                await durably("A-1")
            assert isinstance(sdk.interruption, InstanceSuspended)
            assert shop.calls == attempts
            clock.advance(wait_ms // 2)
            again = make_sdk(launch_epoch=core.epoch)
            async with again:  # too early: what is left is above the threshold or waited for
                task = asyncio.create_task(durably("A-1"))
                await asyncio.sleep(0.01)
                if task.done():
                    await task
                else:
                    task.cancel()
                    with pytest.raises(asyncio.CancelledError):
                        await task
                    await again.suspended()
            assert shop.calls == attempts
            clock.advance(wait_ms // 2)
        with pytest.raises(OSError, match="busy"):
            async with make_sdk():
                await durably("A-1")
        assert shop.calls == 3
        assert [number for _, number, _ in core.attempts] == [2, 3]

    async def test_a_killed_attempt_is_made_again_under_its_number(self, core, clock, make_sdk):
        shop = Shop(failures=1)
        durably = durable(shop.order, max_retries=1, delay=1_000)
        hung = asyncio.Event()

        async def hang(order_id):
            await shop.order(order_id)
            hung.set()
            await asyncio.Event().wait()

        hang.__qualname__ = "Shop.order"
        async with make_sdk() as sdk:
            task = asyncio.create_task(durable(hang, max_retries=1, delay=1_000)("A-1"))
            while not hung.is_set():
                clock.advance(500)
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
            await sdk.suspended()
        async with make_sdk() as sdk:
            assert (await durably("A-1"))["call"] == 3
            await sdk.completed()
        assert [number for _, number, _ in core.attempts] == [2]


class TestOptions:
    async def test_an_attempt_has_a_bound(self, core, clock, make_sdk):
        calls = 0

        async def hang_once(_: str) -> str:
            nonlocal calls
            calls += 1
            if calls == 1:
                await asyncio.Event().wait()
            return "done"

        async with make_sdk() as sdk:
            task = asyncio.create_task(durable(hang_once, timeout=20, delay=1)("A-1"))
            while not core.attempts:
                await asyncio.sleep(0.001)
            assert await finish(task, clock) == "done"
            await sdk.completed()
        assert "attempt 1 took longer than 20 ms" in core.attempts[0][2]

    async def test_the_last_timeout_is_raised(self, make_sdk):
        async def hang(_: str) -> None:
            await asyncio.Event().wait()

        with pytest.raises(DeadlineExceededError, match="attempt 1"):
            async with make_sdk():
                await durable(hang, timeout=5, max_retries=0)("A-1")

    async def test_waits_for_rate_limits_use_up_no_retries(self, core, clock, make_sdk):
        limited = OSError("slow down")
        limited.code, limited.retry_after_ms = "RATE_LIMITED", 10_000
        shop = Shop(failures=5, error=limited)
        async with make_sdk() as sdk:
            task = asyncio.create_task(durable(shop.order, max_retries=0)("A-1"))
            assert (await finish(task, clock))["call"] == 6
            await sdk.completed()
        assert core.retries[core.attempts[0][0]].rate_limit_waited_ms == 50_000
        assert core.retries[core.attempts[0][0]].retries_used == 0

    async def test_the_budget_for_rate_limits_ends(self, clock, make_sdk):
        limited = OSError("slow down")
        limited.code, limited.retry_after_ms = "HTTP_RATE_LIMITED", 10_000
        shop = Shop(failures=99, error=limited)
        durably = durable(shop.order, max_retries=1, rate_limit_budget=25_000)
        with pytest.raises(OSError, match="slow down"):
            async with make_sdk():
                await finish(asyncio.create_task(durably("A-1")), clock)
        assert shop.calls == 4

    async def test_the_environment_turns_rate_limits_off_and_caps_waits(self, clock, make_sdk):
        limited = OSError("slow down")
        limited.code, limited.retry_after_ms = "RATE_LIMITED", 3_600_000
        shop = Shop(failures=99, error=limited)
        started_ms = clock.now_ms()
        with pytest.raises(OSError, match="slow down"):
            async with make_sdk(auto_retry_on_429=False, max_retry_delay_ms=2_000):
                await finish(asyncio.create_task(durable(shop.order, max_retries=2)("A-1")), clock)
        assert shop.calls == 3
        assert clock.now_ms() - started_ms < 60_000

    async def test_a_step_may_retry(self, clock, make_sdk):
        shop = Shop(failures=2)
        async with make_sdk() as sdk:
            step = sdk.step("charge", lambda: shop.order("A-1"), retry=RetryPolicy(max_retries=2, delay_ms=10))
            assert (await finish(asyncio.create_task(step), clock))["call"] == 3
            await sdk.completed()

    async def test_cancel_interrupts_the_attempt_and_nothing_is_retried(self, core, clock, make_sdk):
        cancelled = asyncio.Event()

        async def hang(_: str) -> None:
            try:
                await asyncio.Event().wait()
            finally:
                cancelled.set()

        sdk = make_sdk()
        async with sdk:
            task = asyncio.create_task(durable(hang)("A-1"))
            await asyncio.sleep(0)
            core.send(pb.SIGNAL_CANCEL)
            await finish(task, clock)
        assert isinstance(sdk.interruption, InstanceCancelled)
        assert cancelled.is_set()
        assert core.attempts == []

    @pytest.mark.parametrize(
        ("number", "expected"), [(pb.SIGNAL_PAUSE, InstancePaused), (pb.SIGNAL_SHUTDOWN, InstanceShutdown)]
    )
    async def test_a_suspension_ends_the_wait_and_the_next_run_goes_on(self, core, clock, make_sdk, number, expected):
        shop = Shop(failures=1)
        durably = durable(shop.order, delay=20_000)
        sdk = make_sdk()
        async with sdk:
            task = asyncio.create_task(durably("A-1"))
            await shop.called.wait()
            core.send(number)
            await finish(task, clock)
        assert isinstance(sdk.interruption, expected)
        clock.advance(20_000)
        async with make_sdk() as again:
            assert (await durably("A-1"))["call"] == 2
            await again.completed()


class Receipt(BaseModel):
    order: str
    total: int


class Reversed:
    """A codec of the program's own."""

    name = "reversed"

    def encode(self, result: str) -> bytes:
        return result[::-1].encode()

    def decode(self, stored: bytes) -> str:
        return stored.decode()[::-1]


class TestCodecs:
    @pytest.mark.parametrize(
        ("codec", "result", "stored"),
        [
            (None, {"a": [1, None]}, b'{"a":[1,null]}'),
            (bytes, b"\x00\xff", b"\x00\xff"),
            (Receipt, Receipt(order="A-1", total=3), b'{"order":"A-1","total":3}'),
            (list[Receipt], [Receipt(order="A-1", total=3)], b'[{"order":"A-1","total":3}]'),
            (Reversed(), "abc", b"cba"),
        ],
    )
    async def test_first_run_and_replay_give_the_same(self, core, make_sdk, codec, result, stored):
        async with make_sdk() as sdk:
            for _ in range(2):
                assert await sdk.step("make", AsyncResult(result), codec=codec) == result
            await sdk.completed()
        assert core.checkpoints["step::make"] == stored

    async def test_what_json_changes_is_changed_in_the_first_run_too(self, make_sdk):
        async with make_sdk() as sdk:
            for _ in range(2):
                assert await sdk.step("make", AsyncResult((1, 2))) == [1, 2]
            await sdk.completed()

    @pytest.mark.parametrize(
        ("codec", "result", "message"),
        [
            (None, b"1", "make.*JSON.*codec=bytes"),
            (bytes, "text", "make.*bytes.*str"),
            (Receipt, {"order": 1}, "make.*Receipt"),
            (Reversed(), 3, "make.*reversed"),
        ],
    )
    async def test_a_result_that_cannot_be_stored_is_named(self, core, make_sdk, codec, result, message):
        with pytest.raises(InvalidInputError, match=message):
            async with make_sdk() as sdk:
                await sdk.step("make", AsyncResult(result), codec=codec)
        assert core.checkpoints == {}

    @pytest.mark.parametrize("codec", [None, Receipt, Reversed()])
    async def test_a_record_that_cannot_be_read_is_named_and_nothing_is_done(self, core, make_sdk, codec):
        core.checkpoints["step::make"] = b"\xff{"
        made = AsyncResult(1)
        with pytest.raises(ProtocolError, match="step::make"):
            async with make_sdk() as sdk:
                await sdk.step("make", made, codec=codec)
        assert made.calls == 0

    def test_what_is_no_codec_is_refused(self):
        with pytest.raises(ConfigurationError, match="codec"):
            durable(codec=object())


class AsyncResult:
    """An async function with one result."""

    def __init__(self, result: object) -> None:
        self.result = result
        self.calls = 0

    async def __call__(self) -> object:
        self.calls += 1
        return self.result


class Desk:
    @durable
    async def sign(self, paper: str) -> str:
        return paper


class TestKeys:
    async def test_no_two_arguments_share_a_record(self, core, make_sdk):
        @durable
        async def show(value: object) -> str:
            return repr(value)

        values = ["1", 1, 1.5, True, None, "true", "a::b", 'a"', date(2026, 1, 2), "2026-01-02", UUID(int=7), "x" * 999]
        values += ["x" * 1000, 'date("2026-01-02")', "sha256:1"]
        async with make_sdk() as sdk:
            for _ in range(2):
                assert [await show(value) for value in values] == [repr(value) for value in values]
            await sdk.completed()
        assert len(core.checkpoints) == len(values)
        assert all(len(key) < 1024 for key in core.checkpoints)

    async def test_the_object_of_a_method_is_no_part_of_the_key(self, core, make_sdk):
        async with make_sdk() as sdk:
            assert await Desk().sign("P-1") == await Desk().sign(paper="P-1")
            await sdk.completed()
        assert list(core.checkpoints) == [f'durable::{HERE}:Desk.sign::"P-1"']

    async def test_what_cannot_name_a_call_is_refused(self, make_sdk):
        async def show(value: object) -> None: ...

        with pytest.raises(ConfigurationError, match="key function"):
            async with make_sdk():
                await durable(show)(object())
