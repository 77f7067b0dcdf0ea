"""The call of package `runtara.environment` that reads the output of launches."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from runtara_sdk.protocol import environment_pb2 as pb

from runtara_environment.logs import InstanceLogs, LogRequest
from runtara_environment.wire.codec import encode_status, tenant_of

_DEFAULT_BYTES = 256 * 1024


class LogHandler:
    """Decodes a call, asks for the logs, encodes the answer."""

    def __init__(self, logs: InstanceLogs) -> None:
        self._logs = logs

    @property
    def verbs(self) -> Mapping[str, Callable[[pb.RpcRequest], Awaitable[pb.RpcResponse]]]:
        """The calls that are served here."""
        return {"read_logs": self.read_logs}

    async def read_logs(self, request: pb.RpcRequest) -> pb.RpcResponse:
        """A part of the output of a launch."""
        call = request.read_logs
        piece = await self._logs.read(
            LogRequest(
                instance_id=call.instance_id,
                stream=call.stream,
                tenant_id=tenant_of(call),
                epoch=call.epoch if call.HasField("epoch") else None,
                offset=call.offset if call.HasField("offset") else None,
                tail_lines=call.tail_lines if call.HasField("tail_lines") else None,
                limit_bytes=call.limit_bytes or _DEFAULT_BYTES,
                wait_ms=call.wait_ms,
                follows=call.follows,
                only_here=call.only_here,
            )
        )
        return pb.RpcResponse(
            read_logs=pb.ReadLogsResponse(
                epoch=piece.epoch,
                offset=piece.offset,
                data=piece.data,
                dropped=piece.dropped,
                ended=piece.ended,
                next_epoch=piece.next_epoch,
                status=None if piece.status is None else encode_status(piece.status),
                missing=piece.missing,
            )
        )
