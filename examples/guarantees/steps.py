#!/usr/bin/env python3
"""At least once, by steps: the work first, then its record. Killed in between, that one order is placed again.

python examples/order_service.py &
RUNTARA_INSTANCE_ID=steps-1 RUNTARA_TENANT_ID=demo RUNTARA_SERVER_ADDR=sqlite:///orders.db \
    python examples/guarantees/steps.py
"""

from __future__ import annotations

import asyncio

from orders import ORDERS, place
from runtara_sdk import RuntaraSdk, idempotency_key


async def main() -> None:
    """Place the orders."""
    async with RuntaraSdk.from_env() as sdk:
        for order_id in ORDERS:

            async def order(order_id: str = order_id) -> dict[str, str]:
                return await place(order_id, idempotency_key())

            await sdk.step(order_id, order)
        await sdk.completed(len(ORDERS))


asyncio.run(main())
