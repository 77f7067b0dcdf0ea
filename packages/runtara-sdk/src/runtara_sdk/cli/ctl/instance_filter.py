"""Which instances a command is about: the options of `list-instances` and `watch`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click

from runtara_sdk.cli.ctl.moment_argument import read_moment
from runtara_sdk.models import InstanceStatus, TerminationReason

Decorated = TypeVar("Decorated", bound=Callable[..., Any])

_MOMENTS = {
    "since": "created_after_ms",
    "until": "created_before_ms",
    "finished_since": "finished_after_ms",
    "finished_until": "finished_before_ms",
}


def filter_options(command: Decorated) -> Decorated:
    """Options that say which instances are meant; `read_filter` takes their values."""
    for option in (
        click.option("--finished-until", metavar="MOMENT", help="Only finished before then."),
        click.option("--finished-since", metavar="MOMENT", help="Only finished since then."),
        click.option("--until", metavar="MOMENT", help="Only created before then."),
        click.option(
            "--since", metavar="MOMENT", help="Only created since then: 1h, 2d, 15min ago, or an ISO 8601 time."
        ),
        click.option("--image-name", metavar="PREFIX", help="Only of images whose names begin so."),
        click.option("--image", metavar="ID", help="Only of this image."),
        click.option(
            "--reason",
            "reasons",
            multiple=True,
            type=click.Choice([reason.value for reason in TerminationReason]),
            help="Only suspended or ended for this reason; may be repeated.",
        ),
        click.option(
            "--status",
            "statuses",
            multiple=True,
            type=click.Choice([status.value for status in InstanceStatus]),
            help="Only in this status; may be repeated.",
        ),
        click.option("--tenant", help="Only of this tenant."),
    ):
        command = option(command)
    return command


def read_filter(options: Mapping[str, Any], *, now_ms: int) -> dict[str, Any]:
    """The arguments of `ManagementSdk.list_instances` for the values of the options."""
    where: dict[str, Any] = {
        "tenant_id": options["tenant"],
        "status": tuple(map(InstanceStatus, options["statuses"])) or None,
        "termination_reason": tuple(map(TerminationReason, options["reasons"])) or None,
        "image_id": options["image"],
        "image_name_prefix": options["image_name"],
    }
    for option, name in _MOMENTS.items():
        value = options[option]
        where[name] = None if value is None else read_moment(value, f"--{option.replace('_', '-')}", now_ms=now_ms)
    return where
