#!/usr/bin/env python3
"""A workflow written by hand: process a batch of orders, none left out, and rest in the middle.

Alone, with its checkpoints in a SQLite file (kill it and start it again: it goes on where it was):

    python examples/order_service.py &
    RUNTARA_INSTANCE_ID=batch-1 RUNTARA_TENANT_ID=demo RUNTARA_SERVER_ADDR=sqlite:///batch.db \
        python examples/durable_batch.py

Or as an image under an environment, which starts it again when it dies and while it sleeps holds no process for it:

    runtara-ctl register --binary examples/durable_batch.py --tenant demo --name batch
    runtara-ctl start --image IMAGE_ID --tenant demo --input '{"orders": 20, "rest_seconds": 60}'
"""

from __future__ import annotations

import asyncio
import json
import os
import urllib.request
from pathlib import Path
from typing import Any

from runtara_sdk import RuntaraSdk


def read_input() -> dict[str, Any]:
    """The run's input: {"orders": how many, "service": url, "rest_seconds": length of the rest}."""
    path = os.environ.get("RUNTARA_INPUT_PATH")
    given = json.loads(Path(path).read_text(encoding="utf-8")) if path else {}
    return {"orders": 10, "service": "http://127.0.0.1:8780", "rest_seconds": 2, **given.get("data", given)}


async def process(service: str, number: int) -> bytes:
    """Hand one order to the service."""
    order = json.dumps({"id": f"order-{number}", "total": number}).encode()
    request = urllib.request.Request(f"{service}/orders", data=order)

    def send() -> bytes:
        with urllib.request.urlopen(request, timeout=10) as response:
            content: bytes = response.read()
        return content

    return await asyncio.to_thread(send)


async def main() -> None:
    """Process the batch."""
    batch = read_input()
    # An interruption (cancel, pause, shutdown, a long sleep) leaves the block quietly, and the process ends.
    async with RuntaraSdk.from_env() as sdk:
        processed = 0
        for number in range(batch["orders"]):
            key = f"order-{number}"
            if await sdk.get_checkpoint(key) is None:
                # The work first, then its checkpoint: killed in between, this one order is sent again.
                await sdk.checkpoint(key, await process(batch["service"], number))
                await sdk.check_signals()
            processed += 1
            if number == batch["orders"] // 2:
                await sdk.durable_sleep(batch["rest_seconds"], checkpoint_id="rest")
        await sdk.completed({"processed": processed})


if __name__ == "__main__":
    asyncio.run(main())
