"""Which environment a command asks, and how it prints the answer: options that may stand anywhere on the line."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from runtara_sdk.cli.text import json_text

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
    as_table: bool = False


def _remember(ctx: click.Context, parameter: click.Parameter, value: Any) -> None:
    target = ctx.ensure_object(Target)
    if value and parameter.name is not None:
        setattr(target, parameter.name, value)


def common_options(command: Decorated) -> Decorated:
    """Options of every command: --address, --ca-file, --json, --table."""
    for option in (
        click.option(
            "--table",
            "as_table",
            is_flag=True,
            expose_value=False,
            callback=_remember,
            help="Print for people also where standard output is no terminal.",
        ),
        click.option(
            "--json",
            "as_json",
            is_flag=True,
            expose_value=False,
            callback=_remember,
            help="Print JSON, also where something else would be printed.",
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
            metavar="ADDRESS",
            expose_value=False,
            callback=_remember,
            help="The environment, host:port or unix:///path. [default: RUNTARA_ENVIRONMENT_ADDR, its socket under "
            "DATA_DIR, or 127.0.0.1:8002]",
        ),
    ):
        command = option(command)
    return command


def ask(question: Callable[[ManagementSdk], Awaitable[Result]]) -> Result:
    """Put a question to the environment that the options name."""
    from runtara_sdk.management import ManagementSdk, ManagementSettings

    target = click.get_current_context().ensure_object(Target)
    settings = ManagementSettings.from_environment()
    if target.address:
        settings = replace(settings, server_addr=target.address)
    if target.ca_file:
        settings = replace(settings, ca_file=target.ca_file, skip_cert_verification=False)

    async def put() -> Result:
        async with ManagementSdk(settings) as sdk:
            return await question(sdk)

    return asyncio.run(put())


def print_json(answer: Answer) -> None:
    """An answer as a JSON object."""
    from runtara_sdk.management import as_json

    click.echo(json_text(as_json(answer)))


def print_id(answer: Answer, bare: str) -> None:
    """The bare id of what was made, or the answer as JSON with --json."""
    if click.get_current_context().ensure_object(Target).as_json:
        print_json(answer)
    else:
        click.echo(bare)


def print_done(instance_id: str, done: str) -> None:
    """What was done, on standard error, or as a JSON object with --json."""
    if click.get_current_context().ensure_object(Target).as_json:
        click.echo(json.dumps({"instance_id": instance_id, "result": done}, indent=2))
    else:
        click.echo(f"{instance_id} {done}", err=True)


def wants_json(*, otherwise: bool | None = None) -> bool:
    """Whether to print JSON: as the options say, else `otherwise`, else when standard output is no terminal."""
    target = click.get_current_context().ensure_object(Target)
    if target.as_json or target.as_table:
        return target.as_json
    return not sys.stdout.isatty() if otherwise is None else otherwise


def print_lines(lines: list[str]) -> None:
    """Lines for people."""
    for line in lines:
        click.echo(line)
