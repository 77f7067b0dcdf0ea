"""What instances have done: events, checkpoints and logs, in the order in which they came."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import click

from runtara_sdk.cli.ctl.pages import ListPrinter, all_option, limit_option, page_options, pages
from runtara_sdk.cli.ctl.program_output import BOTH, print_output
from runtara_sdk.cli.ctl.target import ask, common_options, print_json, wants_json
from runtara_sdk.cli.text import json_text, one_line, size, storable
from runtara_sdk.clock import SystemClock
from runtara_sdk.errors import DeadlineExceededError, TransportError
from runtara_sdk.iso_time import iso_time

if TYPE_CHECKING:
    from runtara_sdk.management import ManagementSdk
    from runtara_sdk.management.history import SortOrder
    from runtara_sdk.management.models import CheckpointPage, CheckpointSummary, EventInfo, EventPage

Looked = TypeVar("Looked")
EventFilter = Mapping[str, Any]
"""Arguments of `ManagementSdk.list_events` that say which events are meant."""

LOG_SUBTYPE = "workflow_log"

_PAGE = 500
_POLL_SECONDS = 0.5
_PATIENCE_MS = 120_000
"""How long an environment may be away while its events are followed."""
_OVERLAP_MS = 10_000
"""How much of what was read before is read again: servers' clocks may differ by so much."""

_follow_option = click.option("--follow", "-f", is_flag=True, help="Go on until the instance has ended.")
_CHECKPOINT_HEADINGS = ("CREATED", "SIZE", "CHECKPOINT")


@click.command()
@click.argument("instance_id")
@click.option("--type", "event_type", help="Only of this type: started, completed, failed, suspended, custom, ...")
@click.option("--subtype", help="Only of this subtype, such as retry_attempt.")
@click.option(
    "--contains", metavar="TEXT", help="Only with this text in the payload, whatever the case of its letters."
)
@click.option("--scope", metavar="SCOPE", help="Only of this pass of a loop, or of this child; see `steps`.")
@page_options
@_follow_option
@common_options
def events(
    instance_id: str,
    event_type: str | None,
    subtype: str | None,
    contains: str | None,
    scope: str | None,
    limit: int,
    page_token: str | None,
    *,
    everything: bool,
    follow: bool,
) -> None:
    """Show the newest events of an instance, oldest first: time, type, subtype, checkpoint, payload.

    With --json each event is a JSON object on a line of its own. A text is
    searched for in the first 64 KiB of each payload. --page-token shows the
    events before those that came with it.

    \b
    Examples:
      runtara-ctl events order-A-1
      runtara-ctl events order-A-1 --subtype retry_attempt --json
      runtara-ctl events order-A-1 --contains timeout
      runtara-ctl events order-A-1 --all --json
      runtara-ctl events order-A-1 --follow
    """
    if page_token is not None and (follow or everything):
        raise click.UsageError("--page-token goes with neither --follow nor --all")
    where = {"event_type": event_type, "subtype": subtype, "payload_contains": contains, "scope_id": scope}
    _show(instance_id, where, None if everything else limit, page_token, follow=follow, line_of=_event_line)


@click.command()
@click.argument("instance_id")
@limit_option
@all_option
@_follow_option
@click.option(
    "--stream",
    type=click.Choice(("stdout", "stderr", BOTH)),
    help="What its program writes to this stream, instead of its Log steps.",
)
@click.option(
    "--tail", "tail_lines", type=click.IntRange(0, 100_000), metavar="LINES", help="The newest so many of the stream."
)
@click.option("--epoch", type=click.IntRange(1), metavar="N", help="Of this launch. [default: the newest]")
@common_options
def logs(
    instance_id: str,
    limit: int,
    stream: str | None,
    tail_lines: int | None,
    epoch: int | None,
    *,
    everything: bool,
    follow: bool,
) -> None:
    """Show what the Log steps of an instance said, or what its program writes.

    Without --stream, the end of the standard error of the last process that
    ended follows the Log steps. With it, the output of the newest launch is
    shown, also while it runs; --tail and --epoch alone mean both streams.
    --follow goes on over relaunches, suspensions and hosts, and over restarts
    of the environment. Control characters are shown as escapes on a terminal.

    \b
    Examples:
      runtara-ctl logs order-A-1
      runtara-ctl logs order-A-1 --follow
      runtara-ctl logs order-A-1 --stream stderr --tail 100
      runtara-ctl logs order-A-1 --stream both --follow
      runtara-ctl logs order-A-1 --stream stdout --epoch 2 > output.txt
    """
    if stream is not None or tail_lines is not None or epoch is not None:
        print_output(instance_id, stream or BOTH, epoch=epoch, tail_lines=tail_lines, follow=follow)
        return
    where = {"event_type": "custom", "subtype": LOG_SUBTYPE}
    _show(instance_id, where, None if everything else limit, None, follow=follow, line_of=_log_line)
    if not wants_json(otherwise=False):
        instance = ask(lambda sdk: sdk.get_instance_status(instance_id))
        if instance.stderr and instance.stderr.strip():
            click.echo("standard error of the last process that ended:")
            for line in instance.stderr.strip().splitlines():
                click.echo(f"  {one_line(line)}")


@click.command()
@click.argument("instance_id")
@click.argument("checkpoint_id", required=False)
@page_options
@common_options
def checkpoints(
    instance_id: str, checkpoint_id: str | None, limit: int, page_token: str | None, *, everything: bool
) -> None:
    """List the checkpoints of an instance, newest first, or show the state of one.

    \b
    Examples:
      runtara-ctl checkpoints order-A-1
      runtara-ctl checkpoints order-A-1 --all --json
      runtara-ctl checkpoints order-A-1 'order::order-A-1::agent::validate'
    """
    if checkpoint_id is not None:
        detail = ask(lambda sdk: sdk.get_checkpoint(instance_id, checkpoint_id))
        if wants_json(otherwise=False):
            print_json(detail)
        else:
            click.echo(storable(detail.data) if isinstance(detail.data, str) else json_text(detail.data))
        return

    async def listed(sdk: ManagementSdk) -> None:
        async def page_of(size: int, token: str | None) -> CheckpointPage:
            return await sdk.list_checkpoints(instance_id, limit=size, page_token=token)

        printer = ListPrinter("checkpoints", _CHECKPOINT_HEADINGS, page_token)
        most = None if everything else limit
        async for page in pages(page_of, lambda page: page.checkpoints, limit=most, page_token=page_token):
            printer.print_page(page, page.checkpoints, _checkpoint_cells)
        printer.finish()

    ask(listed)


def _checkpoint_cells(item: CheckpointSummary) -> tuple[str, ...]:
    return iso_time(item.created_at_ms), size(item.data_size_bytes), one_line(item.checkpoint_id, longest=1_000)


def _show(
    instance_id: str,
    where: EventFilter,
    limit: int | None,
    page_token: str | None,
    *,
    follow: bool,
    line_of: Callable[[EventInfo], str],
) -> None:
    as_objects = wants_json(otherwise=False)

    async def show(sdk: ManagementSdk) -> None:
        first = _FirstEvents(sdk, instance_id, where, limit, page_token)
        async for event in _events(sdk, instance_id, where, first, follow=follow):
            click.echo(json_text(_event_json(event), indent=None) if as_objects else line_of(event))
        if not follow:
            first.say_what_is_left()

    ask(show)


class _FirstEvents:
    """The events that are there: all of them, a page at a time, or the newest `limit` before a token."""

    def __init__(
        self, sdk: ManagementSdk, instance_id: str, where: EventFilter, limit: int | None, page_token: str | None
    ) -> None:
        self._sdk = sdk
        self._instance_id = instance_id
        self._where = where
        self._limit = limit
        self._page_token = page_token
        self._told = 0
        self._last: EventPage | None = None

    async def parts(self) -> AsyncIterator[list[EventInfo]]:
        """Each later than the one before; at least one."""
        order: SortOrder = "asc" if self._limit is None else "desc"

        async def page_of(size: int, token: str | None) -> EventPage:
            return await self._sdk.list_events(
                self._instance_id, **self._where, sort_order=order, limit=size, page_token=token
            )

        newest: list[EventInfo] = []
        async for page in pages(page_of, lambda page: page.events, limit=self._limit, page_token=self._page_token):
            self._last = page
            self._told += len(page.events)
            if self._limit is None:
                yield list(page.events)
            else:
                newest += page.events
        if self._limit is not None:
            yield newest

    def say_what_is_left(self) -> None:
        """Tell how many there are, when these are not all, and how to get at the others."""
        token = None if self._last is None else self._last.next_page_token
        if self._last is not None and token is not None:
            total = self._last.total_count
            click.echo(f"{self._told} of {total}; --all lists all, --page-token {token} goes on", err=True)


async def _events(
    sdk: ManagementSdk, instance_id: str, where: EventFilter, first: _FirstEvents, *, follow: bool
) -> AsyncIterator[EventInfo]:
    """What is there, then, if it is followed, what comes until the instance has ended; each once, in their order."""
    first_id: int | None = None
    seen: dict[int, int] = {}
    newest_ms = 0

    def new(found: list[EventInfo]) -> list[EventInfo]:
        nonlocal newest_ms, seen, first_id
        if first_id is None:
            first_id = min((event.event_id for event in found), default=0)
        # What the first part left out for its length is not told later.
        fresh = sorted(
            (event for event in found if event.event_id >= first_id and event.event_id not in seen),
            key=lambda event: event.event_id,
        )
        seen |= {event.event_id: event.created_at_ms for event in fresh}
        newest_ms = max([newest_ms, *(event.created_at_ms for event in fresh)])
        seen = {event_id: at_ms for event_id, at_ms in seen.items() if at_ms >= newest_ms - _OVERLAP_MS}
        return fresh

    async def look() -> tuple[bool, list[EventInfo]]:
        # Asked before the events, so that none of an instance that has ended is missed.
        ended = (await sdk.get_instance_status(instance_id)).status.is_terminal
        return ended, await _since(sdk, instance_id, where, max(0, newest_ms - _OVERLAP_MS), set(seen))

    async for part in first.parts():
        for event in new(part):
            yield event
    has_ended = not follow
    while not has_ended:
        await SystemClock().sleep(_POLL_SECONDS)
        has_ended, found = await _patiently(look)
        for event in new(found):
            yield event


async def _patiently(look: Callable[[], Awaitable[Looked]]) -> Looked:
    """What `look` gives; an environment that is being restarted is waited for."""
    clock = SystemClock()
    give_up_ms = clock.now_ms() + _PATIENCE_MS
    while True:
        try:
            return await look()
        except (TransportError, DeadlineExceededError):
            if clock.now_ms() > give_up_ms:
                raise
            await clock.sleep(_POLL_SECONDS)


async def _since(
    sdk: ManagementSdk, instance_id: str, where: EventFilter, after_ms: int, known: set[int]
) -> list[EventInfo]:
    """Events from a time on, newest first, as far as they are not known."""
    found: list[EventInfo] = []
    while True:
        page = await sdk.list_events(
            instance_id,
            **where,
            created_after_ms=after_ms,
            limit=_PAGE,
            offset=len(found),
        )
        found += page.events
        if len(page.events) < _PAGE or known.issuperset(event.event_id for event in page.events):
            return found


def _event_line(event: EventInfo) -> str:
    kind = event.event_type if event.subtype is None else f"{event.event_type}/{event.subtype}"
    parts = [iso_time(event.created_at_ms), kind]
    if event.checkpoint_id:
        parts.append(one_line(event.checkpoint_id, longest=1_000))
    if event.payload is not None:
        parts.append(one_line(event.payload))
    return "  ".join(parts)


def _log_line(event: EventInfo) -> str:
    record: dict[str, Any] = event.payload if isinstance(event.payload, dict) else {}
    parts = [iso_time(event.created_at_ms), str(record.get("level", "info")).upper().ljust(5)]
    parts.append(one_line(record.get("message", event.payload)))
    if record.get("context"):
        parts.append(one_line(record["context"]))
    return "  ".join(parts)


def _event_json(event: EventInfo) -> dict[str, Any]:
    from runtara_sdk.management import as_json

    return as_json(event)
