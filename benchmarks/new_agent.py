"""From nothing to a native binary that calls an agent of one's own: how long each command of the way takes.

    python benchmarks/new_agent.py                 all, with a base runtime that has to be built first
    python benchmarks/new_agent.py --library DIR   with the base runtimes that DIR holds, or will hold
    python benchmarks/new_agent.py --json          the same figures as JSON

The commands are those of the README of runtara-sdk, without the editor. They run in a new environment, into which the
wheels of this project were installed before. Ratios are to `python -c "import asyncio, pydantic"` there. The first
native run builds the base runtime, which later ones of the same set of agents share.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from ending import run_benchmark

REPOSITORY = Path(__file__).parents[1]
PLATFORM = ("runtara-environment", "runtara-compiler")
SCENARIO = "scenarios/shorten.json"
INPUT = '{"text": "Durable execution for products"}'


@dataclass(frozen=True)
class Figure:
    """One command; `ratio` is to the start of an interpreter that imports asyncio and pydantic."""

    command: str
    seconds: float
    ratio: float


class Way:
    """The commands, one after the other, in an environment of their own."""

    def __init__(self, directory: Path, library: Path) -> None:
        self._binaries = directory / "environment" / "bin"
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("RUNTARA_", "VIRTUAL_ENV"))}
        self._variables = {
            **kept,
            "PATH": f"{self._binaries}:{os.environ['PATH']}",
            "RUNTARA_NATIVE_LIBRARY_DIR": str(library),
            "DATA_DIR": str(directory / "data"),
        }

    def seconds(self, *words: str, at: Path) -> float:
        """How long a command takes; it must succeed."""
        began = time.perf_counter()
        done = subprocess.run(words, cwd=at, env=self._variables, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise SystemExit(f"{' '.join(words)}\n{done.stdout}{done.stderr}")
        return time.perf_counter() - began


def measure(directory: Path, library: Path) -> list[Figure]:
    """Make the environment, then take the way."""
    way = Way(directory, library)
    python = str(directory / "environment" / "bin" / "python")
    wheels = directory / "wheels"
    print("building and installing the wheels", file=sys.stderr)
    way.seconds("uv", "build", "--quiet", "--wheel", "--all-packages", "--out-dir", str(wheels), at=REPOSITORY)
    way.seconds("uv", "venv", "--quiet", str(directory / "environment"), at=directory)
    constraints = directory / "constraints.txt"
    names = {path.name.partition("-")[0].replace("_", "-"): path.as_uri() for path in wheels.glob("*.whl")}
    constraints.write_text("".join(f"{name} @ {place}\n" for name, place in names.items()), encoding="utf-8")
    install = ("uv", "pip", "install", "--quiet", "--python", python, "--constraint", str(constraints))
    way.seconds(*install, *PLATFORM, at=directory)
    base = min(way.seconds(python, "-c", "import asyncio, pydantic", at=directory) for _ in range(5))
    project = directory / "runtara-agents-weather"
    run = ("runtara", "run", SCENARIO, "--input", INPUT)
    commands: list[tuple[str, tuple[str, ...], Path]] = [
        ("runtara new agent", ("runtara", "new", "agent", "weather"), directory),
        ("pip install -e .", (*install, "--editable", "."), project),
        ("runtara agents check", ("runtara", "agents", "check", "runtara-agents-weather"), project),
        ("runtara run", run, project),
        ("runtara run, again", run, project),
        ("runtara run --native", (*run, "--native"), project),
        ("runtara run --native, after an edit", (*run, "--native"), project),
    ]
    figures = []
    for name, words, at in commands:
        print(name, file=sys.stderr)
        if name.endswith("edit"):
            _edit(project)
        seconds = way.seconds(*words, at=at)
        figures.append(Figure(name, round(seconds, 2), round(seconds / base, 1)))
    return figures


def _edit(project: Path) -> None:
    """Change what a capability does, as an author would."""
    path = project / "src" / "runtara_agents_weather" / "shortening.py"
    path.write_text(path.read_text(encoding="utf-8").replace("Shortens a text", "Abridges a text"), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--library", type=Path, help="where base runtimes are kept (default: a new directory)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="runtara-benchmark-") as name:
        directory = Path(name)
        figures = measure(directory, (options.library or directory / "library").absolute())
    if options.json:
        print(json.dumps([asdict(figure) for figure in figures], indent=2))
        return
    for figure in figures:
        print(f"{figure.command:<36} {figure.seconds:>7.2f} s {figure.ratio:>7.1f} x")
    print(f"load average {os.getloadavg()[0]:.1f}; {os.cpu_count()} processors")


if __name__ == "__main__":
    run_benchmark(main)
