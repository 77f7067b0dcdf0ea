"""Restate beside us: durable steps of its Python SDK, how many a second and how late.

    python benchmarks/restate_peer.py                      1, 16 and 64 invocations at a time, in 20 seconds
    python benchmarks/restate_peer.py --seconds 5          longer measurements, for quieter figures
    python benchmarks/restate_peer.py --instances 16       so many at a time
    python benchmarks/restate_peer.py --json               the same figures as JSON

The server comes from the npm package `@restatedev/restate-server`, the SDK from the Python package `restate-sdk`; both
are installed on first use and kept for the next run. For ratios run `checkpoints.py`, where all take turns.

The server runs with its default configuration but for two things that are not measured: it listens on Unix sockets in a
folder of its own, so that ports of another server are no obstacle, and sends no telemetry. By default it flushes the
log of its partitions, and nothing else while steps are made: `strace` saw `fdatasync` on files of `log-store` only, 1.3
times a step with one invocation and 0.8 times with 16, where a flush serves several.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from ending import run_benchmark

INSTANCES = (1, 16, 64)
PEER_DIRECTORY = Path.home() / ".cache" / "runtara-benchmarks" / "restate"
_NODE = "benchmark"
_INSTALL_SECONDS = 300
_ANSWER_SECONDS = 120
_STOP_SECONDS = 20
_LONGEST_ANSWER_BYTES = 64 * 1024 * 1024


class RestatePeer:
    """A running server and a program with a service on it."""

    def __init__(self, requests: asyncio.StreamWriter, answers: asyncio.StreamReader) -> None:
        self._requests = requests
        self._answers = answers

    async def measure(self, invocations: int, seconds: float) -> list[float]:
        """So many invocations at a time that make steps for so long; the latency of each step, seconds."""
        self._requests.write(f"{invocations} {seconds}\n".encode())
        line = await asyncio.wait_for(self._answers.readline(), seconds + _ANSWER_SECONDS)
        if not line:
            raise SystemExit("the program with Restate's service ended; its reason is above")
        latencies: list[float] = json.loads(line)
        return latencies


@asynccontextmanager
async def running_restate() -> AsyncIterator[RestatePeer | None]:
    """Restate as long as the block lasts; None, and a message, when it cannot be had."""
    installed = await asyncio.to_thread(_install)
    if installed is None:
        yield None
        return
    server, python = installed
    async with AsyncExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="restate-")))
        log = stack.enter_context((directory / "server.log").open("wb"))
        command: list[str | Path] = [
            server,
            "--no-logo",
            "--listen-mode",
            "unix",
            "--base-dir",
            directory,
            "--node-name",
            _NODE,
        ]
        variables = {name: value for name, value in os.environ.items() if not name.startswith("RESTATE_")}
        await _process(
            stack,
            *command,
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**variables, "RESTATE_DISABLE_TELEMETRY": "true", "RESTATE_LOG_FILTER": "error"},
        )
        service = await _process(
            stack,
            python,
            Path(__file__).with_name("restate_service.py"),
            directory / _NODE,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            limit=_LONGEST_ANSWER_BYTES,
        )
        assert service.stdin is not None
        assert service.stdout is not None
        if (await asyncio.wait_for(service.stdout.readline(), _ANSWER_SECONDS)).strip() != b"ready":
            print("Restate left out: it did not start; its reason is above", file=sys.stderr)
            yield None
            return
        yield RestatePeer(service.stdin, service.stdout)


async def _process(stack: AsyncExitStack, *command: str | Path, **options: object) -> asyncio.subprocess.Process:
    """A process that ends with the stack."""
    process = await asyncio.create_subprocess_exec(*command, **options)  # type: ignore[arg-type]  # options of Popen

    async def stop() -> None:
        if process.returncode is None:
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), _STOP_SECONDS)
        except TimeoutError:
            process.kill()
            await process.wait()

    stack.push_async_callback(stop)
    return process


def _install() -> tuple[Path, Path] | None:
    """The server's binary and an interpreter with the SDK."""
    python = PEER_DIRECTORY / "python" / "bin" / "python"
    try:
        if (server := _server()) is None:
            # Scripts of the packages only report the installation.
            _run(
                "npm",
                "install",
                "--ignore-scripts",
                "--no-audit",
                "--prefix",
                PEER_DIRECTORY,
                "@restatedev/restate-server",
            )
            server = _server()
        if not python.exists():
            _run("uv", "venv", "--quiet", "--python", sys.executable, python.parents[1])
            _run("uv", "pip", "install", "--quiet", "--python", python, "restate-sdk", "hypercorn")
    except (OSError, subprocess.SubprocessError) as error:
        print(f"Restate left out: it cannot be installed ({error})", file=sys.stderr)
        shutil.rmtree(PEER_DIRECTORY, ignore_errors=True)
        return None
    if server is None:
        print("Restate left out: its package carries no server for this machine", file=sys.stderr)
        return None
    return server, python


def _server() -> Path | None:
    binaries = PEER_DIRECTORY.glob("node_modules/@restatedev/restate-server-*/bin/restate-server")
    return next(binaries, None)


def _run(*command: str | Path) -> None:
    subprocess.run(command, check=True, timeout=_INSTALL_SECONDS, capture_output=True)


@dataclass(frozen=True)
class Row:
    """So many invocations at a time: steps per second and milliseconds of a step."""

    instances: int
    per_second: float
    p50_ms: float
    p99_ms: float


async def measure_all(options: argparse.Namespace) -> list[Row]:
    """Every number of invocations, in turns; nothing when Restate cannot be had."""
    latencies: dict[int, list[float]] = {instances: [] for instances in options.instances}
    async with running_restate() as peer:
        if peer is None:
            return []
        for _ in range(options.rounds):
            for instances in options.instances:
                print(f"{instances} at a time", file=sys.stderr)
                latencies[instances] += await peer.measure(instances, options.seconds)
    rows = []
    for instances, measured in latencies.items():
        percentiles = statistics.quantiles(measured, n=100, method="inclusive")
        rate = len(measured) / (options.seconds * options.rounds)
        rows.append(Row(instances, round(rate, 1), round(percentiles[49] * 1000, 3), round(percentiles[98] * 1000, 3)))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each measurement (default 2)")
    parser.add_argument("--rounds", type=int, default=2, help="of all, in turns (default 2)")
    parser.add_argument("--instances", type=int, nargs="+", default=list(INSTANCES), help="at a time (default 1 16 64)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    options = parser.parse_args()
    before = os.getloadavg()[0]
    rows = asyncio.run(measure_all(options))
    if options.json:
        loads = {"load_before": before, "load_after": os.getloadavg()[0]}
        print(json.dumps({**loads, "rows": [asdict(row) for row in rows]}, indent=2))
        return
    print("at a time   steps/s    p50 ms    p99 ms")
    for row in rows:
        print(f"{row.instances:>9}{row.per_second:>10}{row.p50_ms:>10}{row.p99_ms:>10}")
    print(f"\nload average {before:.1f} before, {os.getloadavg()[0]:.1f} after; {os.cpu_count()} processors")


if __name__ == "__main__":
    run_benchmark(main)
