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
    HealthReport,
    ImageInfo,
    ImagePage,
    InstanceInfo,
    InstancePage,
    InstanceSummary,
    RegisteredImage,
    RunnerType,
    StartedInstance,
    as_json,
)
from runtara_sdk.management.settings import ManagementSettings

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
    "RunnerType",
    "StartedInstance",
    "as_json",
]
