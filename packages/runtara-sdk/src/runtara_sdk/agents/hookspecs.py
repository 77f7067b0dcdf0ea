"""The hook of agent plugins (entry-point group `runtara.agents`).

A plugin gives scenarios more agents. Its distribution requires the versions of `runtara-sdk` that it works with and
names the module that holds them:

    [project]
    dependencies = ["runtara-sdk>=0.1,<0.2"]
    [project.entry-points."runtara.agents"]
    weather = "runtara_agents_weather"

    # runtara_agents_weather/__init__.py
    weather_agent = AgentDefinition(id="weather", capabilities=[forecast])

    def runtara_agents():
        return [weather_agent]

The compiler imports the module when it validates and builds, and a workflow imports `weather_agent` from it: what only
a call needs is imported by the call. `runtara agents check` and `runtara_sdk.testing.agents` say what is to be mended.
"""

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
