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

class InstanceEventType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    EVENT_HEARTBEAT: _ClassVar[InstanceEventType]
    EVENT_COMPLETED: _ClassVar[InstanceEventType]
    EVENT_FAILED: _ClassVar[InstanceEventType]
    EVENT_SUSPENDED: _ClassVar[InstanceEventType]
    EVENT_CUSTOM: _ClassVar[InstanceEventType]

class SleepState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SLEEP_DONE: _ClassVar[SleepState]
    SLEEP_WAIT: _ClassVar[SleepState]
    SLEEP_SUSPENDED: _ClassVar[SleepState]

class WaitSignalState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    WAIT_SIGNAL_RECEIVED: _ClassVar[WaitSignalState]
    WAIT_SIGNAL_WAIT: _ClassVar[WaitSignalState]
    WAIT_SIGNAL_SUSPENDED: _ClassVar[WaitSignalState]
    WAIT_SIGNAL_TIMED_OUT: _ClassVar[WaitSignalState]
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
EVENT_HEARTBEAT: InstanceEventType
EVENT_COMPLETED: InstanceEventType
EVENT_FAILED: InstanceEventType
EVENT_SUSPENDED: InstanceEventType
EVENT_CUSTOM: InstanceEventType
SLEEP_DONE: SleepState
SLEEP_WAIT: SleepState
SLEEP_SUSPENDED: SleepState
WAIT_SIGNAL_RECEIVED: WaitSignalState
WAIT_SIGNAL_WAIT: WaitSignalState
WAIT_SIGNAL_SUSPENDED: WaitSignalState
WAIT_SIGNAL_TIMED_OUT: WaitSignalState

class RegisterInstanceRequest(_message.Message):
    __slots__ = ("instance_id", "tenant_id", "checkpoint_id", "registration_key")
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_ID_FIELD_NUMBER: _ClassVar[int]
    REGISTRATION_KEY_FIELD_NUMBER: _ClassVar[int]
    instance_id: str
    tenant_id: str
    checkpoint_id: str
    registration_key: str
    def __init__(self, instance_id: _Optional[str] = ..., tenant_id: _Optional[str] = ..., checkpoint_id: _Optional[str] = ..., registration_key: _Optional[str] = ...) -> None: ...

class RegisterInstanceResponse(_message.Message):
    __slots__ = ("success", "error", "epoch", "error_code", "instance_token", "is_new")
    SUCCESS_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    ERROR_CODE_FIELD_NUMBER: _ClassVar[int]
    INSTANCE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    IS_NEW_FIELD_NUMBER: _ClassVar[int]
    success: bool
    error: str
    epoch: int
    error_code: str
    instance_token: str
    is_new: bool
    def __init__(self, success: _Optional[bool] = ..., error: _Optional[str] = ..., epoch: _Optional[int] = ..., error_code: _Optional[str] = ..., instance_token: _Optional[str] = ..., is_new: _Optional[bool] = ...) -> None: ...

class CheckpointRequest(_message.Message):
    __slots__ = ("instance_id", "checkpoint_id", "state", "call_key")
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    CALL_KEY_FIELD_NUMBER: _ClassVar[int]
    instance_id: str
    checkpoint_id: str
    state: bytes
    call_key: bytes
    def __init__(self, instance_id: _Optional[str] = ..., checkpoint_id: _Optional[str] = ..., state: _Optional[bytes] = ..., call_key: _Optional[bytes] = ...) -> None: ...

class CheckpointResponse(_message.Message):
    __slots__ = ("found", "state", "pending_signal", "custom_signal")
    FOUND_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    PENDING_SIGNAL_FIELD_NUMBER: _ClassVar[int]
    CUSTOM_SIGNAL_FIELD_NUMBER: _ClassVar[int]
    found: bool
    state: bytes
    pending_signal: Signal
    custom_signal: CustomSignal
    def __init__(self, found: _Optional[bool] = ..., state: _Optional[bytes] = ..., pending_signal: _Optional[_Union[Signal, _Mapping]] = ..., custom_signal: _Optional[_Union[CustomSignal, _Mapping]] = ...) -> None: ...

class CheckpointsRequest(_message.Message):
    __slots__ = ("instance_id", "checkpoints")
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINTS_FIELD_NUMBER: _ClassVar[int]
    instance_id: str
    checkpoints: _containers.RepeatedCompositeFieldContainer[CheckpointEntry]
    def __init__(self, instance_id: _Optional[str] = ..., checkpoints: _Optional[_Iterable[_Union[CheckpointEntry, _Mapping]]] = ...) -> None: ...

class CheckpointEntry(_message.Message):
    __slots__ = ("checkpoint_id", "state", "call_key")
    CHECKPOINT_ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    CALL_KEY_FIELD_NUMBER: _ClassVar[int]
    checkpoint_id: str
    state: bytes
    call_key: bytes
    def __init__(self, checkpoint_id: _Optional[str] = ..., state: _Optional[bytes] = ..., call_key: _Optional[bytes] = ...) -> None: ...

class CheckpointsResponse(_message.Message):
    __slots__ = ("checkpoints", "pending_signal")
    CHECKPOINTS_FIELD_NUMBER: _ClassVar[int]
    PENDING_SIGNAL_FIELD_NUMBER: _ClassVar[int]
    checkpoints: _containers.RepeatedCompositeFieldContainer[CheckpointResponse]
    pending_signal: Signal
    def __init__(self, checkpoints: _Optional[_Iterable[_Union[CheckpointResponse, _Mapping]]] = ..., pending_signal: _Optional[_Union[Signal, _Mapping]] = ...) -> None: ...

class GetCheckpointRequest(_message.Message):
    __slots__ = ("instance_id", "checkpoint_id")
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_ID_FIELD_NUMBER: _ClassVar[int]
    instance_id: str
    checkpoint_id: str
    def __init__(self, instance_id: _Optional[str] = ..., checkpoint_id: _Optional[str] = ...) -> None: ...

class GetCheckpointResponse(_message.Message):
    __slots__ = ("found", "state", "retry")
    FOUND_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    RETRY_FIELD_NUMBER: _ClassVar[int]
    found: bool
    state: bytes
    retry: RetryState
    def __init__(self, found: _Optional[bool] = ..., state: _Optional[bytes] = ..., retry: _Optional[_Union[RetryState, _Mapping]] = ...) -> None: ...

class RetryState(_message.Message):
    __slots__ = ("attempt_number", "error_message", "next_attempt_at_ms", "remaining_ms", "retries_used", "rate_limit_waited_ms")
    ATTEMPT_NUMBER_FIELD_NUMBER: _ClassVar[int]
    ERROR_MESSAGE_FIELD_NUMBER: _ClassVar[int]
    NEXT_ATTEMPT_AT_MS_FIELD_NUMBER: _ClassVar[int]
    REMAINING_MS_FIELD_NUMBER: _ClassVar[int]
    RETRIES_USED_FIELD_NUMBER: _ClassVar[int]
    RATE_LIMIT_WAITED_MS_FIELD_NUMBER: _ClassVar[int]
    attempt_number: int
    error_message: str
    next_attempt_at_ms: int
    remaining_ms: int
    retries_used: int
    rate_limit_waited_ms: int
    def __init__(self, attempt_number: _Optional[int] = ..., error_message: _Optional[str] = ..., next_attempt_at_ms: _Optional[int] = ..., remaining_ms: _Optional[int] = ..., retries_used: _Optional[int] = ..., rate_limit_waited_ms: _Optional[int] = ...) -> None: ...

class SleepRequest(_message.Message):
    __slots__ = ("instance_id", "duration_ms", "checkpoint_id", "state", "suspend_above_ms", "sleep_revision")
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    DURATION_MS_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    SUSPEND_ABOVE_MS_FIELD_NUMBER: _ClassVar[int]
    SLEEP_REVISION_FIELD_NUMBER: _ClassVar[int]
    instance_id: str
    duration_ms: int
    checkpoint_id: str
    state: bytes
    suspend_above_ms: int
    sleep_revision: int
    def __init__(self, instance_id: _Optional[str] = ..., duration_ms: _Optional[int] = ..., checkpoint_id: _Optional[str] = ..., state: _Optional[bytes] = ..., suspend_above_ms: _Optional[int] = ..., sleep_revision: _Optional[int] = ...) -> None: ...

class SleepResponse(_message.Message):
    __slots__ = ("state", "wake_at_ms", "remaining_ms")
    STATE_FIELD_NUMBER: _ClassVar[int]
    WAKE_AT_MS_FIELD_NUMBER: _ClassVar[int]
    REMAINING_MS_FIELD_NUMBER: _ClassVar[int]
    state: SleepState
    wake_at_ms: int
    remaining_ms: int
    def __init__(self, state: _Optional[_Union[SleepState, str]] = ..., wake_at_ms: _Optional[int] = ..., remaining_ms: _Optional[int] = ...) -> None: ...

class InstanceEvent(_message.Message):
    __slots__ = ("instance_id", "event_type", "checkpoint_id", "payload", "timestamp_ms", "subtype", "event_key")
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    EVENT_TYPE_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_ID_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_MS_FIELD_NUMBER: _ClassVar[int]
    SUBTYPE_FIELD_NUMBER: _ClassVar[int]
    EVENT_KEY_FIELD_NUMBER: _ClassVar[int]
    instance_id: str
    event_type: InstanceEventType
    checkpoint_id: str
    payload: bytes
    timestamp_ms: int
    subtype: str
    event_key: str
    def __init__(self, instance_id: _Optional[str] = ..., event_type: _Optional[_Union[InstanceEventType, str]] = ..., checkpoint_id: _Optional[str] = ..., payload: _Optional[bytes] = ..., timestamp_ms: _Optional[int] = ..., subtype: _Optional[str] = ..., event_key: _Optional[str] = ...) -> None: ...

class InstanceEventResponse(_message.Message):
    __slots__ = ("success", "error")
    SUCCESS_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    success: bool
    error: str
    def __init__(self, success: _Optional[bool] = ..., error: _Optional[str] = ...) -> None: ...

class InstanceEventBatch(_message.Message):
    __slots__ = ("events",)
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    events: _containers.RepeatedCompositeFieldContainer[InstanceEvent]
    def __init__(self, events: _Optional[_Iterable[_Union[InstanceEvent, _Mapping]]] = ...) -> None: ...

class InstanceEventBatchResponse(_message.Message):
    __slots__ = ("accepted",)
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    accepted: int
    def __init__(self, accepted: _Optional[int] = ...) -> None: ...

class RetryAttemptEvent(_message.Message):
    __slots__ = ("instance_id", "checkpoint_id", "attempt_number", "timestamp_ms", "error_message", "next_attempt_at_ms", "retries_used", "rate_limit_waited_ms", "suspend_above_ms", "max_attempts")
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_ID_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_NUMBER_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_MS_FIELD_NUMBER: _ClassVar[int]
    ERROR_MESSAGE_FIELD_NUMBER: _ClassVar[int]
    NEXT_ATTEMPT_AT_MS_FIELD_NUMBER: _ClassVar[int]
    RETRIES_USED_FIELD_NUMBER: _ClassVar[int]
    RATE_LIMIT_WAITED_MS_FIELD_NUMBER: _ClassVar[int]
    SUSPEND_ABOVE_MS_FIELD_NUMBER: _ClassVar[int]
    MAX_ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    instance_id: str
    checkpoint_id: str
    attempt_number: int
    timestamp_ms: int
    error_message: str
    next_attempt_at_ms: int
    retries_used: int
    rate_limit_waited_ms: int
    suspend_above_ms: int
    max_attempts: int
    def __init__(self, instance_id: _Optional[str] = ..., checkpoint_id: _Optional[str] = ..., attempt_number: _Optional[int] = ..., timestamp_ms: _Optional[int] = ..., error_message: _Optional[str] = ..., next_attempt_at_ms: _Optional[int] = ..., retries_used: _Optional[int] = ..., rate_limit_waited_ms: _Optional[int] = ..., suspend_above_ms: _Optional[int] = ..., max_attempts: _Optional[int] = ...) -> None: ...

class RetryAttemptResponse(_message.Message):
    __slots__ = ("state", "next_attempt_at_ms", "remaining_ms")
    STATE_FIELD_NUMBER: _ClassVar[int]
    NEXT_ATTEMPT_AT_MS_FIELD_NUMBER: _ClassVar[int]
    REMAINING_MS_FIELD_NUMBER: _ClassVar[int]
    state: SleepState
    next_attempt_at_ms: int
    remaining_ms: int
    def __init__(self, state: _Optional[_Union[SleepState, str]] = ..., next_attempt_at_ms: _Optional[int] = ..., remaining_ms: _Optional[int] = ...) -> None: ...

class WaitSignalRequest(_message.Message):
    __slots__ = ("instance_id", "checkpoint_id", "timeout_ms", "suspend_above_ms", "beside_wake_at_ms", "beside_checkpoint_ids")
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_ID_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_MS_FIELD_NUMBER: _ClassVar[int]
    SUSPEND_ABOVE_MS_FIELD_NUMBER: _ClassVar[int]
    BESIDE_WAKE_AT_MS_FIELD_NUMBER: _ClassVar[int]
    BESIDE_CHECKPOINT_IDS_FIELD_NUMBER: _ClassVar[int]
    instance_id: str
    checkpoint_id: str
    timeout_ms: int
    suspend_above_ms: int
    beside_wake_at_ms: int
    beside_checkpoint_ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, instance_id: _Optional[str] = ..., checkpoint_id: _Optional[str] = ..., timeout_ms: _Optional[int] = ..., suspend_above_ms: _Optional[int] = ..., beside_wake_at_ms: _Optional[int] = ..., beside_checkpoint_ids: _Optional[_Iterable[str]] = ...) -> None: ...

class WaitSignalResponse(_message.Message):
    __slots__ = ("state", "payload", "deadline_ms", "remaining_ms")
    STATE_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    DEADLINE_MS_FIELD_NUMBER: _ClassVar[int]
    REMAINING_MS_FIELD_NUMBER: _ClassVar[int]
    state: WaitSignalState
    payload: bytes
    deadline_ms: int
    remaining_ms: int
    def __init__(self, state: _Optional[_Union[WaitSignalState, str]] = ..., payload: _Optional[bytes] = ..., deadline_ms: _Optional[int] = ..., remaining_ms: _Optional[int] = ...) -> None: ...

class Signal(_message.Message):
    __slots__ = ("instance_id", "signal_type", "payload", "signal_id")
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    SIGNAL_TYPE_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    SIGNAL_ID_FIELD_NUMBER: _ClassVar[int]
    instance_id: str
    signal_type: SignalType
    payload: bytes
    signal_id: int
    def __init__(self, instance_id: _Optional[str] = ..., signal_type: _Optional[_Union[SignalType, str]] = ..., payload: _Optional[bytes] = ..., signal_id: _Optional[int] = ...) -> None: ...

class CustomSignal(_message.Message):
    __slots__ = ("checkpoint_id", "payload")
    CHECKPOINT_ID_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    checkpoint_id: str
    payload: bytes
    def __init__(self, checkpoint_id: _Optional[str] = ..., payload: _Optional[bytes] = ...) -> None: ...

class SignalAck(_message.Message):
    __slots__ = ("instance_id", "signal_type", "acknowledged", "signal_id")
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    SIGNAL_TYPE_FIELD_NUMBER: _ClassVar[int]
    ACKNOWLEDGED_FIELD_NUMBER: _ClassVar[int]
    SIGNAL_ID_FIELD_NUMBER: _ClassVar[int]
    instance_id: str
    signal_type: SignalType
    acknowledged: bool
    signal_id: int
    def __init__(self, instance_id: _Optional[str] = ..., signal_type: _Optional[_Union[SignalType, str]] = ..., acknowledged: _Optional[bool] = ..., signal_id: _Optional[int] = ...) -> None: ...

class SignalAckResponse(_message.Message):
    __slots__ = ("success", "status")
    SUCCESS_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    success: bool
    status: InstanceStatus
    def __init__(self, success: _Optional[bool] = ..., status: _Optional[_Union[InstanceStatus, str]] = ...) -> None: ...

class PollSignalsRequest(_message.Message):
    __slots__ = ("instance_id", "checkpoint_id", "wait_ms", "known_signal_id")
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_ID_FIELD_NUMBER: _ClassVar[int]
    WAIT_MS_FIELD_NUMBER: _ClassVar[int]
    KNOWN_SIGNAL_ID_FIELD_NUMBER: _ClassVar[int]
    instance_id: str
    checkpoint_id: str
    wait_ms: int
    known_signal_id: int
    def __init__(self, instance_id: _Optional[str] = ..., checkpoint_id: _Optional[str] = ..., wait_ms: _Optional[int] = ..., known_signal_id: _Optional[int] = ...) -> None: ...

class PollSignalsResponse(_message.Message):
    __slots__ = ("signal", "custom_signal", "status")
    SIGNAL_FIELD_NUMBER: _ClassVar[int]
    CUSTOM_SIGNAL_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    signal: Signal
    custom_signal: CustomSignal
    status: InstanceStatus
    def __init__(self, signal: _Optional[_Union[Signal, _Mapping]] = ..., custom_signal: _Optional[_Union[CustomSignal, _Mapping]] = ..., status: _Optional[_Union[InstanceStatus, str]] = ...) -> None: ...

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
    __slots__ = ("register_instance", "sleep", "instance_event", "instance_event_batch", "get_instance_status", "checkpoint", "get_checkpoint", "poll_signals", "signal_ack", "retry_attempt", "wait_signal", "checkpoints", "epoch", "instance_token", "api_key")
    REGISTER_INSTANCE_FIELD_NUMBER: _ClassVar[int]
    SLEEP_FIELD_NUMBER: _ClassVar[int]
    INSTANCE_EVENT_FIELD_NUMBER: _ClassVar[int]
    INSTANCE_EVENT_BATCH_FIELD_NUMBER: _ClassVar[int]
    GET_INSTANCE_STATUS_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_FIELD_NUMBER: _ClassVar[int]
    GET_CHECKPOINT_FIELD_NUMBER: _ClassVar[int]
    POLL_SIGNALS_FIELD_NUMBER: _ClassVar[int]
    SIGNAL_ACK_FIELD_NUMBER: _ClassVar[int]
    RETRY_ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    WAIT_SIGNAL_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINTS_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    INSTANCE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    API_KEY_FIELD_NUMBER: _ClassVar[int]
    register_instance: RegisterInstanceRequest
    sleep: SleepRequest
    instance_event: InstanceEvent
    instance_event_batch: InstanceEventBatch
    get_instance_status: GetInstanceStatusRequest
    checkpoint: CheckpointRequest
    get_checkpoint: GetCheckpointRequest
    poll_signals: PollSignalsRequest
    signal_ack: SignalAck
    retry_attempt: RetryAttemptEvent
    wait_signal: WaitSignalRequest
    checkpoints: CheckpointsRequest
    epoch: int
    instance_token: str
    api_key: str
    def __init__(self, register_instance: _Optional[_Union[RegisterInstanceRequest, _Mapping]] = ..., sleep: _Optional[_Union[SleepRequest, _Mapping]] = ..., instance_event: _Optional[_Union[InstanceEvent, _Mapping]] = ..., instance_event_batch: _Optional[_Union[InstanceEventBatch, _Mapping]] = ..., get_instance_status: _Optional[_Union[GetInstanceStatusRequest, _Mapping]] = ..., checkpoint: _Optional[_Union[CheckpointRequest, _Mapping]] = ..., get_checkpoint: _Optional[_Union[GetCheckpointRequest, _Mapping]] = ..., poll_signals: _Optional[_Union[PollSignalsRequest, _Mapping]] = ..., signal_ack: _Optional[_Union[SignalAck, _Mapping]] = ..., retry_attempt: _Optional[_Union[RetryAttemptEvent, _Mapping]] = ..., wait_signal: _Optional[_Union[WaitSignalRequest, _Mapping]] = ..., checkpoints: _Optional[_Union[CheckpointsRequest, _Mapping]] = ..., epoch: _Optional[int] = ..., instance_token: _Optional[str] = ..., api_key: _Optional[str] = ...) -> None: ...

class RpcResponse(_message.Message):
    __slots__ = ("register_instance", "sleep", "instance_event", "get_instance_status", "checkpoint", "get_checkpoint", "poll_signals", "error", "signal_ack", "retry_attempt", "instance_event_batch", "wait_signal", "checkpoints")
    REGISTER_INSTANCE_FIELD_NUMBER: _ClassVar[int]
    SLEEP_FIELD_NUMBER: _ClassVar[int]
    INSTANCE_EVENT_FIELD_NUMBER: _ClassVar[int]
    GET_INSTANCE_STATUS_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_FIELD_NUMBER: _ClassVar[int]
    GET_CHECKPOINT_FIELD_NUMBER: _ClassVar[int]
    POLL_SIGNALS_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    SIGNAL_ACK_FIELD_NUMBER: _ClassVar[int]
    RETRY_ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    INSTANCE_EVENT_BATCH_FIELD_NUMBER: _ClassVar[int]
    WAIT_SIGNAL_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINTS_FIELD_NUMBER: _ClassVar[int]
    register_instance: RegisterInstanceResponse
    sleep: SleepResponse
    instance_event: InstanceEventResponse
    get_instance_status: GetInstanceStatusResponse
    checkpoint: CheckpointResponse
    get_checkpoint: GetCheckpointResponse
    poll_signals: PollSignalsResponse
    error: RpcError
    signal_ack: SignalAckResponse
    retry_attempt: RetryAttemptResponse
    instance_event_batch: InstanceEventBatchResponse
    wait_signal: WaitSignalResponse
    checkpoints: CheckpointsResponse
    def __init__(self, register_instance: _Optional[_Union[RegisterInstanceResponse, _Mapping]] = ..., sleep: _Optional[_Union[SleepResponse, _Mapping]] = ..., instance_event: _Optional[_Union[InstanceEventResponse, _Mapping]] = ..., get_instance_status: _Optional[_Union[GetInstanceStatusResponse, _Mapping]] = ..., checkpoint: _Optional[_Union[CheckpointResponse, _Mapping]] = ..., get_checkpoint: _Optional[_Union[GetCheckpointResponse, _Mapping]] = ..., poll_signals: _Optional[_Union[PollSignalsResponse, _Mapping]] = ..., error: _Optional[_Union[RpcError, _Mapping]] = ..., signal_ack: _Optional[_Union[SignalAckResponse, _Mapping]] = ..., retry_attempt: _Optional[_Union[RetryAttemptResponse, _Mapping]] = ..., instance_event_batch: _Optional[_Union[InstanceEventBatchResponse, _Mapping]] = ..., wait_signal: _Optional[_Union[WaitSignalResponse, _Mapping]] = ..., checkpoints: _Optional[_Union[CheckpointsResponse, _Mapping]] = ...) -> None: ...
