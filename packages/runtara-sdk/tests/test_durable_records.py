"""What a durable call is named after, and what is recorded for it, whatever its result and its caller do."""

import asyncio
import math

import pytest
from pydantic import BaseModel
from runtara_sdk import ConfigurationError, InvalidInputError, durable
from runtara_sdk.protocol import instance_pb2 as pb


class Offer(BaseModel):
    price: float


class HeldCore:
    """Holds the first call of a verb until its caller gives up."""

    def __init__(self, core, verb: str) -> None:
        self.verb = verb
        self.asked = asyncio.Event()
        self._serve = core.call
        core.call = self._call

    async def _call(self, payload, **options):
        if pb.RpcRequest.FromString(payload).WhichOneof("request") == self.verb and not self.asked.is_set():
            self.asked.set()
            await asyncio.get_running_loop().create_future()
        return await self._serve(payload, **options)


async def test_a_call_is_named_after_its_first_parameter(make_sdk):
    @durable
    async def pay(order: int, amount: int = 0) -> list[int]:
        return [order, amount]

    @durable
    async def pay_all(*orders: int) -> list[int]:
        return list(orders)

    async with make_sdk() as sdk:
        assert await pay(order=1, amount=2) == [1, 2]
        assert await pay(amount=1, order=2) == [2, 1]
        assert await pay(amount=9, order=1) == [1, 2]
        assert await pay(2) == [2, 1]
        assert await pay_all(3, 4) == [3, 4]
        with pytest.raises(ConfigurationError, match="an argument for order"):
            await pay(amount=1)
        with pytest.raises(ConfigurationError, match="its first argument"):
            await pay_all()
        await sdk.completed()


def make_durable(kind: str):
    if kind == "charge":

        @durable
        async def act(order: str) -> str:
            return f"charged {order}"
    else:

        @durable
        async def act(order: str) -> str:
            return f"refunded {order}"

    return act


async def test_two_functions_never_share_results(make_sdk):
    charge, refund, charge_again = make_durable("charge"), make_durable("refund"), make_durable("charge")
    async with make_sdk() as sdk:
        assert await charge("A-1") == "charged A-1"
        with pytest.raises(ConfigurationError, match="two functions have this name"):
            await refund("A-1")
        assert await charge_again("A-1") == "charged A-1"
        await sdk.completed()
    with pytest.raises(ConfigurationError, match="all lambdas share this name"):
        durable(lambda order: charge(order))


async def test_lambdas_are_told_apart_by_their_key_functions(make_sdk):
    async def act(what: str) -> str:
        return what

    charge = durable(key=lambda order: f"charge {order}")(lambda order: act(f"charged {order}"))
    refund = durable(key=lambda order: f"refund {order}")(lambda order: act(f"refunded {order}"))
    async with make_sdk() as sdk:
        assert (await charge("A-1"), await refund("A-1")) == ("charged A-1", "refunded A-1")
        await sdk.completed()


async def test_a_result_that_cannot_be_read_again_is_not_recorded(core, make_sdk):
    @durable(codec=Offer)
    async def ask(_article: str) -> Offer:
        return Offer(price=math.nan)

    with pytest.raises(InvalidInputError, match="cannot be stored by codec pydantic Offer"):
        async with make_sdk():
            await ask("A-1")
    assert core.checkpoints == {}


async def test_the_record_of_done_work_is_finished_when_its_caller_is_cancelled(core, make_sdk):
    calls = []

    async def charge() -> str:
        calls.append("charge")
        return "receipt"

    held = HeldCore(core, "checkpoint")
    async with make_sdk() as sdk:
        call = asyncio.create_task(sdk.step("charge", charge))
        await held.asked.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert await sdk.step("charge", charge) == "receipt"
        await sdk.completed()
    assert calls == ["charge"]


async def test_what_core_could_not_serve_is_asked_again(core, make_sdk):
    serve, refused = core.call, []

    async def call(payload, **options):
        if pb.RpcRequest.FromString(payload).WhichOneof("request") == "checkpoint" and not refused:
            refused.append(True)
            error = pb.RpcError(code="CHECKPOINT_ERROR", message="checkpoint failed inside the server", retryable=True)
            return pb.RpcResponse(error=error).SerializeToString()
        return await serve(payload, **options)

    core.call = call
    async with make_sdk() as sdk:
        await sdk.checkpoint("step", b"state")
        await sdk.completed()
    assert refused
    assert core.checkpoints == {"step": b"state"}
    assert core.status == pb.STATUS_COMPLETED


@pytest.mark.parametrize(("text", "stored"), [("half \udcff", b"ValueError: half ?"), ("x" * 2**26, b"ValueError: x")])
async def test_any_failure_can_be_reported(core, make_sdk, text, stored):
    with pytest.raises(ValueError, match=text[:4]):
        async with make_sdk():
            raise ValueError(text)
    (reported,) = core.reported(pb.EVENT_FAILED)
    assert reported.startswith(stored)
    assert len(reported) <= 64 * 1024


async def test_any_failed_attempt_can_be_recorded(core, clock, make_sdk):
    failures = [ValueError("half \udcff"), ValueError("x" * 2**26)]

    @durable(delay=0)
    async def read(_name: str) -> str:
        if failures:
            raise failures.pop(0)
        return "content"

    async with make_sdk() as sdk:
        assert await read("A-1") == "content"
        await sdk.completed()
    assert [number for _, number, _ in core.attempts] == [2, 3]
    assert all(len(error) <= 64 * 1024 for _, _, error in core.attempts)
