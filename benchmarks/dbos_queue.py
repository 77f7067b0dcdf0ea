"""dbos_queue.py DATABASE_URL CONCURRENCY: runs where DBOS is installed; not meant to be started by hand.

For each line `COUNT` on its input, puts so many workflows of one step into a queue at once, and prints the seconds
until all have ended. The queue is looked at every 10 ms, by default once a second.
"""

from __future__ import annotations

import sys
import time

from dbos import DBOS  # type: ignore[import-not-found]  # of the peer, in an environment of its own


@DBOS.step()  # type: ignore[untyped-decorator]  # of the peer, whose types are not here
def step() -> str:
    return "done"


@DBOS.workflow()  # type: ignore[untyped-decorator]  # of the peer, whose types are not here
def workflow() -> str:
    return str(step())


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
    DBOS.register_queue("benchmark", worker_concurrency=int(sys.argv[2]), polling_interval_sec=0.01)
    print("ready", flush=True)
    for line in sys.stdin:
        started = time.monotonic()
        handles = [DBOS.enqueue_workflow("benchmark", workflow) for _ in range(int(line))]
        for handle in handles:
            handle.get_result()
        print(time.monotonic() - started, flush=True)
    DBOS.destroy()


if __name__ == "__main__":
    main()
