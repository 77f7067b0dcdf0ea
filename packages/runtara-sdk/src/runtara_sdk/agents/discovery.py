"""Finding the installed agents. Used when building and listing; running workflows import what they need by name.

A plugin is an entry point of group `runtara.agents` that names a module with a function `runtara_agents()`. One that
cannot be used is put aside with the reason; it never takes the host down. The variables RUNTARA_PLUGINS (only these)
and RUNTARA_DISABLE_PLUGINS (not these) hold comma-separated names of entry points or distributions. With
RUNTARA_STDLIB_NAME a bundle says which agents there are (`runtara_sdk.agents.bundle`).
"""

from __future__ import annotations

import inspect
import keyword
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib import metadata
from types import ModuleType
from typing import Any

import pluggy

from runtara_sdk.agents import hookspecs
from runtara_sdk.agents.bundle import bundled_agents
from runtara_sdk.agents.definition import AgentDefinition
from runtara_sdk.plugins import BUNDLE_VARIABLE
from runtara_sdk.settings import EnvironmentReader

_OWN_DISTRIBUTIONS = frozenset(
    {"runtara-agents-http", "runtara-agents-sftp", "runtara-agents-csv-xml", "runtara-agents-transform"}
)


@dataclass(frozen=True, slots=True)
class DiscoveredAgent:
    """An agent and the static import that reaches it: `from <module> import <attribute>`."""

    definition: AgentDefinition
    distribution: str
    version: str
    module: str
    attribute: str


@dataclass(frozen=True, slots=True)
class BrokenPlugin:
    """A plugin that was put aside."""

    name: str
    distribution: str
    reason: str


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
    *,
    variables: Mapping[str, str] | None = None,
    entry_points: Iterable[metadata.EntryPoint] | None = None,
) -> DiscoveredAgents:
    """Load every allowed plugin. Broken ones are listed with their reason; nothing is raised for them.

    Args:
        variables: the environment variables; those of the process when left out.
        entry_points: the plugins; all installed ones when left out.

    Raises `ConfigurationError` when the bundle that RUNTARA_STDLIB_NAME names cannot be used.
    """
    environment = EnvironmentReader(variables)
    found = _load_plugins(environment, entry_points)
    bundle = environment.optional_text(BUNDLE_VARIABLE)
    if bundle is None:
        return found
    return DiscoveredAgents(bundled_agents(bundle, found.agents.values()), found.broken)


def _load_plugins(
    environment: EnvironmentReader, entry_points: Iterable[metadata.EntryPoint] | None
) -> DiscoveredAgents:
    allowed, refused = _name_lists(environment)
    candidates = metadata.entry_points(group=hookspecs.ENTRY_POINT_GROUP) if entry_points is None else entry_points
    manager = _AgentPluginManager()
    agents: dict[str, DiscoveredAgent] = {}
    broken: list[BrokenPlugin] = []
    for entry_point in _ordered(candidates):
        distribution, version = _distribution(entry_point)
        names = {_normalised(entry_point.name), _normalised(distribution)}
        if names & refused or (allowed and not names & allowed):
            continue
        try:
            found = _load(manager, entry_point, distribution, version)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a stranger's code: any failure puts it aside
            broken.append(BrokenPlugin(entry_point.name, distribution, _reason(error)))
            continue
        for discovered in found:
            holder = agents.setdefault(discovered.definition.id, discovered)
            if holder is not discovered:
                reason = f"agent id {discovered.definition.id!r} is already taken by {holder.distribution}"
                broken.append(BrokenPlugin(entry_point.name, distribution, reason))
    return DiscoveredAgents(agents, tuple(broken))


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


def _load(
    manager: _AgentPluginManager, entry_point: metadata.EntryPoint, distribution: str, version: str
) -> list[DiscoveredAgent]:
    module = entry_point.load()
    if not isinstance(module, ModuleType):
        raise _UnusablePluginError(f"entry point value {entry_point.value!r} must name a module")
    discovered = []
    for definition in manager.agents_of(module):
        definition.metadata()  # an agent that cannot be described cannot be validated against either
        attribute = _attribute(module, definition)
        discovered.append(DiscoveredAgent(definition, distribution, version, module.__name__, attribute))
    return discovered


def _attribute(module: ModuleType, definition: AgentDefinition) -> str:
    name = public_name(module, definition)
    if name is None:
        raise _UnusablePluginError(
            f"agent {definition.id!r} must be a public name of module {module.__name__}: assign it there"
        )
    return name


def public_name(module: ModuleType, definition: AgentDefinition) -> str | None:
    """The name under which a static import finds an agent in a module, if it is one of its public names."""
    for name, value in vars(module).items():
        if value is definition and name.isidentifier() and not keyword.iskeyword(name) and name[0] != "_":
            return name
    return None


def _ordered(entry_points: Iterable[metadata.EntryPoint]) -> list[metadata.EntryPoint]:
    """Own distributions first, then by name, each entry once however often its metadata lies on the path."""
    unique = {
        (distribution not in _OWN_DISTRIBUTIONS, distribution, entry.name, entry.value): entry
        for entry in entry_points
        for distribution in (_normalised(_distribution(entry)[0]),)
    }
    return [unique[key] for key in sorted(unique)]


def _distribution(entry_point: metadata.EntryPoint) -> tuple[str, str]:
    if entry_point.dist is None:
        return "unknown", "0"
    return entry_point.dist.name or "unknown", entry_point.dist.version or "0"


def _name_lists(environment: EnvironmentReader) -> tuple[frozenset[str], frozenset[str]]:
    allowed = environment.text("RUNTARA_PLUGINS", "")
    refused = environment.text("RUNTARA_DISABLE_PLUGINS", "")
    return _names(allowed), _names(refused)


def _names(text: str) -> frozenset[str]:
    return frozenset(_normalised(name) for name in text.split(",") if name.strip())


def _normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name.strip()).lower()


def _reason(error: BaseException) -> str:
    text = str(error).strip().partition("\n")[0][:500]
    return text if isinstance(error, _UnusablePluginError) else f"{type(error).__name__}: {text}"
