"""Core and environment with their ports in this process, and everybody's ways to them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runtara_core.daemon import CoreDaemon
from runtara_core.models import LaunchClaim, NewInstance
from runtara_core.security import issue_api_key
from runtara_core.settings import CoreSettings
from runtara_core.storage import Storage
from runtara_core.storages import open_storage
from runtara_environment.daemon import EnvironmentDaemon
from runtara_environment.settings import AgentTestingSettings, EnvironmentSettings
from runtara_sdk import InstanceSettings, ManagementSdk, ManagementSettings
from runtara_sdk.clock import SystemClock
from runtara_sdk.core_backend import CoreBackend
from runtara_sdk.protocol import environment_pb2, instance_pb2
from runtara_sdk.transport.quic import QuicClient

DEADLINE_SECONDS = 60.0
SLEEPER = b"#!/bin/sh\nexec sleep 600\n"


async def until(condition: Callable[[], Awaitable[Any]], what: str) -> Any:
    async with asyncio.timeout(DEADLINE_SECONDS):
        while not (value := await condition()):
            await asyncio.sleep(0.05)
    assert value, what
    return value


@dataclass
class Platform:
    """Core and environment with their ports, and the storage behind them."""

    data_dir: Path
    storage: Storage
    core: CoreDaemon
    environment: EnvironmentDaemon | None
    stack: AsyncExitStack

    @property
    def environment_address(self) -> str:
        assert self.environment is not None
        return self.environment.address

    async def key(self, tenant_id: str | None) -> str:
        return await make_key(self.storage, tenant_id)

    def client(self, address: str) -> QuicClient:
        client = QuicClient(address, ca_file=self.core.identity.ca_path)
        self.stack.push_async_callback(client.close)
        return client

    async def ask(self, wrapper: Any, address: str, request: Any) -> Any:
        payload = await self.client(address).call(request.SerializeToString())
        return wrapper.RpcResponse.FromString(payload)

    async def ask_environment(self, request: environment_pb2.RpcRequest) -> environment_pb2.RpcResponse:
        return await self.ask(environment_pb2, self.environment_address, request)

    async def ask_instance_port(self, request: instance_pb2.RpcRequest) -> instance_pb2.RpcResponse:
        return await self.ask(instance_pb2, self.core.instance_address, request)

    def management(self, api_key: str | None, tenant_id: str | None = None) -> ManagementSdk:
        settings = ManagementSettings(
            self.environment_address, ca_file=self.core.identity.ca_path, api_key=api_key, tenant_id=tenant_id
        )
        sdk = ManagementSdk(settings)
        self.stack.push_async_callback(sdk.close)
        return sdk

    def instance(self, instance_id: str, tenant_id: str, **settings: Any) -> InstanceSettings:
        return InstanceSettings(
            instance_id,
            tenant_id,
            self.core.instance_address,
            ca_file=self.core.identity.ca_path,
            heartbeat_interval_ms=0,
            **settings,
        )

    def guest(self, claim: LaunchClaim) -> CoreBackend:
        """A launched program's way to core."""
        return self.backend(
            self.instance(
                claim.instance_id, claim.tenant_id, launch_epoch=claim.epoch, instance_token=claim.token or None
            )
        )

    def backend(self, settings: InstanceSettings) -> CoreBackend:
        backend = CoreBackend(settings)
        self.stack.push_async_callback(backend.close)
        return backend

    async def claim(self, instance_id: str, tenant_id: str) -> LaunchClaim:
        """Launch an instance by hand: nothing runs."""
        management = self.core.management
        await management.create_instance(NewInstance(instance_id, tenant_id, "image", b"{}"))
        (claim,) = await management.claim_launches("by-hand", limit=1, lease_ms=600_000, instance_id=instance_id)
        return claim


async def make_key(storage: Storage, tenant_id: str | None) -> str:
    issued = issue_api_key(tenant_id=tenant_id, name="", now_ms=SystemClock().now_ms())
    await storage.credentials.create_api_key(issued.record)
    return issued.text


@asynccontextmanager
async def running_platform(
    data_dir: Path, *, with_keys: bool, with_environment: bool = True, agent_testing: bool = False
) -> AsyncIterator[Platform]:
    """Daemons in this process on SQLite; with keys the environment has an operator's.

    Without an environment a test claims launches itself.
    """
    url = f"sqlite:///{data_dir}/runtara.db"
    async with AsyncExitStack() as stack:
        storage = await open_storage(url)
        await storage.open()
        stack.push_async_callback(storage.close)
        operator = await make_key(storage, None) if with_keys else None
        core = CoreDaemon(CoreSettings(url, instance_port=0, management_port=0, data_dir=data_dir))
        await core.start()
        stack.push_async_callback(core.close)
        environment = None
        if with_environment:
            environment = EnvironmentDaemon(
                EnvironmentSettings(
                    url,
                    data_dir,
                    port=0,
                    core_address=core.instance_address,
                    core_management_address=f"127.0.0.1:{core.management_port}",
                    api_key=operator,
                    agent_testing=AgentTestingSettings(enabled=agent_testing),
                )
            )
            await environment.start()
            stack.push_async_callback(environment.close)
            stack.push_async_callback(environment._environment.close, stop_guests=True)
        yield Platform(data_dir, storage, core, environment, stack)
