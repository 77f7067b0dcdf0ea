"""The three homes of a durable program: a core daemon, and a database of its own of either kind."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from runtara_core.daemon import CoreDaemon
from runtara_core.models import Instance
from runtara_core.settings import CoreSettings
from runtara_core.storage import Storage
from runtara_core.storages import open_storage
from runtara_sdk import CustomSignal, RuntaraSdk, SignalType
from runtara_sdk.instance_settings import InstanceSettings
from runtara_sdk.models import InstanceStatus

# Without this the steps of the storage model would fail without showing values.
pytest.register_assert_rewrite(f"{__package__}.storage_steps")

TENANT = "tenant-1"
DEADLINE_SECONDS = 60.0


def now_ms() -> int:
    return time.time_ns() // 1_000_000


async def until(condition: Callable[[], Awaitable[Any]], what: str, *, seconds: float = DEADLINE_SECONDS) -> Any:
    """The first true value of `condition`."""
    try:
        async with asyncio.timeout(seconds):
            while not (value := await condition()):
                await asyncio.sleep(0.02)
            return value
    except TimeoutError:
        pytest.fail(f"waited {seconds:g} s in vain for: {what}")


@dataclass
class Home:
    """Where durable state is kept, seen by programs (`sdk`, `variables`) and by an operator in another process.

    Attributes:
        server_addr: what programs are told.
        operator: a storage of its own on the same database, opened as another process would.
        ca_file: what programs pin; None without a daemon.
        daemon: None without one.
    """

    server_addr: str
    operator: Storage
    ca_file: Path | None = None
    daemon: CoreDaemon | None = None
    settings: dict[str, Any] = field(default_factory=lambda: {"heartbeat_interval_ms": 0})

    def sdk(self, instance_id: str = "i", **settings: Any) -> RuntaraSdk:
        known = InstanceSettings(instance_id, TENANT, server_addr=self.server_addr, ca_file=self.ca_file)
        return RuntaraSdk(replace(known, **{**self.settings, **settings}))

    @property
    def variables(self) -> dict[str, str]:
        """For a program in a process of its own."""
        variables = {"RUNTARA_SERVER_ADDR": self.server_addr, "RUNTARA_TENANT_ID": TENANT}
        return variables if self.ca_file is None else {**variables, "RUNTARA_CA_FILE": str(self.ca_file)}

    async def send(self, signal_type: SignalType, instance_id: str = "i") -> InstanceStatus:
        return await self.operator.send_signal(instance_id, signal_type, b"", now_ms=now_ms())

    async def send_custom(self, signal_id: str, payload: bytes, instance_id: str = "i") -> None:
        await self.operator.send_custom_signal(instance_id, CustomSignal(signal_id, payload), now_ms=now_ms())

    async def row(self, instance_id: str = "i") -> Instance:
        instance = await self.operator.get_instance(instance_id)
        assert instance is not None
        return instance

    async def waits(self, checkpoint_id: str, instance_id: str = "i") -> None:
        """Return once the instance sleeps, or waits for another attempt, under a checkpoint id."""

        async def waiting() -> bool:
            progress = await self.operator.get_progress(instance_id, checkpoint_id, now_ms=now_ms())
            return progress.state is not None or progress.retry is not None

        await until(waiting, f"{instance_id} waits under {checkpoint_id}")


@pytest.fixture
async def sqlite_home(tmp_path: Path) -> AsyncIterator[Home]:
    url = f"sqlite:///{tmp_path}/embedded.db"
    operator = await open_storage(url)
    await operator.open()
    yield Home(url, operator)
    await operator.close()


@pytest.fixture
async def postgres_home(emptied_postgres_database_url: str) -> AsyncIterator[Home]:
    operator = await open_storage(emptied_postgres_database_url)
    await operator.open()
    yield Home(emptied_postgres_database_url, operator)
    await operator.close()


@pytest.fixture
async def daemon_home(tmp_path: Path) -> AsyncIterator[Home]:
    url = f"sqlite:///{tmp_path}/core.db"
    daemon = CoreDaemon(CoreSettings(url, instance_port=0, management_port=0, data_dir=tmp_path / "data"))
    await daemon.start()
    operator = await open_storage(url)
    await operator.open()
    yield Home(daemon.instance_address, operator, daemon.identity.ca_path, daemon)
    await operator.close()
    await daemon.close()


@pytest.fixture(params=["daemon", "sqlite", "postgres"])
def home(request: pytest.FixtureRequest) -> Home:
    """Each of the homes in turn."""
    chosen: Home = request.getfixturevalue(f"{request.param}_home")
    return chosen
