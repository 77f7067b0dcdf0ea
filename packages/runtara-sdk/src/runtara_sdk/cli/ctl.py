"""The `runtara-ctl` command: an operator's way to a running environment."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from runtara_sdk import __version__
from runtara_sdk.cli.errors import EXIT_FAILED, run_program
from runtara_sdk.json_argument import read_json, read_text

if TYPE_CHECKING:
    from runtara_sdk.management import ManagementSdk
    from runtara_sdk.management.models import Answer

Result = TypeVar("Result")
Decorated = TypeVar("Decorated", bound=Callable[..., Any])


@dataclass
class Target:
    """Which environment to ask and how to print, from options anywhere on the line."""

    address: str | None = None
    ca_file: Path | None = None
    as_json: bool = False


def _remember(ctx: click.Context, parameter: click.Parameter, value: Any) -> None:
    target = ctx.ensure_object(Target)
    if value and parameter.name is not None:
        setattr(target, parameter.name, value)


def _common_options(command: Decorated) -> Decorated:
    for option in (
        click.option(
            "--json",
            "as_json",
            is_flag=True,
            expose_value=False,
            callback=_remember,
            help="Print JSON also where a bare id or nothing would be printed.",
        ),
        click.option(
            "--ca-file",
            type=click.Path(exists=True, dir_okay=False, path_type=Path),
            expose_value=False,
            callback=_remember,
            help="Authority of the environment's certificate. [default: RUNTARA_CA_FILE or DATA_DIR/tls/ca.pem]",
        ),
        click.option(
            "--address",
            metavar="HOST:PORT",
            expose_value=False,
            callback=_remember,
            help="The environment. [default: RUNTARA_ENVIRONMENT_ADDR or 127.0.0.1:8002]",
        ),
    ):
        command = option(command)
    return command


def _variables(_ctx: click.Context, _parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    variables: dict[str, str] = {}
    for value in values:
        name, separator, content = value.partition("=")
        if not separator or not name:
            raise click.BadParameter(f"{value!r} is not NAME=VALUE")
        if name in variables:
            raise click.BadParameter(f"{name} is given twice")
        variables[name] = content
    return variables


def _ask(question: Callable[[ManagementSdk], Awaitable[Result]]) -> Result:
    from runtara_sdk.management import ManagementSdk, ManagementSettings

    target = click.get_current_context().ensure_object(Target)
    settings = ManagementSettings.from_environment()
    if target.address:
        settings = replace(settings, server_addr=target.address)
    if target.ca_file:
        settings = replace(settings, ca_file=target.ca_file, skip_cert_verification=False)

    async def ask() -> Result:
        async with ManagementSdk(settings) as sdk:
            return await question(sdk)

    return asyncio.run(ask())


def _print(answer: Answer) -> None:
    from runtara_sdk.management import as_json

    click.echo(json.dumps(as_json(answer), indent=2, ensure_ascii=False))


def _print_id(answer: Answer, bare: str) -> None:
    if click.get_current_context().ensure_object(Target).as_json:
        _print(answer)
    else:
        click.echo(bare)


def _print_done(instance_id: str, done: str) -> None:
    if click.get_current_context().ensure_object(Target).as_json:
        click.echo(json.dumps({"instance_id": instance_id, "result": done}, indent=2))
    else:
        click.echo(f"{instance_id} {done}", err=True)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="runtara-ctl")
@_common_options
def ctl() -> None:
    """Operate an environment: images, instances, signals.

    `register` and `start` print a bare id, queries print JSON, errors go to standard error with exit code 1 (2 for
    wrong usage). --address, --ca-file and --json may stand before or after the command.

    \b
    Examples:
      image=$(runtara-ctl register --binary order.bin --tenant acme --name order)
      instance=$(runtara-ctl start --image "$image" --tenant acme --input '{"data": {"orderId": "A-1"}}')
      runtara-ctl wait "$instance" | jq .status
    """


@ctl.command()
@_common_options
def health() -> None:
    """Ask whether the environment is well; exit code 1 when it is not.

    \b
    Example:
      runtara-ctl health
    """
    report = _ask(lambda sdk: sdk.health_check())
    _print(report)
    if not report.healthy:
        click.get_current_context().exit(EXIT_FAILED)


@ctl.command()
@click.option("--binary", required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--tenant", required=True, help="Owner of the image.")
@click.option("--name", required=True, help="Name of the image.")
@click.option("--description", help="Free text.")
@click.option("--runner", type=click.Choice(["native", "oci"]), default="native", help="What is to run it.")
@_common_options
def register(binary: Path, tenant: str, name: str, description: str | None, runner: str) -> None:
    """Upload an artifact as an image; prints the image id.

    \b
    Example:
      runtara-ctl register --binary order.bin --tenant acme --name order
    """
    from runtara_sdk.management import RunnerType

    image = _ask(
        lambda sdk: sdk.register_image_stream(
            tenant, name, binary, description=description, runner_type=RunnerType(runner)
        )
    )
    _print_id(image, image.image_id)


@ctl.command("list-images")
@click.option("--tenant", help="Only of this tenant.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=100, show_default=True)
@_common_options
def list_images(tenant: str | None, limit: int) -> None:
    """List images.

    \b
    Example:
      runtara-ctl list-images --tenant acme
    """
    _print(_ask(lambda sdk: sdk.list_images(tenant, limit=limit)))


@ctl.command("get-image")
@click.argument("image_id")
@click.argument("tenant")
@_common_options
def get_image(image_id: str, tenant: str) -> None:
    """Show the image IMAGE_ID of TENANT.

    \b
    Example:
      runtara-ctl get-image 3f2a acme
    """
    _print(_ask(lambda sdk: sdk.get_image(image_id, tenant)))


@ctl.command("delete-image")
@click.argument("image_id")
@click.argument("tenant")
@_common_options
def delete_image(image_id: str, tenant: str) -> None:
    """Remove the image IMAGE_ID of TENANT.

    \b
    Example:
      runtara-ctl delete-image 3f2a acme
    """
    _ask(lambda sdk: sdk.delete_image(image_id, tenant))
    _print_done(image_id, "deleted")


@ctl.command()
@click.option("--image", required=True, help="Id of the image.")
@click.option("--tenant", required=True, help="Owner of image and instance.")
@click.option("--input", "input_text", metavar="JSON|@FILE", help="Input of the run, for scenarios {data, variables}.")
@click.option("--instance-id", metavar="ID", help="Id of the instance; the same start again changes nothing.")
@click.option("--timeout", type=click.IntRange(1), metavar="SECONDS", help="Bound of the run.")
@click.option(
    "--env",
    "variables",
    multiple=True,
    metavar="NAME=VALUE",
    callback=_variables,
    help="A further variable of the process; may be repeated.",
)
@_common_options
def start(
    image: str,
    tenant: str,
    input_text: str | None,
    instance_id: str | None,
    timeout: int | None,
    variables: dict[str, str],
) -> None:
    """Start an instance; prints its id.

    \b
    Examples:
      runtara-ctl start --image 3f2a --tenant acme --input '{"data": {"orderId": "A-1"}}'
      runtara-ctl start --image 3f2a --tenant acme --input @input.json --instance-id order-A-1
      runtara-ctl start --image 3f2a --tenant acme --env LOG_LEVEL=debug --env REGION=eu
    """
    document = None if input_text is None else read_json(input_text, "--input")
    started = _ask(
        lambda sdk: sdk.start_instance(
            image, tenant, instance_id=instance_id, input_envelope=document, timeout_seconds=timeout, env=variables
        )
    )
    _print_id(started, started.instance_id)


@ctl.command()
@click.argument("instance_id")
@_common_options
def status(instance_id: str) -> None:
    """Show an instance.

    \b
    Example:
      runtara-ctl status order-A-1
    """
    _print(_ask(lambda sdk: sdk.get_instance_status(instance_id)))


@ctl.command()
@click.argument("instance_id")
@click.option("--poll", type=click.IntRange(1), default=500, show_default=True, metavar="MILLISECONDS")
@click.option("--timeout", type=click.IntRange(0), metavar="SECONDS", help="Give up after this; exit code 1.")
@_common_options
def wait(instance_id: str, poll: int, timeout: int | None) -> None:
    """Wait until an instance has ended, then show it.

    The exit code is 0 however it ended: read `.status`.

    \b
    Example:
      runtara-ctl wait order-A-1 --timeout 60 | jq .output
    """
    _print(_ask(lambda sdk: sdk.wait_for_completion(instance_id, poll_interval=poll / 1000, timeout=timeout)))


@ctl.command("list-instances")
@click.option("--tenant", help="Only of this tenant.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=100, show_default=True)
@_common_options
def list_instances(tenant: str | None, limit: int) -> None:
    """List instances, newest first.

    \b
    Example:
      runtara-ctl list-instances --tenant acme --limit 20
    """
    _print(_ask(lambda sdk: sdk.list_instances(tenant_id=tenant, limit=limit)))


@ctl.command()
@click.argument("instance_id")
@click.option("--grace", type=click.IntRange(0, 3600), default=5, show_default=True, metavar="SECONDS")
@click.option("--reason", default="", help="Kept with the instance.")
@_common_options
def stop(instance_id: str, grace: int, reason: str) -> None:
    """End an instance: tell its process, wait, kill it.

    \b
    Example:
      runtara-ctl stop order-A-1 --grace 10
    """
    _ask(lambda sdk: sdk.stop_instance(instance_id, grace_period_seconds=grace, reason=reason))
    _print_done(instance_id, "stopped")


@ctl.command()
@click.argument("instance_id")
@click.option("--reason", default="", help="Sent with the signal.")
@_common_options
def cancel(instance_id: str, reason: str) -> None:
    """Ask an instance to end as cancelled.

    \b
    Example:
      runtara-ctl cancel order-A-1
    """
    _ask(lambda sdk: sdk.cancel_instance(instance_id, reason))
    _print_done(instance_id, "cancel signal sent")


@ctl.command()
@click.argument("instance_id")
@_common_options
def pause(instance_id: str) -> None:
    """Ask an instance to suspend itself until it is resumed.

    \b
    Example:
      runtara-ctl pause order-A-1
    """
    _ask(lambda sdk: sdk.pause_instance(instance_id))
    _print_done(instance_id, "pause signal sent")


@ctl.command()
@click.argument("instance_id")
@_common_options
def shutdown(instance_id: str) -> None:
    """Ask a running instance to go on in a new process.

    Its process ends at the next checkpoint or wait, and another one goes on
    from there at once. Nothing changes while no process runs.

    \b
    Example:
      runtara-ctl shutdown order-A-1
    """
    _ask(lambda sdk: sdk.shutdown_instance(instance_id))
    _print_done(instance_id, "shutdown signal sent")


@ctl.command()
@click.argument("instance_id")
@_common_options
def resume(instance_id: str) -> None:
    """Let a suspended instance go on.

    \b
    Example:
      runtara-ctl resume order-A-1
    """
    _ask(lambda sdk: sdk.resume_instance(instance_id))
    _print_done(instance_id, "resumed")


@ctl.command()
@click.argument("instance_id")
@click.argument("checkpoint_id")
@click.option("--payload", default="", metavar="TEXT|@FILE", help="What the waiting step receives.")
@_common_options
def signal(instance_id: str, checkpoint_id: str, payload: str) -> None:
    """Send a custom signal to CHECKPOINT_ID of an instance.

    \b
    Example:
      runtara-ctl signal order-A-1 approval --payload '{"approved": true}'
    """
    content = read_text(payload, "--payload").encode()
    _ask(lambda sdk: sdk.send_custom_signal(instance_id, checkpoint_id, content))
    _print_done(instance_id, f"signal sent to {checkpoint_id}")


def main() -> None:
    """Entry point of the `runtara-ctl` command."""
    run_program(ctl)
