#!/usr/bin/env python3
"""Fails in its first launch, and completes in any other."""

import asyncio
import os

from runtara_sdk import RuntaraSdk


async def main() -> None:
    async with RuntaraSdk.from_env() as sdk:
        if os.environ["RUNTARA_LAUNCH_EPOCH"] == "1":
            await sdk.failed("not yet")
        else:
            await sdk.completed("done")


asyncio.run(main())
