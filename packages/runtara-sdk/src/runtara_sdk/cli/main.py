"""The `runtara` command: a frame for the subcommands that the installed distributions contribute.

A subcommand is an entry point of group `runtara.cli` that names a `click.Command`. It is imported when it is used or
listed; one that cannot be imported is named by `runtara plugins` and takes nothing else down. `run`, `agents`,
`connections`, `new` and `plugins` are built in and cannot be replaced.
"""

from __future__ import annotations

import gc

import click

from runtara_sdk import __version__
from runtara_sdk.cli.errors import run_program
from runtara_sdk.plugins import Plugin, PluginError, find_plugin, find_plugins

GROUP = "runtara.cli"


_COLLECTOR_DEFAULTS = gc.get_threshold()
_COLLECTOR_START_THRESHOLD = 50_000
"""Objects made between two collections: importing makes many, none of them garbage."""


class PluginGroup(click.Group):
    """A group whose further commands are entry points."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of the built-in and the contributed commands."""
        contributed = {plugin.name for plugin in find_plugins(GROUP) if plugin.is_enabled}
        return sorted({*_BUILT_IN, *contributed})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """A command by name; one that cannot be loaded gives a command that says why."""
        if cmd_name in _BUILT_IN:
            return _built_in(cmd_name)
        plugin = find_plugin(GROUP, cmd_name)
        return None if plugin is None else _contributed(plugin)


_BUILT_IN = ("agents", "connections", "new", "plugins", "run")


def _built_in(name: str) -> click.Command:
    if name == "run":
        from runtara_sdk.cli.run import run

        return run
    if name == "agents":
        from runtara_sdk.cli.agents import agents

        return agents
    if name == "connections":
        from runtara_sdk.cli.connections import connections

        return connections
    if name == "new":
        from runtara_sdk.cli.new.commands import new

        return new
    from runtara_sdk.cli.plugins import plugins

    return plugins


def _contributed(plugin: Plugin) -> click.Command:
    gc.set_threshold(*_COLLECTOR_DEFAULTS)  # it may be a daemon
    try:
        command = plugin.load()
        if not isinstance(command, click.Command):
            raise PluginError(f"plugin {plugin.name} of {plugin.distribution} is no click command: {plugin.target}")
    except PluginError as error:
        reason = error

        def refuse() -> None:
            raise reason

        return click.Command(plugin.name, callback=refuse, short_help="(broken: see `runtara plugins`)")
    return command


@click.group(cls=PluginGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="runtara")
def runtara() -> None:
    """Durable workflows: run, compile and serve them.

    \b
    Examples:
      runtara run order-processing.json --input '{"orderId": "A-1"}'
      runtara dev
      runtara plugins
    """


def main() -> None:
    """Entry point of the `runtara` command."""
    gc.set_threshold(_COLLECTOR_START_THRESHOLD)
    try:
        run_program(runtara)
    finally:
        # Everything is let go of in a moment: looking for garbage among the modules first takes a tenth of a second.
        gc.freeze()
