"""Steps of instances in debug mode, their scopes, and counts of what has ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from runtara_sdk.cli.ctl.moment_argument import read_moment
from runtara_sdk.cli.ctl.pages import ListPrinter, page_options, pages
from runtara_sdk.cli.ctl.target import ask, common_options, print_json, print_lines, wants_json
from runtara_sdk.cli.text import duration, json_text, one_line, size, table
from runtara_sdk.clock import SystemClock
from runtara_sdk.iso_time import iso_time

if TYPE_CHECKING:
    from runtara_sdk.management import ManagementSdk
    from runtara_sdk.management.step_models import MetricsBucket, StepPage, StepSummary

HEADINGS = ("STEP", "TYPE", "STATUS", "STARTED", "TOOK", "SCOPE", "ERROR")
_MAX_STEPS_PAGE = 250


@click.command()
@click.argument("instance_id")
@click.option("--status", type=click.Choice(["running", "completed", "failed"]), help="Only in this status.")
@click.option("--type", "step_type", metavar="TYPE", help="Only of this type, such as Agent.")
@click.option("--scope", metavar="SCOPE", help="Only of this pass of a loop, or of this child.")
@click.option("--within", metavar="SCOPE", help="Only of the scopes directly within this one.")
@click.option("--root", is_flag=True, help="Only of the root graph.")
@click.option("--latest-first", is_flag=True, help="The opposite order.")
@page_options
@common_options
def steps(
    instance_id: str,
    status: str | None,
    step_type: str | None,
    scope: str | None,
    within: str | None,
    limit: int,
    page_token: str | None,
    *,
    root: bool,
    latest_first: bool,
    everything: bool,
) -> None:
    """Show the steps of an instance, in the order in which they began.

    Steps are traced by programs that were compiled with --debug. A step that
    ran again after a crash is there once, as it ran last. With --json there
    are inputs, outputs and errors, too.

    \b
    Examples:
      runtara-ctl steps order-A-1
      runtara-ctl steps order-A-1 --status failed --json | jq '.steps[].error'
      runtara-ctl steps order-A-1 --scope sc_each_0
      runtara-ctl steps order-A-1 --root --latest-first --limit 5
    """
    from runtara_sdk.management import StepStatus

    async def listed(sdk: ManagementSdk) -> None:
        async def page_of(size: int, token: str | None) -> StepPage:
            return await sdk.list_step_summaries(
                instance_id,
                status=None if status is None else StepStatus(status),
                step_type=step_type,
                scope_id=scope,
                parent_scope_id=within,
                root_scopes_only=root,
                sort_order="desc" if latest_first else "asc",
                limit=min(size, _MAX_STEPS_PAGE),
                page_token=token,
            )

        printer, count = ListPrinter("steps", HEADINGS, page_token), 0
        found = pages(page_of, lambda page: page.steps, limit=None if everything else limit, page_token=page_token)
        async for page in found:
            count += len(page.steps)
            printer.print_page(page, page.steps, cells)
        printer.finish()
        if not count and not wants_json():
            hint = "`runtara compile --debug` makes a program that traces its steps"
            click.echo(f"no such step of {instance_id} was traced; {hint}", err=True)

    ask(listed)


def cells(step: StepSummary) -> tuple[str, ...]:
    """A step as a row."""
    return (
        one_line(step.step_id),
        one_line(step.step_type),
        step.status.value,
        iso_time(step.started_at_ms),
        "" if step.duration_ms is None else duration(step.duration_ms),
        one_line(step.scope_id or ""),
        "" if step.error is None else one_line(step.error, longest=100),
    )


@click.command()
@click.argument("instance_id")
@click.argument("scope_id")
@common_options
def scope(instance_id: str, scope_id: str) -> None:
    """Show SCOPE_ID of an instance and the scopes around it, the innermost first.

    A scope is a pass of a loop, or a child scenario: `steps` names that of each step.

    \b
    Examples:
      runtara-ctl scope order-A-1 sc_each_0
      runtara-ctl scope order-A-1 sc_each_0 --json | jq -r '.ancestors[].step_id'
    """
    from runtara_sdk.management import as_json

    found = ask(lambda sdk: sdk.get_scope_ancestors(instance_id, scope_id))
    if wants_json():
        click.echo(json_text({"ancestors": [as_json(each) for each in found]}))
        return
    rows = [
        (
            one_line(each.scope_id),
            one_line(each.step_id),
            one_line(each.step_type),
            "" if each.index is None else str(each.index),
            iso_time(each.created_at_ms),
        )
        for each in found
    ]
    print_lines(table(("SCOPE", "STEP", "TYPE", "PASS", "BEGAN"), rows))
    if not found:
        click.echo(f"no scope {scope_id!r} of {instance_id} was traced; `runtara-ctl steps` names them", err=True)


@click.command()
@click.option("--tenant", required=True, help="Of this tenant.")
@click.option("--since", metavar="MOMENT", default="24h", show_default=True, help="Ended since then.")
@click.option("--until", metavar="MOMENT", help="Ended before then. [default: now]")
@click.option("--daily", is_flag=True, help="By days instead of hours, UTC.")
@common_options
def metrics(tenant: str, since: str, until: str | None, *, daily: bool) -> None:
    """Count the instances of a tenant that ended, by hour or day.

    The table leaves out hours and days in which nothing ended; JSON has all.

    \b
    Examples:
      runtara-ctl metrics --tenant acme
      runtara-ctl metrics --tenant acme --since 30d --daily
      runtara-ctl metrics --tenant acme --since 1h --json | jq '.buckets[].failure_count'
    """
    from runtara_sdk.management import MetricsGranularity

    now_ms = SystemClock().now_ms()
    found = ask(
        lambda sdk: sdk.get_tenant_metrics(
            tenant,
            start_time_ms=read_moment(since, "--since", now_ms=now_ms),
            end_time_ms=now_ms + 1 if until is None else read_moment(until, "--until", now_ms=now_ms),
            granularity=MetricsGranularity.DAILY if daily else MetricsGranularity.HOURLY,
        )
    )
    if wants_json():
        print_json(found)
        return
    headings = ("BEGINNING", "ENDED", "COMPLETED", "FAILED", "CANCELLED", "SUCCESS", "AVERAGE", "LONGEST", "MEMORY")
    print_lines(table(headings, [_bucket_cells(each) for each in found.buckets if each.invocation_count]))


def _bucket_cells(bucket: MetricsBucket) -> tuple[str, ...]:
    return (
        iso_time(bucket.bucket_time_ms),
        str(bucket.invocation_count),
        str(bucket.success_count),
        str(bucket.failure_count),
        str(bucket.cancelled_count),
        "" if bucket.success_rate_percent is None else f"{bucket.success_rate_percent:.1f} %",
        "" if bucket.avg_duration_ms is None else duration(round(bucket.avg_duration_ms)),
        "" if bucket.max_duration_ms is None else duration(round(bucket.max_duration_ms)),
        "" if bucket.max_memory_bytes is None else size(bucket.max_memory_bytes),
    )
