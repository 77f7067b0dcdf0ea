"""What the programs of an instance have written, printed once or followed."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from runtara_sdk.cli.ctl.target import ask, wants_json
from runtara_sdk.cli.terminal_text import OutputPrinter
from runtara_sdk.cli.text import json_text

if TYPE_CHECKING:
    from runtara_sdk.management import ManagementSdk
    from runtara_sdk.management.models import LogPiece

BOTH = "both"


def print_output(instance_id: str, stream: str, *, epoch: int | None, tail_lines: int | None, follow: bool) -> None:
    """Print the output of a launch, or follow it over further launches until the instance has ended.

    With --json each part is a JSON object on a line of its own. Both streams come on standard output, each line with
    the name of its stream before it.
    """
    streams = ("stdout", "stderr") if stream == BOTH else (stream,)

    async def show(sdk: ManagementSdk) -> None:
        show_stream = partial(
            _show, sdk, instance_id, epoch=epoch, tail_lines=tail_lines, follow=follow, named=len(streams) > 1
        )
        # Side by side while they are followed, one after the other when they are not.
        if not follow:
            for each in streams:
                await show_stream(each)
            return
        async with asyncio.TaskGroup() as group:
            for each in streams:
                group.create_task(show_stream(each))

    try:
        ask(show)
    except* Exception as group:  # noqa: BLE001 - one stream's failure is the command's
        raise group.exceptions[0] from None


async def _show(
    sdk: ManagementSdk,
    instance_id: str,
    stream: str,
    *,
    epoch: int | None,
    tail_lines: int | None,
    follow: bool,
    named: bool,
) -> None:
    as_objects = wants_json(otherwise=False)
    printer = OutputPrinter(prefix=f"{stream} | " if named else "")
    shown_epoch = None
    async for piece in _pieces(sdk, instance_id, stream, epoch, tail_lines, follow=follow):
        if as_objects:
            click.echo(json_text(_as_object(piece), indent=None))
            continue
        if shown_epoch not in (None, piece.epoch):
            printer.finish()
            click.echo(f"--- launch {piece.epoch}", err=True)
        shown_epoch = piece.epoch
        if piece.missing:
            click.echo(f"--- no host that is there has output of launch {piece.epoch} ({stream})", err=True)
        if piece.dropped:
            click.echo(f"--- older output of {stream} is not kept any more", err=True)
        printer.write(piece.data)
    printer.finish()


async def _pieces(
    sdk: ManagementSdk, instance_id: str, stream: str, epoch: int | None, tail_lines: int | None, *, follow: bool
) -> AsyncIterator[LogPiece]:
    if follow:
        async for piece in sdk.follow_logs(instance_id, stream=stream, epoch=epoch, tail_lines=tail_lines):
            yield piece
        return
    piece = await sdk.read_logs(instance_id, stream=stream, epoch=epoch, tail_lines=tail_lines)
    yield piece
    until = piece.next_offset
    while piece.data and piece.epoch:  # what is written meanwhile is left out, or a busy program would be followed
        piece = await sdk.read_logs(instance_id, stream=stream, epoch=piece.epoch, offset=piece.next_offset)
        if piece.data:
            yield piece
        if piece.next_offset - until > 16 * 1024 * 1024:
            return


def _as_object(piece: LogPiece) -> dict[str, Any]:
    try:
        text, encoded = piece.data.decode(), None
    except UnicodeDecodeError:
        text, encoded = piece.data.decode(errors="replace"), base64.b64encode(piece.data).decode()
    return {
        "instance_id": piece.instance_id,
        "stream": piece.stream,
        "epoch": piece.epoch,
        "offset": piece.offset,
        "text": text,
        **({} if encoded is None else {"base64": encoded}),
        "dropped": piece.dropped,
        "missing": piece.missing,
        "ended": piece.ended,
        "status": None if piece.status is None else piece.status.value,
    }
