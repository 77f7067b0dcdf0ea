"""How long native builds take, how large they are and how fast they start.

    python benchmarks/compile_time.py            a table; reuses a warm library when RUNTARA_NATIVE_LIBRARY_DIR has one
    python benchmarks/compile_time.py --cold     also builds the base runtime from nothing, and again with warm caches
    python benchmarks/compile_time.py --json     the same figures as JSON

Wall-clock seconds and, beside them, processor seconds of all subprocesses: the latter tell more on a busy machine.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from ending import run_benchmark
from runtara_compiler import CompilationInput, CompilationResult, compile_scenario
from runtara_compiler.native.base import ensure_base, plan_base
from runtara_compiler.native.library import NativeLibrary
from runtara_sdk.artifact import LayerRole, inspect_artifact, unpack_native_artifact

T = TypeVar("T")

STEP_COUNTS = (5, 20, 100)
START_REPETITIONS = 15
START_DEADLINE_SECONDS = 120


@dataclass(frozen=True)
class Figure:
    """One measurement: `value` in `unit`, and the processor seconds it took where that was measured."""

    name: str
    value: float
    unit: str
    processor_seconds: float | None = None


def scenario(steps: int, seed: str) -> dict[str, Any]:
    """A chain of HTTP steps and a Finish step; `seed` keeps it out of every cache."""
    names = [f"step{number}" for number in range(steps - 1)]
    documents: dict[str, Any] = {
        name: {
            "stepType": "Agent",
            "name": f"Call {name} of {seed}",
            "agentId": "http",
            "capabilityId": "http-request",
            "inputMapping": {
                "url": {"valueType": "reference", "value": "data.url"},
                "method": {"valueType": "immediate", "value": "POST"},
                "body": {"valueType": "immediate", "value": {"number": number, "kind": name}},
            },
        }
        for number, name in enumerate(names)
    }
    documents["finish"] = {
        "stepType": "Finish",
        "inputMapping": {"last": {"valueType": "reference", "value": f"steps.{names[-1]}.outputs"}},
    }
    chain = [*names, "finish"]
    plan = [{"fromStep": first, "toStep": second} for first, second in itertools.pairwise(chain)]
    return {"name": f"{steps} steps", "entryPoint": names[0], "steps": documents, "executionPlan": plan}


async def timed(name: str, action: Callable[[], Awaitable[T]]) -> tuple[T, Figure]:
    """Run `action`; its result and how long it took."""
    started, used = time.perf_counter(), _processor_seconds()
    result = await action()
    return result, Figure(name, time.perf_counter() - started, "s", _processor_seconds() - used)


def _processor_seconds() -> float:
    usage = [resource.getrusage(who) for who in (resource.RUSAGE_CHILDREN, resource.RUSAGE_SELF)]
    return sum(item.ru_utime + item.ru_stime for item in usage)


async def measure_base(library_directory: Path, label: str) -> Figure:
    """Build the base runtime in `library_directory`, which holds none."""
    library = NativeLibrary(library_directory)
    _, figure = await timed(f"base runtime, {label}", lambda: ensure_base(library, plan_base(), _say))
    return figure


async def measure_compilations(data_dir: Path) -> tuple[list[Figure], CompilationResult]:
    """Each size first with a new scenario, then the same again from the cache."""
    figures = []
    result: CompilationResult | None = None
    # The first build of a toolchain compiles Nuitka's own fixed sources, which later ones find.
    await _compile(data_dir, 5, uuid.uuid4().hex)
    for steps in STEP_COUNTS:
        seed = uuid.uuid4().hex
        result, first = await timed(f"{steps} steps, first", lambda n=steps, s=seed: _compile(data_dir, n, s))
        _, cached = await timed(f"{steps} steps, cached", lambda n=steps, s=seed: _compile(data_dir, n, s))
        info = inspect_artifact(result.binary_path)
        workflow = next(layer.size for layer in info.layers if layer.role is LayerRole.WORKFLOW)
        figures += [first, cached, Figure(f"{steps} steps, workflow layer", workflow / 1e6, "MB")]
        if steps == STEP_COUNTS[-1]:
            base = next(layer.size for layer in info.layers if layer.role is LayerRole.BASE)
            figures += [Figure("base layer", base / 1e6, "MB"), Figure("artifact", info.size / 1e6, "MB")]
    assert result is not None
    return figures, result


def measure_starts(artifact: Path, directory: Path) -> list[Figure]:
    """Process start to exit, the best and the middle of many; the artifact unpacks itself in the first."""
    layers = directory / "layers"
    environment = {"PATH": os.environ["PATH"], "RUNTARA_NATIVE_CACHE_DIR": str(layers)}
    figures = [Figure("first start, unpacking", _start([artifact, "--version"], environment) * 1e3, "ms")]
    layout = unpack_native_artifact(artifact, layers)
    base = layout.command[0]
    programs: dict[str, list[str | Path]] = {
        "bare interpreter": [sys.executable, "-I", "-S", "-c", "pass"],
        "base runtime alone": [base, "--check"],
        "workflow and agents, unpacked": [*layout.command, "--version"],
        "workflow and agents, by itself": [artifact, "--version"],
        "the same with the instance SDK": [base, "--check", "runtara_sdk.instance", "runtara_agents_http"],
        "the same with QUIC": [base, "--check", "runtara_sdk.core_backend", "runtara_agents_http"],
    }
    for name, command in programs.items():
        samples = [_start(command, environment) for _ in range(START_REPETITIONS)]
        figures.append(Figure(f"start: {name}, best", min(samples) * 1e3, "ms"))
        figures.append(Figure(f"start: {name}, median", statistics.median(samples) * 1e3, "ms"))
    return figures + [
        Figure(f"memory: {name}", _peak_memory(programs[name], environment), "MB")
        for name in ("workflow and agents, unpacked", "the same with QUIC")
    ]


async def measure(*, cold: bool) -> list[Figure]:
    """All figures, in the order of the table."""
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="runtara-benchmark-") as scratch:
        directory = Path(scratch)
        library = Path(os.environ.get("RUNTARA_NATIVE_LIBRARY_DIR") or Path(".data", "native")).absolute()
        if cold:
            library = directory / "library"
            figures.append(await measure_base(library, "from nothing"))
            shutil.rmtree(library / "bases")
            figures.append(await measure_base(library, "caches warm"))
        os.environ["RUNTARA_NATIVE_LIBRARY_DIR"] = str(library)
        compilations, result = await measure_compilations(directory / "data")
        figures += compilations
        figures += await asyncio.to_thread(measure_starts, result.binary_path, directory)
    return figures


async def _compile(data_dir: Path, steps: int, seed: str) -> CompilationResult:
    return await compile_scenario(
        CompilationInput(
            tenant_id="benchmark",
            scenario_id=f"chain{steps}",
            version=1,
            execution_graph=scenario(steps, seed),
            target="native",
            data_dir=data_dir,
        ),
        progress=_say,
    )


def _say(line: str) -> None:
    print(line, file=sys.stderr)


def _start(command: list[str | Path], environment: dict[str, str]) -> float:
    started = time.perf_counter()
    subprocess.run(command, env=environment, check=True, capture_output=True, timeout=START_DEADLINE_SECONDS)
    return time.perf_counter() - started


def _peak_memory(command: list[str | Path], environment: dict[str, str]) -> float:
    """Peak resident memory of a process in MB, as the system counted it for the child of a fresh process."""
    code = (
        "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL);"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code, *command],
        env=environment,
        check=True,
        capture_output=True,
        text=True,
        timeout=START_DEADLINE_SECONDS,
    )
    return int(answer.stdout) / 1024


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Measure native builds.")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--cold", action="store_true", help="build the base runtime from nothing first (minutes)")
    options = parser.parse_args()
    figures = asyncio.run(measure(cold=options.cold))
    if options.json:
        print(json.dumps([asdict(figure) for figure in figures], indent=2))
        return
    print(f"{'what':<52} {'value':>10}      processor")
    for figure in figures:
        processor = "" if figure.processor_seconds is None else f"{figure.processor_seconds:9.1f} s"
        print(f"{figure.name:<52} {figure.value:10.2f} {figure.unit:<4} {processor}")


if __name__ == "__main__":
    run_benchmark(main)
