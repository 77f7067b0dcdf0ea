"""`runtara plugins`: what is installed, and why something of it cannot be used."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import asdict

import click

from runtara_sdk.plugins import BUNDLE_VARIABLE, GROUPS, IncompatiblePluginError, Plugin, PluginError, find_plugins


@click.command()
@click.option("--group", type=click.Choice(GROUPS), help="Show one group only.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
def plugins(group: str | None, *, as_json: bool) -> None:
    """List what installed distributions contribute.

    Each plugin is loaded to see whether it can be: the state is `ok`, `off` (switched off by RUNTARA_PLUGINS or
    RUNTARA_DISABLE_PLUGINS), `refused` (its distribution requires another Runtara than is installed) or `broken`, with
    the reason.

    \b
    Examples:
      runtara plugins
      runtara plugins --group runtara.agents --json
    """
    rows = [{**asdict(plugin), **state} for name in ([group] if group else GROUPS) for plugin, state in _states(name)]
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    if not rows:
        click.echo("no plugins are installed")
    for row in rows:
        reason = f": {row['reason']}" if row["reason"] else ""
        source = f"{row['distribution']} {row['version']}"
        click.echo(f"{row['group']:<18} {row['name']:<16} {source:<32} {row['state']}{reason}")


def _states(group: str) -> Iterator[tuple[Plugin, dict[str, str | None]]]:
    """Each plugin of a group with `state` and `reason`."""
    agents = _unusable_agents() if group == "runtara.agents" else None
    for plugin in find_plugins(group):
        if not plugin.is_enabled:
            yield plugin, {"state": "off", "reason": None}
        elif agents is None:
            yield plugin, _loaded(plugin)
        else:
            yield plugin, agents.get((plugin.name, plugin.distribution), {"state": "ok", "reason": None})


def _unusable_agents() -> dict[tuple[str, str], dict[str, str | None]]:
    """The states of agents that are left out, by name and distribution of their plugin."""
    from runtara_sdk.agents import discover_agents

    variables = {name: value for name, value in os.environ.items() if name != BUNDLE_VARIABLE}
    return {
        (item.name, item.distribution): {
            "state": "refused" if item.is_incompatible else "broken",
            "reason": item.reason,
        }
        for item in discover_agents(variables=variables).broken
    }


def _loaded(plugin: Plugin) -> dict[str, str | None]:
    try:
        plugin.load()
    except IncompatiblePluginError as error:
        return {"state": "refused", "reason": error.reason}
    except PluginError as error:
        return {"state": "broken", "reason": error.reason}
    return {"state": "ok", "reason": None}
