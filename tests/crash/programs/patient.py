#!/usr/bin/env python3
"""Makes as many steps as its input says, or until the file `enough` is there, obeys signals, and keeps a witness."""

import asyncio
import json
import os
import sys
from pathlib import Path

sys.path.insert(0, os.environ["CRASH_MODULES"])

from runtara_sdk import RuntaraSdk
from witness import Witness


async def main() -> None:
    directory = Path(os.environ["CRASH_WITNESS"])
    witness = Witness(directory)
    given = json.loads(Path(os.environ["RUNTARA_INPUT_PATH"]).read_text())
    given = given.get("data", given)
    print(f"launch {os.environ.get('RUNTARA_LAUNCH_EPOCH')} begins", flush=True)
    async with RuntaraSdk.from_env() as sdk:
        for number in range(given["steps"]):
            if (directory / "enough").exists():
                break
            await witness.step(sdk, f"step-{number}")
            await sdk.check_signals()
            await asyncio.sleep(given["pause_seconds"])
        print("ends", flush=True)
        await sdk.completed({"number": given["number"], "steps": given["steps"]})


asyncio.run(main())
