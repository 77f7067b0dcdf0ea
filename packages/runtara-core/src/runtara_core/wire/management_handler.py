"""The management port: one method a call of package `runtara.management`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial
from typing import TypeVar

from google.protobuf.message import DecodeError
from runtara_sdk.errors import InvalidInputError, ProtocolError
from runtara_sdk.models import CustomSignal
from runtara_sdk.protocol import management_pb2 as pb
from runtara_sdk.transport import RequestStream

from runtara_core.management import CoreManagement
from runtara_core.management_service import MAX_PAGE
from runtara_core.models import (
    MAX_INLINE_INPUT_BYTES,
    MAX_STORED_INPUT_BYTES,
    ExitReport,
    Instance,
    InstanceFork,
    LaunchClaim,
    LeaseKey,
    NewInstance,
)
from runtara_core.security import KeyRing
from runtara_core.wire.dispatch import HANDLER_SECONDS, RpcDispatcher
from runtara_core.wire.management_codec import (
    decode_checkpoint_filter,
    decode_event_filter,
    decode_instance_filter,
    decode_metrics_range,
    decode_model,
    decode_signal_type,
    decode_step_filter,
    encode_model,
    encode_status,
)
from runtara_core.wire.uploads import UPLOAD_SECONDS, UploadRoom, receive

_UPLOAD_BYTES = 128 * 1024 * 1024
"""Bytes of inputs that are received at a time."""

Carrier = TypeVar("Carrier", Instance, LaunchClaim)


def _seconds_of(request: pb.RpcRequest) -> float | None:
    return None if request.WhichOneof("request") == "claim_launches" else HANDLER_SECONDS


class ManagementHandler:
    """Decodes a call, asks the management service, encodes the answer.

    Where there are keys, every call but the health check needs an operator's.
    """

    def __init__(self, core: CoreManagement, keys: KeyRing) -> None:
        self._core = core
        self._keys = keys
        self._room = UploadRoom(_UPLOAD_BYTES)
        self.dispatcher = RpcDispatcher(
            pb.RpcRequest,
            pb.RpcResponse,
            {
                "health_check": self.health_check,
                "create_instance": self.create_instance,
                "read_input": self.read_input,
                "get_instance": self.get_instance,
                "get_instance_status": self.get_instance_status,
                "list_instances": self.list_instances,
                "send_signal": self.send_signal,
                "send_custom_signal": self.send_custom_signal,
                "claim_launches": self.claim_launches,
                "renew_leases": self.renew_leases,
                "pending_cancels": self.pending_cancels,
                "last_contacts": self.last_contacts,
                "expire_leases": self.expire_leases,
                "report_exit": self.report_exit,
                "report_launch_failure": self.report_launch_failure,
                "list_checkpoints": self.list_checkpoints,
                "get_checkpoint": self.get_checkpoint,
                "list_events": self.list_events,
                "list_step_summaries": self.list_step_summaries,
                "get_scope_ancestors": self.get_scope_ancestors,
                "get_tenant_metrics": self.get_tenant_metrics,
                "retry_instance": self.retry_instance,
                "fork_instance": self.fork_instance,
            },
            authorize=self._authorize,
            seconds_of=_seconds_of,
        )

    async def serve(self, payload: bytes, stream: RequestStream) -> bytes:
        """Answer a call; the input of a streamed creation follows the request."""
        request = pb.RpcRequest()
        try:
            request.ParseFromString(payload)
        except DecodeError as error:
            raise ProtocolError(f"not a runtara.management.RpcRequest: {error}") from error
        if request.WhichOneof("request") != "create_instance_stream":
            return await self.dispatcher.serve(payload)
        chunks = stream.read_chunks(asyncio.get_running_loop().time() + UPLOAD_SECONDS)
        return await self.dispatcher.answer(request, partial(self.create_instance_stream, chunks=chunks))

    async def _authorize(self, request: pb.RpcRequest) -> None:
        if request.WhichOneof("request") != "health_check":
            await self._keys.require_operator(request.api_key)

    async def health_check(self, _request: pb.RpcRequest) -> pb.RpcResponse:
        """Health of core."""
        health = await self._core.health_check()
        return pb.RpcResponse(health_check=encode_model(health, pb.HealthCheckResponse()))

    async def create_instance(self, request: pb.RpcRequest) -> pb.RpcResponse:
        """Create a pending instance."""
        created = await self._core.create_instance(decode_model(NewInstance, request.create_instance))
        return pb.RpcResponse(create_instance=encode_model(created, pb.CreateInstanceResponse()))

    async def create_instance_stream(self, request: pb.RpcRequest, chunks: AsyncIterator[bytes]) -> pb.RpcResponse:
        """Create a pending instance whose input follows on the stream."""
        call = request.create_instance_stream
        if call.input_bytes > MAX_STORED_INPUT_BYTES:
            raise InvalidInputError(
                f"the input has {call.input_bytes} bytes: core stores at most {MAX_STORED_INPUT_BYTES}"
            )
        async with self._room.take(call.input_bytes):
            new = replace(decode_model(NewInstance, call), input=await receive(chunks, call.input_bytes))
            created = await self._core.create_instance(new)
        return pb.RpcResponse(create_instance=encode_model(created, pb.CreateInstanceResponse()))

    async def read_input(self, request: pb.RpcRequest) -> pb.RpcResponse:
        """A part of an input."""
        call = request.read_input
        part = await self._core.read_input(call.instance_id, offset=call.offset, limit_bytes=call.limit_bytes)
        if part is None:
            return pb.RpcResponse(read_input=pb.ReadInputResponse(found=False))
        return pb.RpcResponse(read_input=pb.ReadInputResponse(found=True, data=part.data, total_bytes=part.total_bytes))

    async def get_instance(self, request: pb.RpcRequest) -> pb.RpcResponse:
        """One instance, whole."""
        call = request.get_instance
        instance = await self._core.get_instance(
            call.instance_id, tenant_id=call.tenant_id if call.HasField("tenant_id") else None
        )
        response = pb.RpcResponse(get_instance=pb.GetInstanceResponse())
        if instance is not None:
            encode_model(_without_long_input(instance), response.get_instance.instance)
        return response

    async def get_instance_status(self, request: pb.RpcRequest) -> pb.RpcResponse:
        """Status of an instance, in the original's form."""
        call = request.get_instance_status
        instance = await self._core.get_instance(
            call.instance_id, tenant_id=call.tenant_id if call.HasField("tenant_id") else None
        )
        if instance is None:
            answer = pb.GetInstanceStatusResponse(
                instance_id=call.instance_id,
                status=pb.STATUS_UNKNOWN,
                error=f"instance {call.instance_id} not found",
                found=False,
            )
        else:
            answer = pb.GetInstanceStatusResponse(
                instance_id=instance.instance_id,
                status=encode_status(instance.status),
                checkpoint_id=instance.checkpoint_id,
                started_at_ms=instance.started_at_ms or 0,
                finished_at_ms=instance.finished_at_ms,
                output=instance.output,
                error=instance.error,
                found=True,
            )
        return pb.RpcResponse(get_instance_status=answer)

    async def list_instances(self, request: pb.RpcRequest) -> pb.RpcResponse:
        """A page of instances."""
        page = await self._core.list_instances(decode_instance_filter(request.list_instances, max_limit=MAX_PAGE))
        return pb.RpcResponse(
            list_instances=pb.ListInstancesResponse(
                instances=[encode_model(instance, pb.Instance()) for instance in page.instances],
                total_count=page.total_count,
            )
        )

    async def send_signal(self, request: pb.RpcRequest) -> pb.RpcResponse:
        """Cancel, pause or resume."""
        call = request.send_signal
        status = await self._core.send_signal(call.instance_id, decode_signal_type(call.signal_type), call.payload)
        return pb.RpcResponse(send_signal=pb.SendSignalResponse(success=True, status=encode_status(status)))

    async def send_custom_signal(self, request: pb.RpcRequest) -> pb.RpcResponse:
        """Leave a payload for a checkpoint id."""
        call = request.send_custom_signal
        await self._core.send_custom_signal(
            call.instance_id, CustomSignal(checkpoint_id=call.checkpoint_id, payload=call.payload)
        )
        return pb.RpcResponse(send_custom_signal=pb.SendCustomSignalResponse(success=True))

    async def claim_launches(self, request: pb.RpcRequest) -> pb.RpcResponse:
        """Claim due launches, waiting for the first if asked to."""
        call = request.claim_launches
        claims = await self._core.claim_launches(
            call.owner,
            limit=call.limit,
            lease_ms=call.lease_ms,
            wait_ms=call.wait_ms,
            instance_id=call.instance_id if call.HasField("instance_id") else None,
            without_images=tuple(call.without_images),
        )
        messages = [encode_model(_without_long_input(claim), pb.LaunchClaim()) for claim in claims]
        return pb.RpcResponse(claim_launches=pb.ClaimLaunchesResponse(claims=messages))

    async def renew_leases(self, request: pb.RpcRequest) -> pb.RpcResponse:
        """Extend leases."""
        call = request.renew_leases
        lost = await self._core.renew_leases(
            call.owner, [decode_model(LeaseKey, key) for key in call.keys], lease_ms=call.lease_ms
        )
        return pb.RpcResponse(
            renew_leases=pb.RenewLeasesResponse(lost=[encode_model(key, pb.LeaseKey()) for key in lost])
        )

    async def pending_cancels(self, request: pb.RpcRequest) -> pb.RpcResponse:
        """Cancels that were not obeyed yet."""
        call = request.pending_cancels
        cancels = await self._core.pending_cancels(call.owner, limit=call.limit)
        return pb.RpcResponse(
            pending_cancels=pb.PendingCancelsResponse(
                cancels=[encode_model(cancel, pb.PendingCancel()) for cancel in cancels]
            )
        )

    async def last_contacts(self, request: pb.RpcRequest) -> pb.RpcResponse:
        """Signs of life."""
        call = request.last_contacts
        contacts = await self._core.last_contacts(
            call.owner, after_instance_id=call.after_instance_id, limit=call.limit
        )
        return pb.RpcResponse(
            last_contacts=pb.LastContactsResponse(
                contacts=[encode_model(contact, pb.LastContact()) for contact in contacts]
            )
        )

    async def expire_leases(self, request: pb.RpcRequest) -> pb.RpcResponse:
        """Free what a dead owner holds."""
        expired = await self._core.expire_leases(request.expire_leases.owner)
        return pb.RpcResponse(expire_leases=pb.ExpireLeasesResponse(expired=expired))

    async def report_exit(self, request: pb.RpcRequest) -> pb.RpcResponse:
        """Say that a launched process has ended."""
        call = request.report_exit
        decision = await self._core.report_exit(decode_model(LeaseKey, call.key), decode_model(ExitReport, call.report))
        return pb.RpcResponse(report_exit=pb.ReportExitResponse(decision=encode_model(decision, pb.ExitDecision())))

    async def report_launch_failure(self, request: pb.RpcRequest) -> pb.RpcResponse:
        """Say that a claimed launch could not be started."""
        call = request.report_launch_failure
        decision = await self._core.report_launch_failure(
            decode_model(LeaseKey, call.key), call.error, permanent=call.permanent, is_due=call.is_due
        )
        return pb.RpcResponse(
            report_launch_failure=pb.ReportLaunchFailureResponse(decision=encode_model(decision, pb.ExitDecision()))
        )

    async def list_checkpoints(self, request: pb.RpcRequest) -> pb.RpcResponse:
        """A page of checkpoints."""
        call = request.list_checkpoints
        where = decode_checkpoint_filter(call, max_limit=MAX_PAGE)
        page = await self._core.list_checkpoints(call.instance_id, where)
        return pb.RpcResponse(
            list_checkpoints=pb.ListCheckpointsResponse(
                checkpoints=[encode_model(item, pb.CheckpointSummary()) for item in page.checkpoints],
                total_count=page.total_count,
            )
        )

    async def get_checkpoint(self, request: pb.RpcRequest) -> pb.RpcResponse:
        """One checkpoint with its state."""
        call = request.get_checkpoint
        record = await self._core.get_checkpoint(call.instance_id, call.checkpoint_id)
        answer = pb.GetCheckpointResponse(found=record is not None)
        if record is not None:
            encode_model(record, answer)
        return pb.RpcResponse(get_checkpoint=answer)

    async def list_events(self, request: pb.RpcRequest) -> pb.RpcResponse:
        """A page of events."""
        call = request.list_events
        where = decode_event_filter(call, max_limit=MAX_PAGE)
        page = await self._core.list_events(call.instance_id, where)
        return pb.RpcResponse(
            list_events=pb.ListEventsResponse(
                events=[encode_model(event, pb.EventRecord()) for event in page.events],
                total_count=page.total_count,
            )
        )

    async def list_step_summaries(self, request: pb.RpcRequest) -> pb.RpcResponse:
        """A page of steps."""
        call = request.list_step_summaries
        page = await self._core.list_step_summaries(call.instance_id, decode_step_filter(call))
        return pb.RpcResponse(
            list_step_summaries=pb.ListStepSummariesResponse(
                steps=[encode_model(step, pb.StepSummary()) for step in page.steps],
                total_count=page.total_count,
            )
        )

    async def get_scope_ancestors(self, request: pb.RpcRequest) -> pb.RpcResponse:
        """A scope and those around it."""
        call = request.get_scope_ancestors
        found = await self._core.get_scope_ancestors(call.instance_id, call.scope_id)
        return pb.RpcResponse(
            get_scope_ancestors=pb.GetScopeAncestorsResponse(
                ancestors=[encode_model(scope, pb.ScopeInfo()) for scope in found]
            )
        )

    async def get_tenant_metrics(self, request: pb.RpcRequest) -> pb.RpcResponse:
        """What of a tenant has ended in each hour or day."""
        buckets = await self._core.get_tenant_metrics(decode_metrics_range(request.get_tenant_metrics))
        return pb.RpcResponse(
            get_tenant_metrics=pb.GetTenantMetricsResponse(
                buckets=[encode_model(bucket, pb.MetricsBucket()) for bucket in buckets]
            )
        )

    async def retry_instance(self, request: pb.RpcRequest) -> pb.RpcResponse:
        """Let an ended instance go on."""
        call = request.retry_instance
        retried = await self._core.retry_instance(
            call.instance_id, retry_key=call.retry_key if call.HasField("retry_key") else None
        )
        return pb.RpcResponse(retry_instance=encode_model(retried, pb.RetryInstanceResponse()))

    async def fork_instance(self, request: pb.RpcRequest) -> pb.RpcResponse:
        """Create an instance that begins with records of another."""
        created = await self._core.fork_instance(decode_model(InstanceFork, request.fork_instance))
        return pb.RpcResponse(fork_instance=encode_model(created, pb.ForkInstanceResponse()))


def _without_long_input(item: Carrier) -> Carrier:
    """What carries an input, without one that a storage has given whole although an answer has no room for it."""
    if item.input is None or len(item.input) <= MAX_INLINE_INPUT_BYTES:
        return item
    return replace(item, input=b"", input_bytes=len(item.input))
