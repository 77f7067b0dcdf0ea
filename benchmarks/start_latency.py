"""From `start_instance` to the first checkpoint, beside bare starts of the same program.

    python benchmarks/start_latency.py                        15 starts each, the program as a Python archive
    python benchmarks/start_latency.py --starts 40            more, for quieter figures
    python benchmarks/start_latency.py --sqlite               on SQLite instead of PostgreSQL
    python benchmarks/start_latency.py --native ./artifact    also a native binary that was compiled before
    python benchmarks/start_latency.py --oci                  also in containers
    python benchmarks/start_latency.py --quic                 programs reach core by its port instead of its socket
    python benchmarks/start_latency.py --json                 the same figures as JSON

The program is a compiled scenario: one step of an agent, whose result is the first checkpoint, and a Finish step. Three
ways to start it take turns, all with the very command line and variables that the environment uses:

    bare      exec of the program until it connects to core: interpreter, imports and settings are done. Core is a
              socket of this benchmark, which never answers; with QUIC the first datagram ends it.
    by hand   exec of the program until core has its first checkpoint: what the program costs without an environment.
    started   `start_instance` is called until core has the first checkpoint. Core and environment are daemons.
    container the same with the OCI runner; beside starts outside of containers. Such a program has half a processor
              unless limits say otherwise, the others have all, so it is started
    unbound   with all processors, too.

Beginnings and ends are readings of the machine's clock, core's in milliseconds; nobody polls while a program starts.
Each start waits, for some seconds at most, until the machine has been idle for a moment: the ratio of the best times is
the one that other jobs disturb least. Native base runtimes take minutes to build, so without
`--native` a binary is measured only when the library (RUNTARA_NATIVE_LIBRARY_DIR, else `.data/native`) has the one for
the installed distributions.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import socket
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from daemons import Core, running_core
from ending import run_benchmark
from runtara_compiler import CompilationInput, compile_scenario
from runtara_compiler.native.base import plan_base
from runtara_compiler.native.library import NativeLibrary
from runtara_core.testing.postgres import create_database, running_postgres
from runtara_environment.registry.artifact_store import ArtifactStore
from runtara_sdk import ManagementSdk
from runtara_sdk.resource_limits import ResourceLimits
from runtara_sdk.transport.address import format_local_address, is_local

TENANT = "benchmark"
GOAL = 1.3
_DEADLINE_SECONDS = 60.0
_QUIET_SECONDS = 0.3
_QUIET_SHARE = 0.8
_QUIET_TRIES = 6
_POLL_SECONDS = 0.1
_DATAGRAM_BYTES = 2048

SCENARIO: dict[str, Any] = {
    "name": "First checkpoint",
    "entryPoint": "map",
    "steps": {
        "map": {
            "stepType": "Agent",
            "agentId": "transform",
            "capabilityId": "map-fields",
            "inputMapping": {
                "source_data": {"valueType": "reference", "value": "data"},
                "mappings": {"valueType": "immediate", "value": {"name": "name"}},
            },
        },
        "finish": {
            "stepType": "Finish",
            "inputMapping": {"result": {"valueType": "reference", "value": "steps.map.outputs"}},
        },
    },
    "executionPlan": [{"fromStep": "map", "toStep": "finish"}],
}
INPUT = {"data": {"name": "Ada"}}

Start = Callable[[], Awaitable[float]]


@dataclass(frozen=True)
class Row:
    """One way to start one kind of program, milliseconds; ratios of the medians and of the best to the bare start."""

    program: str
    start: str
    median_ms: float
    best_ms: float
    worst_ms: float
    ratio_to_bare: float
    ratio_of_best_to_bare: float
    ratio_to_by_hand: float


class Program:
    """A registered program, and the three ways to start it; each answers seconds."""

    def __init__(self, core: Core, sdk: ManagementSdk, image_id: str, argv: tuple[str, ...], address: str) -> None:
        self._core = core
        self._address = address
        self._sdk = sdk
        self._image_id = image_id
        self._argv = argv
        self._input = core.directory.parent / "input.json"
        self._input.write_text(json.dumps(INPUT))

    async def bare(self) -> float:
        """Until it connects."""
        loop = asyncio.get_running_loop()
        arrived: asyncio.Task[object]
        with socket.socket(*self._kind()) as listening, tempfile.TemporaryDirectory() as directory:
            listening.setblocking(False)
            if is_local(self._address):
                path = Path(directory) / "core.sock"
                listening.bind(str(path))
                listening.listen()
                address = format_local_address(path)
                arrived = asyncio.create_task(loop.sock_accept(listening), name="first connection")
            else:
                listening.bind(("127.0.0.1", 0))
                address = f"127.0.0.1:{listening.getsockname()[1]}"
                arrived = asyncio.create_task(loop.sock_recv(listening, _DATAGRAM_BYTES), name="first datagram")
            started = time.perf_counter()
            process = await self._execute(self._variables(f"bare-{uuid.uuid4()}", address))
            try:
                await asyncio.wait_for(arrived, _DEADLINE_SECONDS)
                return time.perf_counter() - started
            finally:
                if process.returncode is None:
                    process.kill()
                await process.wait()

    def _kind(self) -> tuple[int, int]:
        return (socket.AF_UNIX, socket.SOCK_STREAM) if is_local(self._address) else (socket.AF_INET, socket.SOCK_DGRAM)

    async def by_hand(self) -> float:
        """Until core has the first checkpoint, without an environment."""
        instance_id = f"by-hand-{uuid.uuid4()}"
        started = time.time()
        process = await self._execute(self._variables(instance_id, self._address))
        if await asyncio.wait_for(process.wait(), _DEADLINE_SECONDS):
            raise SystemExit(f"the program failed with exit code {process.returncode}; its reason is above")
        return await self._first_checkpoint(instance_id) - started

    async def started(self, limits: ResourceLimits | None = None) -> float:
        """Until core has the first checkpoint, through the environment."""
        started = time.time()
        answer = await self._sdk.start_instance(self._image_id, TENANT, input_envelope=INPUT, limits=limits)
        end = await self._sdk.wait_for_completion(
            answer.instance_id, poll_interval=_POLL_SECONDS * 10, timeout=_DEADLINE_SECONDS
        )
        if end.error is not None:
            raise SystemExit(f"the instance failed: {end.error}")
        return await self._first_checkpoint(answer.instance_id) - started

    async def _first_checkpoint(self, instance_id: str) -> float:
        page = await self._sdk.list_checkpoints(instance_id)
        return page.checkpoints[-1].created_at_ms / 1000

    async def _execute(self, variables: Mapping[str, str]) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *self._argv,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            cwd=self._core.directory.parent,
            env=variables,
        )

    def _variables(self, instance_id: str, address: str) -> dict[str, str]:
        return {
            "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
            "HOME": str(self._core.directory.parent),
            "LANG": "C.UTF-8",
            "PYTHONUNBUFFERED": "1",
            "RUNTARA_INSTANCE_ID": instance_id,
            "RUNTARA_TENANT_ID": TENANT,
            "RUNTARA_SERVER_ADDR": address,
            "RUNTARA_SERVER_NAME": "localhost",
            "RUNTARA_CA_FILE": str(self._core.ca_file),
            "RUNTARA_INPUT_PATH": str(self._input),
        }


async def _compile(directory: Path, target: str) -> Path:
    compiled = await compile_scenario(
        CompilationInput(
            TENANT, "first-checkpoint", 1, SCENARIO, target=target, data_dir=directory, origin="the benchmark"
        )
    )
    return compiled.binary_path


async def _artifacts(directory: Path, options: argparse.Namespace) -> dict[str, Path]:
    """What to measure, by kind."""
    artifacts = {"python": await _compile(directory, "python")}
    library = NativeLibrary.from_environment(None)
    if options.native is not None:
        artifacts["native"] = options.native
    elif library.entry("bases", plan_base().key).is_dir():
        print("compiling the native binary", file=sys.stderr)
        os.environ["RUNTARA_NATIVE_LIBRARY_DIR"] = str(library.directory)
        artifacts["native"] = await _compile(directory, "native")
    else:
        print(f"native left out: {library.directory} has no base runtime for what is installed", file=sys.stderr)
    return artifacts


async def _program(core: Core, sdk: ManagementSdk, kind: str, artifact: Path, address: str) -> Program:
    content = await asyncio.to_thread(artifact.read_bytes)
    image = await sdk.register_image_stream(TENANT, f"first-checkpoint-{kind}", artifact)
    store = ArtifactStore(core.directory)
    return Program(core, sdk, image.image_id, await store.command(await store.put(content)), address)


async def _quiet_moment() -> None:
    """Wait until processors have been idle for most of a moment, or for so long that it is in vain."""
    for _ in range(_QUIET_TRIES):
        before = _processor_ticks()
        await asyncio.sleep(_QUIET_SECONDS)
        idle, total = (now - then for now, then in zip(_processor_ticks(), before, strict=True))
        if idle >= total * _QUIET_SHARE:
            return


def _processor_ticks() -> tuple[int, int]:
    """Idle ones and all, of all processors since the start of the machine."""
    ticks = [int(field) for field in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    return ticks[3] + ticks[4], sum(ticks)


async def measure(
    core: Core, sdk: ManagementSdk, kind: str, artifact: Path, starts: int, address: str, runner: str
) -> list[Row]:
    """One program, its starts in turns; the first turn fills caches and does not count."""
    program = await _program(core, sdk, kind, artifact, address)
    ways: dict[str, Start] = {"bare": program.bare, "by hand": program.by_hand}
    if runner == "oci":
        all_processors = ResourceLimits(cpu_cores=float(os.cpu_count() or 1))
        ways.update({"container": program.started, "unbound": partial(program.started, all_processors)})
    else:
        ways["started"] = program.started
    times: dict[str, list[float]] = {way: [] for way in ways}
    for turn in range(starts + 1):
        print(f"{kind}: turn {turn} of {starts}", file=sys.stderr)
        for way, start in ways.items():
            await _quiet_moment()
            seconds = await start()
            if turn:
                times[way].append(seconds * 1000)
    bare, by_hand = (statistics.median(times[way]) for way in ("bare", "by hand"))
    rows = []
    for way, measured in times.items():
        median, best, worst = statistics.median(measured), min(measured), max(measured)
        ratios = median / bare, best / min(times["bare"]), median / by_hand
        rows.append(
            Row(kind, way, round(median, 1), round(best, 1), round(worst, 1), *(round(ratio, 2) for ratio in ratios))
        )
    return rows


async def measure_all(options: argparse.Namespace) -> list[Row]:
    """Every program on one pair of daemons."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="runtara-benchmark-")))
        artifacts = await _artifacts(directory / "compiled", options)
        if options.sqlite:
            url = f"sqlite:///{directory}/runtara.db"
        else:
            url = await create_database(stack.enter_context(running_postgres()).url)
        async with running_core(directory / "data", url) as core:
            address = core.address if options.quic else core.local_address
            rows = []
            for runner in ("native", *(["oci"] if options.oci else ())):
                variables = {"RUNTARA_CORE_ADDR": address, "RUNTARA_RUNNER": runner}
                if chosen := os.environ.get("RUNTARA_OCI_RUNTIME"):
                    variables["RUNTARA_OCI_RUNTIME"] = chosen
                async with core.environment(**variables) as environment:
                    for kind, artifact in artifacts.items():
                        rows += await measure(core, environment.sdk, kind, artifact, options.starts, address, runner)
            return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--starts", type=int, default=15, help="of each kind (default 15)")
    parser.add_argument("--sqlite", action="store_true", help="on SQLite instead of PostgreSQL")
    parser.add_argument("--native", type=Path, metavar="FILE", help="a native binary of the same scenario")
    parser.add_argument("--oci", action="store_true", help="also in containers")
    parser.add_argument("--quic", action="store_true", help="programs reach core by its port; not with --oci")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    options = parser.parse_args()
    if options.oci and options.quic:
        parser.error("--oci needs the socket of core: containers have no network")
    before = os.getloadavg()[0]
    rows = asyncio.run(measure_all(options))
    if options.json:
        loads = {"load_before": before, "load_after": os.getloadavg()[0]}
        print(json.dumps({**loads, "goal": GOAL, "rows": [asdict(row) for row in rows]}, indent=2))
        return
    print("program    start       median      best     worst    / bare  / bare, best  / by hand")
    for row in rows:
        print(
            f"{row.program:<10} {row.start:<10}{row.median_ms:>8} ms{row.best_ms:>10}{row.worst_ms:>10}"
            f"{row.ratio_to_bare:>10}{row.ratio_of_best_to_bare:>14}{row.ratio_to_by_hand:>11}"
        )
    print(f"\ngoal: started <= {GOAL} x bare")
    print(f"load average {before:.1f} before, {os.getloadavg()[0]:.1f} after; {os.cpu_count()} processors")


if __name__ == "__main__":
    run_benchmark(main)
