"""How late sleepers are woken that are due within one minute, beside what launching a program costs.

    python benchmarks/wake_lateness.py                       100 sleepers, in two minutes
    python benchmarks/wake_lateness.py --sleepers 1000       as many as the goal names
    python benchmarks/wake_lateness.py --seconds 30          due within half a minute instead
    python benchmarks/wake_lateness.py --sqlite              on SQLite instead of PostgreSQL
    python benchmarks/wake_lateness.py --json                the same figures as JSON

The sleepers are instances that slept through core's protocol and are suspended; their deadlines are spread evenly. Core
and environment are daemons. The program that is launched at the deadline is tiny: a shell that writes down the time. So
what is measured is the system and not the start of an interpreter. Lateness is that time less the deadline.

What a launch costs is measured in the same run, half of it before and half after: the native runner, called in this
process, starts the same program, until it has written down the time. What lateness has beyond that is the clock, the
claim, the rows of the launch, and waiting for others that are due at the same moment.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from daemons import Core, processor_seconds, running_core
from ending import run_benchmark
from runtara_core.models import LaunchClaim, NewInstance
from runtara_core.testing.postgres import create_database, running_postgres
from runtara_environment.launch_options import LaunchOptions
from runtara_environment.registry.artifact_store import ArtifactStore
from runtara_environment.runner import LaunchSpec
from runtara_environment.runners.native import NativeRunner
from runtara_sdk import InstanceSettings
from runtara_sdk.core_backend import CoreBackend
from runtara_sdk.models import SleepState

TENANT = "benchmark"
GOAL_MS = 250.0
_OWNER = "benchmark"
_LEASE_MS = 60_000
_CLAIMS = 50
_AT_A_TIME = 8
_LAUNCHES = 40
_FIRST_DUE_SECONDS = 10.0
_PREPARE_SECONDS_EACH = 0.05
_LATEST_SECONDS = 300.0
_RUN_SECONDS = 60
_POLL_SECONDS = 0.5

_PROGRAM = b"""\
#!/bin/sh
date +%s%N >"$WOKEN/.$RUNTARA_INSTANCE_ID"
mv "$WOKEN/.$RUNTARA_INSTANCE_ID" "$WOKEN/$RUNTARA_INSTANCE_ID"
"""


@dataclass(frozen=True)
class Report:
    """Milliseconds; `beyond_*` is lateness less the median of a launch alone, `*_processor_ms` what a wake uses."""

    sleepers: int
    seconds: float
    database: str
    launch_p50_ms: float
    launch_p99_ms: float
    late_p50_ms: float
    late_p99_ms: float
    late_worst_ms: float
    beyond_p50_ms: float
    beyond_p99_ms: float
    core_processor_ms: float
    environment_processor_ms: float
    launched_processor_ms: float


class Sleepers:
    """Instances that sleep, and the times at which their program was launched.

    `directory` is where the program leaves the times, in files named like the instances.
    """

    def __init__(self, core: Core, directory: Path) -> None:
        self._core = core
        self._directory = directory
        self._due_ms: dict[str, int] = {}

    async def put_to_sleep(self, count: int, first_due: float, interval: float, new: NewInstance) -> None:
        """`count` instances like `new`; the first is due at `first_due` (Unix time), the others `interval` s apart."""
        deadlines = {f"sleeper-{number}": first_due + number * interval for number in range(count)}
        limit = asyncio.Semaphore(_AT_A_TIME)
        async with self._core.management() as management:
            waiting = list(deadlines)
            while waiting:
                page, waiting = waiting[:_CLAIMS], waiting[_CLAIMS:]
                for instance_id in page:
                    await management.create_instance(replace(new, instance_id=instance_id))
                claims: list[LaunchClaim] = []
                while len(claims) < len(page):
                    claims += await management.claim_launches(_OWNER, limit=_CLAIMS, lease_ms=_LEASE_MS, wait_ms=1_000)
                await asyncio.gather(*(self._sleep(claim, deadlines[claim.instance_id], limit) for claim in claims))
                print(f"{count - len(waiting)} of {count} asleep", file=sys.stderr)

    async def _sleep(self, claim: LaunchClaim, due: float, limit: asyncio.Semaphore) -> None:
        settings = InstanceSettings(
            claim.instance_id,
            claim.tenant_id,
            server_addr=self._core.address,
            ca_file=self._core.ca_file,
            launch_epoch=claim.epoch,
            instance_token=claim.token,
        )
        async with limit:
            backend = CoreBackend(settings)
            await backend.connect()
            try:
                await backend.register(None)
                left_ms = max(0, round((due - time.time()) * 1000))
                asleep = await backend.sleep("nap", left_ms, b"", suspend_above_ms=0)
            finally:
                await backend.close()
        if asleep.state is not SleepState.SUSPENDED:
            raise SystemExit(f"{claim.instance_id} was not suspended: the machine is too slow, take fewer sleepers")
        self._due_ms[claim.instance_id] = asleep.wake_at_ms

    async def lateness(self, deadline: float) -> list[float]:
        """Wait until all have been launched; how late each was, seconds."""
        said = 0
        while len(woken := _times(self._directory)) < len(self._due_ms):
            if time.time() > deadline:
                raise SystemExit(f"only {len(woken)} of {len(self._due_ms)} sleepers were woken")
            if len(woken) >= said + max(1, len(self._due_ms) // 10):
                said = len(woken)
                print(f"{said} of {len(self._due_ms)} woken", file=sys.stderr)
            await asyncio.sleep(_POLL_SECONDS)
        return [woken[instance_id] - due_ms / 1000 for instance_id, due_ms in self._due_ms.items()]


def _times(directory: Path) -> dict[str, float]:
    return {path.name: int(path.read_text()) / 1e9 for path in directory.iterdir() if not path.name.startswith(".")}


async def launch_seconds(argv: tuple[str, ...], directory: Path, launches: int) -> list[float]:
    """What the native runner needs alone until the program has written down the time."""
    runner, seconds = NativeRunner(), []
    for number in range(launches):
        woken = directory / f"woken-{number}"
        woken.mkdir(parents=True)
        specification = LaunchSpec(
            instance_id="alone",
            tenant_id=TENANT,
            epoch=1,
            argv=argv,
            environment={"PATH": os.defpath, "WOKEN": str(woken), "RUNTARA_INSTANCE_ID": "alone"},
            run_directory=directory / f"run-{number}",
            timeout_seconds=_RUN_SECONDS,
        )
        started = time.time()
        await (await runner.launch(specification)).wait()
        seconds.append(_times(woken)["alone"] - started)
    return seconds


async def measure(options: argparse.Namespace, directory: Path, url: str) -> Report:
    """One pair of daemons on the database `url`."""
    woken = directory / "woken"
    woken.mkdir()
    # As many as there are sleepers: the limit counts those that are put to sleep, too.
    async with running_core(directory / "data", url, max_concurrent_instances=options.sleepers + _CLAIMS) as core:
        async with core.environment() as environment:
            image = await environment.sdk.register_image(TENANT, "sleeper", _PROGRAM)
        store = ArtifactStore(core.directory)
        artifact = await store.put(_PROGRAM)
        argv = await store.command(artifact)
        launches = await launch_seconds(argv, directory / "before", _LAUNCHES // 2)
        launch_options = LaunchOptions(
            digest=artifact.digest, timeout_seconds=_RUN_SECONDS, env={"WOKEN": str(woken)}
        ).encode()
        first_due = time.time() + _FIRST_DUE_SECONDS + _PREPARE_SECONDS_EACH * options.sleepers
        sleepers = Sleepers(core, woken)
        await sleepers.put_to_sleep(
            options.sleepers,
            first_due,
            options.seconds / options.sleepers,
            NewInstance("", TENANT, image.image_id, b"{}", launch_options),
        )
        used = processor_seconds(core.process_id)[0]
        async with core.environment() as environment:
            if time.time() > first_due:
                raise SystemExit("the environment was up too late: the machine is too slow, take fewer sleepers")
            begun = processor_seconds(environment.process_id)
            late = await sleepers.lateness(first_due + options.seconds + _LATEST_SECONDS)
            ended = processor_seconds(environment.process_id)
            used = processor_seconds(core.process_id)[0] - used
        launches += await launch_seconds(argv, directory / "after", _LAUNCHES // 2)
    return _report(options, launches, late, (used, ended[0] - begun[0], ended[1] - begun[1]))


def _report(
    options: argparse.Namespace, launches: list[float], late: list[float], used: tuple[float, float, float]
) -> Report:
    def percentiles(seconds: list[float]) -> tuple[float, float]:
        quantiles = statistics.quantiles([1000 * value for value in seconds], n=100, method="inclusive")
        return round(quantiles[49], 1), round(quantiles[98], 1)

    launch_p50, launch_p99 = percentiles(launches)
    late_p50, late_p99 = percentiles(late)
    return Report(
        options.sleepers,
        options.seconds,
        "sqlite" if options.sqlite else "postgres",
        launch_p50,
        launch_p99,
        late_p50,
        late_p99,
        round(max(late) * 1000, 1),
        round(late_p50 - launch_p50, 1),
        round(late_p99 - launch_p50, 1),
        *(round(seconds / options.sleepers * 1000, 1) for seconds in used),
    )


async def measure_all(options: argparse.Namespace) -> Report:
    """In a folder of its own, on a new database."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="runtara-benchmark-")))
        if options.sqlite:
            url = f"sqlite:///{directory}/runtara.db"
        else:
            url = await create_database(stack.enter_context(running_postgres()).url)
        return await measure(options, directory, url)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sleepers", type=int, default=100, help="instances that sleep, at least 2 (default 100)")
    parser.add_argument("--seconds", type=float, default=60.0, help="within which all are due (default 60)")
    parser.add_argument("--sqlite", action="store_true", help="on SQLite instead of PostgreSQL")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    options = parser.parse_args()
    before = os.getloadavg()[0]
    report = asyncio.run(measure_all(options))
    after = os.getloadavg()[0]
    if options.json:
        loads = {"load_before": before, "load_after": after}
        print(json.dumps({**loads, "goal_beyond_p99_ms": GOAL_MS, **asdict(report)}, indent=2))
        return
    print(f"{report.sleepers} sleepers due within {report.seconds:g} s on {report.database}, milliseconds")
    print("                         p50       p99     worst")
    print(f"a launch alone    {report.launch_p50_ms:>10}{report.launch_p99_ms:>10}")
    print(f"lateness          {report.late_p50_ms:>10}{report.late_p99_ms:>10}{report.late_worst_ms:>10}")
    print(f"beyond a launch   {report.beyond_p50_ms:>10}{report.beyond_p99_ms:>10}")
    print(
        f"\nprocessor time of a wake, ms: core {report.core_processor_ms}, environment "
        f"{report.environment_processor_ms}, what it launches {report.launched_processor_ms}"
    )
    print(f"goal: p99 beyond a launch <= {GOAL_MS:g} ms")
    print(f"load average {before:.1f} before, {after:.1f} after; {os.cpu_count()} processors")


if __name__ == "__main__":
    run_benchmark(main)
