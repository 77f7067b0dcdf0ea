"""One method a call of package `runtara.environment`.

Answers with `success` and `error` fields carry domain failures there, with their code; other calls fail with an
`RpcError`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial

from google.protobuf.message import DecodeError
from runtara_core.wire.dispatch import HANDLER_SECONDS, RpcDispatcher
from runtara_core.wire.uploads import UPLOAD_SECONDS, UploadRoom, receive
from runtara_sdk.errors import InstanceNotFoundError, InvalidInputError, ProtocolError, RuntaraError
from runtara_sdk.management.codec import decode_limits
from runtara_sdk.models import CustomSignal
from runtara_sdk.protocol import environment_pb2 as pb
from runtara_sdk.protocol.frame import Frame, FrameType
from runtara_sdk.transport import RequestStream, read_request

from runtara_environment.agents import AgentServices
from runtara_environment.service import EnvironmentService
from runtara_environment.wire.agent_handler import AgentHandler
from runtara_environment.wire.codec import (
    decode_signal_type,
    encode_earlier_start,
    encode_instance_status,
    encode_refused_start,
    tenant_of,
)
from runtara_environment.wire.host_handler import HostHandler
from runtara_environment.wire.image_handler import ImageHandler
from runtara_environment.wire.list_handler import ListHandler
from runtara_environment.wire.log_handler import LogHandler
from runtara_environment.wire.refusals import require_final
from runtara_environment.wire.restart_handler import RestartHandler
from runtara_environment.wire.tenant_gate import TenantGate

_REQUEST_SECONDS = 60.0
_IMAGE_UPLOAD_SECONDS = 600.0
_UPLOAD_BYTES = 128 * 1024 * 1024
"""Bytes of inputs that are received at a time; what is above waits with its sender."""
_QUERIES = frozenset(
    {
        "health_check",
        "list_images",
        "get_image",
        "get_instance_status",
        "list_instances",
        "list_checkpoints",
        "get_checkpoint",
        "list_events",
        "list_agents",
        "get_capability",
        "get_tenant_metrics",
        "get_scope_ancestors",
        "list_step_summaries",
        "list_hosts",
        "read_artifact",
        "read_logs",
        "read_input",
    }
)
_ENDED_WITH_CALLER = _QUERIES | {"test_capability"}
"""Calls that may be ended anywhere; the others change something in more than one place, and are seen through."""


def _seconds_of(request: pb.RpcRequest) -> float | None:
    return HANDLER_SECONDS if request.WhichOneof("request") in _QUERIES else None


class EnvironmentHandler:
    """Decodes a call, asks the service, encodes the answer."""

    def __init__(self, service: EnvironmentService, agents: AgentServices, gate: TenantGate) -> None:
        self._service = service
        self._room = UploadRoom(_UPLOAD_BYTES)
        self._images = ImageHandler(service)
        self.dispatcher = RpcDispatcher(
            pb.RpcRequest,
            pb.RpcResponse,
            {
                **self._images.verbs,
                **AgentHandler(agents).verbs,
                **RestartHandler(service).verbs,
                **ListHandler(service).verbs,
                **HostHandler(service.hosts, service.exchange).verbs,
                **LogHandler(service.logs).verbs,
                "health_check": self.health_check,
                "start_instance": self.start_instance,
                "read_input": self.read_input,
                "stop_instance": self.stop_instance,
                "resume_instance": self.resume_instance,
                "get_instance_status": self.get_instance_status,
                "send_signal": self.send_signal,
                "send_custom_signal": self.send_custom_signal,
            },
            authorize=gate.authorize,
            seconds_of=_seconds_of,
        )

    async def handle_stream(self, stream: RequestStream) -> None:
        """Serve one call; a streamed upload goes on with raw bytes behind its request frame."""
        now = asyncio.get_running_loop().time
        payload = await read_request(stream, now() + _REQUEST_SECONDS)
        request = pb.RpcRequest()
        try:
            request.ParseFromString(payload)
        except DecodeError as error:
            raise ProtocolError(f"not a runtara.environment.RpcRequest: {error}") from error
        verb = request.WhichOneof("request")
        if verb == "register_image_stream":
            chunks = stream.read_chunks(now() + _IMAGE_UPLOAD_SECONDS)
            answer = await self.dispatcher.answer(request, partial(self._images.register_image_stream, chunks=chunks))
        elif verb == "start_instance_stream":
            chunks = stream.read_chunks(now() + UPLOAD_SECONDS)
            answer = await self.dispatcher.answer(request, partial(self.start_instance_stream, chunks=chunks))
        elif verb in _ENDED_WITH_CALLER:
            stream.end_with_caller(asyncio.current_task())
            try:
                answer = await self.dispatcher.serve(payload)
            finally:
                stream.end_with_caller(None)
        else:
            answer = await self.dispatcher.serve(payload)
        await stream.write_frame(Frame(FrameType.RESPONSE, answer), deadline=now() + _REQUEST_SECONDS)

    async def health_check(self, _request: pb.RpcRequest) -> pb.RpcResponse:
        """Health of environment and core."""
        health = await self._service.health_check()
        return pb.RpcResponse(
            health_check=pb.HealthCheckResponse(
                healthy=health.healthy,
                version=health.version,
                uptime_ms=health.uptime_ms,
                active_instances=health.active_instances,
            )
        )

    # Instances

    async def start_instance(self, request: pb.RpcRequest) -> pb.RpcResponse:
        """Accept a start."""
        return await self._start(request.start_instance, request.start_instance.input)

    async def start_instance_stream(self, request: pb.RpcRequest, chunks: AsyncIterator[bytes]) -> pb.RpcResponse:
        """Accept a start whose input follows on the stream."""
        call = request.start_instance_stream
        try:
            self._service.require_input_size(call.input_bytes)
            async with self._room.take(call.input_bytes, call.tenant_id):
                return await self._start(call, await receive(chunks, call.input_bytes))
        except InvalidInputError as error:
            return pb.RpcResponse(start_instance=encode_refused_start(error))

    async def read_input(self, request: pb.RpcRequest) -> pb.RpcResponse:
        """A part of an input."""
        call = request.read_input
        part = await self._service.read_input(
            call.instance_id, offset=call.offset, limit_bytes=call.limit_bytes, tenant_id=tenant_of(call)
        )
        return pb.RpcResponse(read_input=pb.ReadInputResponse(data=part.data, total_bytes=part.total_bytes))

    async def _start(self, call: pb.StartInstanceRequest, input_json: bytes) -> pb.RpcResponse:
        try:
            started = await self._service.start_instance(
                call.image_id,
                call.tenant_id,
                instance_id=call.instance_id if call.HasField("instance_id") else None,
                input_json=input_json,
                timeout_seconds=call.timeout_seconds if call.HasField("timeout_seconds") else None,
                env=dict(call.env),
                cancel_grace_seconds=call.cancel_grace_seconds if call.HasField("cancel_grace_seconds") else None,
                image_version=call.image_version if call.HasField("image_version") else None,
                limits=decode_limits(call.limits),
            )
        except RuntaraError as error:
            require_final(error)
            return pb.RpcResponse(start_instance=encode_refused_start(error))
        return pb.RpcResponse(
            start_instance=pb.StartInstanceResponse(
                success=True,
                instance_id=started.instance_id,
                deduplicated=started.deduplicated,
                earlier=None if started.earlier is None else encode_earlier_start(started.earlier),
            )
        )

    async def stop_instance(self, request: pb.RpcRequest) -> pb.RpcResponse:
        """Cancel and end the process."""
        call = request.stop_instance
        try:
            await self._service.stop_instance(
                call.instance_id,
                grace_seconds=call.grace_period_seconds,
                reason=call.reason,
                tenant_id=tenant_of(call),
            )
        except RuntaraError as error:
            require_final(error)
            return pb.RpcResponse(
                stop_instance=pb.StopInstanceResponse(success=False, error=error.message, error_code=error.code)
            )
        return pb.RpcResponse(stop_instance=pb.StopInstanceResponse(success=True))

    async def resume_instance(self, request: pb.RpcRequest) -> pb.RpcResponse:
        """Make a suspended instance due now."""
        call = request.resume_instance
        try:
            await self._service.resume_instance(call.instance_id, tenant_id=tenant_of(call))
        except RuntaraError as error:
            require_final(error)
            return pb.RpcResponse(
                resume_instance=pb.ResumeInstanceResponse(success=False, error=error.message, error_code=error.code)
            )
        return pb.RpcResponse(resume_instance=pb.ResumeInstanceResponse(success=True))

    async def get_instance_status(self, request: pb.RpcRequest) -> pb.RpcResponse:
        """One instance, whole; an unknown one is told by `found` and, for old clients, by an error text."""
        call = request.get_instance_status
        try:
            instance = await self._service.get_instance(call.instance_id, tenant_id=tenant_of(call))
        except InstanceNotFoundError as error:
            return pb.RpcResponse(
                get_instance_status=pb.GetInstanceStatusResponse(
                    instance_id=call.instance_id, status=pb.STATUS_UNKNOWN, error=error.message, found=False
                )
            )
        names = await self._service.registry.find_names([instance.image_id] if instance.image_id else [])
        return pb.RpcResponse(
            get_instance_status=encode_instance_status(instance, names.get(instance.image_id or "", ""))
        )

    async def send_signal(self, request: pb.RpcRequest) -> pb.RpcResponse:
        """Cancel, pause or resume."""
        call = request.send_signal
        try:
            await self._service.send_signal(
                call.instance_id, decode_signal_type(call.signal_type), call.payload, tenant_id=tenant_of(call)
            )
        except RuntaraError as error:
            require_final(error)
            return pb.RpcResponse(
                send_signal=pb.SendSignalResponse(success=False, error=error.message, error_code=error.code)
            )
        return pb.RpcResponse(send_signal=pb.SendSignalResponse(success=True))

    async def send_custom_signal(self, request: pb.RpcRequest) -> pb.RpcResponse:
        """Leave a payload for a checkpoint id."""
        call = request.send_custom_signal
        try:
            await self._service.send_custom_signal(
                call.instance_id, CustomSignal(call.checkpoint_id, call.payload), tenant_id=tenant_of(call)
            )
        except RuntaraError as error:
            require_final(error)
            return pb.RpcResponse(
                send_custom_signal=pb.SendCustomSignalResponse(
                    success=False, error=error.message, error_code=error.code
                )
            )
        return pb.RpcResponse(send_custom_signal=pb.SendCustomSignalResponse(success=True))
