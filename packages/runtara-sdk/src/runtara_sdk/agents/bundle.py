"""The bundle of agents that a product offers: a module that says which agents scenarios may use, no more and no less.

    # my_product_stdlib/__init__.py
    from runtara_agents_http import http_agent
    from my_product_stdlib.orders import orders_agent

    def runtara_agents():
        return [http_agent, orders_agent]

RUNTARA_STDLIB_NAME=my_product_stdlib makes it the set that validation offers, that listings show and that native base
runtimes hold. Without the variable that is every installed agent.
"""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Iterable
from importlib import metadata
from types import ModuleType

from runtara_sdk.agents.definition import AgentDefinition
from runtara_sdk.agents.discovered_agent import DiscoveredAgent, public_name
from runtara_sdk.errors import ConfigurationError
from runtara_sdk.guarded_call import LoadDeadlineError, call_with_deadline
from runtara_sdk.plugin_compatibility import incompatibility
from runtara_sdk.plugins import BUNDLE_VARIABLE

_HOOK = "runtara_agents"
_MODULE_NAME = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", re.ASCII)


def bundled_agents(name: str, installed: Iterable[DiscoveredAgent]) -> dict[str, DiscoveredAgent]:
    """The agents of the bundle `name`, by id.

    Args:
        name: of the module.
        installed: the agents of installed plugins; what the bundle takes of them is imported from where they are.

    Raises `ConfigurationError`: no such module, or one that is no bundle.
    """
    module = _module(name)
    homes = {id(agent.definition): agent for agent in installed}
    bundled: dict[str, DiscoveredAgent] = {}
    for definition in _definitions(module):
        if definition.id in bundled:
            raise _refusal(name, f"it gives two agents with the id {definition.id!r}: leave one of them out")
        bundled[definition.id] = homes.get(id(definition)) or _own(module, definition)
    return bundled


def _module(name: str) -> ModuleType:
    if not _MODULE_NAME.fullmatch(name):
        raise ConfigurationError(f"{BUNDLE_VARIABLE}={name!r} is not the name of a module")
    for distribution in _distributions_of(name.partition(".")[0]):
        reason = incompatibility(distribution)
        if reason is not None:
            raise _refusal(name, f"{distribution}: {reason}")
    try:
        return call_with_deadline(lambda: importlib.import_module(name))
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
            raise _refusal(
                name, "no such module is installed: install it with pip, into the environment of this command"
            ) from None
        raise _refusal(name, f"it cannot be imported: {error}") from error
    except LoadDeadlineError as error:
        raise _refusal(name, str(error)) from None
    except (Exception, SystemExit) as error:  # a product's code: whatever it raises is told
        raise _refusal(name, f"it cannot be imported: {type(error).__name__}: {error}") from error


def _definitions(module: ModuleType) -> list[AgentDefinition]:
    function = getattr(module, _HOOK, None)
    if not callable(function):
        raise _refusal(module.__name__, f"it has no function {_HOOK}()")
    try:
        found = function()
    except (Exception, SystemExit) as error:
        raise _refusal(module.__name__, f"{_HOOK}() raised {type(error).__name__}: {error}") from error
    if not isinstance(found, list) or not all(isinstance(item, AgentDefinition) for item in found):
        raise _refusal(module.__name__, f"{_HOOK}() must return a list of AgentDefinition")
    return found


def _own(bundle: ModuleType, definition: AgentDefinition) -> DiscoveredAgent:
    """An agent that the bundle brings along, where a static import reaches it."""
    top = bundle.__name__.partition(".")[0]
    modules = [bundle, *(sys.modules[name] for name in sorted(sys.modules) if name.partition(".")[0] == top)]
    for module in modules:
        attribute = public_name(module, definition)
        if attribute is not None:
            distribution, version = _distribution_of(bundle.__name__, top)
            return DiscoveredAgent(definition, distribution, version, module.__name__, attribute)
    raise _refusal(
        bundle.__name__,
        f"the agent {definition.id!r} must be a public name of one of its modules, or come from an installed plugin",
    )


def _distribution_of(bundle: str, top: str) -> tuple[str, str]:
    for name in _distributions_of(top):
        try:
            found = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue
        return found.name, found.version
    raise _refusal(bundle, f"its module {top!r} belongs to no installed distribution: install the bundle with pip")


def _distributions_of(top: str) -> tuple[str, ...]:
    # Of a distribution that is installed in place no file names its modules: then it is called like its module.
    return (*metadata.packages_distributions().get(top, ()), top)


def _refusal(name: str, reason: str) -> ConfigurationError:
    return ConfigurationError(f"{BUNDLE_VARIABLE}={name}: {reason}")
