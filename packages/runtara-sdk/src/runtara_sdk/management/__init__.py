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
from runtara_sdk.management.host_models import HostInfo, HostState
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
from runtara_sdk.management.step_models import (
    MetricsBucket,
    MetricsGranularity,
    ScopeInfo,
    StepPage,
    StepStatus,
    StepSummary,
    TenantMetrics,
)
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
    "HostInfo",
    "HostState",
    "ImageInfo",
    "ImagePage",
    "InstanceError",
    "InstanceInfo",
    "InstancePage",
    "InstanceSummary",
    "KnownError",
    "ManagementSdk",
    "ManagementSettings",
    "MetricsBucket",
    "MetricsGranularity",
    "RegisteredImage",
    "ResourceLimits",
    "RetriedInstance",
    "RetriedInstances",
    "RetryOutcome",
    "ScopeInfo",
    "StartedInstance",
    "StepPage",
    "StepStatus",
    "StepSummary",
    "TenantMetrics",
    "as_json",
]
