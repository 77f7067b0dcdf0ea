"""How long the work of a dead host stands still, and where that time goes.

    python benchmarks/takeover.py                  3 hosts die, one after the other, with 8 instances each
    python benchmarks/takeover.py --rounds 10      more, for quieter figures
    python benchmarks/takeover.py --sqlite         on SQLite instead of PostgreSQL
    python benchmarks/takeover.py --json           the same figures as JSON

Two environments on one database, each with a data directory of its own. The first runs all instances. It dies by
SIGKILL with its programs, at a random moment between two renewals of its leases. Then nobody knows of its death until
the leases end: 12 s after the last renewal, which is at most 2 s ago. The second environment waits in a claim, gets
the instances then, and launches them. The program is a shell that writes down the time.

    lease     from the death to the end of the lease of an instance
    launch    from there until its program runs on the other host
    total     both
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import signal
import statistics
import tempfile
import time
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from daemons import Core, running_core
from ending import run_benchmark
from runtara_core.testing.postgres import create_database, running_postgres

TENANT = "benchmark"
_RENEWAL_SECONDS = 2.0
_DEADLINE_SECONDS = 120.0
_POLL_SECONDS = 0.05
_PROGRAM = b"""\
#!/bin/sh
date +%s%N >"$TIMES/.$RUNTARA_INSTANCE_ID"
echo $$ >>"$TIMES/.$RUNTARA_INSTANCE_ID"
mv "$TIMES/.$RUNTARA_INSTANCE_ID" "$TIMES/$RUNTARA_INSTANCE_ID-$RUNTARA_LAUNCH_EPOCH"
[ "$RUNTARA_LAUNCH_EPOCH" = 1 ] && exec sleep 300
exit 1
"""


@dataclass(frozen=True)
class Report:
    """Seconds: the median and the worst."""

    rounds: int
    instances: int
    database: str
    lease_p50: float
    lease_worst: float
    launch_p50: float
    launch_worst: float
    total_p50: float
    total_worst: float


async def die(core: Core, directory: Path, number: int, instances: int) -> list[tuple[float, float]]:
    """One death; for each instance the seconds to the end of its lease, and from there to its launch."""
    times = directory / f"times-{number}"
    times.mkdir()
    names = [f"round-{number}-{each}" for each in range(instances)]
    async with core.environment(directory / f"first-{number}") as first, core.management() as management:
        image = await first.sdk.register_image(TENANT, f"program-{number}", _PROGRAM)
        for name in names:
            await first.sdk.start_instance(image.image_id, TENANT, instance_id=name, env={"TIMES": str(times)})
        await _written(times, names, epoch=1)
        async with core.environment(directory / f"second-{number}") as second:
            await second.sdk.register_image(TENANT, f"program-{number}", _PROGRAM)
            await asyncio.sleep(random.uniform(0, _RENEWAL_SECONDS))
            died = time.time()
            os.kill(first.process_id, signal.SIGKILL)
            for name in names:
                with suppress(ProcessLookupError):
                    os.kill(int((times / f"{name}-1").read_text().split()[1]), signal.SIGKILL)
            leases: dict[str, float] = {}
            for name in names:
                instance = await management.get_instance(name)
                if instance is None or instance.lease_until_ms is None:
                    raise SystemExit(f"{name} was not running when its host died")
                leases[name] = instance.lease_until_ms / 1000
            launched = await _written(times, names, epoch=2)
    return [(leases[name] - died, launched[name] - leases[name]) for name in names]


async def _written(times: Path, names: list[str], *, epoch: int) -> dict[str, float]:
    """When each instance was launched, once all have been."""
    give_up = time.monotonic() + _DEADLINE_SECONDS
    paths = {name: times / f"{name}-{epoch}" for name in names}
    while missing := [name for name, path in paths.items() if not path.exists()]:
        if time.monotonic() > give_up:
            raise SystemExit(f"{len(missing)} of {len(names)} instances were not launched")
        await asyncio.sleep(_POLL_SECONDS)
    return {name: int(path.read_text().split()[0]) / 1e9 for name, path in paths.items()}


async def measure(options: argparse.Namespace) -> Report:
    """On a new database, in a folder of its own."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="runtara-benchmark-")))
        if options.sqlite:
            url = f"sqlite:///{directory}/runtara.db"
        else:
            url = await create_database(stack.enter_context(running_postgres()).url)
        pairs: list[tuple[float, float]] = []
        async with running_core(directory / "data", url) as core:
            for number in range(options.rounds):
                pairs += await die(core, directory, number, options.instances)
    figures = [[lease for lease, _ in pairs], [launch for _, launch in pairs], [sum(pair) for pair in pairs]]
    columns = [round(each, 2) for column in figures for each in (statistics.median(column), max(column))]
    return Report(options.rounds, options.instances, "sqlite" if options.sqlite else "postgres", *columns)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="hosts that die (default 3)")
    parser.add_argument("--instances", type=int, default=8, help="instances of each (default 8)")
    parser.add_argument("--sqlite", action="store_true", help="on SQLite instead of PostgreSQL")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    options = parser.parse_args()
    before = os.getloadavg()[0]
    report = asyncio.run(measure(options))
    after = os.getloadavg()[0]
    if options.json:
        print(json.dumps({"load_before": before, "load_after": after, **asdict(report)}, indent=2))
        return
    print(f"{report.rounds} hosts with {report.instances} instances each, {report.database}, seconds")
    print("            p50     worst")
    print(f"lease  {report.lease_p50:>8}{report.lease_worst:>10}")
    print(f"launch {report.launch_p50:>8}{report.launch_worst:>10}")
    print(f"total  {report.total_p50:>8}{report.total_worst:>10}")
    print(f"load average {before:.1f} before, {after:.1f} after; {os.cpu_count()} processors")


if __name__ == "__main__":
    run_benchmark(main)
