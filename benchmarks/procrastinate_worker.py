"""procrastinate_worker.py DATABASE_URL CONCURRENCY: runs where Procrastinate is installed; not started by hand.

For each line `COUNT` on its input, defers so many jobs that do nothing, and prints the seconds until all have ended.
The worker is in the same process and listens, so it hears of each job at once.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterator

import procrastinate  # type: ignore[import-not-found]  # of the peer, in an environment of its own

_DEFERRED_AT_A_TIME = 16


async def main() -> None:
    app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=sys.argv[1], max_size=20))
    ended = 0
    all_ended = asyncio.Event()
    wanted = 0

    @app.task(name="job")  # type: ignore[untyped-decorator]  # of the peer, whose types are not here
    async def job() -> None:
        nonlocal ended
        ended += 1
        if ended == wanted:
            all_ended.set()

    async with app.open_async():
        await app.schema_manager.apply_schema_async()
        worker = asyncio.create_task(
            app.run_worker_async(concurrency=int(sys.argv[2]), install_signal_handlers=False, delete_jobs="never")
        )
        print("ready", flush=True)
        while line := await asyncio.to_thread(sys.stdin.readline):
            wanted, ended = int(line), 0
            all_ended.clear()
            numbers = iter(range(wanted))

            async def defer(numbers: Iterator[int] = numbers) -> None:
                for _ in numbers:
                    await job.defer_async()

            started = time.monotonic()
            await asyncio.gather(*(defer() for _ in range(_DEFERRED_AT_A_TIME)))
            await all_ended.wait()
            print(time.monotonic() - started, flush=True)
        worker.cancel()


if __name__ == "__main__":
    asyncio.run(main())
