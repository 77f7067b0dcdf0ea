"""Names that an installed distribution has: a new agent under one of them could not be used beside it."""

from __future__ import annotations

import json
from importlib.metadata import PackageNotFoundError
from importlib.metadata import distribution as installed_distribution

from runtara_sdk.agents import discover_agents
from runtara_sdk.entry_points import normalised_name
from runtara_sdk.errors import InvalidInputError


def refuse_taken_names(name: str, distribution: str, connection_type: str) -> None:
    """Raise `InvalidInputError` when an installed agent has the name, or declares the connection type.

    An earlier attempt of the same project, which is installed from its directory, is passed over.
    """
    for agent_id, found in discover_agents(variables={}).agents.items():
        if normalised_name(found.distribution) == normalised_name(distribution) and _is_editable(found.distribution):
            continue
        if agent_id == name:
            raise InvalidInputError(f"{found.distribution} has an agent {name!r} already; choose another name")
        if connection_type in found.definition.integration_ids:
            raise InvalidInputError(
                f"{found.distribution} declares the connection type {connection_type!r} already; choose another id"
            )


def _is_editable(distribution: str) -> bool:
    try:
        origin = json.loads(installed_distribution(distribution).read_text("direct_url.json") or "{}")
    except (PackageNotFoundError, ValueError):
        return False
    return bool(origin.get("dir_info", {}).get("editable"))
