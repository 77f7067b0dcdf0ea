"""Durable work side by side: what it gains when its checkpoints go together.

    python benchmarks/side_by_side.py            a table of ratios, each of figures from this run
    python benchmarks/side_by_side.py --json     the same as JSON

Instances talk to a core daemon by local socket, or keep their state in a file of their own. The peer of a Split is the
same Split in a program that sends each checkpoint by itself, as soon as it is made. Each pair is measured in turns, and
the middle of the rounds is told.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import asdict
from functools import partial

from core_process import LOCAL, running_core
from ending import run_benchmark
from runtara_core.testing.postgres import create_database, running_postgres
from runtara_sdk import InstanceSettings, RuntaraSdk
from runtara_sdk.gathered_checkpoints import GatheredCheckpoints
from runtara_sdk.models import CheckpointResult, NewCheckpoint
from runtara_sdk.settings import EnvironmentReader
from runtara_sdk.workflow import Workflow
from runtara_sdk.workflow.program import run_instance
from scenario_steps import Ratio, in_turns, split, workflow_of

ITEMS = {1: 400, 16: 2_000}
"""Of a Split, by how many are done at a time."""

KEYS = 16
CALLS = 100
STATE = b"x" * 230

SettingsOf = Callable[[str], InstanceSettings]
"""What an instance with an id needs to reach its store."""

_numbers = itertools.count(1)


@contextmanager
def sent_one_by_one() -> Iterator[None]:
    """Within the block no checkpoint waits for another, and none goes with another."""
    gathered = GatheredCheckpoints.store

    async def alone(self: GatheredCheckpoints, new: Sequence[NewCheckpoint]) -> list[CheckpointResult]:
        return await self._ask(new)

    GatheredCheckpoints.store = alone  # type: ignore[method-assign]  # for as long as the block lasts
    try:
        yield
    finally:
        GatheredCheckpoints.store = gathered  # type: ignore[method-assign]  # replaced for as long as it is measured


async def run_split(settings_of: SettingsOf, workflow: Workflow, items: int) -> float:
    """Seconds of a Split over so many items."""
    sdk = RuntaraSdk(settings_of(f"split-{next(_numbers)}"))
    reader = EnvironmentReader({"INPUT_JSON": json.dumps({"data": {"items": list(range(items))}})})
    began = time.perf_counter()
    if await run_instance(workflow, sdk, reader) != 0:
        raise RuntimeError("the scenario failed")
    return time.perf_counter() - began


async def run_split_one_by_one(settings_of: SettingsOf, workflow: Workflow, items: int) -> float:
    """The same, each checkpoint by itself."""
    with sent_one_by_one():
        return await run_split(settings_of, workflow, items)


async def run_calls(settings_of: SettingsOf, store: Callable[[RuntaraSdk, list[str]], Awaitable[object]]) -> float:
    """Seconds of a call that stores `KEYS` checkpoints, on average."""
    async with RuntaraSdk(settings_of(f"calls-{next(_numbers)}")) as sdk:
        await sdk.checkpoint("warm")
        began = time.perf_counter()
        for number in range(CALLS):
            await store(sdk, [f"{number}-{key}" for key in range(KEYS)])
        took = time.perf_counter() - began
        await sdk.completed({})
    return took / CALLS


async def _together(sdk: RuntaraSdk, names: list[str]) -> None:
    await sdk.checkpoints([(name, STATE) for name in names])


async def _one_after_the_other(sdk: RuntaraSdk, names: list[str]) -> None:
    for name in names:
        await sdk.checkpoint(name, STATE)


async def _at_once(sdk: RuntaraSdk, names: list[str]) -> None:
    await asyncio.gather(*(sdk.checkpoint(name, STATE) for name in names))


async def _at_once_one_by_one(sdk: RuntaraSdk, names: list[str]) -> None:
    with sent_one_by_one():
        await _at_once(sdk, names)


async def measure_store(settings_of: SettingsOf, database: str) -> list[Ratio]:
    """All ratios of one store."""
    ratios = []
    for parallelism, items in ITEMS.items():
        workflow = workflow_of(split(durable=True, parallelism=parallelism))
        own, peer = await in_turns(
            partial(run_split, settings_of, workflow, items),
            partial(run_split_one_by_one, settings_of, workflow, items),
        )
        name = f"{database}: a durable Split of {items} items, {parallelism} at a time"
        ratios.append(Ratio(name, "each checkpoint by itself", own, peer, "s"))
    for what, call, beside, other in (
        (f"checkpoints() of {KEYS} keys", _together, f"{KEYS} one after the other", _one_after_the_other),
        (f"checkpoints() of {KEYS} keys", _together, f"{KEYS} at once, each by itself", _at_once_one_by_one),
        (f"{KEYS} at once", _at_once, f"{KEYS} at once, each by itself", _at_once_one_by_one),
    ):
        own, peer = await in_turns(partial(run_calls, settings_of, call), partial(run_calls, settings_of, other))
        ratios.append(Ratio(f"{database}: {what}", beside, own * 1e3, peer * 1e3, "ms"))
    return ratios


async def measure() -> list[Ratio]:
    """All ratios: of a daemon on both databases, and without one."""
    with tempfile.TemporaryDirectory(prefix="runtara-benchmark-") as name, running_postgres() as server:
        urls = {"SQLite": f"sqlite:///{name}/core.db", "PostgreSQL": await create_database(server.url)}
        ratios = []
        for database, url in urls.items():
            async with AsyncExitStack() as stack:
                core = await stack.enter_async_context(running_core(url, LOCAL))
                ratios += await measure_store(core.settings, database)

        def embedded(instance_id: str) -> InstanceSettings:
            return InstanceSettings(
                instance_id, "benchmark", server_addr=f"sqlite:///{name}/embedded.db", heartbeat_interval_ms=0
            )

        return [*ratios, *await measure_store(embedded, "embedded SQLite")]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", dest="as_json", help="print JSON")
    options = parser.parse_args()
    ratios = asyncio.run(measure())
    if options.as_json:
        print(json.dumps([{**asdict(each), "ratio": round(each.ratio, 3)} for each in ratios], indent=2))
        return
    width = max(len(f"{each.name} beside {each.beside}") for each in ratios)
    for each in ratios:
        what = f"{each.name} beside {each.beside}"
        print(f"{what:<{width}}  {each.ratio:6.2f} x   {each.value:10.3f} {each.unit} / {each.peer:.3f} {each.unit}")


if __name__ == "__main__":
    run_benchmark(main)
