from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class RunnerType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    RUNNER_OCI: _ClassVar[RunnerType]
    RUNNER_NATIVE: _ClassVar[RunnerType]
    RUNNER_WASM: _ClassVar[RunnerType]

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

class StepStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    STEP_STATUS_RUNNING: _ClassVar[StepStatus]
    STEP_STATUS_COMPLETED: _ClassVar[StepStatus]
    STEP_STATUS_FAILED: _ClassVar[StepStatus]

class MetricsGranularity(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    GRANULARITY_HOURLY: _ClassVar[MetricsGranularity]
    GRANULARITY_DAILY: _ClassVar[MetricsGranularity]

class HostState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    HOST_UNKNOWN: _ClassVar[HostState]
    HOST_ACTIVE: _ClassVar[HostState]
    HOST_DRAINING: _ClassVar[HostState]
    HOST_DRAINED: _ClassVar[HostState]
    HOST_STOPPED: _ClassVar[HostState]
    HOST_GONE: _ClassVar[HostState]
RUNNER_OCI: RunnerType
RUNNER_NATIVE: RunnerType
RUNNER_WASM: RunnerType
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
STEP_STATUS_RUNNING: StepStatus
STEP_STATUS_COMPLETED: StepStatus
STEP_STATUS_FAILED: StepStatus
GRANULARITY_HOURLY: MetricsGranularity
GRANULARITY_DAILY: MetricsGranularity
HOST_UNKNOWN: HostState
HOST_ACTIVE: HostState
HOST_DRAINING: HostState
HOST_DRAINED: HostState
HOST_STOPPED: HostState
HOST_GONE: HostState

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

class ResourceLimits(_message.Message):
    __slots__ = ("memory_bytes", "cpu_cores", "processes", "file_size_bytes", "open_files", "tmp_bytes", "output_bytes")
    MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    CPU_CORES_FIELD_NUMBER: _ClassVar[int]
    PROCESSES_FIELD_NUMBER: _ClassVar[int]
    FILE_SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    OPEN_FILES_FIELD_NUMBER: _ClassVar[int]
    TMP_BYTES_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_BYTES_FIELD_NUMBER: _ClassVar[int]
    memory_bytes: int
    cpu_cores: float
    processes: int
    file_size_bytes: int
    open_files: int
    tmp_bytes: int
    output_bytes: int
    def __init__(self, memory_bytes: _Optional[int] = ..., cpu_cores: _Optional[float] = ..., processes: _Optional[int] = ..., file_size_bytes: _Optional[int] = ..., open_files: _Optional[int] = ..., tmp_bytes: _Optional[int] = ..., output_bytes: _Optional[int] = ...) -> None: ...

class RegisterImageRequest(_message.Message):
    __slots__ = ("tenant_id", "name", "description", "binary", "runner_type", "metadata", "limits", "runner", "sha256", "signature")
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    BINARY_FIELD_NUMBER: _ClassVar[int]
    RUNNER_TYPE_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    RUNNER_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    tenant_id: str
    name: str
    description: str
    binary: bytes
    runner_type: RunnerType
    metadata: bytes
    limits: ResourceLimits
    runner: str
    sha256: str
    signature: bytes
    def __init__(self, tenant_id: _Optional[str] = ..., name: _Optional[str] = ..., description: _Optional[str] = ..., binary: _Optional[bytes] = ..., runner_type: _Optional[_Union[RunnerType, str]] = ..., metadata: _Optional[bytes] = ..., limits: _Optional[_Union[ResourceLimits, _Mapping]] = ..., runner: _Optional[str] = ..., sha256: _Optional[str] = ..., signature: _Optional[bytes] = ...) -> None: ...

class RegisterImageResponse(_message.Message):
    __slots__ = ("success", "image_id", "error", "error_code", "version", "warning")
    SUCCESS_FIELD_NUMBER: _ClassVar[int]
    IMAGE_ID_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    ERROR_CODE_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    WARNING_FIELD_NUMBER: _ClassVar[int]
    success: bool
    image_id: str
    error: str
    error_code: str
    version: int
    warning: str
    def __init__(self, success: _Optional[bool] = ..., image_id: _Optional[str] = ..., error: _Optional[str] = ..., error_code: _Optional[str] = ..., version: _Optional[int] = ..., warning: _Optional[str] = ...) -> None: ...

class RegisterImageStreamStart(_message.Message):
    __slots__ = ("tenant_id", "name", "description", "binary_size", "runner_type", "metadata", "sha256", "limits", "runner", "signature")
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    BINARY_SIZE_FIELD_NUMBER: _ClassVar[int]
    RUNNER_TYPE_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    RUNNER_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    tenant_id: str
    name: str
    description: str
    binary_size: int
    runner_type: RunnerType
    metadata: bytes
    sha256: str
    limits: ResourceLimits
    runner: str
    signature: bytes
    def __init__(self, tenant_id: _Optional[str] = ..., name: _Optional[str] = ..., description: _Optional[str] = ..., binary_size: _Optional[int] = ..., runner_type: _Optional[_Union[RunnerType, str]] = ..., metadata: _Optional[bytes] = ..., sha256: _Optional[str] = ..., limits: _Optional[_Union[ResourceLimits, _Mapping]] = ..., runner: _Optional[str] = ..., signature: _Optional[bytes] = ...) -> None: ...

class ListImagesRequest(_message.Message):
    __slots__ = ("tenant_id", "limit", "offset", "page_token")
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    tenant_id: str
    limit: int
    offset: int
    page_token: str
    def __init__(self, tenant_id: _Optional[str] = ..., limit: _Optional[int] = ..., offset: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListImagesResponse(_message.Message):
    __slots__ = ("images", "total_count", "next_page_token")
    IMAGES_FIELD_NUMBER: _ClassVar[int]
    TOTAL_COUNT_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    images: _containers.RepeatedCompositeFieldContainer[ImageSummary]
    total_count: int
    next_page_token: str
    def __init__(self, images: _Optional[_Iterable[_Union[ImageSummary, _Mapping]]] = ..., total_count: _Optional[int] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class ImageSummary(_message.Message):
    __slots__ = ("image_id", "tenant_id", "name", "description", "runner_type", "created_at_ms", "limits", "runner", "version", "digest", "size_bytes", "kind", "updated_at_ms", "signed")
    IMAGE_ID_FIELD_NUMBER: _ClassVar[int]
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    RUNNER_TYPE_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_MS_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    RUNNER_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    UPDATED_AT_MS_FIELD_NUMBER: _ClassVar[int]
    SIGNED_FIELD_NUMBER: _ClassVar[int]
    image_id: str
    tenant_id: str
    name: str
    description: str
    runner_type: RunnerType
    created_at_ms: int
    limits: ResourceLimits
    runner: str
    version: int
    digest: str
    size_bytes: int
    kind: str
    updated_at_ms: int
    signed: bool
    def __init__(self, image_id: _Optional[str] = ..., tenant_id: _Optional[str] = ..., name: _Optional[str] = ..., description: _Optional[str] = ..., runner_type: _Optional[_Union[RunnerType, str]] = ..., created_at_ms: _Optional[int] = ..., limits: _Optional[_Union[ResourceLimits, _Mapping]] = ..., runner: _Optional[str] = ..., version: _Optional[int] = ..., digest: _Optional[str] = ..., size_bytes: _Optional[int] = ..., kind: _Optional[str] = ..., updated_at_ms: _Optional[int] = ..., signed: _Optional[bool] = ...) -> None: ...

class GetImageRequest(_message.Message):
    __slots__ = ("image_id", "tenant_id")
    IMAGE_ID_FIELD_NUMBER: _ClassVar[int]
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    image_id: str
    tenant_id: str
    def __init__(self, image_id: _Optional[str] = ..., tenant_id: _Optional[str] = ...) -> None: ...

class GetImageResponse(_message.Message):
    __slots__ = ("found", "image")
    FOUND_FIELD_NUMBER: _ClassVar[int]
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    found: bool
    image: ImageSummary
    def __init__(self, found: _Optional[bool] = ..., image: _Optional[_Union[ImageSummary, _Mapping]] = ...) -> None: ...

class ListImageVersionsRequest(_message.Message):
    __slots__ = ("image_id", "tenant_id", "limit", "before_version")
    IMAGE_ID_FIELD_NUMBER: _ClassVar[int]
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    BEFORE_VERSION_FIELD_NUMBER: _ClassVar[int]
    image_id: str
    tenant_id: str
    limit: int
    before_version: int
    def __init__(self, image_id: _Optional[str] = ..., tenant_id: _Optional[str] = ..., limit: _Optional[int] = ..., before_version: _Optional[int] = ...) -> None: ...

class ListImageVersionsResponse(_message.Message):
    __slots__ = ("found", "versions")
    FOUND_FIELD_NUMBER: _ClassVar[int]
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    found: bool
    versions: _containers.RepeatedCompositeFieldContainer[ImageVersionSummary]
    def __init__(self, found: _Optional[bool] = ..., versions: _Optional[_Iterable[_Union[ImageVersionSummary, _Mapping]]] = ...) -> None: ...

class ImageVersionSummary(_message.Message):
    __slots__ = ("version", "digest", "size_bytes", "kind", "created_at_ms", "last_used_at_ms", "current", "signed")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_MS_FIELD_NUMBER: _ClassVar[int]
    LAST_USED_AT_MS_FIELD_NUMBER: _ClassVar[int]
    CURRENT_FIELD_NUMBER: _ClassVar[int]
    SIGNED_FIELD_NUMBER: _ClassVar[int]
    version: int
    digest: str
    size_bytes: int
    kind: str
    created_at_ms: int
    last_used_at_ms: int
    current: bool
    signed: bool
    def __init__(self, version: _Optional[int] = ..., digest: _Optional[str] = ..., size_bytes: _Optional[int] = ..., kind: _Optional[str] = ..., created_at_ms: _Optional[int] = ..., last_used_at_ms: _Optional[int] = ..., current: _Optional[bool] = ..., signed: _Optional[bool] = ...) -> None: ...

class DeleteImageRequest(_message.Message):
    __slots__ = ("image_id", "tenant_id")
    IMAGE_ID_FIELD_NUMBER: _ClassVar[int]
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    image_id: str
    tenant_id: str
    def __init__(self, image_id: _Optional[str] = ..., tenant_id: _Optional[str] = ...) -> None: ...

class DeleteImageResponse(_message.Message):
    __slots__ = ("success", "error", "error_code")
    SUCCESS_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    ERROR_CODE_FIELD_NUMBER: _ClassVar[int]
    success: bool
    error: str
    error_code: str
    def __init__(self, success: _Optional[bool] = ..., error: _Optional[str] = ..., error_code: _Optional[str] = ...) -> None: ...

class StartInstanceRequest(_message.Message):
    __slots__ = ("image_id", "tenant_id", "instance_id", "input", "timeout_seconds", "env", "cancel_grace_seconds", "limits", "input_bytes", "image_version")
    class EnvEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    IMAGE_ID_FIELD_NUMBER: _ClassVar[int]
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    INPUT_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_SECONDS_FIELD_NUMBER: _ClassVar[int]
    ENV_FIELD_NUMBER: _ClassVar[int]
    CANCEL_GRACE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    INPUT_BYTES_FIELD_NUMBER: _ClassVar[int]
    IMAGE_VERSION_FIELD_NUMBER: _ClassVar[int]
    image_id: str
    tenant_id: str
    instance_id: str
    input: bytes
    timeout_seconds: int
    env: _containers.ScalarMap[str, str]
    cancel_grace_seconds: int
    limits: ResourceLimits
    input_bytes: int
    image_version: int
    def __init__(self, image_id: _Optional[str] = ..., tenant_id: _Optional[str] = ..., instance_id: _Optional[str] = ..., input: _Optional[bytes] = ..., timeout_seconds: _Optional[int] = ..., env: _Optional[_Mapping[str, str]] = ..., cancel_grace_seconds: _Optional[int] = ..., limits: _Optional[_Union[ResourceLimits, _Mapping]] = ..., input_bytes: _Optional[int] = ..., image_version: _Optional[int] = ...) -> None: ...

class StartInstanceResponse(_message.Message):
    __slots__ = ("success", "instance_id", "error", "deduplicated", "error_code", "earlier", "violations", "violation_count")
    SUCCESS_FIELD_NUMBER: _ClassVar[int]
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    DEDUPLICATED_FIELD_NUMBER: _ClassVar[int]
    ERROR_CODE_FIELD_NUMBER: _ClassVar[int]
    EARLIER_FIELD_NUMBER: _ClassVar[int]
    VIOLATIONS_FIELD_NUMBER: _ClassVar[int]
    VIOLATION_COUNT_FIELD_NUMBER: _ClassVar[int]
    success: bool
    instance_id: str
    error: str
    deduplicated: bool
    error_code: str
    earlier: EarlierStart
    violations: _containers.RepeatedCompositeFieldContainer[InputViolation]
    violation_count: int
    def __init__(self, success: _Optional[bool] = ..., instance_id: _Optional[str] = ..., error: _Optional[str] = ..., deduplicated: _Optional[bool] = ..., error_code: _Optional[str] = ..., earlier: _Optional[_Union[EarlierStart, _Mapping]] = ..., violations: _Optional[_Iterable[_Union[InputViolation, _Mapping]]] = ..., violation_count: _Optional[int] = ...) -> None: ...

class InputViolation(_message.Message):
    __slots__ = ("path", "message")
    PATH_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    path: str
    message: str
    def __init__(self, path: _Optional[str] = ..., message: _Optional[str] = ...) -> None: ...

class EarlierStart(_message.Message):
    __slots__ = ("image_id", "status", "other_version", "other_input")
    IMAGE_ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    OTHER_VERSION_FIELD_NUMBER: _ClassVar[int]
    OTHER_INPUT_FIELD_NUMBER: _ClassVar[int]
    image_id: str
    status: InstanceStatus
    other_version: bool
    other_input: bool
    def __init__(self, image_id: _Optional[str] = ..., status: _Optional[_Union[InstanceStatus, str]] = ..., other_version: _Optional[bool] = ..., other_input: _Optional[bool] = ...) -> None: ...

class StopInstanceRequest(_message.Message):
    __slots__ = ("instance_id", "grace_period_seconds", "reason", "tenant_id")
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    GRACE_PERIOD_SECONDS_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    instance_id: str
    grace_period_seconds: int
    reason: str
    tenant_id: str
    def __init__(self, instance_id: _Optional[str] = ..., grace_period_seconds: _Optional[int] = ..., reason: _Optional[str] = ..., tenant_id: _Optional[str] = ...) -> None: ...

class StopInstanceResponse(_message.Message):
    __slots__ = ("success", "error", "error_code")
    SUCCESS_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    ERROR_CODE_FIELD_NUMBER: _ClassVar[int]
    success: bool
    error: str
    error_code: str
    def __init__(self, success: _Optional[bool] = ..., error: _Optional[str] = ..., error_code: _Optional[str] = ...) -> None: ...

class ResumeInstanceRequest(_message.Message):
    __slots__ = ("instance_id", "tenant_id")
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    instance_id: str
    tenant_id: str
    def __init__(self, instance_id: _Optional[str] = ..., tenant_id: _Optional[str] = ...) -> None: ...

class ResumeInstanceResponse(_message.Message):
    __slots__ = ("success", "error", "error_code")
    SUCCESS_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    ERROR_CODE_FIELD_NUMBER: _ClassVar[int]
    success: bool
    error: str
    error_code: str
    def __init__(self, success: _Optional[bool] = ..., error: _Optional[str] = ..., error_code: _Optional[str] = ...) -> None: ...

class RetryInstanceRequest(_message.Message):
    __slots__ = ("instance_id", "tenant_id", "retry_key")
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    RETRY_KEY_FIELD_NUMBER: _ClassVar[int]
    instance_id: str
    tenant_id: str
    retry_key: str
    def __init__(self, instance_id: _Optional[str] = ..., tenant_id: _Optional[str] = ..., retry_key: _Optional[str] = ...) -> None: ...

class RetryInstanceResponse(_message.Message):
    __slots__ = ("success", "error", "error_code", "deduplicated")
    SUCCESS_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    ERROR_CODE_FIELD_NUMBER: _ClassVar[int]
    DEDUPLICATED_FIELD_NUMBER: _ClassVar[int]
    success: bool
    error: str
    error_code: str
    deduplicated: bool
    def __init__(self, success: _Optional[bool] = ..., error: _Optional[str] = ..., error_code: _Optional[str] = ..., deduplicated: _Optional[bool] = ...) -> None: ...

class ForkInstanceRequest(_message.Message):
    __slots__ = ("origin_id", "tenant_id", "instance_id", "from_step", "image_id", "dry_run")
    ORIGIN_ID_FIELD_NUMBER: _ClassVar[int]
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    FROM_STEP_FIELD_NUMBER: _ClassVar[int]
    IMAGE_ID_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    origin_id: str
    tenant_id: str
    instance_id: str
    from_step: str
    image_id: str
    dry_run: bool
    def __init__(self, origin_id: _Optional[str] = ..., tenant_id: _Optional[str] = ..., instance_id: _Optional[str] = ..., from_step: _Optional[str] = ..., image_id: _Optional[str] = ..., dry_run: _Optional[bool] = ...) -> None: ...

class ForkInstanceResponse(_message.Message):
    __slots__ = ("success", "instance_id", "error", "error_code", "deduplicated", "copied", "left_out", "last_copied")
    SUCCESS_FIELD_NUMBER: _ClassVar[int]
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    ERROR_CODE_FIELD_NUMBER: _ClassVar[int]
    DEDUPLICATED_FIELD_NUMBER: _ClassVar[int]
    COPIED_FIELD_NUMBER: _ClassVar[int]
    LEFT_OUT_FIELD_NUMBER: _ClassVar[int]
    LAST_COPIED_FIELD_NUMBER: _ClassVar[int]
    success: bool
    instance_id: str
    error: str
    error_code: str
    deduplicated: bool
    copied: int
    left_out: int
    last_copied: str
    def __init__(self, success: _Optional[bool] = ..., instance_id: _Optional[str] = ..., error: _Optional[str] = ..., error_code: _Optional[str] = ..., deduplicated: _Optional[bool] = ..., copied: _Optional[int] = ..., left_out: _Optional[int] = ..., last_copied: _Optional[str] = ...) -> None: ...

class GetInstanceStatusRequest(_message.Message):
    __slots__ = ("instance_id", "tenant_id")
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    instance_id: str
    tenant_id: str
    def __init__(self, instance_id: _Optional[str] = ..., tenant_id: _Optional[str] = ...) -> None: ...

class GetInstanceStatusResponse(_message.Message):
    __slots__ = ("instance_id", "status", "checkpoint_id", "created_at_ms", "started_at_ms", "finished_at_ms", "output", "error", "image_id", "image_name", "tenant_id", "input", "heartbeat_at_ms", "retry_count", "max_retries", "memory_peak_bytes", "cpu_usage_usec", "found", "stderr", "termination_reason", "exit_code", "wake_at_ms", "epoch", "limits", "runner", "input_bytes")
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_ID_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_MS_FIELD_NUMBER: _ClassVar[int]
    STARTED_AT_MS_FIELD_NUMBER: _ClassVar[int]
    FINISHED_AT_MS_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    IMAGE_ID_FIELD_NUMBER: _ClassVar[int]
    IMAGE_NAME_FIELD_NUMBER: _ClassVar[int]
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    INPUT_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_AT_MS_FIELD_NUMBER: _ClassVar[int]
    RETRY_COUNT_FIELD_NUMBER: _ClassVar[int]
    MAX_RETRIES_FIELD_NUMBER: _ClassVar[int]
    MEMORY_PEAK_BYTES_FIELD_NUMBER: _ClassVar[int]
    CPU_USAGE_USEC_FIELD_NUMBER: _ClassVar[int]
    FOUND_FIELD_NUMBER: _ClassVar[int]
    STDERR_FIELD_NUMBER: _ClassVar[int]
    TERMINATION_REASON_FIELD_NUMBER: _ClassVar[int]
    EXIT_CODE_FIELD_NUMBER: _ClassVar[int]
    WAKE_AT_MS_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    RUNNER_FIELD_NUMBER: _ClassVar[int]
    INPUT_BYTES_FIELD_NUMBER: _ClassVar[int]
    instance_id: str
    status: InstanceStatus
    checkpoint_id: str
    created_at_ms: int
    started_at_ms: int
    finished_at_ms: int
    output: bytes
    error: str
    image_id: str
    image_name: str
    tenant_id: str
    input: bytes
    heartbeat_at_ms: int
    retry_count: int
    max_retries: int
    memory_peak_bytes: int
    cpu_usage_usec: int
    found: bool
    stderr: str
    termination_reason: str
    exit_code: int
    wake_at_ms: int
    epoch: int
    limits: ResourceLimits
    runner: str
    input_bytes: int
    def __init__(self, instance_id: _Optional[str] = ..., status: _Optional[_Union[InstanceStatus, str]] = ..., checkpoint_id: _Optional[str] = ..., created_at_ms: _Optional[int] = ..., started_at_ms: _Optional[int] = ..., finished_at_ms: _Optional[int] = ..., output: _Optional[bytes] = ..., error: _Optional[str] = ..., image_id: _Optional[str] = ..., image_name: _Optional[str] = ..., tenant_id: _Optional[str] = ..., input: _Optional[bytes] = ..., heartbeat_at_ms: _Optional[int] = ..., retry_count: _Optional[int] = ..., max_retries: _Optional[int] = ..., memory_peak_bytes: _Optional[int] = ..., cpu_usage_usec: _Optional[int] = ..., found: _Optional[bool] = ..., stderr: _Optional[str] = ..., termination_reason: _Optional[str] = ..., exit_code: _Optional[int] = ..., wake_at_ms: _Optional[int] = ..., epoch: _Optional[int] = ..., limits: _Optional[_Union[ResourceLimits, _Mapping]] = ..., runner: _Optional[str] = ..., input_bytes: _Optional[int] = ...) -> None: ...

class ListInstancesRequest(_message.Message):
    __slots__ = ("tenant_id", "status", "limit", "offset", "image_id", "created_after_ms", "created_before_ms", "finished_after_ms", "finished_before_ms", "order_by", "image_name_prefix", "statuses", "termination_reasons", "page_token")
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    IMAGE_ID_FIELD_NUMBER: _ClassVar[int]
    CREATED_AFTER_MS_FIELD_NUMBER: _ClassVar[int]
    CREATED_BEFORE_MS_FIELD_NUMBER: _ClassVar[int]
    FINISHED_AFTER_MS_FIELD_NUMBER: _ClassVar[int]
    FINISHED_BEFORE_MS_FIELD_NUMBER: _ClassVar[int]
    ORDER_BY_FIELD_NUMBER: _ClassVar[int]
    IMAGE_NAME_PREFIX_FIELD_NUMBER: _ClassVar[int]
    STATUSES_FIELD_NUMBER: _ClassVar[int]
    TERMINATION_REASONS_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    tenant_id: str
    status: InstanceStatus
    limit: int
    offset: int
    image_id: str
    created_after_ms: int
    created_before_ms: int
    finished_after_ms: int
    finished_before_ms: int
    order_by: str
    image_name_prefix: str
    statuses: _containers.RepeatedScalarFieldContainer[InstanceStatus]
    termination_reasons: _containers.RepeatedScalarFieldContainer[str]
    page_token: str
    def __init__(self, tenant_id: _Optional[str] = ..., status: _Optional[_Union[InstanceStatus, str]] = ..., limit: _Optional[int] = ..., offset: _Optional[int] = ..., image_id: _Optional[str] = ..., created_after_ms: _Optional[int] = ..., created_before_ms: _Optional[int] = ..., finished_after_ms: _Optional[int] = ..., finished_before_ms: _Optional[int] = ..., order_by: _Optional[str] = ..., image_name_prefix: _Optional[str] = ..., statuses: _Optional[_Iterable[_Union[InstanceStatus, str]]] = ..., termination_reasons: _Optional[_Iterable[str]] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListInstancesResponse(_message.Message):
    __slots__ = ("instances", "total_count", "next_page_token")
    INSTANCES_FIELD_NUMBER: _ClassVar[int]
    TOTAL_COUNT_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    instances: _containers.RepeatedCompositeFieldContainer[InstanceSummary]
    total_count: int
    next_page_token: str
    def __init__(self, instances: _Optional[_Iterable[_Union[InstanceSummary, _Mapping]]] = ..., total_count: _Optional[int] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class InstanceSummary(_message.Message):
    __slots__ = ("instance_id", "tenant_id", "image_id", "status", "created_at_ms", "started_at_ms", "finished_at_ms", "has_error", "image_name", "termination_reason")
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    IMAGE_ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_MS_FIELD_NUMBER: _ClassVar[int]
    STARTED_AT_MS_FIELD_NUMBER: _ClassVar[int]
    FINISHED_AT_MS_FIELD_NUMBER: _ClassVar[int]
    HAS_ERROR_FIELD_NUMBER: _ClassVar[int]
    IMAGE_NAME_FIELD_NUMBER: _ClassVar[int]
    TERMINATION_REASON_FIELD_NUMBER: _ClassVar[int]
    instance_id: str
    tenant_id: str
    image_id: str
    status: InstanceStatus
    created_at_ms: int
    started_at_ms: int
    finished_at_ms: int
    has_error: bool
    image_name: str
    termination_reason: str
    def __init__(self, instance_id: _Optional[str] = ..., tenant_id: _Optional[str] = ..., image_id: _Optional[str] = ..., status: _Optional[_Union[InstanceStatus, str]] = ..., created_at_ms: _Optional[int] = ..., started_at_ms: _Optional[int] = ..., finished_at_ms: _Optional[int] = ..., has_error: _Optional[bool] = ..., image_name: _Optional[str] = ..., termination_reason: _Optional[str] = ...) -> None: ...

class SendSignalRequest(_message.Message):
    __slots__ = ("instance_id", "signal_type", "payload", "tenant_id")
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    SIGNAL_TYPE_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    instance_id: str
    signal_type: SignalType
    payload: bytes
    tenant_id: str
    def __init__(self, instance_id: _Optional[str] = ..., signal_type: _Optional[_Union[SignalType, str]] = ..., payload: _Optional[bytes] = ..., tenant_id: _Optional[str] = ...) -> None: ...

class SendSignalResponse(_message.Message):
    __slots__ = ("success", "error", "error_code")
    SUCCESS_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    ERROR_CODE_FIELD_NUMBER: _ClassVar[int]
    success: bool
    error: str
    error_code: str
    def __init__(self, success: _Optional[bool] = ..., error: _Optional[str] = ..., error_code: _Optional[str] = ...) -> None: ...

class SendCustomSignalRequest(_message.Message):
    __slots__ = ("instance_id", "checkpoint_id", "payload", "tenant_id")
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_ID_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    instance_id: str
    checkpoint_id: str
    payload: bytes
    tenant_id: str
    def __init__(self, instance_id: _Optional[str] = ..., checkpoint_id: _Optional[str] = ..., payload: _Optional[bytes] = ..., tenant_id: _Optional[str] = ...) -> None: ...

class SendCustomSignalResponse(_message.Message):
    __slots__ = ("success", "error", "error_code")
    SUCCESS_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    ERROR_CODE_FIELD_NUMBER: _ClassVar[int]
    success: bool
    error: str
    error_code: str
    def __init__(self, success: _Optional[bool] = ..., error: _Optional[str] = ..., error_code: _Optional[str] = ...) -> None: ...

class TestCapabilityRequest(_message.Message):
    __slots__ = ("tenant_id", "agent_id", "capability_id", "input", "connection", "timeout_ms", "runner")
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    AGENT_ID_FIELD_NUMBER: _ClassVar[int]
    CAPABILITY_ID_FIELD_NUMBER: _ClassVar[int]
    INPUT_FIELD_NUMBER: _ClassVar[int]
    CONNECTION_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_MS_FIELD_NUMBER: _ClassVar[int]
    RUNNER_FIELD_NUMBER: _ClassVar[int]
    tenant_id: str
    agent_id: str
    capability_id: str
    input: bytes
    connection: bytes
    timeout_ms: int
    runner: str
    def __init__(self, tenant_id: _Optional[str] = ..., agent_id: _Optional[str] = ..., capability_id: _Optional[str] = ..., input: _Optional[bytes] = ..., connection: _Optional[bytes] = ..., timeout_ms: _Optional[int] = ..., runner: _Optional[str] = ...) -> None: ...

class TestCapabilityResponse(_message.Message):
    __slots__ = ("success", "output", "error", "execution_time_ms", "error_code")
    SUCCESS_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    EXECUTION_TIME_MS_FIELD_NUMBER: _ClassVar[int]
    ERROR_CODE_FIELD_NUMBER: _ClassVar[int]
    success: bool
    output: bytes
    error: str
    execution_time_ms: int
    error_code: str
    def __init__(self, success: _Optional[bool] = ..., output: _Optional[bytes] = ..., error: _Optional[str] = ..., execution_time_ms: _Optional[int] = ..., error_code: _Optional[str] = ...) -> None: ...

class ListAgentsRequest(_message.Message):
    __slots__ = ("tenant_id",)
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    tenant_id: str
    def __init__(self, tenant_id: _Optional[str] = ...) -> None: ...

class ListAgentsResponse(_message.Message):
    __slots__ = ("agents_json",)
    AGENTS_JSON_FIELD_NUMBER: _ClassVar[int]
    agents_json: bytes
    def __init__(self, agents_json: _Optional[bytes] = ...) -> None: ...

class GetCapabilityRequest(_message.Message):
    __slots__ = ("agent_id", "capability_id")
    AGENT_ID_FIELD_NUMBER: _ClassVar[int]
    CAPABILITY_ID_FIELD_NUMBER: _ClassVar[int]
    agent_id: str
    capability_id: str
    def __init__(self, agent_id: _Optional[str] = ..., capability_id: _Optional[str] = ...) -> None: ...

class GetCapabilityResponse(_message.Message):
    __slots__ = ("found", "capability_json", "inputs_json")
    FOUND_FIELD_NUMBER: _ClassVar[int]
    CAPABILITY_JSON_FIELD_NUMBER: _ClassVar[int]
    INPUTS_JSON_FIELD_NUMBER: _ClassVar[int]
    found: bool
    capability_json: bytes
    inputs_json: bytes
    def __init__(self, found: _Optional[bool] = ..., capability_json: _Optional[bytes] = ..., inputs_json: _Optional[bytes] = ...) -> None: ...

class ListCheckpointsRequest(_message.Message):
    __slots__ = ("instance_id", "checkpoint_id", "limit", "offset", "created_after_ms", "created_before_ms", "tenant_id", "page_token")
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_ID_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    CREATED_AFTER_MS_FIELD_NUMBER: _ClassVar[int]
    CREATED_BEFORE_MS_FIELD_NUMBER: _ClassVar[int]
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    instance_id: str
    checkpoint_id: str
    limit: int
    offset: int
    created_after_ms: int
    created_before_ms: int
    tenant_id: str
    page_token: str
    def __init__(self, instance_id: _Optional[str] = ..., checkpoint_id: _Optional[str] = ..., limit: _Optional[int] = ..., offset: _Optional[int] = ..., created_after_ms: _Optional[int] = ..., created_before_ms: _Optional[int] = ..., tenant_id: _Optional[str] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListCheckpointsResponse(_message.Message):
    __slots__ = ("checkpoints", "total_count", "limit", "offset", "next_page_token")
    CHECKPOINTS_FIELD_NUMBER: _ClassVar[int]
    TOTAL_COUNT_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    checkpoints: _containers.RepeatedCompositeFieldContainer[CheckpointSummary]
    total_count: int
    limit: int
    offset: int
    next_page_token: str
    def __init__(self, checkpoints: _Optional[_Iterable[_Union[CheckpointSummary, _Mapping]]] = ..., total_count: _Optional[int] = ..., limit: _Optional[int] = ..., offset: _Optional[int] = ..., next_page_token: _Optional[str] = ...) -> None: ...

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

class GetCheckpointRequest(_message.Message):
    __slots__ = ("instance_id", "checkpoint_id", "tenant_id")
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_ID_FIELD_NUMBER: _ClassVar[int]
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    instance_id: str
    checkpoint_id: str
    tenant_id: str
    def __init__(self, instance_id: _Optional[str] = ..., checkpoint_id: _Optional[str] = ..., tenant_id: _Optional[str] = ...) -> None: ...

class GetCheckpointResponse(_message.Message):
    __slots__ = ("found", "checkpoint_id", "instance_id", "created_at_ms", "data")
    FOUND_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_ID_FIELD_NUMBER: _ClassVar[int]
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_MS_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    found: bool
    checkpoint_id: str
    instance_id: str
    created_at_ms: int
    data: bytes
    def __init__(self, found: _Optional[bool] = ..., checkpoint_id: _Optional[str] = ..., instance_id: _Optional[str] = ..., created_at_ms: _Optional[int] = ..., data: _Optional[bytes] = ...) -> None: ...

class GetTenantMetricsRequest(_message.Message):
    __slots__ = ("tenant_id", "start_time_ms", "end_time_ms", "granularity")
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    START_TIME_MS_FIELD_NUMBER: _ClassVar[int]
    END_TIME_MS_FIELD_NUMBER: _ClassVar[int]
    GRANULARITY_FIELD_NUMBER: _ClassVar[int]
    tenant_id: str
    start_time_ms: int
    end_time_ms: int
    granularity: MetricsGranularity
    def __init__(self, tenant_id: _Optional[str] = ..., start_time_ms: _Optional[int] = ..., end_time_ms: _Optional[int] = ..., granularity: _Optional[_Union[MetricsGranularity, str]] = ...) -> None: ...

class GetTenantMetricsResponse(_message.Message):
    __slots__ = ("tenant_id", "start_time_ms", "end_time_ms", "granularity", "buckets")
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    START_TIME_MS_FIELD_NUMBER: _ClassVar[int]
    END_TIME_MS_FIELD_NUMBER: _ClassVar[int]
    GRANULARITY_FIELD_NUMBER: _ClassVar[int]
    BUCKETS_FIELD_NUMBER: _ClassVar[int]
    tenant_id: str
    start_time_ms: int
    end_time_ms: int
    granularity: MetricsGranularity
    buckets: _containers.RepeatedCompositeFieldContainer[MetricsBucket]
    def __init__(self, tenant_id: _Optional[str] = ..., start_time_ms: _Optional[int] = ..., end_time_ms: _Optional[int] = ..., granularity: _Optional[_Union[MetricsGranularity, str]] = ..., buckets: _Optional[_Iterable[_Union[MetricsBucket, _Mapping]]] = ...) -> None: ...

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

class ListEventsRequest(_message.Message):
    __slots__ = ("instance_id", "event_type", "subtype", "limit", "offset", "created_after_ms", "created_before_ms", "payload_contains", "scope_id", "parent_scope_id", "root_scopes_only", "sort_order", "tenant_id", "page_token")
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    EVENT_TYPE_FIELD_NUMBER: _ClassVar[int]
    SUBTYPE_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    CREATED_AFTER_MS_FIELD_NUMBER: _ClassVar[int]
    CREATED_BEFORE_MS_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_CONTAINS_FIELD_NUMBER: _ClassVar[int]
    SCOPE_ID_FIELD_NUMBER: _ClassVar[int]
    PARENT_SCOPE_ID_FIELD_NUMBER: _ClassVar[int]
    ROOT_SCOPES_ONLY_FIELD_NUMBER: _ClassVar[int]
    SORT_ORDER_FIELD_NUMBER: _ClassVar[int]
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    instance_id: str
    event_type: str
    subtype: str
    limit: int
    offset: int
    created_after_ms: int
    created_before_ms: int
    payload_contains: str
    scope_id: str
    parent_scope_id: str
    root_scopes_only: bool
    sort_order: str
    tenant_id: str
    page_token: str
    def __init__(self, instance_id: _Optional[str] = ..., event_type: _Optional[str] = ..., subtype: _Optional[str] = ..., limit: _Optional[int] = ..., offset: _Optional[int] = ..., created_after_ms: _Optional[int] = ..., created_before_ms: _Optional[int] = ..., payload_contains: _Optional[str] = ..., scope_id: _Optional[str] = ..., parent_scope_id: _Optional[str] = ..., root_scopes_only: _Optional[bool] = ..., sort_order: _Optional[str] = ..., tenant_id: _Optional[str] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListEventsResponse(_message.Message):
    __slots__ = ("events", "total_count", "limit", "offset", "next_page_token")
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    TOTAL_COUNT_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    events: _containers.RepeatedCompositeFieldContainer[EventSummary]
    total_count: int
    limit: int
    offset: int
    next_page_token: str
    def __init__(self, events: _Optional[_Iterable[_Union[EventSummary, _Mapping]]] = ..., total_count: _Optional[int] = ..., limit: _Optional[int] = ..., offset: _Optional[int] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class EventSummary(_message.Message):
    __slots__ = ("id", "instance_id", "event_type", "checkpoint_id", "payload", "created_at_ms", "subtype")
    ID_FIELD_NUMBER: _ClassVar[int]
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    EVENT_TYPE_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_ID_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_MS_FIELD_NUMBER: _ClassVar[int]
    SUBTYPE_FIELD_NUMBER: _ClassVar[int]
    id: int
    instance_id: str
    event_type: str
    checkpoint_id: str
    payload: bytes
    created_at_ms: int
    subtype: str
    def __init__(self, id: _Optional[int] = ..., instance_id: _Optional[str] = ..., event_type: _Optional[str] = ..., checkpoint_id: _Optional[str] = ..., payload: _Optional[bytes] = ..., created_at_ms: _Optional[int] = ..., subtype: _Optional[str] = ...) -> None: ...

class GetScopeAncestorsRequest(_message.Message):
    __slots__ = ("instance_id", "scope_id", "tenant_id")
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    SCOPE_ID_FIELD_NUMBER: _ClassVar[int]
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    instance_id: str
    scope_id: str
    tenant_id: str
    def __init__(self, instance_id: _Optional[str] = ..., scope_id: _Optional[str] = ..., tenant_id: _Optional[str] = ...) -> None: ...

class GetScopeAncestorsResponse(_message.Message):
    __slots__ = ("ancestors",)
    ANCESTORS_FIELD_NUMBER: _ClassVar[int]
    ancestors: _containers.RepeatedCompositeFieldContainer[ScopeInfo]
    def __init__(self, ancestors: _Optional[_Iterable[_Union[ScopeInfo, _Mapping]]] = ...) -> None: ...

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

class ListStepSummariesRequest(_message.Message):
    __slots__ = ("instance_id", "status", "step_type", "scope_id", "parent_scope_id", "root_scopes_only", "sort_order", "limit", "offset", "tenant_id", "page_token")
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    STEP_TYPE_FIELD_NUMBER: _ClassVar[int]
    SCOPE_ID_FIELD_NUMBER: _ClassVar[int]
    PARENT_SCOPE_ID_FIELD_NUMBER: _ClassVar[int]
    ROOT_SCOPES_ONLY_FIELD_NUMBER: _ClassVar[int]
    SORT_ORDER_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    instance_id: str
    status: str
    step_type: str
    scope_id: str
    parent_scope_id: str
    root_scopes_only: bool
    sort_order: str
    limit: int
    offset: int
    tenant_id: str
    page_token: str
    def __init__(self, instance_id: _Optional[str] = ..., status: _Optional[str] = ..., step_type: _Optional[str] = ..., scope_id: _Optional[str] = ..., parent_scope_id: _Optional[str] = ..., root_scopes_only: _Optional[bool] = ..., sort_order: _Optional[str] = ..., limit: _Optional[int] = ..., offset: _Optional[int] = ..., tenant_id: _Optional[str] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListStepSummariesResponse(_message.Message):
    __slots__ = ("steps", "total_count", "limit", "offset", "next_page_token")
    STEPS_FIELD_NUMBER: _ClassVar[int]
    TOTAL_COUNT_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    steps: _containers.RepeatedCompositeFieldContainer[StepSummary]
    total_count: int
    limit: int
    offset: int
    next_page_token: str
    def __init__(self, steps: _Optional[_Iterable[_Union[StepSummary, _Mapping]]] = ..., total_count: _Optional[int] = ..., limit: _Optional[int] = ..., offset: _Optional[int] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class StepSummary(_message.Message):
    __slots__ = ("step_id", "step_name", "step_type", "status", "started_at_ms", "completed_at_ms", "duration_ms", "inputs", "outputs", "error", "scope_id", "parent_scope_id")
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
    step_id: str
    step_name: str
    step_type: str
    status: StepStatus
    started_at_ms: int
    completed_at_ms: int
    duration_ms: int
    inputs: bytes
    outputs: bytes
    error: bytes
    scope_id: str
    parent_scope_id: str
    def __init__(self, step_id: _Optional[str] = ..., step_name: _Optional[str] = ..., step_type: _Optional[str] = ..., status: _Optional[_Union[StepStatus, str]] = ..., started_at_ms: _Optional[int] = ..., completed_at_ms: _Optional[int] = ..., duration_ms: _Optional[int] = ..., inputs: _Optional[bytes] = ..., outputs: _Optional[bytes] = ..., error: _Optional[bytes] = ..., scope_id: _Optional[str] = ..., parent_scope_id: _Optional[str] = ...) -> None: ...

class ReadInputRequest(_message.Message):
    __slots__ = ("instance_id", "tenant_id", "offset", "limit_bytes")
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    LIMIT_BYTES_FIELD_NUMBER: _ClassVar[int]
    instance_id: str
    tenant_id: str
    offset: int
    limit_bytes: int
    def __init__(self, instance_id: _Optional[str] = ..., tenant_id: _Optional[str] = ..., offset: _Optional[int] = ..., limit_bytes: _Optional[int] = ...) -> None: ...

class ReadInputResponse(_message.Message):
    __slots__ = ("data", "total_bytes")
    DATA_FIELD_NUMBER: _ClassVar[int]
    TOTAL_BYTES_FIELD_NUMBER: _ClassVar[int]
    data: bytes
    total_bytes: int
    def __init__(self, data: _Optional[bytes] = ..., total_bytes: _Optional[int] = ...) -> None: ...

class ReadLogsRequest(_message.Message):
    __slots__ = ("instance_id", "tenant_id", "stream", "epoch", "offset", "tail_lines", "limit_bytes", "wait_ms", "follows", "only_here")
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    STREAM_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    TAIL_LINES_FIELD_NUMBER: _ClassVar[int]
    LIMIT_BYTES_FIELD_NUMBER: _ClassVar[int]
    WAIT_MS_FIELD_NUMBER: _ClassVar[int]
    FOLLOWS_FIELD_NUMBER: _ClassVar[int]
    ONLY_HERE_FIELD_NUMBER: _ClassVar[int]
    instance_id: str
    tenant_id: str
    stream: str
    epoch: int
    offset: int
    tail_lines: int
    limit_bytes: int
    wait_ms: int
    follows: bool
    only_here: bool
    def __init__(self, instance_id: _Optional[str] = ..., tenant_id: _Optional[str] = ..., stream: _Optional[str] = ..., epoch: _Optional[int] = ..., offset: _Optional[int] = ..., tail_lines: _Optional[int] = ..., limit_bytes: _Optional[int] = ..., wait_ms: _Optional[int] = ..., follows: _Optional[bool] = ..., only_here: _Optional[bool] = ...) -> None: ...

class ReadLogsResponse(_message.Message):
    __slots__ = ("epoch", "offset", "data", "dropped", "ended", "next_epoch", "status", "missing")
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    DROPPED_FIELD_NUMBER: _ClassVar[int]
    ENDED_FIELD_NUMBER: _ClassVar[int]
    NEXT_EPOCH_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    MISSING_FIELD_NUMBER: _ClassVar[int]
    epoch: int
    offset: int
    data: bytes
    dropped: bool
    ended: bool
    next_epoch: int
    status: InstanceStatus
    missing: bool
    def __init__(self, epoch: _Optional[int] = ..., offset: _Optional[int] = ..., data: _Optional[bytes] = ..., dropped: _Optional[bool] = ..., ended: _Optional[bool] = ..., next_epoch: _Optional[int] = ..., status: _Optional[_Union[InstanceStatus, str]] = ..., missing: _Optional[bool] = ...) -> None: ...

class RpcError(_message.Message):
    __slots__ = ("code", "message", "retryable")
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    RETRYABLE_FIELD_NUMBER: _ClassVar[int]
    code: str
    message: str
    retryable: bool
    def __init__(self, code: _Optional[str] = ..., message: _Optional[str] = ..., retryable: _Optional[bool] = ...) -> None: ...

class HostSummary(_message.Message):
    __slots__ = ("host_id", "host_name", "state", "address", "version", "runner_type", "isolation", "live_launches", "max_launches", "artifact_count", "started_at_ms", "last_seen_at_ms", "drain_requested_at_ms", "artifact_digests")
    HOST_ID_FIELD_NUMBER: _ClassVar[int]
    HOST_NAME_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    RUNNER_TYPE_FIELD_NUMBER: _ClassVar[int]
    ISOLATION_FIELD_NUMBER: _ClassVar[int]
    LIVE_LAUNCHES_FIELD_NUMBER: _ClassVar[int]
    MAX_LAUNCHES_FIELD_NUMBER: _ClassVar[int]
    ARTIFACT_COUNT_FIELD_NUMBER: _ClassVar[int]
    STARTED_AT_MS_FIELD_NUMBER: _ClassVar[int]
    LAST_SEEN_AT_MS_FIELD_NUMBER: _ClassVar[int]
    DRAIN_REQUESTED_AT_MS_FIELD_NUMBER: _ClassVar[int]
    ARTIFACT_DIGESTS_FIELD_NUMBER: _ClassVar[int]
    host_id: str
    host_name: str
    state: HostState
    address: str
    version: str
    runner_type: str
    isolation: str
    live_launches: int
    max_launches: int
    artifact_count: int
    started_at_ms: int
    last_seen_at_ms: int
    drain_requested_at_ms: int
    artifact_digests: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, host_id: _Optional[str] = ..., host_name: _Optional[str] = ..., state: _Optional[_Union[HostState, str]] = ..., address: _Optional[str] = ..., version: _Optional[str] = ..., runner_type: _Optional[str] = ..., isolation: _Optional[str] = ..., live_launches: _Optional[int] = ..., max_launches: _Optional[int] = ..., artifact_count: _Optional[int] = ..., started_at_ms: _Optional[int] = ..., last_seen_at_ms: _Optional[int] = ..., drain_requested_at_ms: _Optional[int] = ..., artifact_digests: _Optional[_Iterable[str]] = ...) -> None: ...

class ListHostsRequest(_message.Message):
    __slots__ = ("with_artifacts",)
    WITH_ARTIFACTS_FIELD_NUMBER: _ClassVar[int]
    with_artifacts: bool
    def __init__(self, with_artifacts: _Optional[bool] = ...) -> None: ...

class ListHostsResponse(_message.Message):
    __slots__ = ("hosts",)
    HOSTS_FIELD_NUMBER: _ClassVar[int]
    hosts: _containers.RepeatedCompositeFieldContainer[HostSummary]
    def __init__(self, hosts: _Optional[_Iterable[_Union[HostSummary, _Mapping]]] = ...) -> None: ...

class DrainHostRequest(_message.Message):
    __slots__ = ("host", "undo", "suspend_seconds")
    HOST_FIELD_NUMBER: _ClassVar[int]
    UNDO_FIELD_NUMBER: _ClassVar[int]
    SUSPEND_SECONDS_FIELD_NUMBER: _ClassVar[int]
    host: str
    undo: bool
    suspend_seconds: int
    def __init__(self, host: _Optional[str] = ..., undo: _Optional[bool] = ..., suspend_seconds: _Optional[int] = ...) -> None: ...

class DrainHostResponse(_message.Message):
    __slots__ = ("host",)
    HOST_FIELD_NUMBER: _ClassVar[int]
    host: HostSummary
    def __init__(self, host: _Optional[_Union[HostSummary, _Mapping]] = ...) -> None: ...

class ReadArtifactRequest(_message.Message):
    __slots__ = ("digest", "offset")
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    digest: str
    offset: int
    def __init__(self, digest: _Optional[str] = ..., offset: _Optional[int] = ...) -> None: ...

class ReadArtifactResponse(_message.Message):
    __slots__ = ("found", "size_bytes", "content")
    FOUND_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    found: bool
    size_bytes: int
    content: bytes
    def __init__(self, found: _Optional[bool] = ..., size_bytes: _Optional[int] = ..., content: _Optional[bytes] = ...) -> None: ...

class HoldArtifactRequest(_message.Message):
    __slots__ = ("digest", "size_bytes")
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    digest: str
    size_bytes: int
    def __init__(self, digest: _Optional[str] = ..., size_bytes: _Optional[int] = ...) -> None: ...

class HoldArtifactResponse(_message.Message):
    __slots__ = ("held", "error")
    HELD_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    held: bool
    error: str
    def __init__(self, held: _Optional[bool] = ..., error: _Optional[str] = ...) -> None: ...

class RpcRequest(_message.Message):
    __slots__ = ("health_check", "register_image", "register_image_stream", "list_images", "get_image", "delete_image", "start_instance", "stop_instance", "resume_instance", "get_instance_status", "list_instances", "send_signal", "test_capability", "list_agents", "get_capability", "list_checkpoints", "get_checkpoint", "send_custom_signal", "list_events", "get_tenant_metrics", "get_scope_ancestors", "list_step_summaries", "retry_instance", "fork_instance", "list_image_versions", "list_hosts", "drain_host", "read_artifact", "hold_artifact", "read_logs", "start_instance_stream", "read_input", "api_key")
    HEALTH_CHECK_FIELD_NUMBER: _ClassVar[int]
    REGISTER_IMAGE_FIELD_NUMBER: _ClassVar[int]
    REGISTER_IMAGE_STREAM_FIELD_NUMBER: _ClassVar[int]
    LIST_IMAGES_FIELD_NUMBER: _ClassVar[int]
    GET_IMAGE_FIELD_NUMBER: _ClassVar[int]
    DELETE_IMAGE_FIELD_NUMBER: _ClassVar[int]
    START_INSTANCE_FIELD_NUMBER: _ClassVar[int]
    STOP_INSTANCE_FIELD_NUMBER: _ClassVar[int]
    RESUME_INSTANCE_FIELD_NUMBER: _ClassVar[int]
    GET_INSTANCE_STATUS_FIELD_NUMBER: _ClassVar[int]
    LIST_INSTANCES_FIELD_NUMBER: _ClassVar[int]
    SEND_SIGNAL_FIELD_NUMBER: _ClassVar[int]
    TEST_CAPABILITY_FIELD_NUMBER: _ClassVar[int]
    LIST_AGENTS_FIELD_NUMBER: _ClassVar[int]
    GET_CAPABILITY_FIELD_NUMBER: _ClassVar[int]
    LIST_CHECKPOINTS_FIELD_NUMBER: _ClassVar[int]
    GET_CHECKPOINT_FIELD_NUMBER: _ClassVar[int]
    SEND_CUSTOM_SIGNAL_FIELD_NUMBER: _ClassVar[int]
    LIST_EVENTS_FIELD_NUMBER: _ClassVar[int]
    GET_TENANT_METRICS_FIELD_NUMBER: _ClassVar[int]
    GET_SCOPE_ANCESTORS_FIELD_NUMBER: _ClassVar[int]
    LIST_STEP_SUMMARIES_FIELD_NUMBER: _ClassVar[int]
    RETRY_INSTANCE_FIELD_NUMBER: _ClassVar[int]
    FORK_INSTANCE_FIELD_NUMBER: _ClassVar[int]
    LIST_IMAGE_VERSIONS_FIELD_NUMBER: _ClassVar[int]
    LIST_HOSTS_FIELD_NUMBER: _ClassVar[int]
    DRAIN_HOST_FIELD_NUMBER: _ClassVar[int]
    READ_ARTIFACT_FIELD_NUMBER: _ClassVar[int]
    HOLD_ARTIFACT_FIELD_NUMBER: _ClassVar[int]
    READ_LOGS_FIELD_NUMBER: _ClassVar[int]
    START_INSTANCE_STREAM_FIELD_NUMBER: _ClassVar[int]
    READ_INPUT_FIELD_NUMBER: _ClassVar[int]
    API_KEY_FIELD_NUMBER: _ClassVar[int]
    health_check: HealthCheckRequest
    register_image: RegisterImageRequest
    register_image_stream: RegisterImageStreamStart
    list_images: ListImagesRequest
    get_image: GetImageRequest
    delete_image: DeleteImageRequest
    start_instance: StartInstanceRequest
    stop_instance: StopInstanceRequest
    resume_instance: ResumeInstanceRequest
    get_instance_status: GetInstanceStatusRequest
    list_instances: ListInstancesRequest
    send_signal: SendSignalRequest
    test_capability: TestCapabilityRequest
    list_agents: ListAgentsRequest
    get_capability: GetCapabilityRequest
    list_checkpoints: ListCheckpointsRequest
    get_checkpoint: GetCheckpointRequest
    send_custom_signal: SendCustomSignalRequest
    list_events: ListEventsRequest
    get_tenant_metrics: GetTenantMetricsRequest
    get_scope_ancestors: GetScopeAncestorsRequest
    list_step_summaries: ListStepSummariesRequest
    retry_instance: RetryInstanceRequest
    fork_instance: ForkInstanceRequest
    list_image_versions: ListImageVersionsRequest
    list_hosts: ListHostsRequest
    drain_host: DrainHostRequest
    read_artifact: ReadArtifactRequest
    hold_artifact: HoldArtifactRequest
    read_logs: ReadLogsRequest
    start_instance_stream: StartInstanceRequest
    read_input: ReadInputRequest
    api_key: str
    def __init__(self, health_check: _Optional[_Union[HealthCheckRequest, _Mapping]] = ..., register_image: _Optional[_Union[RegisterImageRequest, _Mapping]] = ..., register_image_stream: _Optional[_Union[RegisterImageStreamStart, _Mapping]] = ..., list_images: _Optional[_Union[ListImagesRequest, _Mapping]] = ..., get_image: _Optional[_Union[GetImageRequest, _Mapping]] = ..., delete_image: _Optional[_Union[DeleteImageRequest, _Mapping]] = ..., start_instance: _Optional[_Union[StartInstanceRequest, _Mapping]] = ..., stop_instance: _Optional[_Union[StopInstanceRequest, _Mapping]] = ..., resume_instance: _Optional[_Union[ResumeInstanceRequest, _Mapping]] = ..., get_instance_status: _Optional[_Union[GetInstanceStatusRequest, _Mapping]] = ..., list_instances: _Optional[_Union[ListInstancesRequest, _Mapping]] = ..., send_signal: _Optional[_Union[SendSignalRequest, _Mapping]] = ..., test_capability: _Optional[_Union[TestCapabilityRequest, _Mapping]] = ..., list_agents: _Optional[_Union[ListAgentsRequest, _Mapping]] = ..., get_capability: _Optional[_Union[GetCapabilityRequest, _Mapping]] = ..., list_checkpoints: _Optional[_Union[ListCheckpointsRequest, _Mapping]] = ..., get_checkpoint: _Optional[_Union[GetCheckpointRequest, _Mapping]] = ..., send_custom_signal: _Optional[_Union[SendCustomSignalRequest, _Mapping]] = ..., list_events: _Optional[_Union[ListEventsRequest, _Mapping]] = ..., get_tenant_metrics: _Optional[_Union[GetTenantMetricsRequest, _Mapping]] = ..., get_scope_ancestors: _Optional[_Union[GetScopeAncestorsRequest, _Mapping]] = ..., list_step_summaries: _Optional[_Union[ListStepSummariesRequest, _Mapping]] = ..., retry_instance: _Optional[_Union[RetryInstanceRequest, _Mapping]] = ..., fork_instance: _Optional[_Union[ForkInstanceRequest, _Mapping]] = ..., list_image_versions: _Optional[_Union[ListImageVersionsRequest, _Mapping]] = ..., list_hosts: _Optional[_Union[ListHostsRequest, _Mapping]] = ..., drain_host: _Optional[_Union[DrainHostRequest, _Mapping]] = ..., read_artifact: _Optional[_Union[ReadArtifactRequest, _Mapping]] = ..., hold_artifact: _Optional[_Union[HoldArtifactRequest, _Mapping]] = ..., read_logs: _Optional[_Union[ReadLogsRequest, _Mapping]] = ..., start_instance_stream: _Optional[_Union[StartInstanceRequest, _Mapping]] = ..., read_input: _Optional[_Union[ReadInputRequest, _Mapping]] = ..., api_key: _Optional[str] = ...) -> None: ...

class RpcResponse(_message.Message):
    __slots__ = ("health_check", "register_image", "list_images", "get_image", "delete_image", "start_instance", "stop_instance", "resume_instance", "get_instance_status", "list_instances", "send_signal", "test_capability", "list_agents", "error", "get_capability", "list_checkpoints", "get_checkpoint", "send_custom_signal", "list_events", "get_tenant_metrics", "get_scope_ancestors", "list_step_summaries", "retry_instance", "fork_instance", "list_image_versions", "list_hosts", "drain_host", "read_artifact", "hold_artifact", "read_logs", "read_input")
    HEALTH_CHECK_FIELD_NUMBER: _ClassVar[int]
    REGISTER_IMAGE_FIELD_NUMBER: _ClassVar[int]
    LIST_IMAGES_FIELD_NUMBER: _ClassVar[int]
    GET_IMAGE_FIELD_NUMBER: _ClassVar[int]
    DELETE_IMAGE_FIELD_NUMBER: _ClassVar[int]
    START_INSTANCE_FIELD_NUMBER: _ClassVar[int]
    STOP_INSTANCE_FIELD_NUMBER: _ClassVar[int]
    RESUME_INSTANCE_FIELD_NUMBER: _ClassVar[int]
    GET_INSTANCE_STATUS_FIELD_NUMBER: _ClassVar[int]
    LIST_INSTANCES_FIELD_NUMBER: _ClassVar[int]
    SEND_SIGNAL_FIELD_NUMBER: _ClassVar[int]
    TEST_CAPABILITY_FIELD_NUMBER: _ClassVar[int]
    LIST_AGENTS_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    GET_CAPABILITY_FIELD_NUMBER: _ClassVar[int]
    LIST_CHECKPOINTS_FIELD_NUMBER: _ClassVar[int]
    GET_CHECKPOINT_FIELD_NUMBER: _ClassVar[int]
    SEND_CUSTOM_SIGNAL_FIELD_NUMBER: _ClassVar[int]
    LIST_EVENTS_FIELD_NUMBER: _ClassVar[int]
    GET_TENANT_METRICS_FIELD_NUMBER: _ClassVar[int]
    GET_SCOPE_ANCESTORS_FIELD_NUMBER: _ClassVar[int]
    LIST_STEP_SUMMARIES_FIELD_NUMBER: _ClassVar[int]
    RETRY_INSTANCE_FIELD_NUMBER: _ClassVar[int]
    FORK_INSTANCE_FIELD_NUMBER: _ClassVar[int]
    LIST_IMAGE_VERSIONS_FIELD_NUMBER: _ClassVar[int]
    LIST_HOSTS_FIELD_NUMBER: _ClassVar[int]
    DRAIN_HOST_FIELD_NUMBER: _ClassVar[int]
    READ_ARTIFACT_FIELD_NUMBER: _ClassVar[int]
    HOLD_ARTIFACT_FIELD_NUMBER: _ClassVar[int]
    READ_LOGS_FIELD_NUMBER: _ClassVar[int]
    READ_INPUT_FIELD_NUMBER: _ClassVar[int]
    health_check: HealthCheckResponse
    register_image: RegisterImageResponse
    list_images: ListImagesResponse
    get_image: GetImageResponse
    delete_image: DeleteImageResponse
    start_instance: StartInstanceResponse
    stop_instance: StopInstanceResponse
    resume_instance: ResumeInstanceResponse
    get_instance_status: GetInstanceStatusResponse
    list_instances: ListInstancesResponse
    send_signal: SendSignalResponse
    test_capability: TestCapabilityResponse
    list_agents: ListAgentsResponse
    error: RpcError
    get_capability: GetCapabilityResponse
    list_checkpoints: ListCheckpointsResponse
    get_checkpoint: GetCheckpointResponse
    send_custom_signal: SendCustomSignalResponse
    list_events: ListEventsResponse
    get_tenant_metrics: GetTenantMetricsResponse
    get_scope_ancestors: GetScopeAncestorsResponse
    list_step_summaries: ListStepSummariesResponse
    retry_instance: RetryInstanceResponse
    fork_instance: ForkInstanceResponse
    list_image_versions: ListImageVersionsResponse
    list_hosts: ListHostsResponse
    drain_host: DrainHostResponse
    read_artifact: ReadArtifactResponse
    hold_artifact: HoldArtifactResponse
    read_logs: ReadLogsResponse
    read_input: ReadInputResponse
    def __init__(self, health_check: _Optional[_Union[HealthCheckResponse, _Mapping]] = ..., register_image: _Optional[_Union[RegisterImageResponse, _Mapping]] = ..., list_images: _Optional[_Union[ListImagesResponse, _Mapping]] = ..., get_image: _Optional[_Union[GetImageResponse, _Mapping]] = ..., delete_image: _Optional[_Union[DeleteImageResponse, _Mapping]] = ..., start_instance: _Optional[_Union[StartInstanceResponse, _Mapping]] = ..., stop_instance: _Optional[_Union[StopInstanceResponse, _Mapping]] = ..., resume_instance: _Optional[_Union[ResumeInstanceResponse, _Mapping]] = ..., get_instance_status: _Optional[_Union[GetInstanceStatusResponse, _Mapping]] = ..., list_instances: _Optional[_Union[ListInstancesResponse, _Mapping]] = ..., send_signal: _Optional[_Union[SendSignalResponse, _Mapping]] = ..., test_capability: _Optional[_Union[TestCapabilityResponse, _Mapping]] = ..., list_agents: _Optional[_Union[ListAgentsResponse, _Mapping]] = ..., error: _Optional[_Union[RpcError, _Mapping]] = ..., get_capability: _Optional[_Union[GetCapabilityResponse, _Mapping]] = ..., list_checkpoints: _Optional[_Union[ListCheckpointsResponse, _Mapping]] = ..., get_checkpoint: _Optional[_Union[GetCheckpointResponse, _Mapping]] = ..., send_custom_signal: _Optional[_Union[SendCustomSignalResponse, _Mapping]] = ..., list_events: _Optional[_Union[ListEventsResponse, _Mapping]] = ..., get_tenant_metrics: _Optional[_Union[GetTenantMetricsResponse, _Mapping]] = ..., get_scope_ancestors: _Optional[_Union[GetScopeAncestorsResponse, _Mapping]] = ..., list_step_summaries: _Optional[_Union[ListStepSummariesResponse, _Mapping]] = ..., retry_instance: _Optional[_Union[RetryInstanceResponse, _Mapping]] = ..., fork_instance: _Optional[_Union[ForkInstanceResponse, _Mapping]] = ..., list_image_versions: _Optional[_Union[ListImageVersionsResponse, _Mapping]] = ..., list_hosts: _Optional[_Union[ListHostsResponse, _Mapping]] = ..., drain_host: _Optional[_Union[DrainHostResponse, _Mapping]] = ..., read_artifact: _Optional[_Union[ReadArtifactResponse, _Mapping]] = ..., hold_artifact: _Optional[_Union[HoldArtifactResponse, _Mapping]] = ..., read_logs: _Optional[_Union[ReadLogsResponse, _Mapping]] = ..., read_input: _Optional[_Union[ReadInputResponse, _Mapping]] = ...) -> None: ...
