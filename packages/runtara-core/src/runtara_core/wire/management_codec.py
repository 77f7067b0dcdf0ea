"""Models to and from the messages of package `runtara.management`.

The messages mirror the models field by field, so one pair of functions serves them all: an optional field that is
absent is None, an enum travels by its wire number.
"""

from __future__ import annotations

import dataclasses
from enum import StrEnum
from typing import Any, TypeVar

from google.protobuf.message import Message
from runtara_sdk.errors import InvalidInputError, ProtocolError
from runtara_sdk.models import InstanceStatus, SignalType, TerminationReason
from runtara_sdk.protocol import management_pb2 as pb

from runtara_core.models import CheckpointFilter, EventFilter, InstanceFilter, InstanceKey
from runtara_core.steps import StepFilter, StepStatus, StepSummary
from runtara_core.tenant_metrics import MetricsGranularity, MetricsRange

ModelT = TypeVar("ModelT")
MessageT = TypeVar("MessageT", bound=Message)
EnumT = TypeVar("EnumT", bound=StrEnum)

_STATUS_NUMBER: dict[InstanceStatus, pb.InstanceStatus] = {
    InstanceStatus.PENDING: pb.STATUS_PENDING,
    InstanceStatus.RUNNING: pb.STATUS_RUNNING,
    InstanceStatus.SUSPENDED: pb.STATUS_SUSPENDED,
    InstanceStatus.COMPLETED: pb.STATUS_COMPLETED,
    InstanceStatus.FAILED: pb.STATUS_FAILED,
    InstanceStatus.CANCELLED: pb.STATUS_CANCELLED,
}
_STATUS: dict[int, InstanceStatus] = {number: status for status, number in _STATUS_NUMBER.items()}
_SIGNAL_NUMBER: dict[SignalType, pb.SignalType] = {
    SignalType.CANCEL: pb.SIGNAL_CANCEL,
    SignalType.PAUSE: pb.SIGNAL_PAUSE,
    SignalType.RESUME: pb.SIGNAL_RESUME,
    SignalType.SHUTDOWN: pb.SIGNAL_SHUTDOWN,
}
_SIGNAL: dict[int, SignalType] = {number: signal for signal, number in _SIGNAL_NUMBER.items()}
_OUT_OF_MEMORY = "out_of_memory"
"""The field of messages with a termination reason that says more of a crash."""


def encode_status(status: InstanceStatus) -> pb.InstanceStatus:
    """The wire number of a status."""
    return _STATUS_NUMBER[status]


def decode_status(number: int) -> InstanceStatus:
    """The status of a wire number; raises `ProtocolError` for one that is not known."""
    try:
        return _STATUS[number]
    except KeyError:
        raise ProtocolError(f"instance status {number} is not known") from None


def encode_signal_type(signal_type: SignalType) -> pb.SignalType:
    """The wire number of a signal type."""
    return _SIGNAL_NUMBER[signal_type]


def decode_signal_type(number: int) -> SignalType:
    """The signal type of a wire number; an unknown number is an error, never a cancel."""
    try:
        return _SIGNAL[number]
    except KeyError:
        raise InvalidInputError(
            f"signal type {number} is not known: use 0 cancel, 1 pause, 2 resume or 3 shutdown"
        ) from None


def encode_model(model: Any, message: MessageT) -> MessageT:
    """Fill `message` from the fields of the dataclass `model` that have the same name."""
    for field in dataclasses.fields(model):
        value = getattr(model, field.name)
        if value is None:
            continue
        if isinstance(value, InstanceStatus):
            value = _STATUS_NUMBER[value]
        elif value is TerminationReason.OUT_OF_MEMORY:
            # A peer of an earlier version reads a crash, which it was for that one.
            setattr(message, _OUT_OF_MEMORY, True)
            value = str(TerminationReason.CRASHED)
        elif isinstance(value, StrEnum):
            value = str(value)
        setattr(message, field.name, value)
    return message


def decode_model(model_type: type[ModelT], message: Message) -> ModelT:
    """Build the dataclass `model_type` from the fields of `message` that have the same name."""
    values: dict[str, Any] = {}
    for field in dataclasses.fields(model_type):  # type: ignore[arg-type]  # every model is a dataclass
        descriptor = message.DESCRIPTOR.fields_by_name[field.name]
        if descriptor.has_presence and not message.HasField(field.name):
            values[field.name] = None
            continue
        value = getattr(message, field.name)
        if descriptor.enum_type is not None:
            value = decode_status(value)
        elif field.name in ("termination_reason", "reason"):
            value = _decode_reason(value)
            if value is TerminationReason.CRASHED and getattr(message, _OUT_OF_MEMORY):
                value = TerminationReason.OUT_OF_MEMORY
        values[field.name] = value
    return model_type(**values)


def _decode_reason(value: str) -> TerminationReason:
    try:
        return TerminationReason(value)
    except ValueError:
        raise ProtocolError(f"termination reason {value!r} is not known") from None


def _decode_member(kind: type[EnumT], value: str) -> EnumT:
    try:
        return kind(value)
    except ValueError:
        raise ProtocolError(f"{kind.__name__} {value!r} is not known") from None


def encode_instance_filter(where: InstanceFilter) -> pb.ListInstancesRequest:
    """A filter as a request."""
    message = pb.ListInstancesRequest(
        tenant_id=where.tenant_id,
        limit=where.limit,
        offset=where.offset,
        statuses=[_STATUS_NUMBER[status] for status in where.statuses],
        created_after_ms=where.created_after_ms,
        created_before_ms=where.created_before_ms,
        finished_after_ms=where.finished_after_ms,
        finished_before_ms=where.finished_before_ms,
        order_by=where.order_by,
        termination_reasons=[str(reason) for reason in where.termination_reasons],
        without_total=where.without_total,
    )
    if where.after is not None:
        message.after.CopyFrom(encode_model(where.after, pb.InstanceKey()))
    if where.image_ids is not None:
        message.image_ids.SetInParent()
        message.image_ids.image_ids.extend(where.image_ids)
    return message


def decode_instance_filter(message: pb.ListInstancesRequest, *, max_limit: int) -> InstanceFilter:
    """A request as a filter; limit 0 reads as 100."""
    statuses = [decode_status(number) for number in message.statuses]
    if message.HasField("status"):
        statuses.append(decode_status(message.status))
    return InstanceFilter(
        tenant_id=message.tenant_id if message.HasField("tenant_id") else None,
        statuses=tuple(statuses),
        image_ids=tuple(message.image_ids.image_ids) if message.HasField("image_ids") else None,
        created_after_ms=message.created_after_ms if message.HasField("created_after_ms") else None,
        created_before_ms=message.created_before_ms if message.HasField("created_before_ms") else None,
        finished_after_ms=message.finished_after_ms if message.HasField("finished_after_ms") else None,
        finished_before_ms=message.finished_before_ms if message.HasField("finished_before_ms") else None,
        order_by=message.order_by or "created_at_desc",
        limit=min(message.limit or 100, max_limit),
        offset=message.offset,
        termination_reasons=tuple(_decode_reason(reason) for reason in message.termination_reasons),
        after=decode_model(InstanceKey, message.after) if message.HasField("after") else None,
        without_total=message.without_total,
    )


def decode_event_filter(call: pb.ListEventsRequest, *, max_limit: int) -> EventFilter:
    """The filter of a list_events call; limit 0 reads as 100."""
    where = decode_model(EventFilter, call)
    return dataclasses.replace(where, limit=min(where.limit or 100, max_limit))


def decode_checkpoint_filter(call: pb.ListCheckpointsRequest, *, max_limit: int) -> CheckpointFilter:
    """The filter of a list_checkpoints call; limit 0 reads as 100."""
    where = decode_model(CheckpointFilter, call)
    return dataclasses.replace(where, limit=min(where.limit or 100, max_limit))


def decode_step_filter(call: pb.ListStepSummariesRequest) -> StepFilter:
    """The filter of a list_step_summaries call; limit 0 reads as 100."""
    status = _decode_member(StepStatus, call.status) if call.HasField("status") else None
    where = decode_model(StepFilter, call)
    return dataclasses.replace(where, status=status, limit=where.limit or 100)


def decode_step_summary(message: pb.StepSummary) -> StepSummary:
    """A summary of a step."""
    return dataclasses.replace(decode_model(StepSummary, message), status=_decode_member(StepStatus, message.status))


def decode_metrics_range(call: pb.GetTenantMetricsRequest) -> MetricsRange:
    """Whose metrics are asked for, and of which time."""
    granularity = _decode_member(MetricsGranularity, call.granularity)
    return MetricsRange(call.tenant_id, call.start_ms, call.end_ms, granularity)
