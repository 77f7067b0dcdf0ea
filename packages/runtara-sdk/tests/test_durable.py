import asyncio
import json

import pytest
from runtara_sdk import (
    ConfigurationError,
    InstanceCancelled,
    InvalidInputError,
    ProtocolError,
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
    key = f"durable::{HERE}.test_result_is_recorded_and_returned.<locals>.buy::A-1"
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
    core.checkpoints[f"durable::{HERE}.Shop.order::A-1"] = b"\xff"
    with pytest.raises(ProtocolError, match="A-1"):
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
    assert "charge" in core.checkpoints


async def test_key_function_and_idempotency_key(core, make_sdk):
    keys = []

    @durable(key=lambda customer, order: f"{customer}/{order}")
    async def buy(customer: str, order: str) -> None:
        keys.append(idempotency_key())

    async with make_sdk() as sdk:
        await buy("c", order="o")
        await sdk.completed()
    assert keys[0].startswith("i/durable::")
    assert keys[0].endswith("::c/o")
    with pytest.raises(ConfigurationError):
        idempotency_key()


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
