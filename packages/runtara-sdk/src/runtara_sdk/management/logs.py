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

        The output of a launch on another host is fetched from there, as long as its environment can be reached.

        Raises `InstanceNotFoundError`, `LogsNotFoundError`, or `LogsOnOtherHostError` with the name of the host.
        """
        return await self._read_logs(instance_id, stream, epoch, offset, tail_lines, limit_bytes, wait_ms)

    async def _read_logs(
        self,
        instance_id: str,
        stream: str,
        epoch: int | None,
        offset: int | None,
        tail_lines: int | None,
        limit_bytes: int | None,
        wait_ms: int,
        *,
        follows: bool = False,
    ) -> LogPiece:
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
            follows=follows,
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

        Goes on through suspensions and relaunches on whatever host, and through restarts of the environment (up to
        2 min). A launch of which nothing is to be had is told as a piece that is `missing`, unless it never began. The
        last piece says that the launch has `ended` and with which `status`; it may have no data.

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
                piece = await self._read_logs(
                    instance_id,
                    stream,
                    epoch,
                    offset,
                    tail_lines if offset is None else None,
                    None,
                    _WAIT_MS,
                    follows=True,
                )
            except RuntaraError as error:
                if not _may_pass(error) or clock.now_ms() - heard_at_ms > AWAY_AT_MOST_MS:
                    raise
                await clock.sleep(_AGAIN_SECONDS)
                continue
            heard_at_ms = clock.now_ms()
            has_ended = piece.ended or piece.epoch == 0
            is_last = has_ended and piece.next_epoch is None and piece.status is not None and piece.status.is_terminal
            if piece.data or piece.dropped or piece.missing or is_last:
                yield piece
            if is_last:
                return
            if piece.missing:  # of the next one it is said whether it begins
                epoch, offset, tail_lines = piece.epoch + 1, 0, None
            elif has_ended and piece.next_epoch is not None:
                epoch, offset, tail_lines = piece.next_epoch, 0, None
            elif piece.epoch:
                epoch, offset = piece.epoch, piece.next_offset
            goes_on = piece.missing or (has_ended and piece.next_epoch is not None)
            if not piece.data and not goes_on and heard_at_ms - asked_at_ms < _SHORTEST_POLL_MS:
                await clock.sleep(_AGAIN_SECONDS)  # the environment holds back no more questions at the moment


def _may_pass(error: RuntaraError) -> bool:
    return error.retryable or isinstance(error, TransportError | DeadlineExceededError)
