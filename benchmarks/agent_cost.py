"""What each agent costs: its import beside the start of a workflow, and its share of the base runtime.

    python benchmarks/agent_cost.py              imports, a table
    python benchmarks/agent_cost.py --bases      also builds a base with each agent left out (half a minute each)
    python benchmarks/agent_cost.py --json       the same figures as JSON

An import is that of the module which a compiled workflow loads for the agent, in a process that has loaded the run time
of workflows already; with it go the ratio to what the run time itself takes, and what the first call loads besides,
where an example of the agent can be called anywhere.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from ending import run_benchmark
from runtara_sdk.agents import DiscoveredAgent, discover_agents

REPETITIONS = 7
DEADLINE_SECONDS = 900

IMPORT = """
import sys, time
began = time.perf_counter()
import runtara_sdk.instance, runtara_sdk.workflow, runtara_sdk.agents
loaded = time.perf_counter()
import importlib
agent = getattr(importlib.import_module({module!r}), {attribute!r})
imported = time.perf_counter()
print(loaded - began, imported - loaded)
"""

CALL = """
import asyncio, importlib, time
agent = getattr(importlib.import_module({module!r}), {attribute!r})
found = [
    (c, e)
    for c in agent.capabilities
    for e in c.examples
    if not e.needs and not e.files and c.effect == 'pure' and c.deterministic
]
async def call():
    began = time.perf_counter()
    await agent.invoke(found[0][0].id, found[0][1].inputs)
    first = time.perf_counter()
    await agent.invoke(found[0][0].id, found[0][1].inputs)
    print(first - began, time.perf_counter() - first)
if found:
    asyncio.run(call())
"""

BASE = """
import asyncio, json, os, pathlib, sys
from runtara_compiler.native.base import ensure_base, plan_base
from runtara_compiler.native.library import NativeLibrary
async def main():
    base = await ensure_base(NativeLibrary(pathlib.Path(sys.argv[1])), plan_base(), lambda line: None)
    print(json.dumps(base.layer.size))
asyncio.run(main())
"""


@dataclass(frozen=True)
class Cost:
    """Of one agent: milliseconds of its import and of its first calls, and the ratio to the import of the run time."""

    agent: str
    import_ms: float
    run_time_ms: float
    ratio: float
    first_call_ms: float | None
    second_call_ms: float | None


def measured(program: str) -> list[float] | None:
    """The median of each figure that a program prints."""
    runs = []
    for _ in range(REPETITIONS):
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, timeout=DEADLINE_SECONDS, check=True
        )
        if not done.stdout.strip():
            return None
        runs.append([float(figure) * 1000 for figure in done.stdout.split()])
    return [statistics.median(figures) for figures in zip(*runs, strict=True)]


def cost(found: DiscoveredAgent) -> Cost:
    place = {"module": found.module, "attribute": found.attribute}
    loaded = measured(IMPORT.format(**place))
    called = measured(CALL.format(**place))
    run_time_ms, import_ms = loaded or [0.0, 0.0]
    first, second = called or [None, None]
    return Cost(found.definition.id, import_ms, run_time_ms, import_ms / run_time_ms, first, second)


def base_bytes(directory: str, *, bundle: str | None = None) -> int:
    """The size of the base layer of the installed agents, or of a bundle."""
    variables = {**os.environ, "PYTHONPATH": directory}
    if bundle is not None:
        variables["RUNTARA_STDLIB_NAME"] = bundle
    done = subprocess.run(
        [sys.executable, "-c", BASE, f"{directory}/library"],
        env=variables,
        capture_output=True,
        text=True,
        timeout=DEADLINE_SECONDS,
        check=False,
    )
    if done.returncode != 0:
        raise SystemExit(done.stderr)
    return int(json.loads(done.stdout.splitlines()[-1]))


def shares(distributions: list[str]) -> Iterator[tuple[str, int]]:
    """The whole base, and how much smaller it is without each distribution of agents, bytes."""
    with tempfile.TemporaryDirectory() as directory:
        whole = base_bytes(directory)
        yield "all", whole
        for number, left_out in enumerate(distributions):
            name = f"bundle_without_{number}"
            (Path(directory) / f"{name}.py").write_text(
                "from runtara_sdk.agents import discover_agents\n"
                "def runtara_agents():\n"
                f"    found = discover_agents(variables={{}}).agents.values()\n"
                f"    return [each.definition for each in found if each.distribution != {left_out!r}]\n"
            )
            yield left_out, whole - base_bytes(directory, bundle=name)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bases", action="store_true", help="build base runtimes, too")
    parser.add_argument("--json", action="store_true", help="figures as JSON")
    options = parser.parse_args()
    agents = discover_agents(variables={}).agents
    costs = [cost(agents[name]) for name in sorted(agents)]
    distributions = sorted({each.distribution for each in agents.values()} - {"runtara-sdk"})
    sizes = dict(shares(distributions)) if options.bases else {}
    if options.json:
        print(json.dumps({"costs": [asdict(each) for each in costs], "bytes": sizes}, indent=2))
        return
    print(f"{'agent':<14}{'import ms':>10}{'/ run time':>12}{'first call ms':>15}{'second ms':>11}")
    for each in costs:
        calls = [f"{value:.1f}" if value is not None else "-" for value in (each.first_call_ms, each.second_call_ms)]
        print(f"{each.agent:<14}{each.import_ms:>10.1f}{each.ratio:>12.2f}{calls[0]:>15}{calls[1]:>11}")
    print(f"run time of workflows: {statistics.median(each.run_time_ms for each in costs):.0f} ms")
    for name, size in sizes.items():
        print(f"base {'with all agents' if name == 'all' else 'grows by ' + name}: {size / 1e6:.1f} MB")


if __name__ == "__main__":
    run_benchmark(main)
