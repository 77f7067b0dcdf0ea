"""What others see of a call that is tried again, wherever durable state is kept."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from runtara_core.models import EventFilter
from runtara_sdk import RetryPolicy

from .conftest import Home, until

KEY = "rtk_0123456789ab_" + "k" * 43


async def retries(home: Home) -> list[dict[str, Any]]:
    page = await home.operator.list_events("i", EventFilter(subtype="retry_attempt", ascending=True))
    assert {(event.event_type, event.checkpoint_id) for event in page.events} <= {("custom", "step::charge")}
    return [json.loads(event.payload or b"") for event in page.events]


async def test_each_attempt_that_follows_a_failure_is_an_event(home: Home) -> None:
    calls = 0

    async def charge() -> str:
        nonlocal calls
        calls += 1
        if calls <= 2:
            raise OSError(f"refused {calls} {KEY}")
        return "receipt"

    async with home.sdk() as sdk:
        assert await sdk.step("charge", charge, retry=RetryPolicy(max_retries=3, delay_ms=1)) == "receipt"
        await sdk.completed()
    told = await retries(home)
    assert [(each["attempt_number"], each["max_attempts"], each["wait_ms"]) for each in told] == [(2, 4, 1), (3, 4, 2)]
    assert [each["error"] for each in told] == [f"OSError: refused {number} [redacted]" for number in (1, 2)]


async def test_a_program_that_starts_again_tells_no_attempt_twice(home: Home) -> None:
    calls = 0

    async def charge() -> str:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise OSError("busy")
        return "receipt"

    for_ever = RetryPolicy(max_retries=2**40, delay_ms=2_000)
    async with home.sdk() as sdk:
        waiting = asyncio.create_task(sdk.step("charge", charge, retry=for_ever))
        await until(lambda: retries(home), "the first retry")
        waiting.cancel()
        await asyncio.wait([waiting])
    async with home.sdk() as again:
        assert await again.step("charge", charge, retry=for_ever) == "receipt"
    (told,) = await retries(home)
    assert (told["attempt_number"], told["error"]) == (2, "OSError: busy")
