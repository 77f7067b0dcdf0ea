"""Waits beside other durable work: nothing is cut off, nothing comes late, and what is suspended stops everywhere."""

import asyncio

import pytest
from runtara_sdk import InstanceSuperseded, InstanceSuspended, InvalidStateError, RetryPolicy
from runtara_sdk.instance_calls import calls_of
from runtara_sdk.protocol import instance_pb2 as pb

HOUR = 3_600
LAUNCHED = {"launch_epoch": 1, "instance_token": "token"}


async def let_run(rounds: int = 50) -> None:
    for _ in range(rounds):
        await asyncio.sleep(0)


async def advance_until_done(task, clock, step_ms: int = 20_000):
    for _ in range(5_000):
        if task.done():
            return await task
        clock.advance(step_ms)
        await let_run(5)
    raise AssertionError("never done")


class Work:
    """A step that ends when told."""

    def __init__(self) -> None:
        self.calls = 0
        self.may_end = asyncio.Event()

    async def __call__(self) -> str:
        self.calls += 1
        await self.may_end.wait()
        return "done"


@pytest.mark.parametrize("wait", ["sleep", "signal", "retry"])
async def test_a_wait_suspends_once_the_work_beside_it_is_recorded(core, clock, make_sdk, wait):
    work = Work()

    async def fail():
        raise OSError("busy")

    async def program() -> None:
        async with make_sdk(**LAUNCHED) as sdk:
            waits = {
                "sleep": lambda: sdk.durable_sleep(HOUR, "nap"),
                "signal": lambda: sdk.wait_for_signal("gate", HOUR),
                "retry": lambda: sdk.step("call", fail, retry=RetryPolicy(1, HOUR * 1000)),
            }
            try:
                await asyncio.gather(waits[wait](), sdk.step("work", work))
            except InstanceSuspended:
                assert core.checkpoints["step::work"] == b'"done"'
                raise

    running = asyncio.create_task(program())
    await let_run()
    for _ in range(10):
        clock.advance(30_000)
        await let_run()
    assert core.status == pb.STATUS_RUNNING
    work.may_end.set()
    await advance_until_done(running, clock)
    assert core.status == pb.STATUS_SUSPENDED
    assert work.calls == 1


async def test_timers_side_by_side_suspend_until_the_first_of_them(core, clock, make_sdk):
    ended: list[str] = []

    async def nap(sdk, name: str, hours: int) -> None:
        await sdk.durable_sleep(hours * HOUR, name)
        ended.append(name)

    async def program() -> None:
        async with make_sdk(**LAUNCHED) as sdk:
            await asyncio.gather(nap(sdk, "long", 3), nap(sdk, "short", 1))

    started_ms = clock.now_ms()
    running = asyncio.create_task(program())
    await let_run()
    await advance_until_done(running, clock)
    assert (ended, core.status) == ([], pb.STATUS_SUSPENDED)
    assert core.deadlines == {"long": started_ms + 3 * HOUR * 1000, "short": started_ms + HOUR * 1000}
    assert clock.now_ms() - started_ms < 60_000

    clock.advance(started_ms + HOUR * 1000 - clock.now_ms())
    core.status = pb.STATUS_RUNNING
    again = asyncio.create_task(program())
    await let_run()
    await advance_until_done(again, clock)
    assert (ended, core.status) == (["short"], pb.STATUS_SUSPENDED)


@pytest.mark.parametrize("order", [("timer", "approval", "refusal"), ("refusal", "approval", "timer")])
async def test_signals_and_timers_side_by_side_suspend_until_the_first_of_them(core, clock, make_sdk, order):
    came: list[str] = []

    async def program() -> None:
        async with make_sdk(**LAUNCHED) as sdk:
            waits = {
                "timer": lambda: sdk.durable_sleep(2 * HOUR, "timer"),
                "approval": lambda: sdk.wait_for_signal("approval", 3 * HOUR),
                "refusal": lambda: sdk.wait_for_signal("refusal"),
            }

            async def wait(name: str) -> None:
                await waits[name]()
                came.append(name)

            await asyncio.gather(*map(wait, order))

    async def launch() -> None:
        core.status = pb.STATUS_RUNNING
        running = asyncio.create_task(program())
        await let_run()
        await advance_until_done(running, clock, step_ms=1_000)

    started_ms = clock.now_ms()
    await launch()
    assert (came, core.status) == ([], pb.STATUS_SUSPENDED)
    assert core.wake_at_ms == started_ms + 2 * HOUR * 1000
    assert clock.now_ms() - started_ms < 60_000

    core.custom_signals["refusal"] = b"no"
    await launch()
    assert (came, core.status) == (["refusal"], pb.STATUS_SUSPENDED)
    clock.advance(core.wake_at_ms - clock.now_ms())
    await launch()
    assert sorted(came) == ["refusal", "refusal", "timer"]
    # The approval alone is left.
    assert (core.status, core.wake_at_ms) == (pb.STATUS_SUSPENDED, started_ms + 3 * HOUR * 1000)


async def test_timers_do_not_suspend_while_a_part_of_the_program_is_between_two_calls(core, clock, make_sdk):
    may_go_on = asyncio.Event()

    async def program() -> None:
        async with make_sdk(**LAUNCHED) as sdk:

            async def part() -> None:
                with calls_of(sdk).under_way.operation():
                    await may_go_on.wait()
                    await sdk.checkpoint("part", b"done")

            await asyncio.gather(sdk.durable_sleep(HOUR, "a"), sdk.durable_sleep(2 * HOUR, "b"), part())

    running = asyncio.create_task(program())
    await let_run()
    for _ in range(20):
        clock.advance(20_000)
        await let_run()
    assert core.status == pb.STATUS_RUNNING
    may_go_on.set()
    await advance_until_done(running, clock)
    assert (core.checkpoints["part"], core.status) == (b"done", pb.STATUS_SUSPENDED)


async def test_a_signal_is_heard_beside_a_timer(core, clock, make_sdk):
    async def program() -> bytes:
        async with make_sdk(**LAUNCHED) as sdk:
            timer = asyncio.create_task(sdk.durable_sleep(24 * HOUR, "reminder"))
            payload = await sdk.wait_for_signal("approval")
            timer.cancel()
            await sdk.completed()
        return payload

    running = asyncio.create_task(program())
    await let_run()
    assert core.status == pb.STATUS_RUNNING
    core.custom_signals["approval"] = b"yes"
    assert await advance_until_done(running, clock, 1_000) == b"yes"
    assert core.status == pb.STATUS_COMPLETED


async def test_a_wait_within_a_step_is_alone(core, make_sdk):
    async with make_sdk(**LAUNCHED) as sdk:

        async def sleepy() -> None:
            await sdk.durable_sleep(HOUR, "nap")

        await sdk.step("outer", sleepy)
    assert isinstance(sdk.interruption, InstanceSuspended)
    assert core.status == pb.STATUS_SUSPENDED


@pytest.mark.parametrize(
    ("status", "raised"),
    [
        (pb.STATUS_SUSPENDED, InstanceSuspended),
        (pb.STATUS_CANCELLED, InstanceSuperseded),
        (pb.STATUS_FAILED, InstanceSuperseded),
        (pb.STATUS_RUNNING, InvalidStateError),
    ],
)
async def test_what_stopped_the_instance_meanwhile_is_no_failure_of_a_call(core, make_sdk, status, raised):
    def refuse(_request):
        core.status = status
        return pb.RpcResponse(error=pb.RpcError(code="INVALID_INSTANCE_STATE", message="it needs a running one"))

    core._checkpoint = refuse
    sdk = make_sdk()
    await sdk.connect()
    await sdk.register()
    with pytest.raises(raised, match="it needs a running one"):
        await sdk.checkpoint("step", b"")
    await sdk.close()
