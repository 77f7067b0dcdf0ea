"""The management SDK: images, instances and agents of an environment."""

from runtara_sdk.instance_error import InstanceError
from runtara_sdk.management.agent_models import (
    AgentInfo,
    CapabilityField,
    CapabilityInfo,
    CapabilityTestResult,
    KnownError,
)
from runtara_sdk.management.client import ManagementSdk
from runtara_sdk.management.models import (
    CheckpointDetail,
    CheckpointPage,
    CheckpointSummary,
    EarlierStart,
    EventInfo,
    EventPage,
    ForkedInstance,
    HealthReport,
    ImageInfo,
    ImagePage,
    InstanceInfo,
    InstancePage,
    InstanceSummary,
    RegisteredImage,
    RetriedInstance,
    RetriedInstances,
    RetryOutcome,
    StartedInstance,
    as_json,
)
from runtara_sdk.management.settings import ManagementSettings
from runtara_sdk.resource_limits import ResourceLimits

__all__ = [
    "AgentInfo",
    "CapabilityField",
    "CapabilityInfo",
    "CapabilityTestResult",
    "CheckpointDetail",
    "CheckpointPage",
    "CheckpointSummary",
    "EarlierStart",
    "EventInfo",
    "EventPage",
    "ForkedInstance",
    "HealthReport",
    "ImageInfo",
    "ImagePage",
    "InstanceError",
    "InstanceInfo",
    "InstancePage",
    "InstanceSummary",
    "KnownError",
    "ManagementSdk",
    "ManagementSettings",
    "RegisteredImage",
    "ResourceLimits",
    "RetriedInstance",
    "RetriedInstances",
    "RetryOutcome",
    "StartedInstance",
    "as_json",
]
