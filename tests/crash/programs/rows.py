#!/usr/bin/env python3
"""One row of the crash-point table each: goes to a place that a test waits for, and dies there when the row says so.

The input names the row (`row`) and a folder (`directory`) in which test and program leave each other marks.
"""

import asyncio
import json
import os
import signal
from pathlib import Path

from runtara_sdk import RuntaraSdk, durable, idempotency_key

VERSION = 1
EPOCH = os.environ["RUNTARA_LAUNCH_EPOCH"]
given = json.loads(Path(os.environ["RUNTARA_INPUT_PATH"]).read_text())
given = given.get("data", given)
directory = Path(given["directory"])


def note(name: str, text: str) -> int:
    """Append a line that no kill takes back; returns how many there are."""
    with (directory / name).open("a") as file:
        file.write(f"{text}\n")
    return len((directory / name).read_text().splitlines())


def die_once() -> None:
    """SIGKILL, the first time."""
    try:
        (directory / "died").touch(exist_ok=False)
    except FileExistsError:
        return
    os.kill(os.getpid(), signal.SIGKILL)


async def mark(name: str) -> None:
    while not (directory / name).exists():
        await asyncio.sleep(0.01)


async def pay() -> str:
    note("effects", idempotency_key())
    if given["row"] == "effect":
        die_once()
    return "paid"


@durable(max_retries=3, delay=10, strategy="fixed")
async def refused(order: str) -> None:
    if note("attempts", order) == 2:
        die_once()
    raise RuntimeError("refused")


async def effect(sdk: RuntaraSdk) -> None:
    await sdk.completed(await sdk.step("pay", pay))


async def several(sdk: RuntaraSdk) -> None:
    await sdk.checkpoint("old", b"old")
    results = await sdk.checkpoints([(name, EPOCH.encode()) for name in ("one", "old", "two", "one")])
    await sdk.completed([None if result.existing_state is None else result.state.decode() for result in results])


async def attempts(sdk: RuntaraSdk) -> None:
    await refused("A-1")


async def received(sdk: RuntaraSdk) -> None:
    await sdk.checkpoint("ready")
    while (payload := await sdk.poll_custom_signal("news")) is None:
        await asyncio.sleep(0.02)
    die_once()
    await sdk.completed(payload.decode())


async def acknowledged(sdk: RuntaraSdk) -> None:
    await sdk.checkpoint("ready")
    while not (directory / "died").exists():
        await sdk.check_signals()
        await asyncio.sleep(0.02)
    await sdk.completed("resumed")


async def parked(sdk: RuntaraSdk) -> None:
    await sdk.poll_signal_now()
    (directory / "polled").touch()
    await mark("go")
    await sdk.durable_sleep(600, "long")


async def parked_for_signal(sdk: RuntaraSdk) -> None:
    assert await sdk.poll_custom_signal("news") is None
    (directory / "polled").touch()
    await mark("go")
    await sdk.completed((await sdk.wait_for_signal("news")).decode())


async def version(sdk: RuntaraSdk) -> None:
    print(f"version {VERSION}")
    await sdk.wait_for_signal("news")
    await sdk.completed({"version": VERSION, "input": given["kept"]})


async def lookup(sdk: RuntaraSdk) -> None:
    await sdk.step("pay", pay)
    if EPOCH == "1":
        (directory / "recorded").touch()
        await mark("never")
    await sdk.completed("done")


async def same(sdk: RuntaraSdk) -> None:
    (directory / f"ready-{EPOCH}").touch()
    await mark(f"go-{EPOCH}")
    try:
        result = await sdk.checkpoint("same", EPOCH.encode())
        note("answers", (result.state if result.found else EPOCH.encode()).decode())
    except BaseException as error:
        note("answers", type(error).__name__)
        raise
    await sdk.completed(EPOCH)


async def main() -> None:
    async with RuntaraSdk.from_env() as sdk:
        await globals()[given["row"]](sdk)
    if given["row"] == "acknowledged":
        die_once()


asyncio.run(main())
