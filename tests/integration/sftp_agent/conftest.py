"""A server for all tests of the SFTP agent, and an agent for each."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from runtara_agents_sftp import SftpAgent
from runtara_sdk.agents import AgentDefinition, AgentError, CapabilityContext
from runtara_sdk.agents.workspace import Workspace

from .sftp_server import SftpServer, running_server

Call = Callable[..., Awaitable[Any]]


@pytest.fixture(scope="session")
def sftp_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SftpServer]:
    with running_server(tmp_path_factory.mktemp("sshd") / "server") as server:
        yield server


@pytest.fixture
def files(sftp_server: SftpServer, tmp_path: Path) -> Path:
    """A directory of this test on the server."""
    directory = sftp_server.files / tmp_path.name
    directory.mkdir()
    return directory


@pytest.fixture
async def agent() -> AsyncIterator[AgentDefinition]:
    definition = AgentDefinition.of(SftpAgent())
    yield definition
    await definition.close()


@pytest.fixture
def context(tmp_path: Path) -> CapabilityContext:
    return CapabilityContext(workspace=Workspace(tmp_path / "workspace"), idempotency_key="tenant/instance::step")


@pytest.fixture
def call(agent: AgentDefinition, sftp_server: SftpServer, context: CapabilityContext) -> Call:
    async def call(capability: str, *, parameters: dict[str, Any] | None = None, **inputs: Any) -> Any:
        connection = sftp_server.connection(**(parameters or {}))
        used = inputs.pop("context", context)
        return await agent.invoke(capability, {**inputs, "_connection": connection}, used)

    return call


async def code_of(call: Call, capability: str, **inputs: Any) -> str:
    with pytest.raises(AgentError) as caught:
        await call(capability, **inputs)
    return caught.value.code
