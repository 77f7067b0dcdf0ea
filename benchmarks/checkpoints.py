"""Durable checkpoints: how many a second and how late, beside peers and what the disk and the database allow.

    python benchmarks/checkpoints.py                       everything, in about three minutes
    python benchmarks/checkpoints.py --seconds 5           longer measurements, for quieter figures
    python benchmarks/checkpoints.py --only postgres       subjects whose name contains `postgres`
    python benchmarks/checkpoints.py --without-dbos        do not install the peer DBOS; --without-restate likewise
    python benchmarks/checkpoints.py --json                the same figures as JSON

Subjects take turns in every round, so that what else the machine does hits all of them; ratios are what counts. DBOS is
installed from the package index into a virtual environment of its own, kept for the next run, and Restate as
`restate_peer.py` tells; the peers are left out with a message where they are missing.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path

from core_process import LOCAL, TRANSPORTS, CoreProcess, running_core
from dbos_peer import DbosPeer, running_dbos
from ending import run_benchmark
from processor_time import family_seconds, own_seconds
from quic_echo import echo, running_echo
from restate_peer import RestatePeer, running_restate
from runtara_core.testing.postgres import PostgresServer, create_database, running_postgres
from runtara_sdk import InstanceSettings, RuntaraSdk

INSTANCES = (1, 16, 64)
STATE = b"x" * 230
_numbers = itertools.count(1)


@dataclass
class Measured:
    """One subject with so many instances at a time.

    Attributes:
        latencies: of every operation, seconds, over all rounds.
        seconds: measured time of all rounds.
        processor_seconds: that the daemon, the clients and PostgreSQL used; empty where it is not known.
    """

    subject: str
    instances: int
    latencies: list[float] = field(default_factory=list)
    seconds: float = 0.0
    processor_seconds: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))

    @property
    def per_second(self) -> float:
        return len(self.latencies) / self.seconds if self.seconds else 0.0

    def microseconds_of(self, who: str) -> float | None:
        """Processor time of an operation."""
        if who not in self.processor_seconds:
            return None
        return round(self.processor_seconds[who] / max(1, len(self.latencies)) * 1e6)

    def percentile_ms(self, percent: int) -> float:
        if len(self.latencies) < 2:
            return 0.0
        return statistics.quantiles(self.latencies, n=100, method="inclusive")[percent - 1] * 1000


@dataclass(frozen=True)
class Row:
    """A line of the table; ratios are to the peer of the same number of instances in the same run."""

    subject: str
    instances: int
    per_second: float
    p50_ms: float
    p99_ms: float
    daemon_us_per_call: float | None
    clients_us_per_call: float | None
    database_us_per_call: float | None
    rate_to_dbos: float | None
    rate_to_pgbench: float | None
    p50_to_dbos: float | None
    p50_to_flush: float | None
    rate_to_restate: float | None
    p50_to_restate: float | None


Subject = Callable[[int, float, Measured], Awaitable[None]]


async def _load(settings_of: Callable[[str], InstanceSettings], instances: int, seconds: float, into: Measured) -> None:
    """`instances` programs at a time, each making one checkpoint after the other."""
    run = next(_numbers)
    sdks = [RuntaraSdk(settings_of(f"run-{run}-instance-{number}")) for number in range(instances)]
    for sdk in sdks:
        await sdk.__aenter__()

    async def work(sdk: RuntaraSdk, deadline: float) -> None:
        for number in itertools.count():
            started = time.perf_counter()
            if started >= deadline:
                return
            await sdk.checkpoint(f"step-{number}", STATE)
            into.latencies.append(time.perf_counter() - started)

    try:
        for sdk in sdks:
            await sdk.checkpoint("warm", STATE)
        started = time.perf_counter()
        await asyncio.gather(*(work(sdk, started + seconds) for sdk in sdks))
        into.seconds += time.perf_counter() - started
    finally:
        for sdk in sdks:
            await sdk.completed({})
            await sdk.__aexit__(None, None, None)


def daemon_subject(core: CoreProcess, transport: str, database: PostgresServer | None) -> Subject:
    """Instances that talk to a daemon over a local socket or QUIC."""

    def used() -> dict[str, float]:
        seconds = {"core": core.processor_seconds(), "clients": own_seconds()}
        if database is not None:
            seconds["database"] = family_seconds(database.process_id)
        return seconds

    async def measure(instances: int, seconds: float, into: Measured) -> None:
        os.environ["RUNTARA_QUIC_LIBRARY"] = "auto" if transport == LOCAL else transport
        before = used()
        await _load(core.settings, instances, seconds, into)
        for who, now in used().items():
            into.processor_seconds[who] += now - before[who]

    return measure


def echo_subject(library: str, port: int) -> Subject:
    """Calls of the QUIC library alone, a connection for each instance."""

    async def measure(instances: int, seconds: float, into: Measured) -> None:
        latencies, took = await echo(library, port, instances, seconds, STATE)
        into.latencies += latencies
        into.seconds += took

    return measure


def embedded_subject(path: Path) -> Subject:
    """One program with an SQLite journal of its own."""

    async def measure(instances: int, seconds: float, into: Measured) -> None:
        if instances == 1:
            await _load(
                lambda instance_id: InstanceSettings(
                    instance_id, "benchmark", server_addr=f"sqlite:///{path}", heartbeat_interval_ms=0
                ),
                instances,
                seconds,
                into,
            )

    return measure


def flush_subject(path: Path) -> Subject:
    """What SQLite's log costs the disk at least: two pages appended and flushed, from one thread."""

    async def measure(instances: int, seconds: float, into: Measured) -> None:
        if instances == 1:
            await asyncio.to_thread(_flush, path, seconds, into)

    return measure


def _flush(path: Path, seconds: float, into: Measured) -> None:
    with path.open("ab") as file:
        started = now = time.perf_counter()
        while now < started + seconds:
            file.write(b"x" * 8192)
            file.flush()
            os.fdatasync(file.fileno())
            then, now = now, time.perf_counter()
            into.latencies.append(now - then)
        into.seconds += now - started


def pgbench_subject(binary: str, url: str, directory: Path) -> Subject:
    """One insert a commit, by PostgreSQL's own client."""
    script = directory / "insert.sql"
    script.write_text(f"INSERT INTO plain_inserts (state) VALUES ('{STATE.decode()}');\n")

    async def measure(instances: int, seconds: float, into: Measured) -> None:
        prefix = directory / f"pgbench-{next(_numbers)}"
        command = [binary, "-n", "-M", "prepared", "-f", str(script), "-c", str(instances), "-j", "1"]
        command += ["-T", str(max(1, round(seconds))), "--log", "--log-prefix", str(prefix), url]
        process = await asyncio.create_subprocess_exec(
            *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        _, errors = await process.communicate()
        if process.returncode:
            raise SystemExit(f"pgbench failed: {errors.decode(errors='replace').strip()}")
        for log in directory.glob(f"{prefix.name}.*"):
            into.latencies += [int(line.split()[2]) / 1e6 for line in log.read_text().splitlines()]
            log.unlink()
        into.seconds += max(1, round(seconds))

    return measure


def peer_subject(peer: DbosPeer | RestatePeer) -> Subject:
    """Steps of a peer's workflows, in a process of their own."""

    async def measure(instances: int, seconds: float, into: Measured) -> None:
        into.latencies += await peer.measure(instances, seconds)
        into.seconds += seconds

    return measure


async def _subjects(
    stack: AsyncExitStack, directory: Path, server: PostgresServer, options: argparse.Namespace
) -> dict[str, Subject]:
    import asyncpg

    subjects: dict[str, Subject] = {}

    def wanted(name: str) -> bool:
        return options.only is None or any(part in name for part in options.only)

    for library in TRANSPORTS:
        for kind in ("postgres", "sqlite"):
            name = f"{kind} {library}"
            if wanted(name):
                url = f"sqlite:///{directory}/{library}.db" if kind == "sqlite" else await create_database(server.url)
                core = await stack.enter_async_context(running_core(url, library))
                subjects[name] = daemon_subject(core, library, server if kind == "postgres" else None)
        if library != LOCAL and wanted(f"echo {library}"):
            subjects[f"echo {library}"] = echo_subject(library, await stack.enter_async_context(running_echo(library)))
    if wanted("embedded sqlite"):
        subjects["embedded sqlite"] = embedded_subject(directory / "embedded.db")
    subjects["flush"] = flush_subject(directory / "flushed")
    pgbench = shutil.which("pgbench")
    if pgbench is None:
        print("pgbench left out: it is not on the PATH", file=sys.stderr)
    else:
        connection = await asyncpg.connect(server.url)
        await connection.execute("CREATE TABLE plain_inserts (id BIGSERIAL PRIMARY KEY, state TEXT NOT NULL)")
        await connection.close()
        subjects["pgbench"] = pgbench_subject(pgbench, server.url, directory)
    if not options.without_dbos:
        dbos = await stack.enter_async_context(running_dbos(await create_database(server.url)))
        if dbos is not None:
            subjects["dbos"] = peer_subject(dbos)
    if not options.without_restate:
        restate = await stack.enter_async_context(running_restate())
        if restate is not None:
            subjects["restate"] = peer_subject(restate)
    return subjects


def _row(measured: Measured, of: dict[tuple[str, int], Measured]) -> Row:
    def ratio(own: float, peer: Measured | None, value: Callable[[Measured], float]) -> float | None:
        return round(own / value(peer), 3) if peer is not None and peer.latencies and peer is not measured else None

    dbos, pgbench = of.get(("dbos", measured.instances)), of.get(("pgbench", measured.instances))
    restate = of.get(("restate", measured.instances))
    flush = of.get(("flush", 1)) if measured.instances == 1 else None
    p50 = measured.percentile_ms(50)
    return Row(
        measured.subject,
        measured.instances,
        round(measured.per_second, 1),
        round(p50, 3),
        round(measured.percentile_ms(99), 3),
        measured.microseconds_of("core"),
        measured.microseconds_of("clients"),
        measured.microseconds_of("database"),
        ratio(measured.per_second, dbos, lambda peer: peer.per_second),
        ratio(measured.per_second, pgbench, lambda peer: peer.per_second),
        ratio(p50, dbos, lambda peer: peer.percentile_ms(50)),
        ratio(p50, flush, lambda peer: peer.percentile_ms(50)),
        ratio(measured.per_second, restate, lambda peer: peer.per_second),
        ratio(p50, restate, lambda peer: peer.percentile_ms(50)),
    )


async def measure_all(options: argparse.Namespace) -> list[Row]:
    """Every subject with every number of instances, in turns."""
    measured: dict[tuple[str, int], Measured] = {}
    with tempfile.TemporaryDirectory(prefix="runtara-benchmark-") as name, running_postgres() as server:
        async with AsyncExitStack() as stack:
            subjects = await _subjects(stack, Path(name), server, options)
            for _ in range(options.rounds):
                for instances in options.instances:
                    for subject, measure in subjects.items():
                        into = measured.setdefault((subject, instances), Measured(subject, instances))
                        await measure(instances, options.seconds, into)
    return [_row(each, measured) for each in measured.values() if each.latencies]


def _table(rows: list[Row]) -> str:
    head = (
        "subject",
        "at a time",
        "per s",
        "p50 ms",
        "p99 ms",
        "core us/call",
        "clients us",
        "database us",
        "x dbos",
        "x pgbench",
        "p50/dbos",
        "p50/flush",
        "x restate",
        "p50/restate",
    )
    lines = [head, *(tuple("" if value is None else str(value) for value in asdict(row).values()) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    return "\n".join("  ".join(f"{cell:>{width}}" for cell, width in zip(line, widths, strict=True)) for line in lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each measurement (default 2)")
    parser.add_argument("--rounds", type=int, default=2, help="of all subjects, in turns (default 2)")
    parser.add_argument("--instances", type=int, nargs="+", default=list(INSTANCES), help="at a time (default 1 16 64)")
    parser.add_argument(
        "--only", nargs="+", help="daemons whose name contains one of these: postgres, sqlite, local, qh3, aioquic"
    )
    parser.add_argument("--without-dbos", action="store_true", help="leave the peer DBOS out")
    parser.add_argument("--without-restate", action="store_true", help="leave the peer Restate out")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    options = parser.parse_args()
    before = os.getloadavg()[0]
    rows = asyncio.run(measure_all(options))
    if options.json:
        print(
            json.dumps(
                {"load_before": before, "load_after": os.getloadavg()[0], "rows": [asdict(row) for row in rows]},
                indent=2,
            )
        )
        return
    print(_table(rows))
    print(f"\nload average {before:.1f} before, {os.getloadavg()[0]:.1f} after; {os.cpu_count()} processors")


if __name__ == "__main__":
    run_benchmark(main)
