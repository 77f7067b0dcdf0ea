"""Instances: started, shown, waited for."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from runtara_sdk.cli.ctl.limit_options import limit_options, limits_of
from runtara_sdk.cli.ctl.lists import took
from runtara_sdk.cli.ctl.target import ask, common_options, print_id, print_json, print_lines, wants_json
from runtara_sdk.cli.errors import EXIT_FAILED
from runtara_sdk.cli.text import duration, fields, one_line, size
from runtara_sdk.iso_time import iso_time
from runtara_sdk.json_argument import read_json
from runtara_sdk.resource_limits import ResourceLimits, format_limit

if TYPE_CHECKING:
    from runtara_sdk.management import ManagementSdk
    from runtara_sdk.management.models import InstanceInfo, StartedInstance


def read_variables(_ctx: click.Context, _parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    """`NAME=VALUE` options as a mapping."""
    variables: dict[str, str] = {}
    for value in values:
        name, separator, content = value.partition("=")
        if not separator or not name:
            raise click.BadParameter(f"{value!r} is not NAME=VALUE")
        if name in variables:
            raise click.BadParameter(f"{name} is given twice")
        variables[name] = content
    return variables


@click.command()
@common_options
def health() -> None:
    """Ask whether the environment is well; exit code 1 when it is not.

    \b
    Example:
      runtara-ctl health
    """
    report = ask(lambda sdk: sdk.health_check())
    if wants_json():
        print_json(report)
    else:
        print_lines(
            fields(
                (
                    ("healthy", "yes" if report.healthy else "no"),
                    ("version", report.version),
                    ("up for", duration(report.uptime_ms)),
                    ("running instances", str(report.active_instances)),
                )
            )
        )
    if not report.healthy:
        click.get_current_context().exit(EXIT_FAILED)


@click.command()
@click.option("--image", required=True, help="Id of the image.")
@click.option("--tenant", required=True, help="Owner of image and instance.")
@click.option(
    "--image-version", type=click.IntRange(1), metavar="N", help="Version of the image. [default: the current one]"
)
@click.option("--input", "input_text", metavar="JSON|@FILE", help="Input of the run, for scenarios {data, variables}.")
@click.option(
    "--input-file",
    type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path),
    help="Input of the run, sent as it is: a file, or - for standard input.",
)
@click.option("--instance-id", metavar="ID", help="Id of the instance; the same start again changes nothing.")
@click.option("--timeout", type=click.IntRange(1), metavar="SECONDS", help="Bound of the run.")
@click.option(
    "--cancel-grace",
    type=click.IntRange(0, 86_400),
    metavar="SECONDS",
    help="How long the program has to obey a cancel before it is killed. [default: 30]",
)
@click.option(
    "--env",
    "variables",
    multiple=True,
    metavar="NAME=VALUE",
    callback=read_variables,
    help="A further variable of the process; may be repeated.",
)
@limit_options
@common_options
def start(
    image: str,
    tenant: str,
    image_version: int | None,
    input_text: str | None,
    input_file: Path | None,
    instance_id: str | None,
    timeout: int | None,
    cancel_grace: int | None,
    variables: dict[str, str],
    **limits: Any,
) -> None:
    """Start an instance; prints its id.

    A start whose id exists starts nothing. When version or input differ from
    those of then, a line on standard error says so. Limits hold for every
    launch of the instance and come before those of its image.

    \b
    Examples:
      runtara-ctl start --image 3f2a --tenant acme --input '{"data": {"orderId": "A-1"}}'
      runtara-ctl start --image 3f2a --tenant acme --input @input.json --instance-id order-A-1
      runtara-ctl start --image 3f2a --tenant acme --input-file large.json
      runtara-ctl start --image 3f2a --tenant acme --env LOG_LEVEL=debug --env REGION=eu
      runtara-ctl start --image 3f2a --tenant acme --memory 1GiB --cpu 2
    """
    if input_text is not None and input_file is not None:
        raise click.UsageError("--input and --input-file are both given: give one of them")
    document = _read_file(input_file) if input_file is not None else None
    if input_text is not None:
        document = read_json(input_text, "--input")
    started = ask(
        lambda sdk: sdk.start_instance(
            image,
            tenant,
            instance_id=instance_id,
            input_envelope=document,
            timeout_seconds=timeout,
            env=variables,
            cancel_grace_seconds=cancel_grace,
            image_version=image_version,
            limits=limits_of(limits),
        )
    )
    if started.deduplicated:
        click.echo(_describe_earlier(started), err=True)
    print_id(started, started.instance_id)


@click.command("input")
@click.argument("instance_id")
@common_options
def show_input(instance_id: str) -> None:
    """Write the input of an instance to standard output, however long it is.

    \b
    Example:
      runtara-ctl input order-A-1 > input.json
    """
    output = sys.stdout.buffer

    async def write(sdk: ManagementSdk) -> None:
        async for part in sdk.read_input(instance_id):
            output.write(part)

    ask(write)
    output.flush()


@click.command()
@click.argument("instance_id")
@common_options
def status(instance_id: str) -> None:
    """Show an instance.

    \b
    Example:
      runtara-ctl status order-A-1
    """
    _show(ask(lambda sdk: sdk.get_instance_status(instance_id)))


@click.command()
@click.argument("instance_id")
@click.option("--poll", type=click.IntRange(1), default=500, show_default=True, metavar="MILLISECONDS")
@click.option("--timeout", type=click.IntRange(0), metavar="SECONDS", help="Give up after this; exit code 1.")
@common_options
def wait(instance_id: str, poll: int, timeout: int | None) -> None:
    """Wait until an instance has ended, then show it.

    The exit code is 0 however it ended: read `.status`.

    \b
    Example:
      runtara-ctl wait order-A-1 --timeout 60 | jq .output
    """
    _show(ask(lambda sdk: sdk.wait_for_completion(instance_id, poll_interval=poll / 1000, timeout=timeout)))


def _read_file(path: Path) -> bytes:
    with click.open_file(str(path), "rb") as file:
        content: bytes = file.read()
    return content


def _show(instance: InstanceInfo) -> None:
    if wants_json():
        print_json(instance)
        return
    error = None if instance.error is None else "\n".join(instance.error.lines())
    print_lines(
        fields(
            (
                ("instance", instance.instance_id),
                ("status", instance.status.value),
                ("reason", instance.termination_reason),
                ("tenant", instance.tenant_id),
                ("image", f"{instance.image_name} ({instance.image_id})"),
                ("created", iso_time(instance.created_at_ms)),
                ("started", _time(instance.started_at_ms)),
                ("finished", _time(instance.finished_at_ms)),
                ("took", took(instance.started_at_ms, instance.finished_at_ms) or None),
                ("due", _time(instance.wake_at_ms)),
                ("last checkpoint", instance.checkpoint_id),
                ("launches", str(instance.epoch - instance.retry_count)),
                ("retries", str(instance.retry_count) if instance.retry_count else None),
                ("exit code", None if instance.exit_code is None else str(instance.exit_code)),
                ("input", _left_out_input(instance)),
                ("memory peak", None if instance.memory_peak_bytes is None else _mebibytes(instance.memory_peak_bytes)),
                (
                    "processor time",
                    None if instance.cpu_usage_usec is None else f"{instance.cpu_usage_usec / 1e6:.2f} s",
                ),
                ("runner", instance.runner),
                ("limits", _limits(instance.limits)),
                ("error", error),
                ("output", None if instance.output is None else one_line(instance.output, longest=2_000)),
            )
        )
    )


def _left_out_input(instance: InstanceInfo) -> str | None:
    if instance.input_bytes is None:
        return None
    return f"{size(instance.input_bytes)}, shown by `runtara-ctl input {instance.instance_id}`"


def _mebibytes(size: int | None) -> str | None:
    return None if size is None else f"{size / 1024**2:.1f} MiB"


def _seconds(microseconds: int | None) -> str | None:
    return None if microseconds is None else f"{microseconds / 1e6:.2f} s"


def _limits(limits: ResourceLimits) -> str | None:
    return ", ".join(f"{name} {format_limit(name, value)}" for name, value in limits.given().items()) or None


def _time(milliseconds: int | None) -> str | None:
    return None if milliseconds is None else iso_time(milliseconds)


def _describe_earlier(started: StartedInstance) -> str:
    """What a start that changed nothing was; and what of the new one is not used."""
    earlier = started.earlier
    if earlier is None:
        return f"{started.instance_id} was started before"
    told = f"{started.instance_id} was started before and is {earlier.status.value}"
    others = (("another version of the image", earlier.other_version), ("another input", earlier.other_input))
    differences = [name for name, differs in others if differs]
    if differences:
        told += f", with {' and '.join(differences)}: give another id to run what is given now"
    return told
