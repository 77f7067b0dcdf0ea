"""`runtara plugins`: what is installed, and why something of it cannot be used."""

from __future__ import annotations

import json
from dataclasses import asdict

import click

from runtara_sdk.plugins import GROUPS, Plugin, PluginError, find_plugins


@click.command()
@click.option("--group", type=click.Choice(GROUPS), help="Show one group only.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
def plugins(group: str | None, *, as_json: bool) -> None:
    """List what installed distributions contribute.

    Each plugin is loaded to see whether it can be: the state is `ok`, `off` (switched off by RUNTARA_PLUGINS or
    RUNTARA_DISABLE_PLUGINS) or `broken`, with the reason.

    \b
    Examples:
      runtara plugins
      runtara plugins --group runtara.agents --json
    """
    rows = [
        {**asdict(plugin), **_state(plugin)} for name in ([group] if group else GROUPS) for plugin in find_plugins(name)
    ]
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    if not rows:
        click.echo("no plugins are installed")
    for row in rows:
        reason = f": {row['reason']}" if row["reason"] else ""
        source = f"{row['distribution']} {row['version']}"
        click.echo(f"{row['group']:<18} {row['name']:<16} {source:<32} {row['state']}{reason}")


def _state(plugin: Plugin) -> dict[str, str | None]:
    if not plugin.is_enabled:
        return {"state": "off", "reason": None}
    try:
        plugin.load()
    except PluginError as error:
        return {"state": "broken", "reason": error.message}
    return {"state": "ok", "reason": None}
