"""The budget of a run for the rate limits of others."""

from __future__ import annotations

import asyncio
from typing import Any

from runtara_sdk.models import CheckpointResult
from runtara_sdk.testing.clock import ManualClock
from runtara_sdk.workflow.rate_limit_budget import RateLimitBudget


class Store:
    """The checkpoints of an instance, as the SDK gives them."""

    def __init__(self) -> None:
        self.states: dict[str, bytes] = {}
        self._calls = self  # what the modules of the package share is behind this name

    async def state_of(self, checkpoint_id: str) -> bytes | None:
        return self.states.get(checkpoint_id)

    async def checkpoint(self, checkpoint_id: str, state: bytes) -> CheckpointResult:
        self.states.setdefault(checkpoint_id, state)
        return CheckpointResult(found=False)


def budget(store: Store, clock: ManualClock, budget_ms: int | None = None) -> RateLimitBudget:
    sdk: Any = store
    return RateLimitBudget(sdk, clock, base="run", budget_ms=budget_ms)


async def test_waits_add_up_over_calls_and_launches() -> None:
    store, clock = Store(), ManualClock()
    first = budget(store, clock, 50_000)
    assert await first.draw("a", 2, 30_000, record=True)
    clock.advance(30_000)
    second = budget(store, clock, 50_000)
    assert not await second.draw("b", 2, 20_001, record=True)
    assert await second.draw("b", 2, 20_000, record=True)
    clock.advance(3_600_000)
    assert not await budget(store, clock, 50_000).draw("c", 2, 1, record=True)
    assert len(store.states) == 2


async def test_what_waits_side_by_side_counts_once() -> None:
    store, clock = Store(), ManualClock()
    run = budget(store, clock)
    assert all(await asyncio.gather(*(run.draw(name, 2, 60_000, record=True) for name in "abcd")))
    assert len(store.states) == 4
    assert not await run.draw("e", 2, 60_001, record=True)


async def test_a_wait_is_drawn_once_however_often_a_launch_comes_to_it() -> None:
    store, clock = Store(), ManualClock()
    assert await budget(store, clock).draw("a", 2, 60_000, record=True)
    clock.advance(10_000)
    again = budget(store, clock)
    assert await again.draw("a", 2, 60_000, record=True)
    assert not await again.draw("a", 3, 60_000, record=True)
    assert len(store.states) == 1


async def test_calls_without_records_use_the_same_budget() -> None:
    store, clock = Store(), ManualClock()
    run = budget(store, clock, 10_000)
    assert await run.draw("a", 2, 10_000, record=False)
    clock.advance(10_000)
    assert not await run.draw("b", 2, 1, record=True)
    assert store.states == {}
