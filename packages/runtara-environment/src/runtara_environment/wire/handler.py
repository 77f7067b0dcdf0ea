"""One method a call of package `runtara.environment`.

Answers with `success` and `error` fields carry domain failures there, with their code; other calls fail with an
`RpcError`.
"""

from __future__ import annotations

import asyncio
from functools import partial

from google.protobuf.message import DecodeError
from runtara_core.models import InstanceFilter
from runtara_core.wire.dispatch import HANDLER_SECONDS, RpcDispatcher
from runtara_sdk.errors import InstanceNotFoundError, ProtocolError, RuntaraError
from runtara_sdk.models import CustomSignal
from runtara_sdk.protocol import environment_pb2 as pb
from runtara_sdk.protocol.frame import Frame, FrameType
from runtara_sdk.transport import RequestStream, read_request

from runtara_environment.agents import AgentServices
from runtara_environment.service import EnvironmentService
from runtara_environment.wire.agent_handler import AgentHandler
from runtara_environment.wire.codec import (
    decode_event_filter,
    decode_signal_type,
    decode_status,
    encode_checkpoint_summary,
    encode_earlier_start,
    encode_event,
    encode_instance_status,
    encode_instance_summary,
    page_limit,
    tenant_of,
)
from runtara_environment.wire.image_handler import ImageHandler
from runtara_environment.wire.refusals import require_final
from runtara_environment.wire.restart_handler import RestartHandler
from runtara_environment.wire.tenant_gate import TenantGate

_REQUEST_SECONDS = 60.0
_UPLOAD_SECONDS = 600.0
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
        self._images = ImageHandler(service)
        self.dispatcher = RpcDispatcher(
            pb.RpcRequest,
            pb.RpcResponse,
            {
                **self._images.verbs,
                **AgentHandler(agents).verbs,
                **RestartHandler(service).verbs,
                "health_check": self.health_check,
                "start_instance": self.start_instance,
                "stop_instance": self.stop_instance,
                "resume_instance": self.resume_instance,
                "get_instance_status": self.get_instance_status,
                "list_instances": self.list_instances,
                "send_signal": self.send_signal,
                "send_custom_signal": self.send_custom_signal,
                "list_checkpoints": self.list_checkpoints,
                "get_checkpoint": self.get_checkpoint,
                "list_events": self.list_events,
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
            chunks = stream.read_chunks(now() + _UPLOAD_SECONDS)
            answer = await self.dispatcher.answer(request, partial(self._images.register_image_stream, chunks=chunks))
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
        call = request.start_instance
        try:
            started = await self._service.start_instance(
                call.image_id,
                call.tenant_id,
                instance_id=call.instance_id if call.HasField("instance_id") else None,
                input_json=call.input,
                timeout_seconds=call.timeout_seconds if call.HasField("timeout_seconds") else None,
                env=dict(call.env),
                cancel_grace_seconds=call.cancel_grace_seconds if call.HasField("cancel_grace_seconds") else None,
                image_version=call.image_version if call.HasField("image_version") else None,
            )
        except RuntaraError as error:
            require_final(error)
            return pb.RpcResponse(
                start_instance=pb.StartInstanceResponse(success=False, error=error.message, error_code=error.code)
            )
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
                call.instance_id, grace_seconds=call.grace_period_seconds, tenant_id=tenant_of(call)
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

    async def list_instances(self, request: pb.RpcRequest) -> pb.RpcResponse:
        """A page of instances."""
        call = request.list_instances
        image_ids: tuple[str, ...] | None = (call.image_id,) if call.HasField("image_id") else None
        if call.HasField("image_name_prefix"):
            named = await self._service.registry.find_by_name_prefix(call.image_name_prefix, tenant_id=tenant_of(call))
            image_ids = tuple(named) if image_ids is None else tuple(set(named) & set(image_ids))
        page = await self._service.list_instances(
            InstanceFilter(
                tenant_id=tenant_of(call),
                statuses=(decode_status(call.status),) if call.HasField("status") else (),
                image_ids=image_ids,
                created_after_ms=call.created_after_ms if call.HasField("created_after_ms") else None,
                created_before_ms=call.created_before_ms if call.HasField("created_before_ms") else None,
                finished_after_ms=call.finished_after_ms if call.HasField("finished_after_ms") else None,
                finished_before_ms=call.finished_before_ms if call.HasField("finished_before_ms") else None,
                order_by=call.order_by or "created_at_desc",
                limit=page_limit(call.limit),
                offset=call.offset,
            )
        )
        names = await self._service.registry.find_names(
            sorted({instance.image_id for instance in page.instances if instance.image_id})
        )
        return pb.RpcResponse(
            list_instances=pb.ListInstancesResponse(
                instances=[
                    encode_instance_summary(instance, names.get(instance.image_id or "", ""))
                    for instance in page.instances
                ],
                total_count=page.total_count,
            )
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

    # Records

    async def list_checkpoints(self, request: pb.RpcRequest) -> pb.RpcResponse:
        """A page of checkpoints."""
        call = request.list_checkpoints
        limit = page_limit(call.limit)
        page = await self._service.list_checkpoints(
            call.instance_id, limit=limit, offset=call.offset, tenant_id=tenant_of(call)
        )
        return pb.RpcResponse(
            list_checkpoints=pb.ListCheckpointsResponse(
                checkpoints=[encode_checkpoint_summary(item) for item in page.checkpoints],
                total_count=page.total_count,
                limit=limit,
                offset=call.offset,
            )
        )

    async def get_checkpoint(self, request: pb.RpcRequest) -> pb.RpcResponse:
        """One checkpoint with its state."""
        call = request.get_checkpoint
        record = await self._service.get_checkpoint(call.instance_id, call.checkpoint_id, tenant_id=tenant_of(call))
        if record is None:
            return pb.RpcResponse(get_checkpoint=pb.GetCheckpointResponse(found=False))
        return pb.RpcResponse(
            get_checkpoint=pb.GetCheckpointResponse(
                found=True,
                checkpoint_id=record.checkpoint_id,
                instance_id=record.instance_id,
                created_at_ms=record.created_at_ms,
                data=record.state,
            )
        )

    async def list_events(self, request: pb.RpcRequest) -> pb.RpcResponse:
        """A page of events."""
        call = request.list_events
        where = decode_event_filter(call)
        page = await self._service.list_events(call.instance_id, where, tenant_id=tenant_of(call))
        return pb.RpcResponse(
            list_events=pb.ListEventsResponse(
                events=[encode_event(event) for event in page.events],
                total_count=page.total_count,
                limit=where.limit,
                offset=where.offset,
            )
        )
