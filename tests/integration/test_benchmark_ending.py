"""A benchmark that is ended by a signal leaves nothing behind."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
PROGRAM = """
import asyncio, subprocess, sys
sys.path.insert(0, sys.argv[1])
from ending import run_benchmark

async def measure():
    child = subprocess.Popen(["sleep", "600"])
    print(child.pid, flush=True)
    try:
        await asyncio.sleep(600)
    finally:
        await asyncio.sleep(0)
        print("left in order", flush=True)

run_benchmark(lambda: asyncio.run(measure()))
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_what_a_benchmark_has_begun_ends_with_it(number: signal.Signals) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(BENCHMARKS)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as benchmark:
        assert benchmark.stdout is not None
        child = int(benchmark.stdout.readline())
        benchmark.send_signal(number)
        told, errors = benchmark.communicate(timeout=60)
    assert (benchmark.returncode, told, errors) == (130, "left in order\n", "ended by a signal\n")
    assert not Path(f"/proc/{child}").exists()
