"""What the programs of these tests do: buy, sleep, back off, wait."""

from __future__ import annotations

import asyncio

from runtara_sdk import RetryPolicy, RuntaraSdk
from runtara_sdk.workflow.retry import DurableCalls

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
