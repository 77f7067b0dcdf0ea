"""SFTP agent for Runtara workflows."""

from __future__ import annotations

from runtara_sdk.agents import AgentDefinition

from runtara_agents_sftp.agent import SftpAgent, sftp_agent

__version__ = "0.1.0"

__all__ = ["SftpAgent", "runtara_agents", "sftp_agent"]


def runtara_agents() -> list[AgentDefinition]:
    """The agents of this plugin."""
    return [sftp_agent]
