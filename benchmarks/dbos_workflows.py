"""dbos_workflows.py DATABASE_URL: runs in a virtual environment that has DBOS; not meant to be started by hand.

For each line `WORKFLOWS SECONDS` on its input, runs so many workflows of small steps at a time for so long, and prints
the latency of every step in seconds as one line of JSON.
"""

from __future__ import annotations

import json
import sys
import time

from dbos import DBOS  # type: ignore[import-not-found]  # of the peer, in an environment of its own

STATE = "x" * 230


@DBOS.step()  # type: ignore[untyped-decorator]  # of the peer, whose types are not here
def step() -> str:
    return STATE


@DBOS.workflow()  # type: ignore[untyped-decorator]  # of the peer, whose types are not here
def workflow(deadline: float) -> list[float]:
    latencies = []
    while (started := time.monotonic()) < deadline:
        step()
        latencies.append(time.monotonic() - started)
    return latencies


def main() -> None:
    DBOS(
        config={
            "name": "benchmark",
            "system_database_url": sys.argv[1],
            "log_level": "ERROR",
            "run_admin_server": False,
        }
    )
    DBOS.launch()
    print("ready", flush=True)
    for line in sys.stdin:
        workflows, seconds = line.split()
        deadline = time.monotonic() + float(seconds)
        handles = [DBOS.start_workflow(workflow, deadline) for _ in range(int(workflows))]
        print(json.dumps([latency for handle in handles for latency in handle.get_result()]), flush=True)
    DBOS.destroy()


if __name__ == "__main__":
    main()
