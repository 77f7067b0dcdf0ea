"""The list of instances."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from runtara_sdk.cli.ctl.instance_filter import filter_options, read_filter
from runtara_sdk.cli.ctl.pages import ListPrinter, page_options, pages
from runtara_sdk.cli.ctl.target import ask, common_options
from runtara_sdk.cli.text import duration, one_line
from runtara_sdk.clock import SystemClock
from runtara_sdk.iso_time import iso_time

if TYPE_CHECKING:
    from runtara_sdk.management import ManagementSdk
    from runtara_sdk.management.models import InstancePage, InstanceSummary

HEADINGS = ("INSTANCE", "STATUS", "IMAGE", "CREATED", "TOOK", "REASON")
_ORDERS = ("created_at_desc", "created_at_asc", "finished_at_desc", "finished_at_asc")


@click.command("list-instances")
@filter_options
@click.option("--order", type=click.Choice(_ORDERS), default=_ORDERS[0], show_default=True)
@click.option("--offset", type=click.IntRange(0), default=0, help="Leave out so many of the first ones.")
@page_options
@common_options
def list_instances(
    order: str, offset: int, limit: int, page_token: str | None, *, everything: bool, **filters: Any
) -> None:
    """List instances, newest first.

    A list that is longer than --limit ends with the token of its next page:
    --page-token goes on there, whatever was created meanwhile, with the same
    filter and order.

    \b
    Examples:
      runtara-ctl list-instances --tenant acme --limit 20
      runtara-ctl list-instances --status failed --status cancelled --since 1h
      runtara-ctl list-instances --reason timeout --image-name order- --all
      runtara-ctl list-instances --finished-since 2026-11-27T08:15Z --json
    """
    where = read_filter(filters, now_ms=SystemClock().now_ms())
    if page_token is not None and offset:
        raise click.UsageError("--offset and --page-token exclude each other")

    async def listed(sdk: ManagementSdk) -> None:
        async def page_of(size: int, token: str | None) -> InstancePage:
            at = offset if token is None else 0
            return await sdk.list_instances(**where, order_by=order, limit=size, offset=at, page_token=token)

        printer = ListPrinter("instances", HEADINGS, page_token)
        found = pages(page_of, lambda page: page.instances, limit=None if everything else limit, page_token=page_token)
        async for page in found:
            printer.print_page(page, page.instances, cells)
        printer.finish()

    ask(listed)


def cells(item: InstanceSummary) -> tuple[str, ...]:
    """An instance as a row."""
    return (
        item.instance_id,
        item.status.value,
        one_line(item.image_name or item.image_id),
        iso_time(item.created_at_ms),
        took(item.started_at_ms, item.finished_at_ms),
        item.termination_reason or "",
    )


def took(started_at_ms: int | None, finished_at_ms: int | None) -> str:
    """How long something took; empty while that is not known."""
    return "" if started_at_ms is None or finished_at_ms is None else duration(finished_at_ms - started_at_ms)
