"""Core's management verbs over the management port, for an environment in another process."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from google.protobuf.message import DecodeError
from runtara_sdk.errors import (
    PermissionDeniedError,
    ProtocolError,
    TransportError,
    UnauthenticatedError,
    error_from_code,
)
from runtara_sdk.models import CustomSignal, InstanceStatus, SignalType
from runtara_sdk.protocol import management_pb2 as pb
from runtara_sdk.transport import TransportClient

from runtara_core.management import CoreManagement
from runtara_core.models import (
    MAX_INLINE_INPUT_BYTES,
    CheckpointFilter,
    CheckpointPage,
    CheckpointRecord,
    CheckpointSummary,
    CreatedInstance,
    EventFilter,
    EventPage,
    EventRecord,
    ExitDecision,
    ExitReport,
    ForkedInstance,
    HealthReport,
    InputPart,
    Instance,
    InstanceFilter,
    InstanceFork,
    InstancePage,
    LastContact,
    LaunchClaim,
    LeaseKey,
    NewInstance,
    PendingCancel,
    RetriedInstance,
)
from runtara_core.steps import ScopeInfo, StepFilter, StepPage
from runtara_core.tenant_metrics import MetricsBucket, MetricsRange
from runtara_core.wire.management_codec import (
    decode_model,
    decode_status,
    decode_step_summary,
    encode_instance_filter,
    encode_model,
    encode_signal_type,
)
from runtara_core.wire.uploads import parts_of

_CALL_TIMEOUT_MS = 30_000
_UPLOAD_TIMEOUT_MS = 120_000
_REFUSALS_OF_THE_KEY = frozenset({UnauthenticatedError.code, PermissionDeniedError.code})


class ManagementClient(CoreManagement):
    """Speaks the `runtara.management` protocol. Transport failures raise `TransportError`; nothing is retried here.

    `api_key` is an operator key, needed as soon as core has keys.
    """

    def __init__(self, client: TransportClient, *, api_key: str | None = None) -> None:
        self._client = client
        self._api_key = api_key

    async def close(self) -> None:
        """Close the connection."""
        await self._client.close()

    async def _call(
        self, request: pb.RpcRequest, *, timeout_ms: int = _CALL_TIMEOUT_MS, upload: bytes | None = None
    ) -> pb.RpcResponse:
        verb = request.WhichOneof("request")
        if self._api_key is not None:
            request.api_key = self._api_key
        try:
            if upload is None:
                payload = await self._client.call(request.SerializeToString(), timeout_ms=timeout_ms)
            else:
                verb = "create_instance"
                payload = await self._client.call_streaming(
                    request.SerializeToString(), parts_of(upload), timeout_ms=_UPLOAD_TIMEOUT_MS
                )
        except TransportError as error:
            raise TransportError(f"core cannot be reached: {error.message}", code=error.code) from error
        response = pb.RpcResponse()
        try:
            response.ParseFromString(payload)
        except DecodeError as error:
            raise ProtocolError(f"core answered with something else than a response: {error}") from error
        kind = response.WhichOneof("response")
        if kind == "error":
            failure = response.error
            # The message may pass on to whoever called the environment, whose own key is good.
            of_key = failure.code in _REFUSALS_OF_THE_KEY
            raise error_from_code(
                failure.code,
                f"core refuses the environment: {failure.message}" if of_key else failure.message,
                retryable=failure.retryable if failure.HasField("retryable") else None,
            )
        if kind != verb:
            raise ProtocolError(f"core answered {verb} with {kind}")
        return response

    async def health_check(self) -> HealthReport:
        response = await self._call(pb.RpcRequest(health_check=pb.HealthCheckRequest()))
        return decode_model(HealthReport, response.health_check)

    async def create_instance(self, new: NewInstance) -> CreatedInstance:
        if len(new.input) > MAX_INLINE_INPUT_BYTES:
            call = encode_model(replace(new, input=b""), pb.CreateInstanceRequest(input_bytes=len(new.input)))
            streamed = pb.RpcRequest(create_instance_stream=call)
            return decode_model(CreatedInstance, (await self._call(streamed, upload=new.input)).create_instance)
        request = pb.RpcRequest(create_instance=encode_model(new, pb.CreateInstanceRequest()))
        return decode_model(CreatedInstance, (await self._call(request)).create_instance)

    async def get_instance(self, instance_id: str, *, tenant_id: str | None = None) -> Instance | None:
        call = pb.GetInstanceRequest(instance_id=instance_id, tenant_id=tenant_id)
        answer = (await self._call(pb.RpcRequest(get_instance=call))).get_instance
        return decode_model(Instance, answer.instance) if answer.HasField("instance") else None

    async def read_input(self, instance_id: str, *, offset: int, limit_bytes: int) -> InputPart | None:
        call = pb.ReadInputRequest(instance_id=instance_id, offset=offset, limit_bytes=limit_bytes)
        answer = (await self._call(pb.RpcRequest(read_input=call))).read_input
        return InputPart(answer.data, answer.total_bytes) if answer.found else None

    async def list_instances(self, where: InstanceFilter) -> InstancePage:
        request = pb.RpcRequest(list_instances=encode_instance_filter(where))
        answer = (await self._call(request)).list_instances
        return InstancePage(
            instances=tuple(decode_model(Instance, instance) for instance in answer.instances),
            total_count=answer.total_count,
        )

    async def send_signal(self, instance_id: str, signal_type: SignalType, payload: bytes = b"") -> InstanceStatus:
        call = pb.SendSignalRequest(
            instance_id=instance_id, signal_type=encode_signal_type(signal_type), payload=payload
        )
        answer = await self._call(pb.RpcRequest(send_signal=call))
        return decode_status(answer.send_signal.status)

    async def send_custom_signal(self, instance_id: str, signal: CustomSignal) -> None:
        call = pb.SendCustomSignalRequest(
            instance_id=instance_id, checkpoint_id=signal.checkpoint_id, payload=signal.payload
        )
        await self._call(pb.RpcRequest(send_custom_signal=call))

    async def claim_launches(
        self,
        owner: str,
        *,
        limit: int,
        lease_ms: int,
        wait_ms: int = 0,
        instance_id: str | None = None,
        without_images: Sequence[str] = (),
    ) -> list[LaunchClaim]:
        call = pb.ClaimLaunchesRequest(
            owner=owner,
            limit=limit,
            lease_ms=lease_ms,
            wait_ms=wait_ms,
            instance_id=instance_id,
            without_images=without_images,
        )
        answer = await self._call(pb.RpcRequest(claim_launches=call), timeout_ms=_CALL_TIMEOUT_MS + wait_ms)
        return [decode_model(LaunchClaim, claim) for claim in answer.claim_launches.claims]

    async def renew_leases(self, owner: str, keys: Sequence[LeaseKey], *, lease_ms: int) -> list[LeaseKey]:
        call = pb.RenewLeasesRequest(
            owner=owner, keys=[encode_model(key, pb.LeaseKey()) for key in keys], lease_ms=lease_ms
        )
        answer = await self._call(pb.RpcRequest(renew_leases=call))
        return [decode_model(LeaseKey, key) for key in answer.renew_leases.lost]

    async def pending_cancels(self, owner: str, *, limit: int = 100) -> list[PendingCancel]:
        answer = await self._call(pb.RpcRequest(pending_cancels=pb.PendingCancelsRequest(owner=owner, limit=limit)))
        return [decode_model(PendingCancel, cancel) for cancel in answer.pending_cancels.cancels]

    async def last_contacts(self, owner: str, *, after_instance_id: str = "", limit: int = 100) -> list[LastContact]:
        call = pb.LastContactsRequest(owner=owner, after_instance_id=after_instance_id, limit=limit)
        answer = await self._call(pb.RpcRequest(last_contacts=call))
        return [decode_model(LastContact, contact) for contact in answer.last_contacts.contacts]

    async def expire_leases(self, owner: str) -> int:
        answer = await self._call(pb.RpcRequest(expire_leases=pb.ExpireLeasesRequest(owner=owner)))
        return answer.expire_leases.expired

    async def report_exit(self, key: LeaseKey, report: ExitReport) -> ExitDecision:
        call = pb.ReportExitRequest(key=encode_model(key, pb.LeaseKey()), report=encode_model(report, pb.ExitReport()))
        answer = await self._call(pb.RpcRequest(report_exit=call))
        return decode_model(ExitDecision, answer.report_exit.decision)

    async def report_launch_failure(
        self, key: LeaseKey, error: str, *, permanent: bool, is_due: bool = False
    ) -> ExitDecision:
        call = pb.ReportLaunchFailureRequest(
            key=encode_model(key, pb.LeaseKey()), error=error, permanent=permanent, is_due=is_due
        )
        answer = await self._call(pb.RpcRequest(report_launch_failure=call))
        return decode_model(ExitDecision, answer.report_launch_failure.decision)

    async def list_checkpoints(self, instance_id: str, where: CheckpointFilter) -> CheckpointPage:
        call = encode_model(where, pb.ListCheckpointsRequest(instance_id=instance_id))
        answer = (await self._call(pb.RpcRequest(list_checkpoints=call))).list_checkpoints
        return CheckpointPage(
            checkpoints=tuple(decode_model(CheckpointSummary, item) for item in answer.checkpoints),
            total_count=answer.total_count,
        )

    async def get_checkpoint(self, instance_id: str, checkpoint_id: str) -> CheckpointRecord | None:
        call = pb.GetCheckpointRequest(instance_id=instance_id, checkpoint_id=checkpoint_id)
        answer = (await self._call(pb.RpcRequest(get_checkpoint=call))).get_checkpoint
        return decode_model(CheckpointRecord, answer) if answer.found else None

    async def list_events(self, instance_id: str, where: EventFilter) -> EventPage:
        request = pb.RpcRequest(list_events=encode_model(where, pb.ListEventsRequest(instance_id=instance_id)))
        answer = (await self._call(request)).list_events
        return EventPage(
            events=tuple(decode_model(EventRecord, event) for event in answer.events),
            total_count=answer.total_count,
        )

    async def list_step_summaries(self, instance_id: str, where: StepFilter) -> StepPage:
        call = encode_model(where, pb.ListStepSummariesRequest(instance_id=instance_id))
        answer = (await self._call(pb.RpcRequest(list_step_summaries=call))).list_step_summaries
        return StepPage(
            steps=tuple(decode_step_summary(step) for step in answer.steps),
            total_count=answer.total_count,
        )

    async def get_scope_ancestors(self, instance_id: str, scope_id: str) -> list[ScopeInfo]:
        call = pb.GetScopeAncestorsRequest(instance_id=instance_id, scope_id=scope_id)
        answer = (await self._call(pb.RpcRequest(get_scope_ancestors=call))).get_scope_ancestors
        return [decode_model(ScopeInfo, scope) for scope in answer.ancestors]

    async def get_tenant_metrics(self, where: MetricsRange) -> tuple[MetricsBucket, ...]:
        call = encode_model(where, pb.GetTenantMetricsRequest())
        answer = (await self._call(pb.RpcRequest(get_tenant_metrics=call))).get_tenant_metrics
        return tuple(decode_model(MetricsBucket, bucket) for bucket in answer.buckets)

    async def retry_instance(self, instance_id: str, *, retry_key: str | None = None) -> RetriedInstance:
        call = pb.RetryInstanceRequest(instance_id=instance_id, retry_key=retry_key)
        answer = await self._call(pb.RpcRequest(retry_instance=call))
        return decode_model(RetriedInstance, answer.retry_instance)

    async def fork_instance(self, fork: InstanceFork) -> ForkedInstance:
        request = pb.RpcRequest(fork_instance=encode_model(fork, pb.ForkInstanceRequest()))
        return decode_model(ForkedInstance, (await self._call(request)).fork_instance)
