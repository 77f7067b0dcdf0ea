"""Names that an installed distribution has: what is new could not be used beside it under one of them."""

from __future__ import annotations

import importlib.util
import json
from importlib.metadata import PackageNotFoundError
from importlib.metadata import distribution as installed_distribution

from runtara_sdk.agents import discover_agents
from runtara_sdk.cli.new.answers import (
    AgentAnswers,
    ProjectAnswers,
    RunnerAnswers,
    StdlibAnswers,
    StorageAnswers,
    module_name,
)
from runtara_sdk.entry_points import normalised_name
from runtara_sdk.errors import InvalidInputError
from runtara_sdk.plugins import find_plugins

_STORAGES_OF_RUNTARA = frozenset({"sqlite", "postgres", "postgresql"})
_RUNNERS_OF_RUNTARA = frozenset({"auto", "native", "oci"})


def refuse_taken_names(answers: ProjectAnswers, distribution: str) -> None:
    """Raise `InvalidInputError` when a name of a project, which gives `distribution`, is taken already.

    An earlier attempt of the same project, which is installed from its directory, is passed over.
    """
    match answers:
        case AgentAnswers():
            _refuse_agent(answers.name, distribution, answers.connection_type)
        case StdlibAnswers():
            _refuse_agent(answers.name, distribution)
        case StorageAnswers():
            _refuse_plugin("runtara.storage", "storage", answers.scheme, distribution, _STORAGES_OF_RUNTARA)
        case RunnerAnswers():
            _refuse_plugin("runtara.runners", "runner", answers.name, distribution, _RUNNERS_OF_RUNTARA)
    _refuse_module(distribution)


def _refuse_agent(name: str, distribution: str, connection_type: str | None = None) -> None:
    for agent_id, found in discover_agents(variables={}).agents.items():
        if _is_earlier_attempt(found.distribution, distribution):
            continue
        if agent_id == name:
            raise InvalidInputError(f"{found.distribution} has an agent {name!r} already; choose another name")
        if connection_type in found.definition.integration_ids:
            raise InvalidInputError(
                f"{found.distribution} declares the connection type {connection_type!r} already; choose another id"
            )


def _refuse_plugin(group: str, kind: str, name: str, distribution: str, of_runtara: frozenset[str]) -> None:
    if name in of_runtara:
        raise InvalidInputError(f"{name!r} is a {kind} of Runtara itself; choose another name")
    for plugin in find_plugins(group, {}):
        if plugin.name == name and not _is_earlier_attempt(plugin.distribution, distribution):
            raise InvalidInputError(f"{plugin.distribution} has a {kind} {name!r} already; choose another name")


def _refuse_module(distribution: str) -> None:
    module = module_name(distribution)
    if not _is_editable(distribution) and importlib.util.find_spec(module) is not None:
        raise InvalidInputError(
            f"the module {module!r} is installed already; choose another name, or give --distribution"
        )


def _is_earlier_attempt(found: str, distribution: str) -> bool:
    return normalised_name(found) == normalised_name(distribution) and _is_editable(found)


def _is_editable(distribution: str) -> bool:
    try:
        origin = json.loads(installed_distribution(distribution).read_text("direct_url.json") or "{}")
    except (PackageNotFoundError, ValueError):
        return False
    return bool(origin.get("dir_info", {}).get("editable"))
