#!/usr/bin/env python3
"""Does what its input lists, and keeps a witness of it; see `courses`."""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, os.environ["CRASH_MODULES"])

from runtara_sdk import RetryPolicy, RetryStrategy, RuntaraSdk
from witness import Witness

RETRY = RetryPolicy(max_retries=10, delay_ms=400, strategy=RetryStrategy.FIXED)
witness = Witness(Path(os.environ["CRASH_WITNESS"]))


async def do(sdk: RuntaraSdk, part: list[Any]) -> list[str]:
    match part:
        case ["step", name]:
            return [await witness.step(sdk, name)]
        case ["keep", name]:
            return [await witness.keep(sdk, name)]
        case ["retry", name, failures]:
            return [await witness.step(sdk, name, failures=failures, retry=RETRY)]
        case ["sleep", name, seconds]:
            await sdk.durable_sleep(seconds, name)
            return [name]
        case ["gate", name]:
            return [(await sdk.wait_for_signal(name, timeout=3600)).decode()]
        case ["together", *parts]:
            done = await asyncio.gather(*(do(sdk, each) for each in parts))
            return [name for names in done for name in names]
    raise ValueError(part)


async def main() -> None:
    course = json.loads(Path(os.environ["RUNTARA_INPUT_PATH"]).read_text())
    course = course.get("data", course)["course"]
    async with RuntaraSdk.from_env() as sdk:
        done = []
        for part in course:
            done += await do(sdk, part)
        await sdk.completed({"done": done})


asyncio.run(main())
