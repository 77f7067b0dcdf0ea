"""What the three programs of this folder share: the outside world, and how many orders there are."""

from __future__ import annotations

import asyncio
import json
import os
import urllib.request

ORDERS = [f"order-{number}" for number in range(5)]
SERVICE = os.environ.get("ORDER_SERVICE", "http://127.0.0.1:8780")


async def place(order_id: str, idempotency_key: str) -> dict[str, str]:
    """Hand an order to the service, which may use the key to tell a repeat from a new order."""
    request = urllib.request.Request(
        f"{SERVICE}/orders",
        data=json.dumps({"id": order_id}).encode(),
        headers={"Content-Type": "application/json", "Idempotency-Key": idempotency_key},
    )

    def send() -> dict[str, str]:
        with urllib.request.urlopen(request, timeout=10) as response:
            answer: dict[str, str] = json.load(response)
        return answer

    return await asyncio.to_thread(send)
