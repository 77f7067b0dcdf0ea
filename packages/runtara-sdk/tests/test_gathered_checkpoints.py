"""Checkpoints of a program whose parts run side by side: what goes in one request, and what each part hears."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, cast

import pytest
from runtara_sdk.backend import InstanceBackend
from runtara_sdk.errors import (
    InstanceSuperseded,
    InvalidInputError,
    RuntaraError,
    ServerError,
    StorageError,
)
from runtara_sdk.gathered_checkpoints import GatheredCheckpoints
from runtara_sdk.instance import RuntaraSdk
from runtara_sdk.models import MAX_CHECKPOINTS, CheckpointResult, NewCheckpoint, SignalType
from runtara_sdk.protocol import instance_pb2 as pb

REFUSED = pb.RpcError(code="VALIDATION_ERROR", message="a checkpoint cannot be stored")


class SlowCore:
    """Notes the checkpoints of each request, and answers when it is told to."""

    def __init__(self, core: Any) -> None:
        self.requests: list[list[str]] = []
        self.errors: list[pb.RpcError] = []
        self.refused = "bad"
        self._serve = core.call
        self._turn = asyncio.Semaphore(0)
        core.call = self._call

    def answer(self, requests: int = 1_000) -> None:
        for _ in range(requests):
            self._turn.release()

    async def asked(self, requests: int) -> None:
        """Wait for requests, and for whoever else may run."""
        async with asyncio.timeout(10):
            while len(self.requests) < requests:
                await asyncio.sleep(0)
        for _ in range(10):
            await asyncio.sleep(0)

    async def _call(self, payload: bytes, **options: Any) -> bytes:
        request = pb.RpcRequest.FromString(payload)
        match request.WhichOneof("request"):
            case "checkpoint":
                names = [request.checkpoint.checkpoint_id]
            case "checkpoints":
                names = [each.checkpoint_id for each in request.checkpoints.checkpoints]
            case _:
                return bytes(await self._serve(payload, **options))
        self.requests.append(names)
        await self._turn.acquire()
        if self.refused in names:
            return pb.RpcResponse(error=REFUSED).SerializeToString()
        if self.errors:
            return pb.RpcResponse(error=self.errors.pop(0)).SerializeToString()
        return bytes(await self._serve(payload, **options))


@pytest.fixture
async def slow(core: Any) -> SlowCore:
    return SlowCore(core)


@pytest.fixture
async def sdk(slow: SlowCore, make_sdk: Callable[..., RuntaraSdk]) -> AsyncIterator[RuntaraSdk]:
    sdk = make_sdk()
    await sdk.connect()
    await sdk.register()
    yield sdk
    await sdk.close()


def begin(sdk: RuntaraSdk, *names: str) -> list[asyncio.Task[Any]]:
    return [asyncio.create_task(sdk.checkpoint(name, name.encode())) for name in names]


async def outcomes(tasks: list[asyncio.Task[Any]]) -> list[Any]:
    async with asyncio.timeout(10):
        return await asyncio.gather(*tasks, return_exceptions=True)


async def test_what_comes_while_one_is_under_way_goes_together(sdk: RuntaraSdk, slow: SlowCore, core: Any) -> None:
    tasks = begin(sdk, "a", "b", "c", "b")
    await slow.asked(1)
    assert slow.requests == [["a"]]
    slow.answer(1)
    await slow.asked(2)
    tasks += begin(sdk, "d")
    slow.answer()
    results = await outcomes(tasks)
    assert slow.requests == [["a"], ["b", "c", "b"], ["d"]]
    assert [result.existing_state for result in results] == [None, None, None, b"b", None]
    assert list(core.checkpoints) == ["a", "b", "c", "d"]


async def test_one_after_the_other_each_goes_alone_and_at_once(sdk: RuntaraSdk, slow: SlowCore, core: Any) -> None:
    slow.answer()
    for name in ("a", "b", "c"):
        await sdk.checkpoint(name)
    assert core.calls == ["register_instance", "checkpoint", "checkpoint", "checkpoint"]


async def test_several_checkpoints_of_a_call_stay_together(sdk: RuntaraSdk, slow: SlowCore, core: Any) -> None:
    slow.answer()
    assert await sdk.checkpoints([]) == []
    results = await sdk.checkpoints([("a", b"1"), ("b", b"2"), ("a", b"3")])
    assert [result.existing_state for result in results] == [None, None, b"1"]
    with pytest.raises(InvalidInputError, match=str(MAX_CHECKPOINTS)):
        await sdk.checkpoints([("a", b"")] * (MAX_CHECKPOINTS + 1))
    with pytest.raises(InvalidInputError):
        await sdk.checkpoints([("good", b""), ("bad", b"")])
    assert slow.requests == [["a", "b", "a"], ["good", "bad"]]
    core.send(pb.SIGNAL_PAUSE)
    assert all(result.should_pause for result in await sdk.checkpoints([("a", b""), ("c", b"")]))


async def test_a_request_is_bounded_by_checkpoints_and_by_bytes(sdk: RuntaraSdk, slow: SlowCore) -> None:
    tasks = begin(sdk, "first", *(f"{number}" for number in range(MAX_CHECKPOINTS + 10)))
    large = bytes(3 * 1024 * 1024)
    tasks += [asyncio.create_task(sdk.checkpoint(f"large-{number}", large)) for number in range(2)]
    await slow.asked(1)
    slow.answer()
    assert not any(isinstance(result, BaseException) for result in await outcomes(tasks))
    assert [len(names) for names in slow.requests] == [1, MAX_CHECKPOINTS, 11, 1]


async def test_one_that_is_refused_takes_no_other_along(sdk: RuntaraSdk, slow: SlowCore) -> None:
    tasks = begin(sdk, "a", "b", "bad", "c")
    tasks.append(asyncio.create_task(sdk.checkpoints([("d", b""), ("bad", b"")])))
    tasks.append(asyncio.create_task(sdk.checkpoints([("e", b""), ("f", b"")])))
    await slow.asked(1)
    slow.answer()
    first, second, refused, third, together, others = await outcomes(tasks)
    assert isinstance(refused, InvalidInputError)
    assert isinstance(together, InvalidInputError)
    assert not any(result.found for result in (first, second, third, *others))
    assert slow.requests[1] == ["b", "bad", "c", "d", "bad", "e", "f"]
    assert slow.requests[2:] == [["b"], ["bad"], ["c"], ["d", "bad"], ["e", "f"]]


async def test_a_store_that_fails_is_told_to_all_of_a_request(sdk: RuntaraSdk, slow: SlowCore) -> None:
    for _ in range(50):
        slow.errors.append(pb.RpcError(code="DATABASE_ERROR", message="it is away", retryable=True))
    tasks = begin(sdk, "a", "b", "c")
    slow.answer()
    failures = await outcomes(tasks)
    assert [type(failure) for failure in failures] == [StorageError] * 3
    assert len({id(failure) for failure in failures}) == 3
    slow.errors.clear()
    assert not (await sdk.checkpoint("d")).found


async def test_a_program_that_was_replaced_ends_in_all_its_parts(sdk: RuntaraSdk, slow: SlowCore, core: Any) -> None:
    tasks = begin(sdk, "a", "b", "c")
    await slow.asked(1)
    core.epoch += 1
    slow.answer()
    assert [type(outcome) for outcome in await outcomes(tasks)] == [InstanceSuperseded] * 3


async def test_a_caller_that_is_cancelled_takes_no_other_along(sdk: RuntaraSdk, slow: SlowCore, core: Any) -> None:
    first, waiting, stays = begin(sdk, "a", "b", "c")
    await slow.asked(1)
    waiting.cancel()
    first.cancel()
    await slow.asked(2)
    late = begin(sdk, "d", "e")
    assert slow.requests == [["a"], ["c"]]
    slow.answer(1)
    assert not (await stays).found
    await slow.asked(3)
    late[0].cancel()
    slow.answer()
    assert [type(outcome) for outcome in await outcomes([first, waiting])] == [asyncio.CancelledError] * 2
    assert not (await late[1]).found
    # What was under way is stored although nobody hears of it.
    assert list(core.checkpoints) == ["c", "d", "e"]


async def test_closing_gives_up_what_is_under_way(slow: SlowCore, make_sdk: Callable[..., RuntaraSdk]) -> None:
    sdk = make_sdk()
    await sdk.connect()
    await sdk.register()
    first, *others = begin(sdk, "a", "b", "c")
    await slow.asked(1)
    slow.answer(1)
    await first
    await slow.asked(2)
    others += begin(sdk, "d")
    await sdk.close()
    assert [type(outcome) for outcome in await outcomes(others)] == [asyncio.CancelledError] * 3


async def test_closing_before_the_next_request_has_begun_leaves_nobody_waiting() -> None:
    turn = asyncio.Event()

    class Store:
        async def checkpoint(self, *_: Any, **__: Any) -> CheckpointResult:
            await turn.wait()
            return CheckpointResult(found=False)

    gathered = GatheredCheckpoints(lambda: cast("InstanceBackend", Store()))

    async def close() -> None:
        await turn.wait()
        gathered.close()

    async def store(name: str) -> list[CheckpointResult]:
        return await gathered.store([NewCheckpoint(name)])

    # In the order in which they go on: the first has its answer, and the request of the second is still to begin.
    first, _, second = [asyncio.create_task(each) for each in (store("a"), close(), store("b"))]
    for _turn in range(3):
        await asyncio.sleep(0)
    turn.set()
    answered, given_up = await outcomes([first, second])
    assert not answered[0].found
    assert isinstance(given_up, asyncio.CancelledError)
    assert not (await store("c"))[0].found


async def test_an_answer_that_would_be_too_large_is_asked_for_in_parts(
    sdk: RuntaraSdk, slow: SlowCore, core: Any
) -> None:
    core.checkpoints["old"] = b"old"
    slow.errors.append(pb.RpcError(code="ANSWER_TOO_LARGE", message="ask for less"))
    slow.answer()
    results = await sdk.checkpoints([("old", b""), ("new", b"1")])
    assert [result.existing_state for result in results] == [b"old", None]
    assert slow.requests == [["old", "new"], ["old"], ["new"]]


async def test_a_core_without_the_call_is_asked_for_each_alone(sdk: RuntaraSdk, slow: SlowCore) -> None:
    tasks = begin(sdk, "a", "b", "c")
    await slow.asked(1)
    slow.answer(1)
    await slow.asked(2)
    slow.errors.append(pb.RpcError(code="NOT_IMPLEMENTED", message="this server does not serve checkpoints"))
    slow.answer()
    assert not any(result.found for result in await outcomes(tasks))
    assert slow.requests == [["a"], ["b", "c"], ["b"], ["c"]]
    slow.errors.append(pb.RpcError(code="NOT_IMPLEMENTED", message="this server does not serve checkpoints"))
    with pytest.raises(ServerError):
        await sdk.checkpoints([("d", b""), ("e", b"")])


async def test_all_parts_hear_of_the_signal_of_their_request(sdk: RuntaraSdk, slow: SlowCore, core: Any) -> None:
    tasks = begin(sdk, "a", "b", "c")
    await slow.asked(1)
    slow.answer(1)
    await slow.asked(2)
    core.send(pb.SIGNAL_CANCEL)
    slow.answer()
    first, *others = await outcomes(tasks)
    assert not isinstance(first, RuntaraError)
    assert all(result.should_cancel for result in others)
    signal = await sdk.poll_signal()
    assert signal is not None
    assert signal.signal_type is SignalType.CANCEL


async def test_results_of_work_side_by_side_are_recorded_together(
    slow: SlowCore, make_sdk: Callable[..., RuntaraSdk]
) -> None:
    async def work() -> str:
        return "done"

    async with make_sdk() as sdk:
        steps = [asyncio.create_task(sdk.step(f"{number}", work)) for number in range(4)]
        await slow.asked(1)
        slow.answer()
        assert await outcomes(steps) == ["done"] * 4
        await sdk.completed()
    assert slow.requests == [["step::0"], ["step::1", "step::2", "step::3"]]


async def test_callers_that_go_on_at_once_meet_again(sdk: RuntaraSdk, slow: SlowCore) -> None:
    async def work(name: str) -> None:
        for number in range(3):
            await sdk.checkpoint(f"{name}{number}")

    parts = [asyncio.create_task(work(name)) for name in "abc"]
    for requests in range(1, 5):
        await slow.asked(requests)
        slow.answer(1)
    await outcomes(parts)
    # The first begins alone; from then on none of them waits for two requests.
    assert [len(names) for names in slow.requests] == [1, 3, 3, 2]
