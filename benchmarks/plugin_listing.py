"""What installed plugins cost: the listing commands with fifty plugins beside none.

    python benchmarks/plugin_listing.py           a table
    python benchmarks/plugin_listing.py --json    the same figures as JSON

Each plugin is a distribution of its own with one agent of one capability. The commands run in processes of their own,
in turn with and without the plugins; the figures are medians. `python -c pass` is the floor of any command.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from ending import run_benchmark
from runtara_sdk.testing.plugin_site import PluginSite, agent_source

REPETITIONS = 9
DEADLINE_SECONDS = 120

RUNTARA = "from runtara_sdk.cli.main import main; main()"
COMMANDS: dict[str, tuple[str, ...]] = {
    "python -c pass": ("pass",),
    "runtara --version": (RUNTARA, "--version"),
    "runtara plugins": (RUNTARA, "plugins"),
    "runtara agents list": (RUNTARA, "agents", "list"),
}


def seconds(words: tuple[str, ...], search_path: str) -> float:
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", *words],
        env={**os.environ, "PYTHONPATH": search_path},
        capture_output=True,
        text=True,
        timeout=DEADLINE_SECONDS,
        check=False,
    )
    taken = time.perf_counter() - began
    if done.returncode != 0 or "left out" in done.stderr:
        raise SystemExit(f"{' '.join(words[1:])}: {done.stderr[-500:]}")
    return taken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plugins", type=int, default=50, help="how many are installed [default: 50]")
    parser.add_argument("--json", action="store_true", help="figures as JSON")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        site = PluginSite(Path(directory))
        for number in range(options.plugins):
            requires = ["runtara-sdk>=0.0.1,<1000"]
            site.add(f"agent_{number:03}", agent_source(f"agent_{number:03}"), requires=requires)
        rows = []
        for name, words in COMMANDS.items():
            runs: dict[str, list[float]] = {"": [], directory: []}
            for _ in range(REPETITIONS):
                for search_path, taken in runs.items():
                    taken.append(seconds(words, search_path))
            none, many = (statistics.median(taken) * 1000 for taken in runs.values())
            rows.append({"command": name, "none_ms": none, "plugins_ms": many, "ratio": many / none})
    if options.json:
        print(json.dumps({"plugins": options.plugins, "rows": rows}, indent=2))
        return
    print(f"{'command':<22}{'none ms':>10}{f'{options.plugins} ms':>10}{'ratio':>8}")
    for row in rows:
        print(f"{row['command']:<22}{row['none_ms']:>10.0f}{row['plugins_ms']:>10.0f}{row['ratio']:>8.2f}")


if __name__ == "__main__":
    run_benchmark(main)
