"""Hosts: listed, drained."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import click

from runtara_sdk.cli.ctl.target import ask, common_options, print_json, print_lines, wants_json
from runtara_sdk.cli.errors import EXIT_FAILED
from runtara_sdk.cli.text import json_text, table
from runtara_sdk.clock import Clock, SystemClock
from runtara_sdk.iso_time import iso_time

if TYPE_CHECKING:
    from runtara_sdk.management import HostInfo, ManagementSdk

_LOOK_SECONDS = 0.5
_NOT_DRAINED = 3
"""Exit code of a drain that was asked for and has not come to its end in time."""


@click.command()
@click.option("--artifacts", is_flag=True, help="Also the digests of the artifacts that each host holds.")
@common_options
def hosts(*, artifacts: bool) -> None:
    """List the hosts that share the environment's database.

    A host is a data directory with its environment. Where there are API keys,
    this takes that of an operator.

    \b
    Examples:
      runtara-ctl hosts
      runtara-ctl hosts --artifacts --json
    """
    from runtara_sdk.management import as_json

    found = ask(lambda sdk: sdk.list_hosts(with_artifacts=artifacts))
    if wants_json():
        click.echo(json_text({"hosts": [as_json(host) for host in found]}))
        return
    print_lines(_host_table(found))
    if artifacts:
        for host in found:
            print_lines(["", f"{host.host_name} ({host.host_id}) holds:", *(f"  {it}" for it in host.artifact_digests)])


@click.command()
@click.argument("host")
@click.option("--undo", is_flag=True, help="Let the host launch instances again.")
@click.option(
    "--suspend-seconds",
    type=click.IntRange(1, 86_400),
    default=60,
    show_default=True,
    metavar="SECONDS",
    help="How long a launch may take to suspend before it is ended.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(0),
    default=300.0,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait until the host is drained; 0 does not wait.",
)
@common_options
def drain(host: str, *, undo: bool, suspend_seconds: int, timeout: float) -> None:
    """Empty HOST: an id of `runtara-ctl hosts`, the beginning of one, or a name.

    The host launches nothing more. What runs there is told to suspend, and
    other hosts go on with it. The host stays drained, also when its
    environment is restarted, until --undo.

    Exit codes: 0 the host is drained (with --undo: asked to go on, with
    --timeout 0: asked to drain), 1 the environment refused or cannot be
    reached, 2 there is no such host, or there are several, 3 the host is not
    drained yet when the time is over, or is gone; the request stays.

    The state that is shown after --undo and --timeout 0 is that of the moment
    of the request, which reaches the host within three seconds.

    \b
    Examples:
      runtara-ctl drain worker-2
      runtara-ctl drain worker-2 --undo
    """
    if undo:
        _show(ask(lambda sdk: sdk.undrain_host(host)))
        return
    found = ask(lambda sdk: _drain(sdk, host, suspend_seconds, timeout, SystemClock()))
    _show(found)
    if timeout and found.state != "drained":
        reason = "it is gone, and drains when it comes back" if found.state == "gone" else f"it is {found.state}"
        click.echo(f"host {found.host_name} is not drained: {reason}", err=True)
        click.get_current_context().exit(_NOT_DRAINED if found.drain_requested_at_ms else EXIT_FAILED)


async def _drain(sdk: ManagementSdk, host: str, suspend_seconds: int, timeout: float, clock: Clock) -> HostInfo:
    found = await sdk.drain_host(host, suspend_seconds=suspend_seconds)
    give_up_ms = clock.now_ms() + timeout * 1000
    shown: int | None = None
    while found.state in ("active", "draining") and clock.now_ms() < give_up_ms:
        if found.live_launches != shown:
            shown = found.live_launches
            click.echo(f"host {found.host_name}: {launches_left(shown)}", err=True)
        await asyncio.sleep(_LOOK_SECONDS)
        known = {each.host_id: each for each in await sdk.list_hosts()}
        found = known.get(found.host_id, found)
    return found


def _show(host: HostInfo) -> None:
    if wants_json():
        print_json(host)
    else:
        print_lines(_host_table((host,)))


def launches_left(launches: int) -> str:
    """What a drain waits for, as a line for people."""
    if not launches:
        return "nothing runs there; it has not heard of the drain yet"
    return "1 launch has not ended yet" if launches == 1 else f"{launches} launches have not ended yet"


def _host_table(found: tuple[HostInfo, ...]) -> list[str]:
    rows = [
        (
            host.host_id[:12],
            host.host_name,
            host.state.value,
            f"{host.live_launches}" if host.max_launches is None else f"{host.live_launches}/{host.max_launches}",
            str(host.artifact_count),
            f"{host.runner_type} ({host.isolation})",
            host.address or "",
            host.version,
            iso_time(host.last_seen_at_ms),
        )
        for host in found
    ]
    return table(("HOST", "NAME", "STATE", "LIVE", "ARTIFACTS", "RUNNER", "ADDRESS", "VERSION", "LAST SEEN"), rows)
