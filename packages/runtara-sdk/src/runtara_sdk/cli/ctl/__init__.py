"""The `runtara-ctl` command: an operator's way to a running environment."""

from __future__ import annotations

import click

from runtara_sdk import __version__
from runtara_sdk.cli.ctl import agents, history, hosts, images, instances, lists, restarts, signals, steps, watch
from runtara_sdk.cli.ctl.target import common_options
from runtara_sdk.cli.errors import run_program

_COMMANDS = (
    instances.health,
    images.register,
    images.sign,
    images.list_images,
    images.get_image,
    images.list_image_versions,
    images.delete_image,
    instances.start,
    instances.status,
    instances.show_input,
    instances.wait,
    lists.list_instances,
    watch.watch,
    steps.steps,
    steps.scope,
    history.events,
    history.checkpoints,
    history.logs,
    signals.stop,
    signals.cancel,
    signals.pause,
    signals.shutdown,
    signals.resume,
    signals.signal,
    restarts.retry,
    restarts.fork,
    steps.metrics,
    agents.agents,
    hosts.hosts,
    hosts.drain,
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="runtara-ctl")
@common_options
def ctl() -> None:
    """Operate an environment: images, instances, signals, agents, hosts.

    `register` and `start` print a bare id. Queries print for people on a terminal and JSON elsewhere, --json and
    --table say which; events, checkpoints, logs and watch print lines there. Errors go to standard error with exit
    code 1, 2 for wrong usage or input, 130 after Ctrl-C. --address, --ca-file, --json and --table may stand before or
    after the command.

    \b
    Examples:
      image=$(runtara-ctl register --binary order.bin --tenant acme --name order)
      instance=$(runtara-ctl start --image "$image" --tenant acme --input '{"data": {"orderId": "A-1"}}')
      runtara-ctl wait "$instance" | jq .status
      runtara-ctl list-instances --status failed --since 1h
      runtara-ctl watch "$instance"
    """


for _command in _COMMANDS:
    ctl.add_command(_command)


def main() -> None:
    """Entry point of the `runtara-ctl` command."""
    run_program(ctl)
