#!/usr/bin/env python3
"""At most once: the checkpoint first, then the work. Killed in between, that order is never placed.

python examples/order_service.py &
RUNTARA_INSTANCE_ID=most-1 RUNTARA_TENANT_ID=demo RUNTARA_SERVER_ADDR=sqlite:///orders.db \
    python examples/guarantees/checkpoint_before_work.py
"""

from __future__ import annotations

import asyncio

from orders import ORDERS, place
from runtara_sdk import RuntaraSdk


async def main() -> None:
    """Place the orders."""
    async with RuntaraSdk.from_env() as sdk:
        for order_id in ORDERS:
            if not (await sdk.checkpoint(order_id)).found:
                await place(order_id, idempotency_key="")
        await sdk.completed(len(ORDERS))


asyncio.run(main())
