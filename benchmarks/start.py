"""`runtara run` of an unchanged scenario, beside what no such command can do without.

    python benchmarks/start.py               10 runs each
    python benchmarks/start.py --runs 20     more, for quieter figures
    python benchmarks/start.py --native      also as a native binary (its first build takes minutes)
    python benchmarks/start.py --json        the same figures as JSON

The scenario is the one of the README, with its service beside it: two HTTP steps. Taking turns with the runs:

    interpreter   `python -c pass`
    transport     an interpreter that loads the transport with its QUIC library and makes the keys of one handshake

A run is two processes, the command and the program, and each has an interpreter in it. Both use a local socket, so
neither loads what `transport` loads; programs that reach core over a network still do. Of each the wall-clock time and
the processor time of all its processes are told, best and median. On a machine that others use, compare the processor
times of one run of this benchmark, the best ones first.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from ending import run_benchmark

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
_DEADLINE_SECONDS = 1_800.0
_WARM_UP_RUNS = 4
_TRANSPORT = """
from pathlib import Path
from runtara_sdk.transport.quic.library import ClientSecurity
from runtara_sdk.transport.quic.library_choice import select_library
engine = select_library().client_engine(
    ClientSecurity("localhost", Path({ca_file!r}), verify=True), idle_timeout_ms=30_000, on_loopback=True
)
engine.connect(("127.0.0.1", 9), now=0.0)
engine.datagrams_to_send(now=0.0)
"""


@dataclass(frozen=True, slots=True)
class Figures:
    """Seconds of one way to start: wall-clock and processor time, the best and the median."""

    what: str
    wall_best: float
    wall_median: float
    cpu_best: float
    cpu_median: float


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=10, help="runs of each (10)")
    parser.add_argument("--native", action="store_true", help="also as a native binary")
    parser.add_argument("--json", action="store_true", dest="as_json", help="print JSON")
    arguments = parser.parse_args()
    service = subprocess.Popen(
        [sys.executable, str(EXAMPLES / "order_service.py"), "--port", "0"], stderr=subprocess.PIPE, text=True
    )
    try:
        assert service.stderr is not None
        url = service.stderr.readline().rpartition(" ")[2].strip()
        with tempfile.TemporaryDirectory() as folder:
            figures = _measure(Path(folder), url, arguments.runs, native=arguments.native)
    finally:
        service.terminate()
        service.wait()
    if arguments.as_json:
        print(json.dumps([asdict(each) for each in figures], indent=2))
    else:
        _show(figures)


def _measure(folder: Path, service_url: str, runs: int, *, native: bool) -> list[Figures]:
    scenario = json.loads((EXAMPLES / "order-processing.json").read_text(encoding="utf-8"))
    for name, path in (("validate_url", "/validate"), ("notify_url", "/notify")):
        scenario["variables"][name]["value"] = service_url + path
    scenario_path = folder / "order-processing.json"
    scenario_path.write_text(json.dumps(scenario), encoding="utf-8")
    command = [str(Path(sys.executable).with_name("runtara")), "run", str(scenario_path)]
    command += ["--input", f"@{EXAMPLES / 'order.json'}", "--data-dir", str(folder / "data")]
    _warm_up(command)
    transport = _TRANSPORT.format(ca_file=str(folder / "data" / "tls" / "ca.pem"))
    ways = {
        "interpreter": [sys.executable, "-c", "pass"],
        "transport": [sys.executable, "-c", transport],
        "runtara run": command,
    }
    if native:
        ways["runtara run --native"] = [*command, "--native"]
        _run(ways["runtara run --native"])
    measured: dict[str, list[tuple[float, float]]] = {what: [] for what in ways}
    for _ in range(runs):
        for what, argv in ways.items():
            measured[what].append(_run(argv))
    return [_figures(what, times) for what, times in measured.items()]


def _warm_up(command: Sequence[str]) -> None:
    for _ in range(_WARM_UP_RUNS):
        done = subprocess.run(command, capture_output=True, text=True, timeout=_DEADLINE_SECONDS, check=False)
        if done.returncode:
            raise SystemExit(done.stderr)
        if "unchanged" in done.stderr:
            return
    raise SystemExit("the sources change while this runs: measure a tree that nobody works on")


def _run(argv: Sequence[str]) -> tuple[float, float]:
    """Wall-clock and processor time of a command and of what it waits for."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(argv, capture_output=True, timeout=_DEADLINE_SECONDS, check=True)
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _figures(what: str, times: Sequence[tuple[float, float]]) -> Figures:
    walls, processor_times = zip(*times, strict=True)
    return Figures(what, min(walls), statistics.median(walls), min(processor_times), statistics.median(processor_times))


def _show(figures: Sequence[Figures]) -> None:
    print(f"load average {os.getloadavg()[0]:.1f}, {os.cpu_count()} processors")
    print(f"{'':<22}{'wall best':>11}{'median':>9}{'cpu best':>11}{'median':>9}   seconds")
    for each in figures:
        print(
            f"{each.what:<22}{each.wall_best:>11.2f}{each.wall_median:>9.2f}"
            f"{each.cpu_best:>11.2f}{each.cpu_median:>9.2f}"
        )


if __name__ == "__main__":
    run_benchmark(main)
