#!/usr/bin/env python3
"""Walks one path of the crash campaign; what is traced begins once the process is at its program."""

import asyncio
import json
import os
import sys
from pathlib import Path

sys.path.insert(0, os.environ["CRASH_MODULES"])

from points import PLAN_VARIABLE, Plan, Tracer
from runtara_sdk import RuntaraSdk
from runtara_sdk.protocol import instance_pb2
from seams import trace_frames
from witness import Witness

STEPS = 2
directory = Path(os.environ[PLAN_VARIABLE])
witness = Witness(directory)


async def main() -> None:
    path = json.loads(Path(os.environ["RUNTARA_INPUT_PATH"]).read_text())
    path = path.get("data", path)["path"]
    async with RuntaraSdk.from_env() as sdk:
        done = []
        if path == "steps":
            done = [await witness.step(sdk, f"work-{number}") for number in range(STEPS)]
            done.append(await witness.keep(sdk, "kept"))
            done += await witness.keep_together(sdk, "kept-too", "kept", "kept-last")
        elif path == "sleep":
            done.append(await witness.step(sdk, "work-0"))
            await sdk.durable_sleep(0.7, "nap")
            done.append(await witness.step(sdk, "work-1"))
        else:
            done.append(await witness.step(sdk, "work-0"))
            done.append((await sdk.wait_for_signal("gate", timeout=1800)).decode())
            done.append(await witness.step(sdk, "work-1"))
        await sdk.completed({"done": done})


trace_frames(Tracer(Plan(directory), f"instance@{os.environ['RUNTARA_LAUNCH_EPOCH']}"), asks=instance_pb2.RpcRequest)
asyncio.run(main())
