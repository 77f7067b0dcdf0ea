"""daemons.py DATABASE_URL DATA_DIR: core and environment in one process, which tells its load.

Prints the addresses of its servers when it listens, and at each SIGUSR1 connections, open streams and buffered bytes of
each: the ports of instances, management and environment, then their local sockets.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from pathlib import Path

from runtara_core.daemon import CoreDaemon
from runtara_core.settings import CoreSettings
from runtara_environment.daemon import EnvironmentDaemon
from runtara_environment.settings import EnvironmentSettings


async def main(database_url: str, data_dir: Path) -> None:
    logging.basicConfig(level=logging.WARNING)
    core = CoreDaemon(CoreSettings(database_url, instance_port=0, management_port=0, data_dir=data_dir))
    await core.start()
    environment = EnvironmentDaemon(
        EnvironmentSettings(
            database_url,
            data_dir,
            port=0,
            core_address=core.instance_address,
            core_management_address=f"127.0.0.1:{core.management_port}",
        )
    )
    await environment.start()
    cores, environments = core._listening, environment._listening
    servers = [*cores.ports, *environments.ports, *cores.sockets, *environments.sockets]

    def tell_load() -> None:
        numbers = ((each.connection_count, each.open_streams, each.buffered_bytes) for each in servers)
        print(*(number for load in numbers for number in load), flush=True)

    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, tell_load)
    print(*(each.address for each in servers), flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2])))
