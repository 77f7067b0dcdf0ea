#!/usr/bin/env python3
"""At least once, by a durable function, whose failures are retried as well.

Start it before the order service: its attempts fail, and it may be killed while it waits for the next one.

RUNTARA_INSTANCE_ID=durable-1 RUNTARA_TENANT_ID=demo RUNTARA_SERVER_ADDR=sqlite:///orders.db \
    python examples/guarantees/durable_function.py
python examples/order_service.py
"""

from __future__ import annotations

import asyncio

from orders import ORDERS, place
from runtara_sdk import RuntaraSdk, durable, idempotency_key


@durable(max_retries=5, delay=500, jitter=0.2, timeout=15_000)
async def order(order_id: str) -> dict[str, str]:
    """Place one order."""
    return await place(order_id, idempotency_key())


async def main() -> None:
    """Place the orders."""
    async with RuntaraSdk.from_env() as sdk:
        for order_id in ORDERS:
            await order(order_id)
        await sdk.completed(len(ORDERS))


asyncio.run(main())
