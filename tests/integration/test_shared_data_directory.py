"""Several programs with one data directory: whose the local sockets are."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from runtara_core.daemon import CoreDaemon
from runtara_core.settings import CoreSettings
from runtara_environment.local import local_environment
from runtara_environment.settings import EnvironmentSettings, SupervisionSettings
from runtara_sdk.settings import EnvironmentReader
from runtara_sdk.transport.local import serve_local
from runtara_sdk.transport.places import CORE_MANAGEMENT_SOCKET, CORE_SOCKET, socket_path
from runtara_sdk.transport.settings import ServerSettings


@pytest.fixture
def data_dir() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="runtara-") as directory:
        yield Path(directory)


async def test_runs_with_one_process_id_do_not_meet(data_dir: Path) -> None:
    """As in two containers that share a volume: the first process of each has the same number."""
    async with AsyncExitStack() as stack:
        addresses = set()
        for instance_id in ("one", "two"):
            core, _ = await stack.enter_async_context(
                local_environment(data_dir, None, SupervisionSettings(runner="native"), only_instance=instance_id)
            )
            addresses.add(core.local_address)
        assert len(addresses) == 2


async def test_a_core_whose_place_is_taken_serves_its_ports_alone(
    data_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Otherwise programs would reach one core, and the environment that starts them another."""

    async def ignore(_: object) -> None: ...

    holder = await serve_local(ignore, ServerSettings(), socket_path(data_dir, CORE_SOCKET))
    core = CoreDaemon(
        CoreSettings(
            database_url=f"sqlite:///{data_dir}/other.db", instance_port=0, management_port=0, data_dir=data_dir
        )
    )
    with caplog.at_level(logging.WARNING):
        await core.start()
    assert "this daemon serves its ports alone" in caplog.text
    assert core.local_address is None
    assert not socket_path(data_dir, CORE_MANAGEMENT_SOCKET).exists()
    await core.close()
    await holder.close()


async def test_an_environment_takes_the_sockets_of_a_core_that_serves_it(data_dir: Path) -> None:
    """The core of `runtara dev` does not."""

    async def ignore(_: object) -> None: ...

    variables = {"DATA_DIR": str(data_dir), "RUNTARA_DATABASE_URL": f"sqlite:///{data_dir}/x.db"}
    holder = await serve_local(ignore, ServerSettings(), socket_path(data_dir, CORE_SOCKET))
    settings = EnvironmentSettings.from_environment(EnvironmentReader(variables))
    assert (settings.core_address, settings.core_management_address) == ("127.0.0.1:8001", "127.0.0.1:8003")
    manager = await serve_local(ignore, ServerSettings(), socket_path(data_dir, CORE_MANAGEMENT_SOCKET))
    settings = EnvironmentSettings.from_environment(EnvironmentReader(variables))
    assert (settings.core_address, settings.core_management_address) == (holder.address, manager.address)
    await manager.close()
    await holder.close()
