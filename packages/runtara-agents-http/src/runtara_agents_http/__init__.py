"""HTTP agent for Runtara workflows."""

from __future__ import annotations

from runtara_sdk.agents import AgentDefinition

from runtara_agents_http.agent import HttpAgent, http_agent
from runtara_agents_http.models import HttpRequestInput, HttpResponse, MultipartPart

__version__ = "0.1.0"

__all__ = ["HttpAgent", "HttpRequestInput", "HttpResponse", "MultipartPart", "http_agent", "runtara_agents"]


def runtara_agents() -> list[AgentDefinition]:
    """The agents of this distribution."""
    return [http_agent]
