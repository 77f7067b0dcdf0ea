#!/usr/bin/env python3
"""Walks one path of the crash campaign, and keeps a witness of what it did that no kill can take back.

Each line of the witness file is one JSON list, appended with one write: `begin` (a process; `overlap` when another of
this instance is alive), `effect` (work towards the outside world, with its idempotency key), `known` (a state that core
has acknowledged). States carry the process that made them, so that a changed one is noticed; the output does not.
"""

import asyncio
import fcntl
import json
import os
import sys
from functools import partial
from pathlib import Path

sys.path.insert(0, os.environ["CRASH_MODULES"])

from points import PLAN_VARIABLE, Plan, Tracer
from runtara_sdk import RuntaraSdk, idempotency_key
from runtara_sdk.protocol import instance_pb2
from seams import trace_frames

STEPS = 2
ME = f"{os.environ['RUNTARA_LAUNCH_EPOCH']}-{os.getpid()}"
directory = Path(os.environ[PLAN_VARIABLE])
witness = os.open(directory / "witness", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)


def note(*facts: object) -> None:
    os.write(witness, (json.dumps(facts) + "\n").encode())


def begin() -> int:
    """One process of an instance at a time: the kernel frees the lock of a dead one."""
    alive = os.open(directory / "alive", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(alive, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        note("overlap", ME)
    note("begin", int(os.environ["RUNTARA_LAUNCH_EPOCH"]), os.getpid())
    return alive


async def work(name: str) -> str:
    note("effect", name, idempotency_key())
    return ME


async def step(sdk: RuntaraSdk, name: str) -> str:
    state = await sdk.step(name, partial(work, name))
    note("known", f"step::{name}", json.dumps(state))
    return name


async def keep(sdk: RuntaraSdk, name: str) -> str:
    result = await sdk.checkpoint(name, ME.encode())
    note("known", name, (result.state if result.found else ME.encode()).decode())
    return name


async def main() -> None:
    path = json.loads(Path(os.environ["RUNTARA_INPUT_PATH"]).read_text())
    path = path.get("data", path)["path"]
    async with RuntaraSdk.from_env() as sdk:
        done = []
        if path == "steps":
            done = [await step(sdk, f"work-{number}") for number in range(STEPS)] + [await keep(sdk, "kept")]
        elif path == "sleep":
            done.append(await step(sdk, "work-0"))
            await sdk.durable_sleep(0.7, "nap")
            done.append(await step(sdk, "work-1"))
        else:
            done.append(await step(sdk, "work-0"))
            done.append((await sdk.wait_for_signal("gate", timeout=1800)).decode())
            done.append(await step(sdk, "work-1"))
        await sdk.completed({"done": done})


lock = begin()
trace_frames(Tracer(Plan(directory), f"instance@{os.environ['RUNTARA_LAUNCH_EPOCH']}"), asks=instance_pb2.RpcRequest)
asyncio.run(main())
