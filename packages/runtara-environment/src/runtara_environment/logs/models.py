"""Questions about the output of instances, and answers."""

from __future__ import annotations

from dataclasses import dataclass

from runtara_sdk.models import InstanceStatus

STREAMS = ("stdout", "stderr")


@dataclass(frozen=True, slots=True)
class LogRequest:
    """Which output is asked for.

    Attributes:
        instance_id: whose.
        stream: `stdout` or `stderr`.
        tenant_id: whose instance it must be; None for an operator.
        epoch: of the launch; None for the newest.
        offset: bytes of the stream before the first that is wanted; None for all that is kept.
        tail_lines: instead of an offset, the newest so many lines.
        limit_bytes: most bytes of the answer.
        wait_ms: how long to wait for output, for the end of the launch, or for the next one.
        follows: whether the caller goes from launch to launch: each that was claimed is told then, and one of which
            nothing is to be had is `missing` instead of an error.
        only_here: whether other hosts are left out.
    """

    instance_id: str
    stream: str
    tenant_id: str | None = None
    epoch: int | None = None
    offset: int | None = None
    tail_lines: int | None = None
    limit_bytes: int = 256 * 1024
    wait_ms: int = 0
    follows: bool = False
    only_here: bool = False


@dataclass(frozen=True, slots=True)
class LogPiece:
    """A part of what one launch has written.

    Attributes:
        epoch: of the launch; 0 when there has been none.
        offset: bytes of the stream before `data`.
        data: what was written from there on, undecoded.
        dropped: output between the offset that was asked for and `offset` is not kept any more.
        ended: the launch has ended, and nothing follows `data`.
        next_epoch: of the launch after it, when there has been one; to a caller that follows, when one was claimed.
        status: of the instance, when it was looked at; None while the launch runs.
        missing: no host that is there has output of this launch; told to a caller that follows.
    """

    epoch: int
    offset: int
    data: bytes
    dropped: bool = False
    ended: bool = False
    next_epoch: int | None = None
    status: InstanceStatus | None = None
    missing: bool = False
