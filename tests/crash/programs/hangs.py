#!/usr/bin/env python3
"""Is silent in its first launch: hung, busy without letting its event loop run, or asleep in the SDK."""

import asyncio
import os
import time
from pathlib import Path

from runtara_sdk import RuntaraSdk


async def main() -> None:
    epoch = int(os.environ["RUNTARA_LAUNCH_EPOCH"])
    async with RuntaraSdk.from_env() as sdk:
        Path(f"begun-{epoch}").touch()
        kind = os.environ["KIND"]
        if kind == "asleep":
            await sdk.wait_for_signal("go-on", timeout=1800)
        elif kind == "busy":
            while not Path("go-on").exists():
                pass
        elif epoch == 1:
            time.sleep(1800)  # the fault that the test is about  # noqa: ASYNC251
        await sdk.completed({"epoch": epoch})


asyncio.run(main())
