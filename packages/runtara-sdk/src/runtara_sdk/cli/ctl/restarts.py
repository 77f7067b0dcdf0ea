"""Instances that go on where they failed, and forks of instances."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from runtara_sdk.cli.ctl.moment_argument import read_moment
from runtara_sdk.cli.ctl.target import ask, common_options, print_done, print_id, print_json, print_lines, wants_json
from runtara_sdk.cli.errors import EXIT_FAILED
from runtara_sdk.cli.text import one_line, table
from runtara_sdk.clock import SystemClock
from runtara_sdk.models import InstanceStatus

if TYPE_CHECKING:
    from runtara_sdk.management.models import RetriedInstances

_MOMENT_OPTIONS = {
    "--since": "created_after_ms",
    "--until": "created_before_ms",
    "--finished-since": "finished_after_ms",
    "--finished-until": "finished_before_ms",
}


@click.command()
@click.argument("instance_ids", nargs=-1, metavar="[INSTANCE_ID]...")
@click.option("--status", type=click.Choice(["failed", "cancelled"]), help="All in this status, instead of ids.")
@click.option("--tenant", help="With --status: only of this tenant.")
@click.option("--image", metavar="ID", help="With --status: only of this image.")
@click.option("--since", metavar="MOMENT", help="With --status: only created since then: 1h, 2d, an ISO 8601 time.")
@click.option("--until", metavar="MOMENT", help="With --status: only created before then.")
@click.option("--finished-since", metavar="MOMENT", help="With --status: only finished since then.")
@click.option("--finished-until", metavar="MOMENT", help="With --status: only finished before then.")
@click.option("--limit", type=click.IntRange(1, 1_000), default=100, show_default=True, help="Most instances at once.")
@click.option("--key", metavar="TEXT", help="Of one retry: given again, it changes nothing and is answered alike.")
@click.option("--dry-run", is_flag=True, help="Only say which would be retried.")
@common_options
def retry(
    instance_ids: tuple[str, ...],
    status: str | None,
    tenant: str | None,
    image: str | None,
    limit: int,
    key: str | None,
    dry_run: bool,  # noqa: FBT001 - an option of the command line
    **moments: str | None,
) -> None:
    """Let failed or cancelled instances go on where they ended.

    What is recorded is not done again; the step that failed is tried anew.
    Name instances, or say which with --status and the options that go with it.
    They are retried oldest first, and each is listed with what came of it.
    Exit code 1 means that one was refused.

    \b
    Examples:
      runtara-ctl retry order-A-1
      runtara-ctl retry order-A-1 order-A-2 --json
      runtara-ctl retry --status failed --since 1h --dry-run
      runtara-ctl retry --status failed --since 1h --image "$image" --limit 1000
    """
    filters = {"--tenant": tenant, "--image": image}
    filters |= {option: moments[option[2:].replace("-", "_")] for option in _MOMENT_OPTIONS}
    given = [option for option, value in filters.items() if value is not None]
    if instance_ids and (status is not None or given):
        raise click.UsageError(f"name instances, or give {(status and '--status') or given[0]}; not both")
    if not instance_ids and status is None:
        raise click.UsageError("name instances, or say which with --status failed")
    if key is not None and (len(instance_ids) != 1 or dry_run):
        raise click.UsageError("--key is for the retry of one instance that is named")
    if len(instance_ids) == 1 and not dry_run:
        retried = ask(lambda sdk: sdk.retry_instance(instance_ids[0], retry_key=key))
        print_done(instance_ids[0], "was retried before with this key" if retried.deduplicated else "retried")
        return
    now_ms = SystemClock().now_ms()
    where: dict[str, Any] = {"limit": limit, "dry_run": dry_run}
    if not instance_ids:
        where |= {"status": InstanceStatus(status or ""), "tenant_id": tenant, "image_id": image}
        where |= {
            name: None if (value := filters[option]) is None else read_moment(value, option, now_ms=now_ms)
            for option, name in _MOMENT_OPTIONS.items()
        }
    _show(ask(lambda sdk: sdk.retry_instances(instance_ids or None, **where)))


@click.command()
@click.argument("instance_id")
@click.option("--from", "from_step", metavar="STEP", help="The first step to be done again. [default: none is]")
@click.option("--image", metavar="ID", help="Go on with this image. [default: image and version of INSTANCE_ID]")
@click.option("--id", "fork_id", metavar="ID", help="Id of the new instance; the same fork again changes nothing.")
@click.option("--dry-run", is_flag=True, help="Only say what the new instance would begin with.")
@common_options
def fork(
    instance_id: str,
    from_step: str | None,
    image: str | None,
    fork_id: str | None,
    dry_run: bool,  # noqa: FBT001 - an option of the command line
) -> None:
    """Start a new instance with what another one recorded before a step; prints its id.

    It has the input of INSTANCE_ID, a copy of its files, and the checkpoints
    that were recorded before the first record of STEP: a step of the scenario,
    a @durable function or a checkpoint. What comes from there on is done again.
    Without --from all that is recorded is kept. INSTANCE_ID does not change.

    \b
    Examples:
      runtara-ctl fork order-A-1 --from charge
      runtara-ctl fork order-A-1 --from charge --image "$image" --id order-A-1-again
      runtara-ctl fork order-A-1 --from charge --dry-run
    """
    forked = ask(
        lambda sdk: sdk.fork_instance(
            instance_id, from_step=from_step, image_id=image, instance_id=fork_id, dry_run=dry_run
        )
    )
    last = "" if forked.last_copied is None else f", the last is {one_line(forked.last_copied, longest=1_000)}"
    counted = f"{forked.copied} checkpoints{last}; {forked.left_out} are left out"
    if not dry_run:
        print_id(forked, forked.instance_id)
        if forked.deduplicated:
            click.echo(f"{forked.instance_id} was forked before, with {counted}", err=True)
    elif wants_json():
        print_json(forked)
    else:
        click.echo(f"a fork of {instance_id} would begin with {counted}")


def _show(retried: RetriedInstances) -> None:
    if wants_json():
        print_json(retried)
    else:
        done = "would be retried" if retried.dry_run else "retried"
        rows = [
            (
                outcome.instance_id,
                done if outcome.accepted else "refused",
                "" if outcome.reason is None else one_line(outcome.reason, longest=500),
            )
            for outcome in retried.outcomes
        ]
        print_lines(table(("INSTANCE", "RESULT", "REASON"), rows))
    if len(retried.outcomes) < retried.total_count:
        left = "--limit takes more, up to 1000" if retried.dry_run else "the same command again retries the next"
        click.echo(f"{len(retried.outcomes)} of {retried.total_count}; {left}", err=True)
    if not all(outcome.accepted for outcome in retried.outcomes):
        click.get_current_context().exit(EXIT_FAILED)
