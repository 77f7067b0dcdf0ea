"""The agents that are installed beside the environment: listed, shown and tried, by child processes alone.

The daemon imports no agent. A plugin that hangs, ends its process or takes all memory does so in a process that the
daemon kills.
"""

from runtara_environment.agents.services import AgentServices

__all__ = ["AgentServices"]
