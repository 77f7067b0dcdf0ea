"""Daemons listen beyond loopback only where keys exist."""

from __future__ import annotations

from pathlib import Path

import pytest
from runtara_core.daemon import CoreDaemon
from runtara_core.settings import CoreSettings
from runtara_core.storages import open_storage
from runtara_environment.daemon import EnvironmentDaemon
from runtara_environment.development import run_development
from runtara_environment.settings import EnvironmentSettings
from runtara_sdk import ConfigurationError, InstanceSettings, UnauthenticatedError
from runtara_sdk.core_backend import CoreBackend

from .running_platform import make_key, until


async def test_other_machines_are_served_only_with_keys(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/runtara.db"
    core = CoreSettings(url, instance_port=0, management_port=0, data_dir=tmp_path, bind_address="0.0.0.0")
    environment = EnvironmentSettings(url, tmp_path, port=0, bind_address="0.0.0.0")

    async def develop() -> None:
        await run_development(
            tmp_path,
            None,
            bind_address="0.0.0.0",
            environment_port=0,
            core_port=0,
            on_ready=lambda _core, _environment: pytest.fail("served"),
        )

    for start in (CoreDaemon(core).start, EnvironmentDaemon(environment).start, develop):
        with pytest.raises(ConfigurationError, match="runtara keys create --operator"):
            await start()
    storage = await open_storage(url)
    await storage.open()
    key = await make_key(storage, None)
    daemon = CoreDaemon(core)
    await daemon.start()
    try:
        # Even when the last key is revoked, the exposed port does not open itself.
        await storage.credentials.revoke_api_key(key.split("_")[1], now_ms=1)
        backend = CoreBackend(
            InstanceSettings("own", "tenant-a", daemon.instance_address, ca_file=daemon.identity.ca_path, api_key=key)
        )

        async def is_refused() -> bool:
            try:
                await backend.register(None)
            except UnauthenticatedError:
                return True
            return False

        await until(is_refused, "a refusal")
        await backend.close()
    finally:
        await daemon.close()
        await storage.close()
