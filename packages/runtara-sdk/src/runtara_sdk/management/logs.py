"""What the programs of instances write to standard output and standard error."""

from __future__ import annotations

from collections.abc import AsyncIterator

from runtara_sdk.clock import Clock, SystemClock
from runtara_sdk.errors import DeadlineExceededError, InvalidInputError, RuntaraError, TransportError
from runtara_sdk.management import codec
from runtara_sdk.management.completion import AWAY_AT_MOST_MS
from runtara_sdk.management.connection import EnvironmentConnection
from runtara_sdk.management.models import LogPiece
from runtara_sdk.protocol import environment_pb2 as pb

STREAMS = ("stdout", "stderr")
_WAIT_MS = 20_000
_SHORTEST_POLL_MS = 1_000
_AGAIN_SECONDS = 0.5


class LogVerbs(EnvironmentConnection):
    """The part of `ManagementSdk` that reads the output of launches."""

    async def read_logs(
        self,
        instance_id: str,
        *,
        stream: str = "stderr",
        epoch: int | None = None,
        offset: int | None = None,
        tail_lines: int | None = None,
        limit_bytes: int | None = None,
        wait_ms: int = 0,
    ) -> LogPiece:
        """A part of what a launch has written, while it runs or afterwards.

        The newest output is kept, 8 MiB of each stream, and that of the newest five launches.

        Args:
            instance_id: the instance.
            stream: `stdout` or `stderr`.
            epoch: number of the launch; None is the newest.
            offset: bytes of the stream before the first that is wanted, `next_offset` of the piece before; None is all
                that is kept.
            tail_lines: instead of an offset, the newest so many lines.
            limit_bytes: most bytes of the answer; None is 256 KiB, and at most 1 MiB comes at once.
            wait_ms: how long the environment may wait for something new, at most 25 000.

        Raises `InstanceNotFoundError`, `LogsNotFoundError`, or `LogsOnOtherHostError` with the name of the host.
        """
        if stream not in STREAMS:
            raise InvalidInputError(f"stream {stream!r} is not known: use stdout or stderr")
        message = pb.ReadLogsRequest(
            instance_id=instance_id,
            tenant_id=self.settings.tenant_id,
            stream=stream,
            epoch=epoch,
            offset=offset,
            tail_lines=tail_lines,
            limit_bytes=limit_bytes or 0,
            wait_ms=wait_ms,
        )
        timeout_ms = self.settings.request_timeout_ms + wait_ms
        response = await self._call(pb.RpcRequest(read_logs=message), "read_logs", timeout_ms=timeout_ms)
        return codec.decode_log_piece(response.read_logs, instance_id, stream)

    async def follow_logs(
        self,
        instance_id: str,
        *,
        stream: str = "stderr",
        epoch: int | None = None,
        tail_lines: int | None = None,
        clock: Clock | None = None,
    ) -> AsyncIterator[LogPiece]:
        """What the launches of an instance write, as it comes, until the instance has ended.

        Goes on through suspensions and relaunches, and through restarts of the environment (up to 2 min). The last
        piece says that the launch has `ended` and with which `status`; it may have no data.

        Args:
            instance_id: the instance.
            stream: `stdout` or `stderr`.
            epoch: the launch to begin with; None is the newest.
            tail_lines: begin with the newest so many lines; None begins with all that is kept.
            clock: for tests.
        """
        clock = clock or SystemClock()
        heard_at_ms = clock.now_ms()
        offset: int | None = None
        while True:
            asked_at_ms = clock.now_ms()
            try:
                piece = await self.read_logs(
                    instance_id,
                    stream=stream,
                    epoch=epoch,
                    offset=offset,
                    tail_lines=tail_lines if offset is None else None,
                    wait_ms=_WAIT_MS,
                )
            except RuntaraError as error:
                if not _may_pass(error) or clock.now_ms() - heard_at_ms > AWAY_AT_MOST_MS:
                    raise
                await clock.sleep(_AGAIN_SECONDS)
                continue
            heard_at_ms = clock.now_ms()
            has_ended = piece.ended or piece.epoch == 0
            is_last = has_ended and piece.next_epoch is None and piece.status is not None and piece.status.is_terminal
            if piece.data or piece.dropped or is_last:
                yield piece
            if is_last:
                return
            if has_ended and piece.next_epoch is not None:
                epoch, offset, tail_lines = piece.next_epoch, 0, None
            elif piece.epoch:
                epoch, offset = piece.epoch, piece.next_offset
            if not piece.data and piece.next_epoch is None and heard_at_ms - asked_at_ms < _SHORTEST_POLL_MS:
                await clock.sleep(_AGAIN_SECONDS)  # the environment holds back no more questions at the moment


def _may_pass(error: RuntaraError) -> bool:
    return error.retryable or isinstance(error, TransportError | DeadlineExceededError)
