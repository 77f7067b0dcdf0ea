"""A durable program to be killed: it notes every attempt in a file, fails the first two, and waits in between.

Reads LEDGER (file that each piece of work appends a line to) and RUNTARA_* as every program does.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from runtara_sdk import RuntaraSdk, durable

LEDGER = Path(os.environ["LEDGER"])
FAILURES = 2


def note(line: str) -> None:
    with LEDGER.open("a") as ledger:
        ledger.write(f"{line}\n")


@durable(max_retries=FAILURES, delay=1_500, strategy="fixed")
async def buy(order_id: str) -> str:
    attempts = LEDGER.read_text().splitlines().count(f"buy {order_id}") + 1
    note(f"buy {order_id}")
    if attempts <= FAILURES:
        raise OSError(f"attempt {attempts} failed")
    return f"receipt of {order_id}"


async def reserve() -> str:
    note("reserve")
    return "shelf 7"


async def main() -> None:
    async with RuntaraSdk.from_env() as sdk:
        shelf = await sdk.step("reserve", reserve)
        receipt = await buy("A-1")
        approval = await sdk.wait_for_signal("approval", timeout=60)
        await sdk.completed([shelf, receipt, approval.decode()])


if __name__ == "__main__":
    asyncio.run(main())
