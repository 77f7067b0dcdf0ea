"""The way to the environment of another host."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from runtara_sdk.management import codec
from runtara_sdk.management.connection import EnvironmentConnection
from runtara_sdk.management.models import LogPiece
from runtara_sdk.protocol import environment_pb2 as pb

HOLD_TIMEOUT_MS = 300_000
"""How long another host may take to fetch an artifact that it is asked to hold."""


@dataclass(frozen=True, slots=True)
class ArtifactPart:
    """A part of an artifact, and the size of the whole; `found` is False when it is not there."""

    found: bool
    size_bytes: int
    content: bytes


class Peer(EnvironmentConnection):
    """Calls of one environment to another. Where there are API keys, they need that of an operator."""

    async def read_artifact(self, digest: str, offset: int) -> ArtifactPart:
        """A part of an artifact, from `offset` on."""
        message = pb.ReadArtifactRequest(digest=digest, offset=offset)
        answer = (await self._call(pb.RpcRequest(read_artifact=message), "read_artifact")).read_artifact
        return ArtifactPart(answer.found, answer.size_bytes, answer.content)

    async def read_logs(
        self,
        instance_id: str,
        stream: str,
        *,
        tenant_id: str | None,
        epoch: int | None,
        offset: int | None,
        tail_lines: int | None,
        limit_bytes: int,
        wait_ms: int,
        follows: bool,
    ) -> LogPiece:
        """What that host itself has of the output of a launch. Raises `LogsNotFoundError` when it has nothing."""
        message = pb.ReadLogsRequest(
            instance_id=instance_id,
            tenant_id=tenant_id,
            stream=stream,
            epoch=epoch,
            offset=offset,
            tail_lines=tail_lines,
            limit_bytes=limit_bytes,
            wait_ms=wait_ms,
            follows=follows,
            only_here=True,
        )
        timeout_ms = self.settings.request_timeout_ms + wait_ms
        response = await self._call(pb.RpcRequest(read_logs=message), "read_logs", timeout_ms=timeout_ms)
        return codec.decode_log_piece(response.read_logs, instance_id, stream)

    async def hold_artifact(self, digest: str, size_bytes: int) -> str | None:
        """Have another host fetch an artifact; returns why it does not hold it then, or None."""
        message = pb.HoldArtifactRequest(digest=digest, size_bytes=size_bytes)
        payload = self._encode(pb.RpcRequest(hold_artifact=message))
        answer = await self._client.call(payload, timeout_ms=HOLD_TIMEOUT_MS)
        response = codec.decode_response(answer, "hold_artifact").hold_artifact
        return None if response.held else response.error or "it gave no reason"


OpenPeer = Callable[[str], Peer]
"""Makes the way to an address, not yet connected."""
