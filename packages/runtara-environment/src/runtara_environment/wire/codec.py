"""Models to and from the messages of package `runtara.environment`."""

from __future__ import annotations

from typing import Any

from runtara_core.models import CheckpointSummary, EventRecord, Instance
from runtara_core.steps import ScopeInfo, StepStatus, StepSummary
from runtara_core.tenant_metrics import MetricsBucket, MetricsGranularity
from runtara_sdk.errors import InputRefusedError, InvalidInputError, RuntaraError
from runtara_sdk.management.codec import encode_limits
from runtara_sdk.models import InstanceStatus, SignalType, TerminationReason
from runtara_sdk.protocol import environment_pb2 as pb

from runtara_environment.launch_options import LaunchOptions
from runtara_environment.registry import Image
from runtara_environment.service import EarlierStart

MAX_PAGE = 1_000
"""Most rows of one page."""

_STATUS: dict[InstanceStatus, pb.InstanceStatus] = {
    InstanceStatus.PENDING: pb.STATUS_PENDING,
    InstanceStatus.RUNNING: pb.STATUS_RUNNING,
    InstanceStatus.SUSPENDED: pb.STATUS_SUSPENDED,
    InstanceStatus.COMPLETED: pb.STATUS_COMPLETED,
    InstanceStatus.FAILED: pb.STATUS_FAILED,
    InstanceStatus.CANCELLED: pb.STATUS_CANCELLED,
}
_STATUS_OF_NUMBER: dict[int, InstanceStatus] = {number: status for status, number in _STATUS.items()}
_SIGNAL_OF_NUMBER: dict[int, SignalType] = {
    pb.SIGNAL_CANCEL: SignalType.CANCEL,
    pb.SIGNAL_PAUSE: SignalType.PAUSE,
    pb.SIGNAL_RESUME: SignalType.RESUME,
    pb.SIGNAL_SHUTDOWN: SignalType.SHUTDOWN,
}
_STEP_STATUS: dict[StepStatus, pb.StepStatus] = {
    StepStatus.RUNNING: pb.STEP_STATUS_RUNNING,
    StepStatus.COMPLETED: pb.STEP_STATUS_COMPLETED,
    StepStatus.FAILED: pb.STEP_STATUS_FAILED,
}
GRANULARITY: dict[MetricsGranularity, pb.MetricsGranularity] = {
    MetricsGranularity.HOURLY: pb.GRANULARITY_HOURLY,
    MetricsGranularity.DAILY: pb.GRANULARITY_DAILY,
}
_GRANULARITY_OF_NUMBER: dict[int, MetricsGranularity] = {number: each for each, number in GRANULARITY.items()}
_RUNNER_TYPE: dict[str, pb.RunnerType] = {"oci": pb.RUNNER_OCI, "native": pb.RUNNER_NATIVE}
_RUNNER_OF_NUMBER: dict[int, str] = {number: name for name, number in _RUNNER_TYPE.items()}


def tenant_of(call: Any) -> str | None:
    """The tenant that a call names; None when it names none."""
    return call.tenant_id if call.HasField("tenant_id") else None


def decode_status(number: int) -> InstanceStatus:
    """The status of a wire number."""
    status = _STATUS_OF_NUMBER.get(number)
    if status is None:
        raise InvalidInputError(f"instance status {number} cannot be asked for")
    return status


def decode_termination_reason(name: str) -> TerminationReason:
    """The reason of a name."""
    try:
        return TerminationReason(name)
    except ValueError:
        known = ", ".join(TerminationReason)
        raise InvalidInputError(f"termination reason {name!r} is not known: use one of {known}") from None


def decode_step_status(name: str) -> StepStatus:
    """The status of a step by its name."""
    try:
        return StepStatus(name.lower())
    except ValueError:
        raise InvalidInputError(f"step status {name!r} is not known: use one of {', '.join(StepStatus)}") from None


def decode_granularity(number: int) -> MetricsGranularity:
    """The length of a bucket of a wire number."""
    granularity = _GRANULARITY_OF_NUMBER.get(number)
    if granularity is None:
        raise InvalidInputError(f"granularity {number} is not known: use 0 hourly or 1 daily")
    return granularity


def is_ascending(call: Any, *, otherwise: bool) -> bool:
    """The order that a call asks for, by `sort_order`."""
    if not call.HasField("sort_order"):
        return otherwise
    order = call.sort_order.lower()
    if order not in ("asc", "desc"):
        raise InvalidInputError(f"sort_order {call.sort_order!r} is unknown: use asc or desc")
    return bool(order == "asc")


def optional(call: Any, field: str) -> Any:
    """The value of an optional field; None when it is absent."""
    return getattr(call, field) if call.HasField(field) else None


def encode_status(status: InstanceStatus) -> pb.InstanceStatus:
    """The wire number of a status."""
    return _STATUS[status]


def decode_signal_type(number: int) -> SignalType:
    """The signal type of a wire number; an unknown number is an error, never a cancel."""
    signal_type = _SIGNAL_OF_NUMBER.get(number)
    if signal_type is None:
        raise InvalidInputError(f"signal type {number} is not known: use 0 cancel, 1 pause, 2 resume or 3 shutdown")
    return signal_type


def decode_runner_type(number: int) -> str:
    """The runner type of a wire number; one that no runner serves is refused at registration."""
    name = _RUNNER_OF_NUMBER.get(number)
    if name is None:
        raise InvalidInputError(f"runner type {number} cannot be launched: use 0 oci or 1 native")
    return name


def encode_image(image: Image) -> pb.ImageSummary:
    """An image as listed."""
    return pb.ImageSummary(
        image_id=image.image_id,
        tenant_id=image.tenant_id,
        name=image.name,
        description=image.description,
        runner_type=_RUNNER_TYPE.get(image.runner or image.runner_type, pb.RUNNER_NATIVE),
        created_at_ms=image.created_at_ms,
        version=image.version,
        digest=image.digest,
        size_bytes=image.size_bytes,
        kind=image.kind,
        updated_at_ms=image.updated_at_ms,
        signed=image.signature is not None,
        limits=encode_limits(image.limits),
        runner=image.runner or "",
    )


def encode_image_version(image: Image) -> pb.ImageVersionSummary:
    """A version of an image as listed."""
    return pb.ImageVersionSummary(
        version=image.version,
        digest=image.digest,
        size_bytes=image.size_bytes,
        kind=image.kind,
        created_at_ms=image.version_created_at_ms,
        last_used_at_ms=image.last_used_at_ms,
        current=image.version == image.current_version,
        signed=image.signature is not None,
    )


def encode_instance_summary(instance: Instance, image_name: str) -> pb.InstanceSummary:
    """An instance as listed."""
    return pb.InstanceSummary(
        instance_id=instance.instance_id,
        tenant_id=instance.tenant_id,
        image_id=instance.image_id or "",
        status=_STATUS[instance.status],
        created_at_ms=instance.created_at_ms,
        started_at_ms=instance.started_at_ms,
        finished_at_ms=instance.finished_at_ms,
        has_error=instance.error is not None,
        image_name=image_name,
        termination_reason=instance.termination_reason or "",
    )


def encode_instance_status(instance: Instance, image_name: str) -> pb.GetInstanceStatusResponse:
    """An instance, whole."""
    options = _options(instance)
    return pb.GetInstanceStatusResponse(
        instance_id=instance.instance_id,
        status=_STATUS[instance.status],
        checkpoint_id=instance.checkpoint_id,
        created_at_ms=instance.created_at_ms,
        started_at_ms=instance.started_at_ms,
        finished_at_ms=instance.finished_at_ms,
        output=instance.output,
        error=instance.error,
        image_id=instance.image_id or "",
        image_name=image_name,
        tenant_id=instance.tenant_id,
        input=instance.input,
        heartbeat_at_ms=instance.last_contact_at_ms,
        retry_count=instance.attempt - 1,
        max_retries=instance.max_attempts,
        memory_peak_bytes=instance.memory_peak_bytes,
        cpu_usage_usec=instance.cpu_usage_usec,
        found=True,
        stderr=instance.stderr,
        termination_reason=instance.termination_reason,
        exit_code=instance.exit_code,
        wake_at_ms=instance.wake_at_ms,
        epoch=instance.epoch,
        input_bytes=instance.input_bytes,
        limits=encode_limits(options.asked_limits),
        runner=options.runner or "",
    )


def _options(instance: Instance) -> LaunchOptions:
    try:
        return LaunchOptions.decode(instance.launch_options)
    except InvalidInputError:  # of an instance that no environment launches, or of a later version of this daemon
        return LaunchOptions("")


def encode_refused_start(error: RuntaraError) -> pb.StartInstanceResponse:
    """Why nothing was started."""
    answer = pb.StartInstanceResponse(success=False, error=error.message, error_code=error.code)
    if isinstance(error, InputRefusedError):
        answer.violations.extend(pb.InputViolation(**each) for each in error.violations)
        answer.violation_count = error.violation_count
    return answer


def encode_checkpoint_summary(summary: CheckpointSummary) -> pb.CheckpointSummary:
    """A checkpoint as listed."""
    return pb.CheckpointSummary(
        checkpoint_id=summary.checkpoint_id,
        instance_id=summary.instance_id,
        created_at_ms=summary.created_at_ms,
        data_size_bytes=summary.data_size_bytes,
    )


def encode_event(event: EventRecord) -> pb.EventSummary:
    """An event as listed."""
    return pb.EventSummary(
        id=event.event_id,
        instance_id=event.instance_id,
        event_type=event.event_type,
        checkpoint_id=event.checkpoint_id,
        payload=event.payload,
        created_at_ms=event.created_at_ms,
        subtype=event.subtype,
    )


def page_limit(limit: int) -> int:
    """A page size within bounds; 0 reads as 100."""
    return min(limit or 100, MAX_PAGE)


def encode_earlier_start(earlier: EarlierStart) -> pb.EarlierStart:
    """What a repeated start had begun."""
    return pb.EarlierStart(
        image_id=earlier.image_id,
        status=_STATUS[earlier.status],
        other_version=earlier.other_version,
        other_input=earlier.other_input,
    )


def encode_step(step: StepSummary) -> pb.StepSummary:
    """A step as listed."""
    return pb.StepSummary(
        step_id=step.step_id,
        step_name=step.step_name,
        step_type=step.step_type,
        status=_STEP_STATUS[step.status],
        started_at_ms=step.started_at_ms,
        completed_at_ms=step.completed_at_ms,
        duration_ms=step.duration_ms,
        inputs=step.inputs,
        outputs=step.outputs,
        error=step.error,
        scope_id=step.scope_id,
        parent_scope_id=step.parent_scope_id,
    )


def encode_scope(scope: ScopeInfo) -> pb.ScopeInfo:
    """A scope of a step."""
    return pb.ScopeInfo(
        scope_id=scope.scope_id,
        parent_scope_id=scope.parent_scope_id,
        step_id=scope.step_id,
        step_name=scope.step_name,
        step_type=scope.step_type,
        index=scope.index,
        created_at_ms=scope.created_at_ms,
    )


def encode_bucket(bucket: MetricsBucket) -> pb.MetricsBucket:
    """What ended in an hour or a day."""
    return pb.MetricsBucket(
        bucket_time_ms=bucket.bucket_time_ms,
        invocation_count=bucket.invocation_count,
        success_count=bucket.success_count,
        failure_count=bucket.failure_count,
        cancelled_count=bucket.cancelled_count,
        avg_duration_ms=bucket.avg_duration_ms,
        min_duration_ms=bucket.min_duration_ms,
        max_duration_ms=bucket.max_duration_ms,
        avg_memory_bytes=bucket.avg_memory_bytes,
        max_memory_bytes=bucket.max_memory_bytes,
        success_rate_percent=bucket.success_rate_percent,
    )
