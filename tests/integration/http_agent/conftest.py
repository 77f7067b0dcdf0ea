"""An agent and servers for it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from runtara_agents_http import HttpAgent
from runtara_sdk.agents import AgentDefinition, AgentError

from .http_server import Server, started_server


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async for started in started_server():
        yield started


@pytest.fixture
async def other_server() -> AsyncIterator[Server]:
    async for started in started_server():
        yield started


@pytest.fixture
async def http() -> AsyncIterator[AgentDefinition]:
    definition = AgentDefinition.of(HttpAgent())
    yield definition
    await definition.close()


async def error_of(http: AgentDefinition, **inputs: Any) -> AgentError:
    with pytest.raises(AgentError) as caught:
        await http.invoke("http-request", inputs)
    return caught.value
