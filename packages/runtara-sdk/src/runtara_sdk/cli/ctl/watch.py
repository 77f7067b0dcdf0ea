"""Instances that are watched: a live table on a terminal, lines of what changes elsewhere."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

import click

from runtara_sdk.cli.ctl.instance_filter import filter_options, read_filter
from runtara_sdk.cli.ctl.lists import HEADINGS, cells
from runtara_sdk.cli.ctl.live_screen import LiveScreen, is_live
from runtara_sdk.cli.ctl.steps import HEADINGS as STEP_HEADINGS
from runtara_sdk.cli.ctl.steps import cells as step_cells
from runtara_sdk.cli.ctl.target import ask, common_options, wants_json
from runtara_sdk.cli.errors import EXIT_INTERRUPTED
from runtara_sdk.cli.text import json_text, one_line, table
from runtara_sdk.clock import SystemClock
from runtara_sdk.errors import DeadlineExceededError, InstanceNotFoundError, TransportError
from runtara_sdk.iso_time import iso_time

if TYPE_CHECKING:
    from runtara_sdk.management import ManagementSdk
    from runtara_sdk.management.models import InstanceInfo, InstanceSummary
    from runtara_sdk.management.step_models import StepSummary

_PATIENCE_MS = 120_000
"""How long the environment may be away."""


@click.command()
@click.argument("instance_id", required=False)
@filter_options
@click.option("--limit", type=click.IntRange(1, 200), default=20, show_default=True, help="The newest so many.")
@click.option(
    "--interval", type=click.FloatRange(0.2, 3_600), default=1.0, show_default=True, help="Seconds between two looks."
)
@common_options
def watch(instance_id: str | None, limit: int, interval: float, **filters: Any) -> None:
    """Watch the newest instances of a filter, or one instance and its latest steps.

    On a terminal a table is refreshed in place. Elsewhere each change is a line:
    time, instance, status, reason, image (or time, step, status); with --json it
    is a JSON object on a line of its own. The steps of one instance are those
    that a program in debug mode traces.

    INSTANCE_ID is watched until it has ended, with exit code 0 however it ended.
    A filter is watched until Ctrl-C, which ends with exit code 130. While the
    environment is away, up to two minutes, the last table stays.

    \b
    Examples:
      runtara-ctl watch order-A-1
      runtara-ctl watch --tenant acme --status running --status suspended
      runtara-ctl watch --since 1h --interval 5 --json >> changes.jsonl
    """
    given = [name for name, value in filters.items() if value]
    if instance_id is not None and given:
        raise click.UsageError("name an instance, or say which are meant by options; not both")
    where = read_filter(filters, now_ms=SystemClock().now_ms())
    shown: _Shown = _Screen() if is_live() and not wants_json(otherwise=False) else _Lines()

    async def watched(sdk: ManagementSdk) -> None:
        clock = SystemClock()
        heard_at_ms = clock.now_ms()
        while True:
            try:
                if instance_id is not None:
                    instance = await sdk.get_instance_status(instance_id)
                    steps = await sdk.list_step_summaries(instance_id, sort_order="desc", limit=limit)
                    shown.instance(instance, list(reversed(steps.steps)), steps.total_count)
                    if instance.status.is_terminal:
                        return
                else:
                    page = await sdk.list_instances(**where, limit=limit)
                    gone = await _look_at(sdk, shown.unfinished(), {each.instance_id for each in page.instances})
                    shown.instances(list(page.instances), gone, page.total_count)
                heard_at_ms = clock.now_ms()
            except (TransportError, DeadlineExceededError) as error:
                if clock.now_ms() - heard_at_ms > _PATIENCE_MS:
                    raise
                shown.away(error.message)
            await clock.sleep(interval)

    try:
        ask(watched)
    except KeyboardInterrupt:
        click.get_current_context().exit(EXIT_INTERRUPTED)


async def _look_at(sdk: ManagementSdk, known: set[str], listed: set[str]) -> list[InstanceInfo]:
    """Instances that the filter does not find any more, as they are now; at most as many as one list shows."""
    found = []
    for instance_id in sorted(known - listed):
        try:
            found.append(await sdk.get_instance_status(instance_id))
        except InstanceNotFoundError:
            continue
    return found


class _Shown(ABC):
    """Where what was seen is told."""

    def unfinished(self) -> set[str]:
        """Instances that are to be looked at even when the filter does not find them any more."""
        return set()

    @abstractmethod
    def instances(self, found: list[InstanceSummary], gone: list[InstanceInfo], total_count: int) -> None:
        """Tell of the instances of a filter."""

    @abstractmethod
    def instance(self, instance: InstanceInfo, steps: list[StepSummary], total_count: int) -> None:
        """Tell of one instance and its latest steps."""

    @abstractmethod
    def away(self, reason: str) -> None:
        """Tell that the environment does not answer."""


class _Screen(_Shown):
    """A table that is replaced in place."""

    def __init__(self) -> None:
        self._screen = LiveScreen()
        self._lines: list[str] = []

    def instances(self, found: list[InstanceSummary], gone: list[InstanceInfo], total_count: int) -> None:
        del gone
        self._show(table(HEADINGS, [cells(each) for each in found]), f"{len(found)} of {total_count}, ")

    def instance(self, instance: InstanceInfo, steps: list[StepSummary], total_count: int) -> None:
        reason = f" ({instance.termination_reason})" if instance.termination_reason else ""
        lines = [f"{instance.instance_id} is {instance.status.value}{reason}"]
        if instance.error is not None:
            lines.append(one_line(" ".join(instance.error.lines())))
        if steps:
            # The latest first, so that a low terminal shows them.
            lines += ["", *table(STEP_HEADINGS, [step_cells(each) for each in reversed(steps)])]
        self._show(lines, f"{len(steps)} of {total_count} steps, " if steps else "")

    def away(self, reason: str) -> None:
        self._screen.show(self._lines, f"the environment does not answer: {one_line(reason)}")

    def _show(self, lines: list[str], counted: str) -> None:
        self._lines = lines
        self._screen.show(lines, f"{counted}at {iso_time(SystemClock().now_ms())}, Ctrl-C ends")


class _Lines(_Shown):
    """A line for each change, and one for everything that is there at first."""

    def __init__(self) -> None:
        self._states: dict[str, tuple[object, ...]] = {}
        self._unfinished: set[str] = set()
        self._as_objects = wants_json(otherwise=False)
        self._is_away = False

    def unfinished(self) -> set[str]:
        return self._unfinished

    def instances(self, found: list[InstanceSummary], gone: list[InstanceInfo], total_count: int) -> None:
        del total_count
        self._is_away = False
        states: dict[str, tuple[object, ...]] = {}
        self._unfinished = {each.instance_id for each in found if not each.status.is_terminal}
        seen: list[InstanceInfo | InstanceSummary] = [*gone, *reversed(found)]
        for each in seen:
            state = (each.status, each.termination_reason, each.started_at_ms)
            states[each.instance_id] = state
            if self._states.get(each.instance_id) != state:
                reason, image = each.termination_reason or "-", one_line(each.image_name or each.image_id)
                self._tell(
                    f"{each.instance_id} {each.status.value} {reason} {image}",
                    instance_id=each.instance_id,
                    status=each.status.value,
                    termination_reason=each.termination_reason,
                    image_name=each.image_name,
                )
        self._states = states

    def instance(self, instance: InstanceInfo, steps: list[StepSummary], total_count: int) -> None:
        del total_count
        self._is_away = False
        states: dict[str, tuple[object, ...]] = {}
        for step in steps:
            key = json_text(["step", step.scope_id, step.step_id])
            states[key] = (step.status, step.started_at_ms)
            if self._states.get(key) != states[key]:
                place = one_line(step.step_id) + (f" in {one_line(step.scope_id)}" if step.scope_id else "")
                self._tell(
                    f"step {place} {step.status.value}",
                    instance_id=instance.instance_id,
                    step_id=step.step_id,
                    scope_id=step.scope_id,
                    status=step.status.value,
                    duration_ms=step.duration_ms,
                )
        states["instance"] = (instance.status, instance.termination_reason, instance.epoch)
        if self._states.get("instance") != states["instance"]:
            self._tell(
                f"{instance.instance_id} {instance.status.value} {instance.termination_reason or '-'}",
                instance_id=instance.instance_id,
                status=instance.status.value,
                termination_reason=instance.termination_reason,
            )
        self._states = states

    def away(self, reason: str) -> None:
        if not self._is_away:
            self._is_away = True
            click.echo(f"the environment does not answer: {one_line(reason)}", err=True)

    def _tell(self, line: str, **fields: object) -> None:
        at_ms = SystemClock().now_ms()
        told = {"at_ms": at_ms, "at": iso_time(at_ms), **fields}
        click.echo(json_text(told, indent=None) if self._as_objects else f"{iso_time(at_ms)} {line}")
