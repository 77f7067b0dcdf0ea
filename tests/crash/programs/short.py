#!/usr/bin/env python3
"""Waits for a file, makes one checkpoint, says that it was here, and completes."""

import asyncio
import os
import time
from pathlib import Path

from runtara_sdk import RuntaraSdk

DEADLINE_SECONDS = 300.0


async def main() -> None:
    async with RuntaraSdk.from_env() as sdk:
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not Path(os.environ["SHORT_GATE"]).exists():
            if time.monotonic() > deadline:
                raise TimeoutError("nobody opened the gate")
            await asyncio.sleep(0.02)
        await sdk.checkpoint("work", b"done")
        witness = os.open(os.environ["SHORT_WITNESS"], os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o644)
        os.write(witness, f"{os.environ['RUNTARA_INSTANCE_ID']}\n".encode())
        await sdk.completed("done")


asyncio.run(main())
