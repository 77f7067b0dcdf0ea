"""Every model of the management protocol survives the wire; numbers that nobody knows are errors."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from runtara_core.models import (
    CheckpointFilter,
    CheckpointRecord,
    CheckpointSummary,
    CreatedInstance,
    EventFilter,
    EventRecord,
    ExitDecision,
    ExitReport,
    ForkedInstance,
    HealthReport,
    Instance,
    InstanceFilter,
    InstanceFork,
    InstanceKey,
    LaunchClaim,
    LeaseKey,
    NewInstance,
    RetriedInstance,
)
from runtara_core.steps import ScopeInfo, StepFilter, StepStatus, StepSummary
from runtara_core.tenant_metrics import MetricsBucket, MetricsGranularity, MetricsRange
from runtara_core.wire.management_codec import (
    decode_checkpoint_filter,
    decode_event_filter,
    decode_instance_filter,
    decode_metrics_range,
    decode_model,
    decode_signal_type,
    decode_status,
    decode_step_filter,
    decode_step_summary,
    encode_instance_filter,
    encode_model,
    encode_signal_type,
    encode_status,
)
from runtara_sdk.errors import InvalidInputError, ProtocolError
from runtara_sdk.models import InstanceStatus, SignalType, TerminationReason
from runtara_sdk.protocol import management_pb2 as pb

PAIRS: list[tuple[type[Any], type[Message]]] = [
    (Instance, pb.Instance),
    (NewInstance, pb.CreateInstanceRequest),
    (CreatedInstance, pb.CreateInstanceResponse),
    (RetriedInstance, pb.RetryInstanceResponse),
    (InstanceFork, pb.ForkInstanceRequest),
    (ForkedInstance, pb.ForkInstanceResponse),
    (LaunchClaim, pb.LaunchClaim),
    (LeaseKey, pb.LeaseKey),
    (ExitReport, pb.ExitReport),
    (ExitDecision, pb.ExitDecision),
    (CheckpointSummary, pb.CheckpointSummary),
    (CheckpointRecord, pb.GetCheckpointResponse),
    (EventRecord, pb.EventRecord),
    (HealthReport, pb.HealthCheckResponse),
]

_TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
_INTEGERS = {
    FieldDescriptor.TYPE_INT32: st.integers(-(2**31), 2**31 - 1),
    FieldDescriptor.TYPE_INT64: st.integers(-(2**63), 2**63 - 1),
    FieldDescriptor.TYPE_UINT32: st.integers(0, 2**32 - 1),
    FieldDescriptor.TYPE_UINT64: st.integers(0, 2**64 - 1),
}


def values_of(field: FieldDescriptor) -> st.SearchStrategy[Any]:
    """What a field can carry."""
    values: st.SearchStrategy[Any]
    if field.type in _INTEGERS:
        values = _INTEGERS[field.type]
    elif field.name in ("termination_reason", "reason"):
        values = st.sampled_from(TerminationReason)
    elif field.type == FieldDescriptor.TYPE_STRING:
        values = _TEXTS
    elif field.type == FieldDescriptor.TYPE_BYTES:
        values = st.binary(max_size=20)
    elif field.type == FieldDescriptor.TYPE_BOOL:
        values = st.booleans()
    else:
        assert field.type == FieldDescriptor.TYPE_ENUM
        values = st.sampled_from(InstanceStatus)
    return st.none() | values if field.has_presence else values


def models(model_type: type[Any], message_type: type[Message]) -> st.SearchStrategy[Any]:
    """Instances of a model."""
    fields = message_type.DESCRIPTOR.fields_by_name
    return st.builds(
        model_type, **{field.name: values_of(fields[field.name]) for field in dataclasses.fields(model_type)}
    )


@pytest.mark.parametrize(("model_type", "message_type"), PAIRS)
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_models_survive_the_wire(model_type: type[Any], message_type: type[Message], data: st.DataObject) -> None:
    model = data.draw(models(model_type, message_type))
    sent = encode_model(model, message_type()).SerializeToString()
    received = message_type()
    received.ParseFromString(sent)
    assert decode_model(model_type, received) == model


_optional_times = st.none() | st.integers(0, 2**53)


@given(
    st.builds(
        InstanceFilter,
        tenant_id=st.none() | _TEXTS,
        statuses=st.lists(st.sampled_from(InstanceStatus), max_size=3).map(tuple),
        image_ids=st.none() | st.lists(_TEXTS, max_size=3).map(tuple),
        created_after_ms=_optional_times,
        created_before_ms=_optional_times,
        finished_after_ms=_optional_times,
        finished_before_ms=_optional_times,
        order_by=st.sampled_from(["created_at_desc", "finished_at_asc"]),
        termination_reasons=st.lists(st.sampled_from(TerminationReason), max_size=3).map(tuple),
        after=st.none() | st.builds(InstanceKey, time_ms=_optional_times, instance_id=_TEXTS),
        without_total=st.booleans(),
        limit=st.integers(1, 1000),
        offset=st.integers(0, 2**32 - 1),
    )
)
def test_instance_filters_survive_the_wire(where: InstanceFilter) -> None:
    received = pb.ListInstancesRequest.FromString(encode_instance_filter(where).SerializeToString())
    assert decode_instance_filter(received, max_limit=1000) == where


@given(
    st.builds(
        EventFilter,
        event_type=st.none() | _TEXTS,
        subtype=st.none() | _TEXTS,
        created_after_ms=_optional_times,
        created_before_ms=_optional_times,
        ascending=st.booleans(),
        after_event_id=_optional_times,
        before_event_id=_optional_times,
        payload_contains=st.none() | _TEXTS,
        scope_id=st.none() | _TEXTS,
        parent_scope_id=st.none() | _TEXTS,
        root_scopes_only=st.booleans(),
        without_total=st.booleans(),
        limit=st.integers(1, 1000),
        offset=st.integers(0, 2**32 - 1),
    )
)
def test_event_filters_survive_the_wire(where: EventFilter) -> None:
    sent = encode_model(where, pb.ListEventsRequest(instance_id="instance-1")).SerializeToString()
    assert decode_event_filter(pb.ListEventsRequest.FromString(sent), max_limit=1000) == where


@given(
    st.builds(
        CheckpointFilter,
        checkpoint_id=st.none() | _TEXTS,
        created_after_ms=_optional_times,
        created_before_ms=_optional_times,
        before_checkpoint_id=st.none() | _TEXTS,
        limit=st.integers(1, 1000),
        offset=st.integers(0, 2**32 - 1),
        without_total=st.booleans(),
    )
)
def test_checkpoint_filters_survive_the_wire(where: CheckpointFilter) -> None:
    sent = encode_model(where, pb.ListCheckpointsRequest(instance_id="instance-1")).SerializeToString()
    assert decode_checkpoint_filter(pb.ListCheckpointsRequest.FromString(sent), max_limit=1000) == where


@given(
    st.builds(
        StepFilter,
        status=st.none() | st.sampled_from(StepStatus),
        step_type=st.none() | _TEXTS,
        scope_id=st.none() | _TEXTS,
        parent_scope_id=st.none() | _TEXTS,
        root_scopes_only=st.booleans(),
        descending=st.booleans(),
        after_position=_optional_times,
        limit=st.integers(1, 250),
        offset=st.integers(0, 2**32 - 1),
        without_total=st.booleans(),
    )
)
def test_step_filters_survive_the_wire(where: StepFilter) -> None:
    sent = encode_model(where, pb.ListStepSummariesRequest(instance_id="instance-1")).SerializeToString()
    assert decode_step_filter(pb.ListStepSummariesRequest.FromString(sent)) == where


def test_steps_and_metrics_survive_the_wire() -> None:
    bare = StepSummary(1, "step", "Agent", StepStatus.RUNNING, 5)
    for step in (bare, StepSummary(2, "b", "", StepStatus.FAILED, 5, "B", 7, 0, b"1", None, b'"no"', "sc_b_0", "sc_b")):
        sent = encode_model(step, pb.StepSummary()).SerializeToString()
        assert decode_step_summary(pb.StepSummary.FromString(sent)) == step
    for scope in (ScopeInfo("a", None, "s", "T", 1), ScopeInfo("a_0", "a", "s", "T", 1, "S", 0)):
        assert decode_model(ScopeInfo, encode_model(scope, pb.ScopeInfo())) == scope
    for bucket in (MetricsBucket(7), MetricsBucket(7, 3, 1, 1, 1, 0.0, 0.5, 2.0, 0, 9, 100 / 3)):
        assert decode_model(MetricsBucket, encode_model(bucket, pb.MetricsBucket())) == bucket
    where = MetricsRange("t", 0, 9, MetricsGranularity.DAILY)
    assert decode_metrics_range(encode_model(where, pb.GetTenantMetricsRequest())) == where
    with pytest.raises(ProtocolError, match="soon"):
        decode_step_filter(pb.ListStepSummariesRequest(status="soon"))


def test_limits_are_bounded_and_have_a_default() -> None:
    assert decode_instance_filter(pb.ListInstancesRequest(), max_limit=1000).limit == 100
    assert decode_instance_filter(pb.ListInstancesRequest(limit=9_999), max_limit=1000).limit == 1000
    assert decode_event_filter(pb.ListEventsRequest(), max_limit=1000).limit == 100
    assert decode_event_filter(pb.ListEventsRequest(limit=9_999), max_limit=1000).limit == 1000


def test_no_image_is_not_any_image() -> None:
    sent = encode_instance_filter(InstanceFilter(image_ids=())).SerializeToString()
    assert decode_instance_filter(pb.ListInstancesRequest.FromString(sent), max_limit=1000).image_ids == ()


@pytest.mark.parametrize("status", InstanceStatus)
def test_statuses_have_numbers(status: InstanceStatus) -> None:
    assert decode_status(encode_status(status)) is status


@pytest.mark.parametrize("signal_type", SignalType)
def test_signals_have_numbers(signal_type: SignalType) -> None:
    assert decode_signal_type(encode_signal_type(signal_type)) is signal_type


@pytest.mark.parametrize("number", [0, 7, 99, -1])
def test_unknown_statuses_are_errors(number: int) -> None:
    with pytest.raises(ProtocolError, match=str(number)):
        decode_status(number)


@pytest.mark.parametrize("number", [4, 99, -1])
def test_unknown_signals_are_errors_and_never_a_cancel(number: int) -> None:
    with pytest.raises(InvalidInputError, match=str(number)):
        decode_signal_type(number)


def test_an_unknown_reason_is_an_error() -> None:
    with pytest.raises(ProtocolError, match="vanished"):
        decode_model(ExitReport, pb.ExitReport(reason="vanished"))
