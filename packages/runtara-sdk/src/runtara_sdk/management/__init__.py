"""The management SDK: images and instances of an environment."""

from runtara_sdk.instance_error import InstanceError
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
    "ManagementSdk",
    "ManagementSettings",
    "RegisteredImage",
    "RunnerType",
    "StartedInstance",
    "as_json",
]
