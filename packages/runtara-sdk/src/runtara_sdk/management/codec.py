"""Messages of the environment protocol to the values that a client gets back, and back."""

from __future__ import annotations

import base64
import json
from typing import Any, Protocol

from google.protobuf.message import DecodeError, Message

from runtara_sdk.errors import InputRefusedError, ProtocolError, error_from_code
from runtara_sdk.instance_error import InstanceError
from runtara_sdk.management import models
from runtara_sdk.management.step_models import (
    MetricsBucket,
    MetricsGranularity,
    ScopeInfo,
    StepStatus,
    StepSummary,
    TenantMetrics,
)
from runtara_sdk.models import InstanceStatus, SignalType
from runtara_sdk.protocol import environment_pb2 as pb
from runtara_sdk.resource_limits import ResourceLimits
from runtara_sdk.written_decimal import read_decimal

STATUS_NUMBERS = {
    InstanceStatus.PENDING: pb.STATUS_PENDING,
    InstanceStatus.RUNNING: pb.STATUS_RUNNING,
    InstanceStatus.SUSPENDED: pb.STATUS_SUSPENDED,
    InstanceStatus.COMPLETED: pb.STATUS_COMPLETED,
    InstanceStatus.FAILED: pb.STATUS_FAILED,
    InstanceStatus.CANCELLED: pb.STATUS_CANCELLED,
}
SIGNAL_NUMBERS = {
    SignalType.CANCEL: pb.SIGNAL_CANCEL,
    SignalType.PAUSE: pb.SIGNAL_PAUSE,
    SignalType.RESUME: pb.SIGNAL_RESUME,
    SignalType.SHUTDOWN: pb.SIGNAL_SHUTDOWN,
}
_STEP_STATUSES: dict[int, StepStatus] = {
    pb.STEP_STATUS_RUNNING: StepStatus.RUNNING,
    pb.STEP_STATUS_COMPLETED: StepStatus.COMPLETED,
    pb.STEP_STATUS_FAILED: StepStatus.FAILED,
}
GRANULARITY_NUMBERS = {
    MetricsGranularity.HOURLY: pb.GRANULARITY_HOURLY,
    MetricsGranularity.DAILY: pb.GRANULARITY_DAILY,
}
_GRANULARITIES: dict[int, MetricsGranularity] = {number: each for each, number in GRANULARITY_NUMBERS.items()}
_STATUSES = {number: status for status, number in STATUS_NUMBERS.items()}


class Acknowledgement(Protocol):
    """The shape of answers that say success or name an error."""

    success: bool
    error: str
    error_code: str


def decode_response(payload: bytes, verb: str) -> pb.RpcResponse:
    """The answer to `verb`; raises the typed error that the server named, or `ProtocolError`."""
    try:
        response = pb.RpcResponse.FromString(payload)
    except DecodeError as error:
        raise ProtocolError(f"the environment answered {verb} with bytes that are not a response") from error
    kind = response.WhichOneof("response")
    if kind == "error":
        retryable = response.error.retryable if response.error.HasField("retryable") else None
        raise error_from_code(response.error.code, response.error.message, retryable=retryable)
    if kind != verb:
        raise ProtocolError(f"the environment answered {verb} with {kind or 'an empty response'}")
    return response


def require_success(answer: Acknowledgement, verb: str) -> None:
    """Raise the typed error of an answer that reports a refusal."""
    if not answer.success:
        code = answer.error_code or f"{verb.upper()}_ERROR"
        raise error_from_code(code, answer.error or f"the environment refused {verb}")


def require_started(answer: pb.StartInstanceResponse) -> None:
    """Raise the typed error of a start that was refused."""
    if not answer.success and answer.violations:
        violations = [{"path": each.path, "message": each.message} for each in answer.violations]
        raise InputRefusedError(answer.error, violations, answer.violation_count)
    require_success(answer, "start_instance")


def decode_value(data: bytes) -> Any:
    """Stored bytes as a JSON-ready value: JSON, else text, else base64; None when empty."""
    if not data:
        return None
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return base64.b64encode(data).decode()
    try:
        return json.loads(text, parse_float=read_decimal)
    except ValueError:
        return text


def decode_status(number: pb.InstanceStatus) -> InstanceStatus:
    """Raises `ProtocolError` for a number that this version does not know."""
    status = _STATUSES.get(number)
    if status is None:
        raise ProtocolError(f"the environment sent the unknown status {number}: update runtara-sdk")
    return status


def decode_earlier_start(message: pb.EarlierStart) -> models.EarlierStart:
    """What a repeated start had begun."""
    return models.EarlierStart(
        image_id=message.image_id,
        status=decode_status(message.status),
        other_version=message.other_version,
        other_input=message.other_input,
    )


def encode_limits(limits: ResourceLimits | None) -> pb.ResourceLimits | None:
    """Bounds as a message; None when none is given. Raises `InvalidInputError` for one that cannot be meant."""
    if limits is None or not limits.given():
        return None
    limits.require_usable()
    return pb.ResourceLimits(**limits.given())


def decode_limits(message: pb.ResourceLimits) -> ResourceLimits:
    """Bounds of a message, an absent one too."""
    return ResourceLimits(**{field.name: value for field, value in message.ListFields()})


def decode_image(message: pb.ImageSummary) -> models.ImageInfo:
    """An image of the registry."""
    return models.ImageInfo(
        image_id=message.image_id,
        tenant_id=message.tenant_id,
        name=message.name,
        description=message.description if message.HasField("description") else None,
        runner=message.runner or None,
        created_at_ms=message.created_at_ms,
        version=message.version,
        digest=message.digest,
        size_bytes=message.size_bytes,
        kind=message.kind,
        updated_at_ms=message.updated_at_ms,
        signed=message.signed,
        limits=decode_limits(message.limits),
    )


def decode_image_version(message: pb.ImageVersionSummary) -> models.ImageVersion:
    """A version of an image."""
    return models.ImageVersion(
        version=message.version,
        digest=message.digest,
        size_bytes=message.size_bytes,
        kind=message.kind,
        created_at_ms=message.created_at_ms,
        last_used_at_ms=message.last_used_at_ms,
        current=message.current,
        signed=message.signed,
    )


def decode_instance(message: pb.GetInstanceStatusResponse) -> models.InstanceInfo:
    """All that is known of an instance."""
    return models.InstanceInfo(
        instance_id=message.instance_id,
        tenant_id=message.tenant_id,
        image_id=message.image_id,
        image_name=message.image_name,
        status=decode_status(message.status),
        created_at_ms=message.created_at_ms,
        started_at_ms=_present(message, "started_at_ms"),
        finished_at_ms=_present(message, "finished_at_ms"),
        heartbeat_at_ms=_present(message, "heartbeat_at_ms"),
        wake_at_ms=_present(message, "wake_at_ms"),
        checkpoint_id=_present(message, "checkpoint_id"),
        input=decode_value(message.input),
        output=decode_value(message.output),
        error=InstanceError.parse(message.error) if message.HasField("error") else None,
        stderr=_present(message, "stderr"),
        termination_reason=_present(message, "termination_reason"),
        exit_code=_present(message, "exit_code"),
        retry_count=message.retry_count,
        max_retries=message.max_retries,
        memory_peak_bytes=_present(message, "memory_peak_bytes"),
        cpu_usage_usec=_present(message, "cpu_usage_usec"),
        limits=decode_limits(message.limits),
        runner=message.runner or None,
        epoch=message.epoch,
        input_bytes=_present(message, "input_bytes"),
    )


def decode_instance_summary(message: pb.InstanceSummary) -> models.InstanceSummary:
    """An instance in a list."""
    return models.InstanceSummary(
        instance_id=message.instance_id,
        tenant_id=message.tenant_id,
        image_id=message.image_id,
        image_name=message.image_name,
        status=decode_status(message.status),
        created_at_ms=message.created_at_ms,
        started_at_ms=_present(message, "started_at_ms"),
        finished_at_ms=_present(message, "finished_at_ms"),
        has_error=message.has_error,
        termination_reason=message.termination_reason or None,
    )


def decode_log_piece(message: pb.ReadLogsResponse, instance_id: str, stream: str) -> models.LogPiece:
    """A part of the output of a launch."""
    return models.LogPiece(
        instance_id=instance_id,
        stream=stream,
        epoch=message.epoch,
        offset=message.offset,
        data=message.data,
        dropped=message.dropped,
        ended=message.ended,
        next_epoch=_present(message, "next_epoch"),
        status=decode_status(message.status) if message.HasField("status") else None,
        missing=message.missing,
    )


def decode_checkpoint_summary(message: pb.CheckpointSummary) -> models.CheckpointSummary:
    """A checkpoint without its state."""
    return models.CheckpointSummary(
        message.checkpoint_id, message.instance_id, message.created_at_ms, message.data_size_bytes
    )


def decode_event(message: pb.EventSummary) -> models.EventInfo:
    """A row of the event log."""
    return models.EventInfo(
        event_id=message.id,
        instance_id=message.instance_id,
        event_type=message.event_type,
        created_at_ms=message.created_at_ms,
        checkpoint_id=_present(message, "checkpoint_id"),
        subtype=_present(message, "subtype"),
        payload=decode_value(message.payload),
    )


def decode_step(message: pb.StepSummary) -> StepSummary:
    """A step that was traced."""
    status = _STEP_STATUSES.get(message.status)
    if status is None:
        raise ProtocolError(f"the environment sent the unknown step status {message.status}: update runtara-sdk")
    return StepSummary(
        step_id=message.step_id,
        step_name=_present(message, "step_name"),
        step_type=message.step_type,
        status=status,
        started_at_ms=message.started_at_ms,
        completed_at_ms=_present(message, "completed_at_ms"),
        duration_ms=_present(message, "duration_ms"),
        inputs=decode_value(message.inputs),
        outputs=decode_value(message.outputs),
        error=decode_value(message.error),
        scope_id=_present(message, "scope_id"),
        parent_scope_id=_present(message, "parent_scope_id"),
    )


def decode_scope(message: pb.ScopeInfo) -> ScopeInfo:
    """A scope of steps."""
    return ScopeInfo(
        scope_id=message.scope_id,
        parent_scope_id=_present(message, "parent_scope_id"),
        step_id=message.step_id,
        step_name=_present(message, "step_name"),
        step_type=message.step_type,
        index=_present(message, "index"),
        created_at_ms=message.created_at_ms,
    )


def decode_metrics(message: pb.GetTenantMetricsResponse) -> TenantMetrics:
    """Counts of what has ended."""
    granularity = _GRANULARITIES.get(message.granularity)
    if granularity is None:
        raise ProtocolError(f"the environment sent the unknown granularity {message.granularity}: update runtara-sdk")
    return TenantMetrics(
        tenant_id=message.tenant_id,
        start_time_ms=message.start_time_ms,
        end_time_ms=message.end_time_ms,
        granularity=granularity,
        buckets=tuple(_decode_bucket(bucket) for bucket in message.buckets),
    )


def _decode_bucket(message: pb.MetricsBucket) -> MetricsBucket:
    return MetricsBucket(
        bucket_time_ms=message.bucket_time_ms,
        invocation_count=message.invocation_count,
        success_count=message.success_count,
        failure_count=message.failure_count,
        cancelled_count=message.cancelled_count,
        avg_duration_ms=_present(message, "avg_duration_ms"),
        min_duration_ms=_present(message, "min_duration_ms"),
        max_duration_ms=_present(message, "max_duration_ms"),
        avg_memory_bytes=_present(message, "avg_memory_bytes"),
        max_memory_bytes=_present(message, "max_memory_bytes"),
        success_rate_percent=_present(message, "success_rate_percent"),
    )


def _present(message: Message, field: str) -> Any:
    return getattr(message, field) if message.HasField(field) else None
