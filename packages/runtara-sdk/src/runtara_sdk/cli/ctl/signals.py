"""Signals to instances, and their end by force."""

from __future__ import annotations

import click

from runtara_sdk.cli.ctl.target import ask, common_options, print_done
from runtara_sdk.json_argument import read_text


@click.command()
@click.argument("instance_id")
@click.option("--grace", type=click.IntRange(0, 3600), default=5, show_default=True, metavar="SECONDS")
@click.option("--reason", default="", help="Kept: see the command events.")
@common_options
def stop(instance_id: str, grace: int, reason: str) -> None:
    """End an instance: tell its process, wait, kill it.

    \b
    Example:
      runtara-ctl stop order-A-1 --grace 10
    """
    ask(lambda sdk: sdk.stop_instance(instance_id, grace_period_seconds=grace, reason=reason))
    print_done(instance_id, "stopped")


@click.command()
@click.argument("instance_id")
@click.option("--reason", default="", help="Sent with the signal, and kept: see the command events.")
@common_options
def cancel(instance_id: str, reason: str) -> None:
    """Ask an instance to end as cancelled.

    A program that has not ended by itself within the grace of its start (30
    seconds, see --cancel-grace of the command start) is killed.

    \b
    Example:
      runtara-ctl cancel order-A-1
    """
    ask(lambda sdk: sdk.cancel_instance(instance_id, reason))
    print_done(instance_id, "cancel signal sent")


@click.command()
@click.argument("instance_id")
@common_options
def pause(instance_id: str) -> None:
    """Ask an instance to suspend itself until it is resumed.

    It does so at its next checkpoint or wait: a step that is under way ends
    first, however long it takes.

    \b
    Example:
      runtara-ctl pause order-A-1
    """
    ask(lambda sdk: sdk.pause_instance(instance_id))
    print_done(instance_id, "pause signal sent: it takes effect at the next checkpoint or wait")


@click.command()
@click.argument("instance_id")
@common_options
def shutdown(instance_id: str) -> None:
    """Ask a running instance to go on in a new process.

    Its process ends at the next checkpoint or wait, and another one goes on
    from there at once. Nothing changes while no process runs.

    \b
    Example:
      runtara-ctl shutdown order-A-1
    """
    ask(lambda sdk: sdk.shutdown_instance(instance_id))
    print_done(instance_id, "shutdown signal sent")


@click.command()
@click.argument("instance_id")
@common_options
def resume(instance_id: str) -> None:
    """Let a suspended instance go on.

    \b
    Example:
      runtara-ctl resume order-A-1
    """
    ask(lambda sdk: sdk.resume_instance(instance_id))
    print_done(instance_id, "resumed")


@click.command()
@click.argument("instance_id")
@click.argument("checkpoint_id")
@click.option("--payload", default="", metavar="TEXT|@FILE", help="What the waiting step receives.")
@common_options
def signal(instance_id: str, checkpoint_id: str, payload: str) -> None:
    """Send a custom signal to CHECKPOINT_ID of an instance.

    CHECKPOINT_ID is what the program waits for. A WaitForSignal step of a
    scenario tells it as signal_id in its event external_input_requested. A
    signal that nothing waits for is kept until something does.

    \b
    Examples:
      runtara-ctl events order-A-1 --subtype external_input_requested --json
      runtara-ctl signal order-A-1 approval --payload '{"approved": true}'
    """
    content = read_text(payload, "--payload").encode()
    ask(lambda sdk: sdk.send_custom_signal(instance_id, checkpoint_id, content))
    print_done(instance_id, f"signal sent to {checkpoint_id}")
