"""core_daemon.py DATABASE_URL DATA_DIR: a core daemon that tells its load.

Prints the ports when it listens, and at each SIGUSR1 connections, streams and buffered bytes of both ports.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

from runtara_core.daemon import CoreDaemon
from runtara_core.settings import CoreSettings


async def main(database_url: str, data_dir: Path) -> None:
    daemon = CoreDaemon(CoreSettings(database_url, instance_port=0, management_port=0, data_dir=data_dir))
    await daemon.start()

    def tell_load() -> None:
        loads = ((each.connection_count, each.open_streams, each.buffered_bytes) for each in daemon._servers)
        print(*(number for load in loads for number in load), flush=True)

    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, tell_load)
    print(daemon.instance_address.rpartition(":")[2], daemon.management_port, flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2])))
