#!/usr/bin/env python3
"""Registers, and then obeys neither signals of core nor SIGTERM."""

import asyncio
import signal

from runtara_sdk import RuntaraSdk


async def main() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    async with RuntaraSdk.from_env() as sdk:
        await sdk.checkpoint("registered")
        await asyncio.Event().wait()


asyncio.run(main())
