"""Slots for tests of capabilities."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest
from runtara_environment.call_slots import CallSlots, NoSlotError


async def test_a_tenant_gets_half_of_the_slots() -> None:
    slots = CallSlots(4, max_waiting=0)
    async with AsyncExitStack() as stack:
        for tenant in ("a", "a", "b"):
            await stack.enter_async_context(slots.slot(tenant))
        with pytest.raises(NoSlotError):
            await stack.enter_async_context(slots.slot("a"))
        await stack.enter_async_context(slots.slot("b"))
        with pytest.raises(NoSlotError):
            await stack.enter_async_context(slots.slot("c"))
    async with slots.slot("a"), slots.slot("a"), slots.slot("c"):
        pass


async def test_who_waits_gets_the_slot_that_becomes_free() -> None:
    slots = CallSlots(1, max_waiting=2, wait_seconds=60)
    held = [asyncio.Event() for _ in range(3)]
    order: list[int] = []

    async def hold(number: int) -> None:
        async with slots.slot("abc"[number]):
            order.append(number)
            await held[number].wait()

    tasks = [asyncio.create_task(hold(number)) for number in range(3)]
    await asyncio.sleep(0)
    with pytest.raises(NoSlotError):  # two wait already
        async with slots.slot("d"):
            pass
    tasks[1].cancel()
    await asyncio.gather(tasks[1], return_exceptions=True)
    held[0].set()
    held[2].set()
    await asyncio.gather(tasks[0], tasks[2])
    assert order == [0, 2]
    async with slots.slot("a"):
        pass


async def test_a_tenant_leaves_half_of_the_queue_to_others() -> None:
    slots = CallSlots(1, max_waiting=4, wait_seconds=60)
    served: list[str] = []

    async def call(tenant: str) -> None:
        async with slots.slot(tenant):
            served.append(tenant)

    async with slots.slot("a"):
        tasks = [asyncio.create_task(call(tenant)) for tenant in "aab"]
        await asyncio.sleep(0)
        with pytest.raises(NoSlotError):
            await call("a")
    await asyncio.gather(*tasks)
    assert served == ["a", "a", "b"]


async def test_a_slot_that_was_given_to_somebody_who_leaves_is_free_again() -> None:
    slots = CallSlots(1, wait_seconds=60)
    release = asyncio.Event()

    async def hold(event: asyncio.Event) -> None:
        async with slots.slot("a"):
            await event.wait()

    first = asyncio.create_task(hold(release))
    waiting = asyncio.create_task(hold(asyncio.Event()))
    await asyncio.sleep(0)
    release.set()
    await first
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    async with slots.slot("a"):
        pass


async def test_nobody_waits_for_ever() -> None:
    slots = CallSlots(1, wait_seconds=0.01)
    async with slots.slot("a"):
        with pytest.raises(NoSlotError):
            async with slots.slot("b"):
                pass
