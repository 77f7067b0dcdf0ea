"""The calls of package `runtara.environment` that let instances go on, or begin with records of others."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from runtara_sdk.errors import RuntaraError
from runtara_sdk.protocol import environment_pb2 as pb

from runtara_environment.service import EnvironmentService
from runtara_environment.wire.codec import tenant_of
from runtara_environment.wire.refusals import require_final


class RestartHandler:
    """Decodes a call, asks the service, encodes the answer."""

    def __init__(self, service: EnvironmentService) -> None:
        self._service = service

    @property
    def verbs(self) -> Mapping[str, Callable[[pb.RpcRequest], Awaitable[pb.RpcResponse]]]:
        """The calls that are served here."""
        return {"retry_instance": self.retry_instance, "fork_instance": self.fork_instance}

    async def retry_instance(self, request: pb.RpcRequest) -> pb.RpcResponse:
        """Let an ended instance go on where it ended."""
        call = request.retry_instance
        try:
            retried = await self._service.restarts.retry_instance(
                call.instance_id,
                retry_key=call.retry_key if call.HasField("retry_key") else None,
                tenant_id=tenant_of(call),
            )
        except RuntaraError as error:
            require_final(error)
            return pb.RpcResponse(
                retry_instance=pb.RetryInstanceResponse(success=False, error=error.message, error_code=error.code)
            )
        return pb.RpcResponse(retry_instance=pb.RetryInstanceResponse(success=True, deduplicated=retried.deduplicated))

    async def fork_instance(self, request: pb.RpcRequest) -> pb.RpcResponse:
        """Start an instance with what another one recorded before a step."""
        call = request.fork_instance
        try:
            forked = await self._service.restarts.fork_instance(
                call.origin_id,
                instance_id=call.instance_id if call.HasField("instance_id") else None,
                from_step=call.from_step if call.HasField("from_step") else None,
                image_id=call.image_id if call.HasField("image_id") else None,
                tenant_id=tenant_of(call),
                dry_run=call.dry_run,
            )
        except RuntaraError as error:
            require_final(error)
            return pb.RpcResponse(
                fork_instance=pb.ForkInstanceResponse(success=False, error=error.message, error_code=error.code)
            )
        return pb.RpcResponse(
            fork_instance=pb.ForkInstanceResponse(
                success=True,
                instance_id=forked.instance_id,
                deduplicated=forked.deduplicated,
                copied=forked.copied,
                left_out=forked.left_out,
                last_copied=forked.last_copied,
            )
        )
