from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class InstanceStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    STATUS_UNKNOWN: _ClassVar[InstanceStatus]
    STATUS_PENDING: _ClassVar[InstanceStatus]
    STATUS_RUNNING: _ClassVar[InstanceStatus]
    STATUS_SUSPENDED: _ClassVar[InstanceStatus]
    STATUS_COMPLETED: _ClassVar[InstanceStatus]
    STATUS_FAILED: _ClassVar[InstanceStatus]
    STATUS_CANCELLED: _ClassVar[InstanceStatus]

class SignalType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SIGNAL_CANCEL: _ClassVar[SignalType]
    SIGNAL_PAUSE: _ClassVar[SignalType]
    SIGNAL_RESUME: _ClassVar[SignalType]
    SIGNAL_SHUTDOWN: _ClassVar[SignalType]
STATUS_UNKNOWN: InstanceStatus
STATUS_PENDING: InstanceStatus
STATUS_RUNNING: InstanceStatus
STATUS_SUSPENDED: InstanceStatus
STATUS_COMPLETED: InstanceStatus
STATUS_FAILED: InstanceStatus
STATUS_CANCELLED: InstanceStatus
SIGNAL_CANCEL: SignalType
SIGNAL_PAUSE: SignalType
SIGNAL_RESUME: SignalType
SIGNAL_SHUTDOWN: SignalType

class HealthCheckRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class HealthCheckResponse(_message.Message):
    __slots__ = ("healthy", "version", "uptime_ms", "active_instances")
    HEALTHY_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    UPTIME_MS_FIELD_NUMBER: _ClassVar[int]
    ACTIVE_INSTANCES_FIELD_NUMBER: _ClassVar[int]
    healthy: bool
    version: str
    uptime_ms: int
    active_instances: int
    def __init__(self, healthy: _Optional[bool] = ..., version: _Optional[str] = ..., uptime_ms: _Optional[int] = ..., active_instances: _Optional[int] = ...) -> None: ...

class SendSignalRequest(_message.Message):
    __slots__ = ("instance_id", "signal_type", "payload")
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    SIGNAL_TYPE_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    instance_id: str
    signal_type: SignalType
    payload: bytes
    def __init__(self, instance_id: _Optional[str] = ..., signal_type: _Optional[_Union[SignalType, str]] = ..., payload: _Optional[bytes] = ...) -> None: ...

class SendSignalResponse(_message.Message):
    __slots__ = ("success", "error", "status")
    SUCCESS_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    success: bool
    error: str
    status: InstanceStatus
    def __init__(self, success: _Optional[bool] = ..., error: _Optional[str] = ..., status: _Optional[_Union[InstanceStatus, str]] = ...) -> None: ...

class SendCustomSignalRequest(_message.Message):
    __slots__ = ("instance_id", "checkpoint_id", "payload")
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_ID_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    instance_id: str
    checkpoint_id: str
    payload: bytes
    def __init__(self, instance_id: _Optional[str] = ..., checkpoint_id: _Optional[str] = ..., payload: _Optional[bytes] = ...) -> None: ...

class SendCustomSignalResponse(_message.Message):
    __slots__ = ("success", "error")
    SUCCESS_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    success: bool
    error: str
    def __init__(self, success: _Optional[bool] = ..., error: _Optional[str] = ...) -> None: ...

class GetInstanceStatusRequest(_message.Message):
    __slots__ = ("instance_id", "tenant_id")
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    instance_id: str
    tenant_id: str
    def __init__(self, instance_id: _Optional[str] = ..., tenant_id: _Optional[str] = ...) -> None: ...

class GetInstanceStatusResponse(_message.Message):
    __slots__ = ("instance_id", "status", "checkpoint_id", "started_at_ms", "finished_at_ms", "output", "error", "found")
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_ID_FIELD_NUMBER: _ClassVar[int]
    STARTED_AT_MS_FIELD_NUMBER: _ClassVar[int]
    FINISHED_AT_MS_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    FOUND_FIELD_NUMBER: _ClassVar[int]
    instance_id: str
    status: InstanceStatus
    checkpoint_id: str
    started_at_ms: int
    finished_at_ms: int
    output: bytes
    error: str
    found: bool
    def __init__(self, instance_id: _Optional[str] = ..., status: _Optional[_Union[InstanceStatus, str]] = ..., checkpoint_id: _Optional[str] = ..., started_at_ms: _Optional[int] = ..., finished_at_ms: _Optional[int] = ..., output: _Optional[bytes] = ..., error: _Optional[str] = ..., found: _Optional[bool] = ...) -> None: ...

class ImageIds(_message.Message):
    __slots__ = ("image_ids",)
    IMAGE_IDS_FIELD_NUMBER: _ClassVar[int]
    image_ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, image_ids: _Optional[_Iterable[str]] = ...) -> None: ...

class ListInstancesRequest(_message.Message):
    __slots__ = ("tenant_id", "status", "limit", "offset", "statuses", "image_ids", "created_after_ms", "created_before_ms", "finished_after_ms", "finished_before_ms", "order_by", "termination_reasons", "after", "without_total")
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    STATUSES_FIELD_NUMBER: _ClassVar[int]
    IMAGE_IDS_FIELD_NUMBER: _ClassVar[int]
    CREATED_AFTER_MS_FIELD_NUMBER: _ClassVar[int]
    CREATED_BEFORE_MS_FIELD_NUMBER: _ClassVar[int]
    FINISHED_AFTER_MS_FIELD_NUMBER: _ClassVar[int]
    FINISHED_BEFORE_MS_FIELD_NUMBER: _ClassVar[int]
    ORDER_BY_FIELD_NUMBER: _ClassVar[int]
    TERMINATION_REASONS_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    WITHOUT_TOTAL_FIELD_NUMBER: _ClassVar[int]
    tenant_id: str
    status: InstanceStatus
    limit: int
    offset: int
    statuses: _containers.RepeatedScalarFieldContainer[InstanceStatus]
    image_ids: ImageIds
    created_after_ms: int
    created_before_ms: int
    finished_after_ms: int
    finished_before_ms: int
    order_by: str
    termination_reasons: _containers.RepeatedScalarFieldContainer[str]
    after: InstanceKey
    without_total: bool
    def __init__(self, tenant_id: _Optional[str] = ..., status: _Optional[_Union[InstanceStatus, str]] = ..., limit: _Optional[int] = ..., offset: _Optional[int] = ..., statuses: _Optional[_Iterable[_Union[InstanceStatus, str]]] = ..., image_ids: _Optional[_Union[ImageIds, _Mapping]] = ..., created_after_ms: _Optional[int] = ..., created_before_ms: _Optional[int] = ..., finished_after_ms: _Optional[int] = ..., finished_before_ms: _Optional[int] = ..., order_by: _Optional[str] = ..., termination_reasons: _Optional[_Iterable[str]] = ..., after: _Optional[_Union[InstanceKey, _Mapping]] = ..., without_total: _Optional[bool] = ...) -> None: ...

class InstanceKey(_message.Message):
    __slots__ = ("time_ms", "instance_id")
    TIME_MS_FIELD_NUMBER: _ClassVar[int]
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    time_ms: int
    instance_id: str
    def __init__(self, time_ms: _Optional[int] = ..., instance_id: _Optional[str] = ...) -> None: ...

class ListInstancesResponse(_message.Message):
    __slots__ = ("instances", "total_count")
    INSTANCES_FIELD_NUMBER: _ClassVar[int]
    TOTAL_COUNT_FIELD_NUMBER: _ClassVar[int]
    instances: _containers.RepeatedCompositeFieldContainer[Instance]
    total_count: int
    def __init__(self, instances: _Optional[_Iterable[_Union[Instance, _Mapping]]] = ..., total_count: _Optional[int] = ...) -> None: ...

class ListCheckpointsRequest(_message.Message):
    __slots__ = ("instance_id", "limit", "offset", "checkpoint_id", "created_after_ms", "created_before_ms", "before_checkpoint_id", "without_total")
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_ID_FIELD_NUMBER: _ClassVar[int]
    CREATED_AFTER_MS_FIELD_NUMBER: _ClassVar[int]
    CREATED_BEFORE_MS_FIELD_NUMBER: _ClassVar[int]
    BEFORE_CHECKPOINT_ID_FIELD_NUMBER: _ClassVar[int]
    WITHOUT_TOTAL_FIELD_NUMBER: _ClassVar[int]
    instance_id: str
    limit: int
    offset: int
    checkpoint_id: str
    created_after_ms: int
    created_before_ms: int
    before_checkpoint_id: str
    without_total: bool
    def __init__(self, instance_id: _Optional[str] = ..., limit: _Optional[int] = ..., offset: _Optional[int] = ..., checkpoint_id: _Optional[str] = ..., created_after_ms: _Optional[int] = ..., created_before_ms: _Optional[int] = ..., before_checkpoint_id: _Optional[str] = ..., without_total: _Optional[bool] = ...) -> None: ...

class CheckpointSummary(_message.Message):
    __slots__ = ("checkpoint_id", "instance_id", "created_at_ms", "data_size_bytes")
    CHECKPOINT_ID_FIELD_NUMBER: _ClassVar[int]
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_MS_FIELD_NUMBER: _ClassVar[int]
    DATA_SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    checkpoint_id: str
    instance_id: str
    created_at_ms: int
    data_size_bytes: int
    def __init__(self, checkpoint_id: _Optional[str] = ..., instance_id: _Optional[str] = ..., created_at_ms: _Optional[int] = ..., data_size_bytes: _Optional[int] = ...) -> None: ...

class ListCheckpointsResponse(_message.Message):
    __slots__ = ("checkpoints", "total_count")
    CHECKPOINTS_FIELD_NUMBER: _ClassVar[int]
    TOTAL_COUNT_FIELD_NUMBER: _ClassVar[int]
    checkpoints: _containers.RepeatedCompositeFieldContainer[CheckpointSummary]
    total_count: int
    def __init__(self, checkpoints: _Optional[_Iterable[_Union[CheckpointSummary, _Mapping]]] = ..., total_count: _Optional[int] = ...) -> None: ...

class GetCheckpointRequest(_message.Message):
    __slots__ = ("instance_id", "checkpoint_id")
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_ID_FIELD_NUMBER: _ClassVar[int]
    instance_id: str
    checkpoint_id: str
    def __init__(self, instance_id: _Optional[str] = ..., checkpoint_id: _Optional[str] = ...) -> None: ...

class GetCheckpointResponse(_message.Message):
    __slots__ = ("found", "checkpoint_id", "instance_id", "created_at_ms", "state")
    FOUND_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_ID_FIELD_NUMBER: _ClassVar[int]
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_MS_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    found: bool
    checkpoint_id: str
    instance_id: str
    created_at_ms: int
    state: bytes
    def __init__(self, found: _Optional[bool] = ..., checkpoint_id: _Optional[str] = ..., instance_id: _Optional[str] = ..., created_at_ms: _Optional[int] = ..., state: _Optional[bytes] = ...) -> None: ...

class CreateInstanceRequest(_message.Message):
    __slots__ = ("instance_id", "tenant_id", "image_id", "input", "launch_options", "input_bytes")
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    IMAGE_ID_FIELD_NUMBER: _ClassVar[int]
    INPUT_FIELD_NUMBER: _ClassVar[int]
    LAUNCH_OPTIONS_FIELD_NUMBER: _ClassVar[int]
    INPUT_BYTES_FIELD_NUMBER: _ClassVar[int]
    instance_id: str
    tenant_id: str
    image_id: str
    input: bytes
    launch_options: bytes
    input_bytes: int
    def __init__(self, instance_id: _Optional[str] = ..., tenant_id: _Optional[str] = ..., image_id: _Optional[str] = ..., input: _Optional[bytes] = ..., launch_options: _Optional[bytes] = ..., input_bytes: _Optional[int] = ...) -> None: ...

class CreateInstanceResponse(_message.Message):
    __slots__ = ("instance_id", "deduplicated")
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    DEDUPLICATED_FIELD_NUMBER: _ClassVar[int]
    instance_id: str
    deduplicated: bool
    def __init__(self, instance_id: _Optional[str] = ..., deduplicated: _Optional[bool] = ...) -> None: ...

class GetInstanceRequest(_message.Message):
    __slots__ = ("instance_id", "tenant_id")
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    instance_id: str
    tenant_id: str
    def __init__(self, instance_id: _Optional[str] = ..., tenant_id: _Optional[str] = ...) -> None: ...

class GetInstanceResponse(_message.Message):
    __slots__ = ("instance",)
    INSTANCE_FIELD_NUMBER: _ClassVar[int]
    instance: Instance
    def __init__(self, instance: _Optional[_Union[Instance, _Mapping]] = ...) -> None: ...

class Instance(_message.Message):
    __slots__ = ("instance_id", "tenant_id", "status", "epoch", "created_at_ms", "image_id", "launch_options", "checkpoint_id", "attempt", "max_attempts", "started_at_ms", "finished_at_ms", "wake_at_ms", "last_contact_at_ms", "input", "output", "error", "stderr", "termination_reason", "exit_code", "memory_peak_bytes", "cpu_usage_usec", "lease_owner", "lease_until_ms", "recovery_attempts", "checkpoint_count", "input_bytes", "out_of_memory")
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_MS_FIELD_NUMBER: _ClassVar[int]
    IMAGE_ID_FIELD_NUMBER: _ClassVar[int]
    LAUNCH_OPTIONS_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_ID_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    MAX_ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    STARTED_AT_MS_FIELD_NUMBER: _ClassVar[int]
    FINISHED_AT_MS_FIELD_NUMBER: _ClassVar[int]
    WAKE_AT_MS_FIELD_NUMBER: _ClassVar[int]
    LAST_CONTACT_AT_MS_FIELD_NUMBER: _ClassVar[int]
    INPUT_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    STDERR_FIELD_NUMBER: _ClassVar[int]
    TERMINATION_REASON_FIELD_NUMBER: _ClassVar[int]
    EXIT_CODE_FIELD_NUMBER: _ClassVar[int]
    MEMORY_PEAK_BYTES_FIELD_NUMBER: _ClassVar[int]
    CPU_USAGE_USEC_FIELD_NUMBER: _ClassVar[int]
    LEASE_OWNER_FIELD_NUMBER: _ClassVar[int]
    LEASE_UNTIL_MS_FIELD_NUMBER: _ClassVar[int]
    RECOVERY_ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_COUNT_FIELD_NUMBER: _ClassVar[int]
    INPUT_BYTES_FIELD_NUMBER: _ClassVar[int]
    OUT_OF_MEMORY_FIELD_NUMBER: _ClassVar[int]
    instance_id: str
    tenant_id: str
    status: InstanceStatus
    epoch: int
    created_at_ms: int
    image_id: str
    launch_options: bytes
    checkpoint_id: str
    attempt: int
    max_attempts: int
    started_at_ms: int
    finished_at_ms: int
    wake_at_ms: int
    last_contact_at_ms: int
    input: bytes
    output: bytes
    error: str
    stderr: str
    termination_reason: str
    exit_code: int
    memory_peak_bytes: int
    cpu_usage_usec: int
    lease_owner: str
    lease_until_ms: int
    recovery_attempts: int
    checkpoint_count: int
    input_bytes: int
    out_of_memory: bool
    def __init__(self, instance_id: _Optional[str] = ..., tenant_id: _Optional[str] = ..., status: _Optional[_Union[InstanceStatus, str]] = ..., epoch: _Optional[int] = ..., created_at_ms: _Optional[int] = ..., image_id: _Optional[str] = ..., launch_options: _Optional[bytes] = ..., checkpoint_id: _Optional[str] = ..., attempt: _Optional[int] = ..., max_attempts: _Optional[int] = ..., started_at_ms: _Optional[int] = ..., finished_at_ms: _Optional[int] = ..., wake_at_ms: _Optional[int] = ..., last_contact_at_ms: _Optional[int] = ..., input: _Optional[bytes] = ..., output: _Optional[bytes] = ..., error: _Optional[str] = ..., stderr: _Optional[str] = ..., termination_reason: _Optional[str] = ..., exit_code: _Optional[int] = ..., memory_peak_bytes: _Optional[int] = ..., cpu_usage_usec: _Optional[int] = ..., lease_owner: _Optional[str] = ..., lease_until_ms: _Optional[int] = ..., recovery_attempts: _Optional[int] = ..., checkpoint_count: _Optional[int] = ..., input_bytes: _Optional[int] = ..., out_of_memory: _Optional[bool] = ...) -> None: ...

class ClaimLaunchesRequest(_message.Message):
    __slots__ = ("owner", "limit", "lease_ms", "wait_ms", "instance_id", "without_images")
    OWNER_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    LEASE_MS_FIELD_NUMBER: _ClassVar[int]
    WAIT_MS_FIELD_NUMBER: _ClassVar[int]
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    WITHOUT_IMAGES_FIELD_NUMBER: _ClassVar[int]
    owner: str
    limit: int
    lease_ms: int
    wait_ms: int
    instance_id: str
    without_images: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, owner: _Optional[str] = ..., limit: _Optional[int] = ..., lease_ms: _Optional[int] = ..., wait_ms: _Optional[int] = ..., instance_id: _Optional[str] = ..., without_images: _Optional[_Iterable[str]] = ...) -> None: ...

class ClaimLaunchesResponse(_message.Message):
    __slots__ = ("claims",)
    CLAIMS_FIELD_NUMBER: _ClassVar[int]
    claims: _containers.RepeatedCompositeFieldContainer[LaunchClaim]
    def __init__(self, claims: _Optional[_Iterable[_Union[LaunchClaim, _Mapping]]] = ...) -> None: ...

class LaunchClaim(_message.Message):
    __slots__ = ("instance_id", "tenant_id", "epoch", "image_id", "input", "launch_options", "checkpoint_id", "lease_until_ms", "failed_launches", "token", "input_bytes")
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    IMAGE_ID_FIELD_NUMBER: _ClassVar[int]
    INPUT_FIELD_NUMBER: _ClassVar[int]
    LAUNCH_OPTIONS_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_ID_FIELD_NUMBER: _ClassVar[int]
    LEASE_UNTIL_MS_FIELD_NUMBER: _ClassVar[int]
    FAILED_LAUNCHES_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    INPUT_BYTES_FIELD_NUMBER: _ClassVar[int]
    instance_id: str
    tenant_id: str
    epoch: int
    image_id: str
    input: bytes
    launch_options: bytes
    checkpoint_id: str
    lease_until_ms: int
    failed_launches: int
    token: str
    input_bytes: int
    def __init__(self, instance_id: _Optional[str] = ..., tenant_id: _Optional[str] = ..., epoch: _Optional[int] = ..., image_id: _Optional[str] = ..., input: _Optional[bytes] = ..., launch_options: _Optional[bytes] = ..., checkpoint_id: _Optional[str] = ..., lease_until_ms: _Optional[int] = ..., failed_launches: _Optional[int] = ..., token: _Optional[str] = ..., input_bytes: _Optional[int] = ...) -> None: ...

class LeaseKey(_message.Message):
    __slots__ = ("instance_id", "epoch")
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    instance_id: str
    epoch: int
    def __init__(self, instance_id: _Optional[str] = ..., epoch: _Optional[int] = ...) -> None: ...

class RenewLeasesRequest(_message.Message):
    __slots__ = ("owner", "keys", "lease_ms")
    OWNER_FIELD_NUMBER: _ClassVar[int]
    KEYS_FIELD_NUMBER: _ClassVar[int]
    LEASE_MS_FIELD_NUMBER: _ClassVar[int]
    owner: str
    keys: _containers.RepeatedCompositeFieldContainer[LeaseKey]
    lease_ms: int
    def __init__(self, owner: _Optional[str] = ..., keys: _Optional[_Iterable[_Union[LeaseKey, _Mapping]]] = ..., lease_ms: _Optional[int] = ...) -> None: ...

class RenewLeasesResponse(_message.Message):
    __slots__ = ("lost",)
    LOST_FIELD_NUMBER: _ClassVar[int]
    lost: _containers.RepeatedCompositeFieldContainer[LeaseKey]
    def __init__(self, lost: _Optional[_Iterable[_Union[LeaseKey, _Mapping]]] = ...) -> None: ...

class PendingCancel(_message.Message):
    __slots__ = ("instance_id", "epoch", "age_ms")
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    AGE_MS_FIELD_NUMBER: _ClassVar[int]
    instance_id: str
    epoch: int
    age_ms: int
    def __init__(self, instance_id: _Optional[str] = ..., epoch: _Optional[int] = ..., age_ms: _Optional[int] = ...) -> None: ...

class PendingCancelsRequest(_message.Message):
    __slots__ = ("owner", "limit")
    OWNER_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    owner: str
    limit: int
    def __init__(self, owner: _Optional[str] = ..., limit: _Optional[int] = ...) -> None: ...

class PendingCancelsResponse(_message.Message):
    __slots__ = ("cancels",)
    CANCELS_FIELD_NUMBER: _ClassVar[int]
    cancels: _containers.RepeatedCompositeFieldContainer[PendingCancel]
    def __init__(self, cancels: _Optional[_Iterable[_Union[PendingCancel, _Mapping]]] = ...) -> None: ...

class LastContact(_message.Message):
    __slots__ = ("instance_id", "epoch", "at_ms")
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    AT_MS_FIELD_NUMBER: _ClassVar[int]
    instance_id: str
    epoch: int
    at_ms: int
    def __init__(self, instance_id: _Optional[str] = ..., epoch: _Optional[int] = ..., at_ms: _Optional[int] = ...) -> None: ...

class LastContactsRequest(_message.Message):
    __slots__ = ("owner", "after_instance_id", "limit")
    OWNER_FIELD_NUMBER: _ClassVar[int]
    AFTER_INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    owner: str
    after_instance_id: str
    limit: int
    def __init__(self, owner: _Optional[str] = ..., after_instance_id: _Optional[str] = ..., limit: _Optional[int] = ...) -> None: ...

class LastContactsResponse(_message.Message):
    __slots__ = ("contacts",)
    CONTACTS_FIELD_NUMBER: _ClassVar[int]
    contacts: _containers.RepeatedCompositeFieldContainer[LastContact]
    def __init__(self, contacts: _Optional[_Iterable[_Union[LastContact, _Mapping]]] = ...) -> None: ...

class ExpireLeasesRequest(_message.Message):
    __slots__ = ("owner",)
    OWNER_FIELD_NUMBER: _ClassVar[int]
    owner: str
    def __init__(self, owner: _Optional[str] = ...) -> None: ...

class ExpireLeasesResponse(_message.Message):
    __slots__ = ("expired",)
    EXPIRED_FIELD_NUMBER: _ClassVar[int]
    expired: int
    def __init__(self, expired: _Optional[int] = ...) -> None: ...

class ExitReport(_message.Message):
    __slots__ = ("reason", "exit_code", "stderr_tail", "memory_peak_bytes", "cpu_usage_usec", "out_of_memory")
    REASON_FIELD_NUMBER: _ClassVar[int]
    EXIT_CODE_FIELD_NUMBER: _ClassVar[int]
    STDERR_TAIL_FIELD_NUMBER: _ClassVar[int]
    MEMORY_PEAK_BYTES_FIELD_NUMBER: _ClassVar[int]
    CPU_USAGE_USEC_FIELD_NUMBER: _ClassVar[int]
    OUT_OF_MEMORY_FIELD_NUMBER: _ClassVar[int]
    reason: str
    exit_code: int
    stderr_tail: str
    memory_peak_bytes: int
    cpu_usage_usec: int
    out_of_memory: bool
    def __init__(self, reason: _Optional[str] = ..., exit_code: _Optional[int] = ..., stderr_tail: _Optional[str] = ..., memory_peak_bytes: _Optional[int] = ..., cpu_usage_usec: _Optional[int] = ..., out_of_memory: _Optional[bool] = ...) -> None: ...

class ExitDecision(_message.Message):
    __slots__ = ("status", "wake_at_ms", "stale")
    STATUS_FIELD_NUMBER: _ClassVar[int]
    WAKE_AT_MS_FIELD_NUMBER: _ClassVar[int]
    STALE_FIELD_NUMBER: _ClassVar[int]
    status: InstanceStatus
    wake_at_ms: int
    stale: bool
    def __init__(self, status: _Optional[_Union[InstanceStatus, str]] = ..., wake_at_ms: _Optional[int] = ..., stale: _Optional[bool] = ...) -> None: ...

class ReportExitRequest(_message.Message):
    __slots__ = ("key", "report")
    KEY_FIELD_NUMBER: _ClassVar[int]
    REPORT_FIELD_NUMBER: _ClassVar[int]
    key: LeaseKey
    report: ExitReport
    def __init__(self, key: _Optional[_Union[LeaseKey, _Mapping]] = ..., report: _Optional[_Union[ExitReport, _Mapping]] = ...) -> None: ...

class ReportExitResponse(_message.Message):
    __slots__ = ("decision",)
    DECISION_FIELD_NUMBER: _ClassVar[int]
    decision: ExitDecision
    def __init__(self, decision: _Optional[_Union[ExitDecision, _Mapping]] = ...) -> None: ...

class ReportLaunchFailureRequest(_message.Message):
    __slots__ = ("key", "error", "permanent", "is_due")
    KEY_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    PERMANENT_FIELD_NUMBER: _ClassVar[int]
    IS_DUE_FIELD_NUMBER: _ClassVar[int]
    key: LeaseKey
    error: str
    permanent: bool
    is_due: bool
    def __init__(self, key: _Optional[_Union[LeaseKey, _Mapping]] = ..., error: _Optional[str] = ..., permanent: _Optional[bool] = ..., is_due: _Optional[bool] = ...) -> None: ...

class ReportLaunchFailureResponse(_message.Message):
    __slots__ = ("decision",)
    DECISION_FIELD_NUMBER: _ClassVar[int]
    decision: ExitDecision
    def __init__(self, decision: _Optional[_Union[ExitDecision, _Mapping]] = ...) -> None: ...

class ListEventsRequest(_message.Message):
    __slots__ = ("instance_id", "event_type", "subtype", "limit", "offset", "created_after_ms", "created_before_ms", "ascending", "after_event_id", "before_event_id", "payload_contains", "scope_id", "parent_scope_id", "root_scopes_only", "without_total")
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    EVENT_TYPE_FIELD_NUMBER: _ClassVar[int]
    SUBTYPE_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    CREATED_AFTER_MS_FIELD_NUMBER: _ClassVar[int]
    CREATED_BEFORE_MS_FIELD_NUMBER: _ClassVar[int]
    ASCENDING_FIELD_NUMBER: _ClassVar[int]
    AFTER_EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    BEFORE_EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_CONTAINS_FIELD_NUMBER: _ClassVar[int]
    SCOPE_ID_FIELD_NUMBER: _ClassVar[int]
    PARENT_SCOPE_ID_FIELD_NUMBER: _ClassVar[int]
    ROOT_SCOPES_ONLY_FIELD_NUMBER: _ClassVar[int]
    WITHOUT_TOTAL_FIELD_NUMBER: _ClassVar[int]
    instance_id: str
    event_type: str
    subtype: str
    limit: int
    offset: int
    created_after_ms: int
    created_before_ms: int
    ascending: bool
    after_event_id: int
    before_event_id: int
    payload_contains: str
    scope_id: str
    parent_scope_id: str
    root_scopes_only: bool
    without_total: bool
    def __init__(self, instance_id: _Optional[str] = ..., event_type: _Optional[str] = ..., subtype: _Optional[str] = ..., limit: _Optional[int] = ..., offset: _Optional[int] = ..., created_after_ms: _Optional[int] = ..., created_before_ms: _Optional[int] = ..., ascending: _Optional[bool] = ..., after_event_id: _Optional[int] = ..., before_event_id: _Optional[int] = ..., payload_contains: _Optional[str] = ..., scope_id: _Optional[str] = ..., parent_scope_id: _Optional[str] = ..., root_scopes_only: _Optional[bool] = ..., without_total: _Optional[bool] = ...) -> None: ...

class EventRecord(_message.Message):
    __slots__ = ("event_id", "instance_id", "event_type", "created_at_ms", "checkpoint_id", "subtype", "payload")
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    EVENT_TYPE_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_MS_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_ID_FIELD_NUMBER: _ClassVar[int]
    SUBTYPE_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    event_id: int
    instance_id: str
    event_type: str
    created_at_ms: int
    checkpoint_id: str
    subtype: str
    payload: bytes
    def __init__(self, event_id: _Optional[int] = ..., instance_id: _Optional[str] = ..., event_type: _Optional[str] = ..., created_at_ms: _Optional[int] = ..., checkpoint_id: _Optional[str] = ..., subtype: _Optional[str] = ..., payload: _Optional[bytes] = ...) -> None: ...

class ListEventsResponse(_message.Message):
    __slots__ = ("events", "total_count")
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    TOTAL_COUNT_FIELD_NUMBER: _ClassVar[int]
    events: _containers.RepeatedCompositeFieldContainer[EventRecord]
    total_count: int
    def __init__(self, events: _Optional[_Iterable[_Union[EventRecord, _Mapping]]] = ..., total_count: _Optional[int] = ...) -> None: ...

class ListStepSummariesRequest(_message.Message):
    __slots__ = ("instance_id", "status", "step_type", "scope_id", "parent_scope_id", "root_scopes_only", "descending", "after_position", "limit", "offset", "without_total")
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    STEP_TYPE_FIELD_NUMBER: _ClassVar[int]
    SCOPE_ID_FIELD_NUMBER: _ClassVar[int]
    PARENT_SCOPE_ID_FIELD_NUMBER: _ClassVar[int]
    ROOT_SCOPES_ONLY_FIELD_NUMBER: _ClassVar[int]
    DESCENDING_FIELD_NUMBER: _ClassVar[int]
    AFTER_POSITION_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    WITHOUT_TOTAL_FIELD_NUMBER: _ClassVar[int]
    instance_id: str
    status: str
    step_type: str
    scope_id: str
    parent_scope_id: str
    root_scopes_only: bool
    descending: bool
    after_position: int
    limit: int
    offset: int
    without_total: bool
    def __init__(self, instance_id: _Optional[str] = ..., status: _Optional[str] = ..., step_type: _Optional[str] = ..., scope_id: _Optional[str] = ..., parent_scope_id: _Optional[str] = ..., root_scopes_only: _Optional[bool] = ..., descending: _Optional[bool] = ..., after_position: _Optional[int] = ..., limit: _Optional[int] = ..., offset: _Optional[int] = ..., without_total: _Optional[bool] = ...) -> None: ...

class StepSummary(_message.Message):
    __slots__ = ("position", "step_id", "step_name", "step_type", "status", "started_at_ms", "completed_at_ms", "duration_ms", "inputs", "outputs", "error", "scope_id", "parent_scope_id")
    POSITION_FIELD_NUMBER: _ClassVar[int]
    STEP_ID_FIELD_NUMBER: _ClassVar[int]
    STEP_NAME_FIELD_NUMBER: _ClassVar[int]
    STEP_TYPE_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    STARTED_AT_MS_FIELD_NUMBER: _ClassVar[int]
    COMPLETED_AT_MS_FIELD_NUMBER: _ClassVar[int]
    DURATION_MS_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    SCOPE_ID_FIELD_NUMBER: _ClassVar[int]
    PARENT_SCOPE_ID_FIELD_NUMBER: _ClassVar[int]
    position: int
    step_id: str
    step_name: str
    step_type: str
    status: str
    started_at_ms: int
    completed_at_ms: int
    duration_ms: int
    inputs: bytes
    outputs: bytes
    error: bytes
    scope_id: str
    parent_scope_id: str
    def __init__(self, position: _Optional[int] = ..., step_id: _Optional[str] = ..., step_name: _Optional[str] = ..., step_type: _Optional[str] = ..., status: _Optional[str] = ..., started_at_ms: _Optional[int] = ..., completed_at_ms: _Optional[int] = ..., duration_ms: _Optional[int] = ..., inputs: _Optional[bytes] = ..., outputs: _Optional[bytes] = ..., error: _Optional[bytes] = ..., scope_id: _Optional[str] = ..., parent_scope_id: _Optional[str] = ...) -> None: ...

class ListStepSummariesResponse(_message.Message):
    __slots__ = ("steps", "total_count")
    STEPS_FIELD_NUMBER: _ClassVar[int]
    TOTAL_COUNT_FIELD_NUMBER: _ClassVar[int]
    steps: _containers.RepeatedCompositeFieldContainer[StepSummary]
    total_count: int
    def __init__(self, steps: _Optional[_Iterable[_Union[StepSummary, _Mapping]]] = ..., total_count: _Optional[int] = ...) -> None: ...

class GetScopeAncestorsRequest(_message.Message):
    __slots__ = ("instance_id", "scope_id")
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    SCOPE_ID_FIELD_NUMBER: _ClassVar[int]
    instance_id: str
    scope_id: str
    def __init__(self, instance_id: _Optional[str] = ..., scope_id: _Optional[str] = ...) -> None: ...

class ScopeInfo(_message.Message):
    __slots__ = ("scope_id", "parent_scope_id", "step_id", "step_name", "step_type", "index", "created_at_ms")
    SCOPE_ID_FIELD_NUMBER: _ClassVar[int]
    PARENT_SCOPE_ID_FIELD_NUMBER: _ClassVar[int]
    STEP_ID_FIELD_NUMBER: _ClassVar[int]
    STEP_NAME_FIELD_NUMBER: _ClassVar[int]
    STEP_TYPE_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_MS_FIELD_NUMBER: _ClassVar[int]
    scope_id: str
    parent_scope_id: str
    step_id: str
    step_name: str
    step_type: str
    index: int
    created_at_ms: int
    def __init__(self, scope_id: _Optional[str] = ..., parent_scope_id: _Optional[str] = ..., step_id: _Optional[str] = ..., step_name: _Optional[str] = ..., step_type: _Optional[str] = ..., index: _Optional[int] = ..., created_at_ms: _Optional[int] = ...) -> None: ...

class GetScopeAncestorsResponse(_message.Message):
    __slots__ = ("ancestors",)
    ANCESTORS_FIELD_NUMBER: _ClassVar[int]
    ancestors: _containers.RepeatedCompositeFieldContainer[ScopeInfo]
    def __init__(self, ancestors: _Optional[_Iterable[_Union[ScopeInfo, _Mapping]]] = ...) -> None: ...

class GetTenantMetricsRequest(_message.Message):
    __slots__ = ("tenant_id", "start_ms", "end_ms", "granularity")
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    START_MS_FIELD_NUMBER: _ClassVar[int]
    END_MS_FIELD_NUMBER: _ClassVar[int]
    GRANULARITY_FIELD_NUMBER: _ClassVar[int]
    tenant_id: str
    start_ms: int
    end_ms: int
    granularity: str
    def __init__(self, tenant_id: _Optional[str] = ..., start_ms: _Optional[int] = ..., end_ms: _Optional[int] = ..., granularity: _Optional[str] = ...) -> None: ...

class MetricsBucket(_message.Message):
    __slots__ = ("bucket_time_ms", "invocation_count", "success_count", "failure_count", "cancelled_count", "avg_duration_ms", "min_duration_ms", "max_duration_ms", "avg_memory_bytes", "max_memory_bytes", "success_rate_percent")
    BUCKET_TIME_MS_FIELD_NUMBER: _ClassVar[int]
    INVOCATION_COUNT_FIELD_NUMBER: _ClassVar[int]
    SUCCESS_COUNT_FIELD_NUMBER: _ClassVar[int]
    FAILURE_COUNT_FIELD_NUMBER: _ClassVar[int]
    CANCELLED_COUNT_FIELD_NUMBER: _ClassVar[int]
    AVG_DURATION_MS_FIELD_NUMBER: _ClassVar[int]
    MIN_DURATION_MS_FIELD_NUMBER: _ClassVar[int]
    MAX_DURATION_MS_FIELD_NUMBER: _ClassVar[int]
    AVG_MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    MAX_MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    SUCCESS_RATE_PERCENT_FIELD_NUMBER: _ClassVar[int]
    bucket_time_ms: int
    invocation_count: int
    success_count: int
    failure_count: int
    cancelled_count: int
    avg_duration_ms: float
    min_duration_ms: float
    max_duration_ms: float
    avg_memory_bytes: int
    max_memory_bytes: int
    success_rate_percent: float
    def __init__(self, bucket_time_ms: _Optional[int] = ..., invocation_count: _Optional[int] = ..., success_count: _Optional[int] = ..., failure_count: _Optional[int] = ..., cancelled_count: _Optional[int] = ..., avg_duration_ms: _Optional[float] = ..., min_duration_ms: _Optional[float] = ..., max_duration_ms: _Optional[float] = ..., avg_memory_bytes: _Optional[int] = ..., max_memory_bytes: _Optional[int] = ..., success_rate_percent: _Optional[float] = ...) -> None: ...

class GetTenantMetricsResponse(_message.Message):
    __slots__ = ("buckets",)
    BUCKETS_FIELD_NUMBER: _ClassVar[int]
    buckets: _containers.RepeatedCompositeFieldContainer[MetricsBucket]
    def __init__(self, buckets: _Optional[_Iterable[_Union[MetricsBucket, _Mapping]]] = ...) -> None: ...

class RetryInstanceRequest(_message.Message):
    __slots__ = ("instance_id", "retry_key")
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    RETRY_KEY_FIELD_NUMBER: _ClassVar[int]
    instance_id: str
    retry_key: str
    def __init__(self, instance_id: _Optional[str] = ..., retry_key: _Optional[str] = ...) -> None: ...

class RetryInstanceResponse(_message.Message):
    __slots__ = ("instance_id", "deduplicated")
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    DEDUPLICATED_FIELD_NUMBER: _ClassVar[int]
    instance_id: str
    deduplicated: bool
    def __init__(self, instance_id: _Optional[str] = ..., deduplicated: _Optional[bool] = ...) -> None: ...

class ForkInstanceRequest(_message.Message):
    __slots__ = ("instance_id", "origin_id", "from_step", "image_id", "launch_options", "due", "dry_run")
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_ID_FIELD_NUMBER: _ClassVar[int]
    FROM_STEP_FIELD_NUMBER: _ClassVar[int]
    IMAGE_ID_FIELD_NUMBER: _ClassVar[int]
    LAUNCH_OPTIONS_FIELD_NUMBER: _ClassVar[int]
    DUE_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    instance_id: str
    origin_id: str
    from_step: str
    image_id: str
    launch_options: bytes
    due: bool
    dry_run: bool
    def __init__(self, instance_id: _Optional[str] = ..., origin_id: _Optional[str] = ..., from_step: _Optional[str] = ..., image_id: _Optional[str] = ..., launch_options: _Optional[bytes] = ..., due: _Optional[bool] = ..., dry_run: _Optional[bool] = ...) -> None: ...

class ForkInstanceResponse(_message.Message):
    __slots__ = ("instance_id", "deduplicated", "copied", "left_out", "last_copied")
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    DEDUPLICATED_FIELD_NUMBER: _ClassVar[int]
    COPIED_FIELD_NUMBER: _ClassVar[int]
    LEFT_OUT_FIELD_NUMBER: _ClassVar[int]
    LAST_COPIED_FIELD_NUMBER: _ClassVar[int]
    instance_id: str
    deduplicated: bool
    copied: int
    left_out: int
    last_copied: str
    def __init__(self, instance_id: _Optional[str] = ..., deduplicated: _Optional[bool] = ..., copied: _Optional[int] = ..., left_out: _Optional[int] = ..., last_copied: _Optional[str] = ...) -> None: ...

class ReadInputRequest(_message.Message):
    __slots__ = ("instance_id", "offset", "limit_bytes")
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    LIMIT_BYTES_FIELD_NUMBER: _ClassVar[int]
    instance_id: str
    offset: int
    limit_bytes: int
    def __init__(self, instance_id: _Optional[str] = ..., offset: _Optional[int] = ..., limit_bytes: _Optional[int] = ...) -> None: ...

class ReadInputResponse(_message.Message):
    __slots__ = ("found", "data", "total_bytes")
    FOUND_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    TOTAL_BYTES_FIELD_NUMBER: _ClassVar[int]
    found: bool
    data: bytes
    total_bytes: int
    def __init__(self, found: _Optional[bool] = ..., data: _Optional[bytes] = ..., total_bytes: _Optional[int] = ...) -> None: ...

class RpcError(_message.Message):
    __slots__ = ("code", "message", "retryable")
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    RETRYABLE_FIELD_NUMBER: _ClassVar[int]
    code: str
    message: str
    retryable: bool
    def __init__(self, code: _Optional[str] = ..., message: _Optional[str] = ..., retryable: _Optional[bool] = ...) -> None: ...

class RpcRequest(_message.Message):
    __slots__ = ("health_check", "send_signal", "get_instance_status", "list_instances", "list_checkpoints", "get_checkpoint", "send_custom_signal", "create_instance", "get_instance", "claim_launches", "renew_leases", "report_exit", "report_launch_failure", "list_events", "expire_leases", "pending_cancels", "last_contacts", "retry_instance", "fork_instance", "read_input", "create_instance_stream", "list_step_summaries", "get_scope_ancestors", "get_tenant_metrics", "api_key")
    HEALTH_CHECK_FIELD_NUMBER: _ClassVar[int]
    SEND_SIGNAL_FIELD_NUMBER: _ClassVar[int]
    GET_INSTANCE_STATUS_FIELD_NUMBER: _ClassVar[int]
    LIST_INSTANCES_FIELD_NUMBER: _ClassVar[int]
    LIST_CHECKPOINTS_FIELD_NUMBER: _ClassVar[int]
    GET_CHECKPOINT_FIELD_NUMBER: _ClassVar[int]
    SEND_CUSTOM_SIGNAL_FIELD_NUMBER: _ClassVar[int]
    CREATE_INSTANCE_FIELD_NUMBER: _ClassVar[int]
    GET_INSTANCE_FIELD_NUMBER: _ClassVar[int]
    CLAIM_LAUNCHES_FIELD_NUMBER: _ClassVar[int]
    RENEW_LEASES_FIELD_NUMBER: _ClassVar[int]
    REPORT_EXIT_FIELD_NUMBER: _ClassVar[int]
    REPORT_LAUNCH_FAILURE_FIELD_NUMBER: _ClassVar[int]
    LIST_EVENTS_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_LEASES_FIELD_NUMBER: _ClassVar[int]
    PENDING_CANCELS_FIELD_NUMBER: _ClassVar[int]
    LAST_CONTACTS_FIELD_NUMBER: _ClassVar[int]
    RETRY_INSTANCE_FIELD_NUMBER: _ClassVar[int]
    FORK_INSTANCE_FIELD_NUMBER: _ClassVar[int]
    READ_INPUT_FIELD_NUMBER: _ClassVar[int]
    CREATE_INSTANCE_STREAM_FIELD_NUMBER: _ClassVar[int]
    LIST_STEP_SUMMARIES_FIELD_NUMBER: _ClassVar[int]
    GET_SCOPE_ANCESTORS_FIELD_NUMBER: _ClassVar[int]
    GET_TENANT_METRICS_FIELD_NUMBER: _ClassVar[int]
    API_KEY_FIELD_NUMBER: _ClassVar[int]
    health_check: HealthCheckRequest
    send_signal: SendSignalRequest
    get_instance_status: GetInstanceStatusRequest
    list_instances: ListInstancesRequest
    list_checkpoints: ListCheckpointsRequest
    get_checkpoint: GetCheckpointRequest
    send_custom_signal: SendCustomSignalRequest
    create_instance: CreateInstanceRequest
    get_instance: GetInstanceRequest
    claim_launches: ClaimLaunchesRequest
    renew_leases: RenewLeasesRequest
    report_exit: ReportExitRequest
    report_launch_failure: ReportLaunchFailureRequest
    list_events: ListEventsRequest
    expire_leases: ExpireLeasesRequest
    pending_cancels: PendingCancelsRequest
    last_contacts: LastContactsRequest
    retry_instance: RetryInstanceRequest
    fork_instance: ForkInstanceRequest
    read_input: ReadInputRequest
    create_instance_stream: CreateInstanceRequest
    list_step_summaries: ListStepSummariesRequest
    get_scope_ancestors: GetScopeAncestorsRequest
    get_tenant_metrics: GetTenantMetricsRequest
    api_key: str
    def __init__(self, health_check: _Optional[_Union[HealthCheckRequest, _Mapping]] = ..., send_signal: _Optional[_Union[SendSignalRequest, _Mapping]] = ..., get_instance_status: _Optional[_Union[GetInstanceStatusRequest, _Mapping]] = ..., list_instances: _Optional[_Union[ListInstancesRequest, _Mapping]] = ..., list_checkpoints: _Optional[_Union[ListCheckpointsRequest, _Mapping]] = ..., get_checkpoint: _Optional[_Union[GetCheckpointRequest, _Mapping]] = ..., send_custom_signal: _Optional[_Union[SendCustomSignalRequest, _Mapping]] = ..., create_instance: _Optional[_Union[CreateInstanceRequest, _Mapping]] = ..., get_instance: _Optional[_Union[GetInstanceRequest, _Mapping]] = ..., claim_launches: _Optional[_Union[ClaimLaunchesRequest, _Mapping]] = ..., renew_leases: _Optional[_Union[RenewLeasesRequest, _Mapping]] = ..., report_exit: _Optional[_Union[ReportExitRequest, _Mapping]] = ..., report_launch_failure: _Optional[_Union[ReportLaunchFailureRequest, _Mapping]] = ..., list_events: _Optional[_Union[ListEventsRequest, _Mapping]] = ..., expire_leases: _Optional[_Union[ExpireLeasesRequest, _Mapping]] = ..., pending_cancels: _Optional[_Union[PendingCancelsRequest, _Mapping]] = ..., last_contacts: _Optional[_Union[LastContactsRequest, _Mapping]] = ..., retry_instance: _Optional[_Union[RetryInstanceRequest, _Mapping]] = ..., fork_instance: _Optional[_Union[ForkInstanceRequest, _Mapping]] = ..., read_input: _Optional[_Union[ReadInputRequest, _Mapping]] = ..., create_instance_stream: _Optional[_Union[CreateInstanceRequest, _Mapping]] = ..., list_step_summaries: _Optional[_Union[ListStepSummariesRequest, _Mapping]] = ..., get_scope_ancestors: _Optional[_Union[GetScopeAncestorsRequest, _Mapping]] = ..., get_tenant_metrics: _Optional[_Union[GetTenantMetricsRequest, _Mapping]] = ..., api_key: _Optional[str] = ...) -> None: ...

class RpcResponse(_message.Message):
    __slots__ = ("health_check", "send_signal", "get_instance_status", "list_instances", "list_checkpoints", "get_checkpoint", "send_custom_signal", "error", "create_instance", "get_instance", "claim_launches", "renew_leases", "report_exit", "report_launch_failure", "list_events", "expire_leases", "pending_cancels", "last_contacts", "retry_instance", "fork_instance", "read_input", "list_step_summaries", "get_scope_ancestors", "get_tenant_metrics")
    HEALTH_CHECK_FIELD_NUMBER: _ClassVar[int]
    SEND_SIGNAL_FIELD_NUMBER: _ClassVar[int]
    GET_INSTANCE_STATUS_FIELD_NUMBER: _ClassVar[int]
    LIST_INSTANCES_FIELD_NUMBER: _ClassVar[int]
    LIST_CHECKPOINTS_FIELD_NUMBER: _ClassVar[int]
    GET_CHECKPOINT_FIELD_NUMBER: _ClassVar[int]
    SEND_CUSTOM_SIGNAL_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    CREATE_INSTANCE_FIELD_NUMBER: _ClassVar[int]
    GET_INSTANCE_FIELD_NUMBER: _ClassVar[int]
    CLAIM_LAUNCHES_FIELD_NUMBER: _ClassVar[int]
    RENEW_LEASES_FIELD_NUMBER: _ClassVar[int]
    REPORT_EXIT_FIELD_NUMBER: _ClassVar[int]
    REPORT_LAUNCH_FAILURE_FIELD_NUMBER: _ClassVar[int]
    LIST_EVENTS_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_LEASES_FIELD_NUMBER: _ClassVar[int]
    PENDING_CANCELS_FIELD_NUMBER: _ClassVar[int]
    LAST_CONTACTS_FIELD_NUMBER: _ClassVar[int]
    RETRY_INSTANCE_FIELD_NUMBER: _ClassVar[int]
    FORK_INSTANCE_FIELD_NUMBER: _ClassVar[int]
    READ_INPUT_FIELD_NUMBER: _ClassVar[int]
    LIST_STEP_SUMMARIES_FIELD_NUMBER: _ClassVar[int]
    GET_SCOPE_ANCESTORS_FIELD_NUMBER: _ClassVar[int]
    GET_TENANT_METRICS_FIELD_NUMBER: _ClassVar[int]
    health_check: HealthCheckResponse
    send_signal: SendSignalResponse
    get_instance_status: GetInstanceStatusResponse
    list_instances: ListInstancesResponse
    list_checkpoints: ListCheckpointsResponse
    get_checkpoint: GetCheckpointResponse
    send_custom_signal: SendCustomSignalResponse
    error: RpcError
    create_instance: CreateInstanceResponse
    get_instance: GetInstanceResponse
    claim_launches: ClaimLaunchesResponse
    renew_leases: RenewLeasesResponse
    report_exit: ReportExitResponse
    report_launch_failure: ReportLaunchFailureResponse
    list_events: ListEventsResponse
    expire_leases: ExpireLeasesResponse
    pending_cancels: PendingCancelsResponse
    last_contacts: LastContactsResponse
    retry_instance: RetryInstanceResponse
    fork_instance: ForkInstanceResponse
    read_input: ReadInputResponse
    list_step_summaries: ListStepSummariesResponse
    get_scope_ancestors: GetScopeAncestorsResponse
    get_tenant_metrics: GetTenantMetricsResponse
    def __init__(self, health_check: _Optional[_Union[HealthCheckResponse, _Mapping]] = ..., send_signal: _Optional[_Union[SendSignalResponse, _Mapping]] = ..., get_instance_status: _Optional[_Union[GetInstanceStatusResponse, _Mapping]] = ..., list_instances: _Optional[_Union[ListInstancesResponse, _Mapping]] = ..., list_checkpoints: _Optional[_Union[ListCheckpointsResponse, _Mapping]] = ..., get_checkpoint: _Optional[_Union[GetCheckpointResponse, _Mapping]] = ..., send_custom_signal: _Optional[_Union[SendCustomSignalResponse, _Mapping]] = ..., error: _Optional[_Union[RpcError, _Mapping]] = ..., create_instance: _Optional[_Union[CreateInstanceResponse, _Mapping]] = ..., get_instance: _Optional[_Union[GetInstanceResponse, _Mapping]] = ..., claim_launches: _Optional[_Union[ClaimLaunchesResponse, _Mapping]] = ..., renew_leases: _Optional[_Union[RenewLeasesResponse, _Mapping]] = ..., report_exit: _Optional[_Union[ReportExitResponse, _Mapping]] = ..., report_launch_failure: _Optional[_Union[ReportLaunchFailureResponse, _Mapping]] = ..., list_events: _Optional[_Union[ListEventsResponse, _Mapping]] = ..., expire_leases: _Optional[_Union[ExpireLeasesResponse, _Mapping]] = ..., pending_cancels: _Optional[_Union[PendingCancelsResponse, _Mapping]] = ..., last_contacts: _Optional[_Union[LastContactsResponse, _Mapping]] = ..., retry_instance: _Optional[_Union[RetryInstanceResponse, _Mapping]] = ..., fork_instance: _Optional[_Union[ForkInstanceResponse, _Mapping]] = ..., read_input: _Optional[_Union[ReadInputResponse, _Mapping]] = ..., list_step_summaries: _Optional[_Union[ListStepSummariesResponse, _Mapping]] = ..., get_scope_ancestors: _Optional[_Union[GetScopeAncestorsResponse, _Mapping]] = ..., get_tenant_metrics: _Optional[_Union[GetTenantMetricsResponse, _Mapping]] = ...) -> None: ...
