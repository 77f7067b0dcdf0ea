"""What a management client gets back. Times are milliseconds since the Unix epoch, UTC; sizes are bytes.

Stored bytes that are JSON appear as the value; other UTF-8 as text, anything else as base64 text.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from runtara_sdk.instance_error import InstanceError
from runtara_sdk.iso_time import iso_time
from runtara_sdk.management.agent_models import CapabilityTestResult
from runtara_sdk.management.host_models import HostInfo
from runtara_sdk.management.step_models import MetricsBucket, ScopeInfo, StepPage, StepSummary, TenantMetrics
from runtara_sdk.models import InstanceStatus
from runtara_sdk.resource_limits import UNLIMITED, ResourceLimits


@dataclass(frozen=True, slots=True)
class HealthReport:
    """Answer of an environment that is up."""

    healthy: bool
    version: str
    uptime_ms: int
    active_instances: int


@dataclass(frozen=True, slots=True)
class RegisteredImage:
    """A registered image.

    Attributes:
        image_id: its id.
        version: counts what was registered under its name; 0 when the server does not say.
        warning: why it is not kept on as many hosts as the environment was told to; None when it is.
    """

    image_id: str
    version: int = 0
    warning: str | None = None


@dataclass(frozen=True, slots=True)
class ImageInfo:
    """An image of the registry, with what is known of its current version.

    Attributes:
        image_id: of the image.
        tenant_id: owner.
        name: unique within the tenant.
        description: free text.
        runner: the runner that must launch it, such as `oci`; None when the environment chooses.
        created_at_ms: first registration of the name.
        version: the current one; 0 when the server does not say, as with all that follows.
        digest: SHA-256 of the artifact, hexadecimal.
        size_bytes: of the artifact.
        kind: of the artifact: `native`, `python` or `executable`.
        updated_at_ms: last registration.
        signed: whether a signature came with it.
        limits: bounds of its launches, where a start says nothing else.
    """

    image_id: str
    tenant_id: str
    name: str
    description: str | None
    runner: str | None
    created_at_ms: int
    version: int = 0
    digest: str = ""
    size_bytes: int = 0
    kind: str = ""
    updated_at_ms: int = 0
    signed: bool = False
    limits: ResourceLimits = UNLIMITED


@dataclass(frozen=True, slots=True)
class ImageVersion:
    """A version of an image.

    Attributes:
        version: 1, 2, ...; numbers are not used again.
        digest: SHA-256 of the artifact, hexadecimal.
        size_bytes: of the artifact.
        kind: of the artifact: `native`, `python` or `executable`.
        created_at_ms: its first registration.
        last_used_at_ms: its last registration or start, as of an hour or less before.
        current: whether starts that name no version launch it.
        signed: whether a signature came with it.
    """

    version: int
    digest: str
    size_bytes: int
    kind: str
    created_at_ms: int
    last_used_at_ms: int
    current: bool
    signed: bool


@dataclass(frozen=True, slots=True)
class ImageVersionPage:
    """A page of an image's versions, newest first."""

    versions: tuple[ImageVersion, ...]


@dataclass(frozen=True, slots=True)
class ImagePage:
    """A page of images, the number of all that match, and the token of the next page; None on the last one."""

    images: tuple[ImageInfo, ...]
    total_count: int
    next_page_token: str | None = None


@dataclass(frozen=True, slots=True)
class EarlierStart:
    """What a start that is repeated had begun.

    Attributes:
        image_id: the image that the instance is of.
        status: of the instance.
        other_version: it runs another version of the image than the one that the image has now.
        other_input: it was started with another input than the one given now; that one is not used.
    """

    image_id: str
    status: InstanceStatus
    other_version: bool
    other_input: bool


@dataclass(frozen=True, slots=True)
class StartedInstance:
    """An accepted start.

    Attributes:
        instance_id: the instance.
        deduplicated: the same start had been accepted before; nothing was started.
        earlier: what had been started then; None when nothing had, or the server does not say.
    """

    instance_id: str
    deduplicated: bool = False
    earlier: EarlierStart | None = None


@dataclass(frozen=True, slots=True)
class RetriedInstance:
    """An accepted retry; `deduplicated` says that the same retry, by its key, had been accepted before."""

    instance_id: str
    deduplicated: bool = False


@dataclass(frozen=True, slots=True)
class RetryOutcome:
    """What came of one retry of several.

    Attributes:
        instance_id: the instance.
        accepted: whether it goes on; in a dry run, whether it would.
        code: of the error that it was refused with.
        reason: text of that error.
    """

    instance_id: str
    accepted: bool
    code: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class RetriedInstances:
    """What came of several retries.

    Attributes:
        outcomes: one for each instance that was chosen.
        total_count: number of all that match; more than `outcomes` when the limit of the call was lower.
        dry_run: nothing was changed.
    """

    outcomes: tuple[RetryOutcome, ...]
    total_count: int
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class ForkedInstance:
    """An accepted fork, or what one would give.

    Attributes:
        instance_id: of the new instance.
        origin_id: whose records it begins with.
        deduplicated: the same fork had been accepted before; nothing was created.
        copied: checkpoints that it has got.
        left_out: further checkpoints of the origin, which belong to what is done again.
        last_copied: id of the last one that it has got, as the origin has it; None when it has none.
    """

    instance_id: str
    origin_id: str
    deduplicated: bool
    copied: int
    left_out: int
    last_copied: str | None


@dataclass(frozen=True, slots=True)
class InstanceInfo:
    """All that is known of an instance.

    Attributes:
        input_bytes: size of an input that is left out, because it is longer than 12 MiB: `ManagementSdk.read_input`
            gives it; None when `input` is all of it.
        memory_peak_bytes: the largest of its ended launches.
        cpu_usage_usec: the sum of its ended launches, user and system time.
        limits: bounds of its launches, as start and image gave them; others are the environment's.
        runner: the runner that must launch it; None when the environment chooses.
    """

    instance_id: str
    tenant_id: str
    image_id: str
    image_name: str
    status: InstanceStatus
    created_at_ms: int
    started_at_ms: int | None = None
    finished_at_ms: int | None = None
    heartbeat_at_ms: int | None = None
    wake_at_ms: int | None = None
    checkpoint_id: str | None = None
    input: Any = None
    output: Any = None
    error: InstanceError | None = None
    stderr: str | None = None
    termination_reason: str | None = None
    exit_code: int | None = None
    retry_count: int = 0
    max_retries: int = 0
    memory_peak_bytes: int | None = None
    cpu_usage_usec: int | None = None
    epoch: int = 0
    input_bytes: int | None = None
    limits: ResourceLimits = UNLIMITED
    runner: str | None = None


@dataclass(frozen=True, slots=True)
class LogPiece:
    """A part of what one launch of an instance has written to one of its streams.

    Attributes:
        instance_id: whose output it is.
        stream: `stdout` or `stderr`.
        epoch: of the launch; 0 when there has been none.
        offset: bytes of the stream before `data`.
        data: the bytes, which need not end with a line or a character.
        dropped: output before `offset` that was asked for is not kept any more.
        ended: the launch has ended, and nothing follows `data`.
        next_epoch: of the launch after it; None when there has been none.
        status: of the instance; None while the launch runs.
        missing: while it is followed: no host that is there has output of this launch. It came to nothing before its
            program began, its host is gone, or its output is kept no more.
    """

    instance_id: str
    stream: str
    epoch: int
    offset: int
    data: bytes
    dropped: bool
    ended: bool
    next_epoch: int | None
    status: InstanceStatus | None
    missing: bool = False

    @property
    def next_offset(self) -> int:
        """Where the stream goes on."""
        return self.offset + len(self.data)


@dataclass(frozen=True, slots=True)
class InstanceSummary:
    """An instance in a list."""

    instance_id: str
    tenant_id: str
    image_id: str
    image_name: str
    status: InstanceStatus
    created_at_ms: int
    started_at_ms: int | None
    finished_at_ms: int | None
    has_error: bool
    termination_reason: str | None


@dataclass(frozen=True, slots=True)
class InstancePage:
    """A page of instances, the number of all that match, and the token of the next page; None on the last one."""

    instances: tuple[InstanceSummary, ...]
    total_count: int
    next_page_token: str | None = None


@dataclass(frozen=True, slots=True)
class CheckpointSummary:
    """A checkpoint without its state."""

    checkpoint_id: str
    instance_id: str
    created_at_ms: int
    data_size_bytes: int


@dataclass(frozen=True, slots=True)
class CheckpointPage:
    """A page of checkpoints, newest first, the number of all that match, and the token of the next page, if any."""

    checkpoints: tuple[CheckpointSummary, ...]
    total_count: int
    next_page_token: str | None = None


@dataclass(frozen=True, slots=True)
class CheckpointDetail:
    """A checkpoint with its state."""

    checkpoint_id: str
    instance_id: str
    created_at_ms: int
    data: Any


@dataclass(frozen=True, slots=True)
class EventInfo:
    """A row of the event log of an instance."""

    event_id: int
    instance_id: str
    event_type: str
    created_at_ms: int
    checkpoint_id: str | None
    subtype: str | None
    payload: Any


@dataclass(frozen=True, slots=True)
class EventPage:
    """A page of events, the number of all that match, and the token of the next page; None on the last one."""

    events: tuple[EventInfo, ...]
    total_count: int
    next_page_token: str | None = None


Answer = (
    HealthReport
    | HostInfo
    | EarlierStart
    | RegisteredImage
    | ImageInfo
    | ImagePage
    | ImageVersion
    | ImageVersionPage
    | StartedInstance
    | RetriedInstance
    | RetryOutcome
    | RetriedInstances
    | ForkedInstance
    | InstanceInfo
    | InstanceSummary
    | InstancePage
    | CheckpointPage
    | CheckpointSummary
    | CheckpointDetail
    | EventPage
    | EventInfo
    | CapabilityTestResult
    | StepPage
    | StepSummary
    | ScopeInfo
    | TenantMetrics
    | MetricsBucket
)


def as_json(answer: Answer) -> dict[str, Any]:
    """An answer as JSON-ready values, with the names of its fields; the error of an instance is an object or a text.

    Beside each time in milliseconds, such as `created_at_ms`, stands the same in ISO 8601, as `created_at`. The token
    of a next page is there when there is one.
    """
    document: dict[str, Any] = {}
    for field in fields(answer):
        value = getattr(answer, field.name)
        if field.name == "next_page_token" and value is None:
            continue
        if isinstance(value, InstanceError):
            document[field.name] = value.as_json()
        elif isinstance(value, tuple):
            document[field.name] = [item if isinstance(item, str) else as_json(item) for item in value]
        elif isinstance(value, ResourceLimits):
            document[field.name] = value.given()
        elif isinstance(value, EarlierStart):
            document[field.name] = as_json(value)
        else:
            document[field.name] = value
        if field.name.endswith(("_at_ms", "_time_ms")):
            document[field.name.removesuffix("_ms")] = None if value is None else iso_time(value)
    return document
