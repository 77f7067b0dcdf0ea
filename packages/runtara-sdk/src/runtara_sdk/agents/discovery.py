"""Finding the installed agents. Used when building and listing; running workflows import what they need by name.

A plugin is an entry point of group `runtara.agents` that names a module with a function `runtara_agents()`. One that
cannot be used is put aside with the reason; it never takes the host down. The variables RUNTARA_PLUGINS (only these)
and RUNTARA_DISABLE_PLUGINS (not these) hold comma-separated names of entry points or distributions. With
RUNTARA_STDLIB_NAME a bundle says which agents there are (`runtara_sdk.agents.bundle`).
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from types import ModuleType
from typing import Any

import pluggy

from runtara_sdk.agents import hookspecs
from runtara_sdk.agents.bundle import bundled_agents
from runtara_sdk.agents.definition import AgentDefinition
from runtara_sdk.agents.discovered_agent import DiscoveredAgent, public_name
from runtara_sdk.entry_points import load_target, normalised_name
from runtara_sdk.plugin_compatibility import RELEASED_TOGETHER
from runtara_sdk.plugins import BUNDLE_VARIABLE, IncompatiblePluginError, Plugin, PluginError, find_plugins
from runtara_sdk.settings import EnvironmentReader


@dataclass(frozen=True, slots=True)
class BrokenPlugin:
    """A plugin that was put aside; `is_incompatible` when its distribution requires another Runtara."""

    name: str
    distribution: str
    reason: str
    is_incompatible: bool = False


@dataclass(frozen=True, slots=True)
class DiscoveredAgents:
    """What is installed; `agents` by lower-case id."""

    agents: Mapping[str, DiscoveredAgent] = field(default_factory=dict)
    broken: tuple[BrokenPlugin, ...] = ()

    def find(self, agent_id: str) -> DiscoveredAgent | None:
        """The agent called `agent_id`, in any case, or None."""
        return self.agents.get(agent_id.lower())

    def metadata(self) -> list[dict[str, Any]]:
        """AgentInfo of every agent, by id."""
        return [self.agents[agent_id].definition.metadata() for agent_id in sorted(self.agents)]


def discover_agents(
    *, variables: Mapping[str, str] | None = None, plugins: Iterable[Plugin] | None = None
) -> DiscoveredAgents:
    """Load every allowed plugin. Broken ones are listed with their reason; nothing is raised for them.

    Args:
        variables: the environment variables; those of the process when left out.
        plugins: the plugins; all installed ones when left out.

    Raises `ConfigurationError` when the bundle that RUNTARA_STDLIB_NAME names cannot be used.
    """
    found = _load_plugins(find_plugins(hookspecs.ENTRY_POINT_GROUP, variables) if plugins is None else plugins)
    bundle = EnvironmentReader(variables).optional_text(BUNDLE_VARIABLE)
    if bundle is None:
        return found
    return DiscoveredAgents(bundled_agents(bundle, found.agents.values()), found.broken)


def _load_plugins(plugins: Iterable[Plugin]) -> DiscoveredAgents:
    manager = _AgentPluginManager()
    agents: dict[str, DiscoveredAgent] = {}
    broken: list[BrokenPlugin] = []
    for plugin in sorted(plugins, key=_order):
        if not plugin.is_enabled:
            continue
        try:
            found = plugin.guard(partial(_load, manager, plugin))
        except PluginError as error:
            reason = error.reason.removeprefix(f"{_UnusablePluginError.__name__}: ").partition("\n")[0]
            is_incompatible = isinstance(error, IncompatiblePluginError)
            broken.append(BrokenPlugin(plugin.name, plugin.distribution, reason, is_incompatible))
            continue
        for discovered in found:
            holder = agents.setdefault(discovered.definition.id, discovered)
            if holder is not discovered:
                reason = f"agent id {discovered.definition.id!r} is already taken by {holder.distribution}"
                broken.append(BrokenPlugin(plugin.name, plugin.distribution, reason))
    return DiscoveredAgents(agents, tuple(broken))


def _order(plugin: Plugin) -> tuple[bool, str, str]:
    """Own distributions first, then by name: of two agents with one id the first is taken."""
    distribution = normalised_name(plugin.distribution)
    return distribution not in RELEASED_TOGETHER, distribution, plugin.name


class _AgentPluginManager(pluggy.PluginManager):
    """Recognises hook functions by their name alone, so that agent modules need not import pluggy."""

    def __init__(self) -> None:
        super().__init__("runtara")
        self.add_hookspecs(hookspecs)

    def parse_hookimpl_opts(self, plugin: object, name: str) -> Any:
        if name == hookspecs.runtara_agents.__name__ and inspect.isroutine(getattr(plugin, name)):
            return {}
        return None

    def agents_of(self, module: ModuleType) -> list[AgentDefinition]:
        """Call the hook of one plugin; a failure concerns no other plugin."""
        self.register(module)
        found: list[AgentDefinition] = []
        implementations = [item for item in self.hook.runtara_agents.get_hookimpls() if item.plugin is module]
        if not implementations:
            raise _UnusablePluginError(f"module {module.__name__} has no function runtara_agents()")
        for implementation in implementations:
            result = implementation.function()
            if not isinstance(result, list) or not all(isinstance(item, AgentDefinition) for item in result):
                raise _UnusablePluginError("runtara_agents() must return a list of AgentDefinition")
            found.extend(result)
        return found


class _UnusablePluginError(Exception):
    """The plugin does not keep the contract; the text says how."""


def _load(manager: _AgentPluginManager, plugin: Plugin) -> list[DiscoveredAgent]:
    module = load_target(plugin.target)
    if not isinstance(module, ModuleType):
        raise _UnusablePluginError(f"entry point value {plugin.target!r} must name a module")
    discovered = []
    for definition in manager.agents_of(module):
        definition.metadata()  # an agent that cannot be described cannot be validated against either
        attribute = _attribute(module, definition)
        place = (module.__name__, attribute)
        discovered.append(DiscoveredAgent(definition, plugin.distribution, plugin.version, *place))
    return discovered


def _attribute(module: ModuleType, definition: AgentDefinition) -> str:
    name = public_name(module, definition)
    if name is None:
        raise _UnusablePluginError(
            f"agent {definition.id!r} must be a public name of module {module.__name__}: assign it there"
        )
    return name
