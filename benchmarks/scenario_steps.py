"""What the run time of scenarios costs: a step beside a checkpoint, a large Split beside a plain loop, days in a trial.

    python benchmarks/scenario_steps.py            a table of ratios, each of figures from this run
    python benchmarks/scenario_steps.py --json     the same as JSON

Durable figures are of an SQLite file in a temporary directory, without a daemon. Each pair is measured in turns, and
the middle of the rounds is told.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
import tracemalloc
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ending import run_benchmark
from runtara_compiler.compilation import CompilationInput
from runtara_compiler.trials.running import load_workflow
from runtara_sdk import RuntaraSdk
from runtara_sdk.settings import EnvironmentReader
from runtara_sdk.testing.trial import Trial, try_workflow
from runtara_sdk.testing.trial_world import Answer
from runtara_sdk.workflow import Workflow
from runtara_sdk.workflow.program import run_instance

Measured = Callable[[], Awaitable[float]]

ROUNDS = 5
STEPS = 2_000
ITEMS = 10_000


@dataclass(frozen=True)
class Ratio:
    """What was measured, what it is compared with, and the two figures."""

    name: str
    beside: str
    value: float
    peer: float
    unit: str

    @property
    def ratio(self) -> float:
        """How many times the peer."""
        return self.value / self.peer


def immediate(value: Any) -> dict[str, Any]:
    return {"valueType": "immediate", "value": value}


def reference(path: str) -> dict[str, Any]:
    return {"valueType": "reference", "value": path}


CALL: dict[str, Any] = {
    "stepType": "Agent",
    "agentId": "transform",
    "capabilityId": "map-fields",
    "inputMapping": {"source_data": immediate({}), "mappings": immediate({})},
}


def chain(steps: int) -> dict[str, Any]:
    """Agent steps one after the other."""
    names = [f"s{number}" for number in range(steps)]
    documents = dict.fromkeys(names, CALL) | {"end": {"stepType": "Finish"}}
    path = [*names, "end"]
    plan = [{"fromStep": one, "toStep": other} for one, other in zip(path, path[1:], strict=False)]  # noqa: RUF007
    return {"entryPoint": names[0], "steps": documents, "executionPlan": plan}


def split(*, durable: bool, parallelism: int) -> dict[str, Any]:
    """A Split whose body is one Agent step."""
    body = {
        "entryPoint": "call",
        "steps": {"call": CALL, "end": {"stepType": "Finish", "inputMapping": {"outputs": reference("data")}}},
        "executionPlan": [{"fromStep": "call", "toStep": "end"}],
        "durable": durable,
    }
    config = {"value": reference("data.items"), "parallelism": parallelism}
    return {
        "entryPoint": "each",
        "durable": durable,
        "steps": {
            "each": {"stepType": "Split", "config": config, "subgraph": body},
            "end": {"stepType": "Finish"},
        },
        "executionPlan": [{"fromStep": "each", "toStep": "end"}],
    }


def workflow_of(document: dict[str, Any]) -> Workflow:
    return load_workflow(CompilationInput("benchmark", "measured", 1, document))


async def run_scenario(workflow: Workflow, directory: Path, data: Any = None) -> float:
    """Seconds from a registered instance to its end."""
    sdk = _embedded(directory)
    reader = EnvironmentReader({"INPUT_JSON": json.dumps({"data": data or {}})})
    began = time.perf_counter()
    if await run_instance(workflow, sdk, reader) != 0:
        raise RuntimeError("the scenario failed")
    return time.perf_counter() - began


async def run_checkpoints(count: int, directory: Path) -> float:
    """Seconds for as many bare checkpoints."""
    began = time.perf_counter()
    async with _embedded(directory) as sdk:
        for number in range(count):
            await sdk.checkpoint(f"measured::agent::transform::map-fields::s{number}", b"{}")
        await sdk.completed({})
    return time.perf_counter() - began


def _embedded(directory: Path) -> RuntaraSdk:
    return RuntaraSdk.embedded(f"sqlite:///{directory}/{uuid.uuid4().hex}.db", "one", "benchmark")


async def in_turns(
    first: Callable[[], Awaitable[float]], second: Callable[[], Awaitable[float]]
) -> tuple[float, float]:
    """The middle of several rounds of each, after one that does not count."""
    await first()
    await second()
    pairs = [(await first(), await second()) for _ in range(ROUNDS)]
    return statistics.median(one for one, _ in pairs), statistics.median(other for _, other in pairs)


async def measure_steps(directory: Path) -> Ratio:
    workflow = workflow_of(chain(STEPS))
    steps, bare = await in_turns(lambda: run_scenario(workflow, directory), lambda: run_checkpoints(STEPS, directory))
    return Ratio("a durable step", "a bare checkpoint", steps / STEPS * 1e6, bare / STEPS * 1e6, "us")


async def measure_split(directory: Path, parallelism: int) -> Ratio:
    workflow = workflow_of(split(durable=True, parallelism=parallelism))
    items = {"items": list(range(ITEMS))}
    whole, bare = await in_turns(
        lambda: run_scenario(workflow, directory, items), lambda: run_checkpoints(ITEMS, directory)
    )
    name = f"a durable Split of {ITEMS} items, {parallelism} at a time"
    return Ratio(name, "a plain loop with as many checkpoints", whole, bare, "s")


async def measure_memory(directory: Path) -> Ratio:
    """What a Split holds at its peak beside its items and results, and beside one of a hundredth of the items.

    Items and results are nulls, so that what is kept of them can be told: the lists of items, of results and of the
    recorded results, and as many texts.
    """
    workflow = workflow_of(split(durable=False, parallelism=16))

    async def peak(count: int) -> float:
        data = {"items": [None] * count}
        kept = 3 * (sys.getsizeof(data["items"]) + len(json.dumps(data)))
        tracemalloc.start()
        await run_scenario(workflow, directory, data)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return (most - kept) / 1e6

    await peak(ITEMS // 100)
    few, many = await peak(ITEMS // 100), await peak(ITEMS)
    return Ratio(f"peak memory of {ITEMS} items", f"{ITEMS // 100} items", many, few, "MB")


async def measure_days() -> Ratio:
    """A trial of a scenario with a delay of three days, beside one without."""

    def delayed(milliseconds: int) -> Workflow:
        steps = {
            "call": CALL,
            "rest": {"stepType": "Delay", "durationMs": immediate(milliseconds)},
            "end": {"stepType": "Finish"},
        }
        plan = [{"fromStep": "call", "toStep": "rest"}, {"fromStep": "rest", "toStep": "end"}]
        return workflow_of({"entryPoint": "call", "steps": steps, "executionPlan": plan})

    async def trial(workflow: Workflow) -> float:
        began = time.perf_counter()
        for _ in range(50):
            await try_workflow(workflow, Trial(capabilities={"call": [Answer({})]}))
        return time.perf_counter() - began

    days, none = delayed(3 * 86_400_000), delayed(0)
    with_days, without = await in_turns(lambda: trial(days), lambda: trial(none))
    return Ratio("a trial with three days in it", "one without", with_days / 50 * 1e3, without / 50 * 1e3, "ms")


def measure_command(directory: Path) -> Ratio:
    """The command `runtara test`, with the three days and without."""

    def prepared(name: str, milliseconds: int) -> list[str]:
        steps = {"rest": {"stepType": "Delay", "durationMs": immediate(milliseconds)}, "end": {"stepType": "Finish"}}
        plan = [{"fromStep": "rest", "toStep": "end"}]
        scenario = directory / f"{name}.json"
        scenario.write_text(json.dumps({"entryPoint": "rest", "steps": steps, "executionPlan": plan}))
        cases = directory / f"{name}.cases.json"
        cases.write_text(json.dumps({"cases": [{"name": "ends", "expect": {"output": {}}}]}))
        return ["test", str(scenario), "--cases", str(cases)]

    def seconds(arguments: list[str]) -> float:
        began = time.perf_counter()
        command = [str(Path(sys.executable).with_name("runtara")), *arguments]
        subprocess.run(command, check=True, capture_output=True, timeout=60)
        return time.perf_counter() - began

    days, none = prepared("days", 3 * 86_400_000), prepared("none", 0)
    pairs = [(seconds(days), seconds(none)) for _ in range(ROUNDS)]
    value = statistics.median(one for one, _ in pairs)
    peer = statistics.median(other for _, other in pairs)
    return Ratio("`runtara test` with three days in it", "without", value, peer, "s")


async def measure() -> list[Ratio]:
    """All ratios."""
    with tempfile.TemporaryDirectory(prefix="runtara-benchmark-") as scratch:
        directory = Path(scratch)
        return [
            await measure_steps(directory),
            await measure_split(directory, 1),
            await measure_split(directory, 16),
            await measure_memory(directory),
            await measure_days(),
            await asyncio.to_thread(measure_command, directory),
        ]


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
