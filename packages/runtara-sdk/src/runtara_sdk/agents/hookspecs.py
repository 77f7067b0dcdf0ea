"""The hook by which a plugin contributes agents (entry-point group `runtara.agents`)."""

from __future__ import annotations

import pluggy

from runtara_sdk.agents.definition import AgentDefinition

ENTRY_POINT_GROUP = "runtara.agents"

hookspec = pluggy.HookspecMarker("runtara")


@hookspec
def runtara_agents() -> list[AgentDefinition]:  # type: ignore[empty-body]  # a specification has no body
    """The agents of this plugin, each also a public name of the module that the entry point names.

    A function of this name needs no decorator, so that running workflows do not import pluggy.
    """
