"""Models to and from the messages of package `runtara.instance`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from runtara_sdk.errors import InvalidInputError
from runtara_sdk.models import (
    MAX_CHECKPOINTS,
    CallProgress,
    CheckpointResult,
    CustomSignal,
    EventType,
    InstanceEvent,
    InstanceStatus,
    NewCheckpoint,
    RetryAttempt,
    Signal,
    SignalPoll,
    SignalType,
    SignalWait,
    SignalWaitState,
    SleepOutcome,
    SleepState,
    StatusReport,
)
from runtara_sdk.protocol import instance_pb2 as pb
from runtara_sdk.protocol.frame import MAX_PAYLOAD_SIZE

_ROOM_BESIDE_STATE = 16 * 1024  # for ids, lengths and the wrapper

_ROOM_BESIDE_SIGNAL = 3 * 1024  # for the id that it is addressed to

_STATUS = {
    InstanceStatus.PENDING: pb.STATUS_PENDING,
    InstanceStatus.RUNNING: pb.STATUS_RUNNING,
    InstanceStatus.SUSPENDED: pb.STATUS_SUSPENDED,
    InstanceStatus.COMPLETED: pb.STATUS_COMPLETED,
    InstanceStatus.FAILED: pb.STATUS_FAILED,
    InstanceStatus.CANCELLED: pb.STATUS_CANCELLED,
}
_SIGNAL = {
    SignalType.CANCEL: pb.SIGNAL_CANCEL,
    SignalType.PAUSE: pb.SIGNAL_PAUSE,
    SignalType.RESUME: pb.SIGNAL_RESUME,
    SignalType.SHUTDOWN: pb.SIGNAL_SHUTDOWN,
}
_SIGNAL_TYPE: dict[int, SignalType] = {number: signal_type for signal_type, number in _SIGNAL.items()}
_EVENT_TYPE = {
    pb.EVENT_HEARTBEAT: EventType.HEARTBEAT,
    pb.EVENT_COMPLETED: EventType.COMPLETED,
    pb.EVENT_FAILED: EventType.FAILED,
    pb.EVENT_SUSPENDED: EventType.SUSPENDED,
    pb.EVENT_CUSTOM: EventType.CUSTOM,
}
_SLEEP = {
    SleepState.DONE: pb.SLEEP_DONE,
    SleepState.WAIT: pb.SLEEP_WAIT,
    SleepState.SUSPENDED: pb.SLEEP_SUSPENDED,
}

_SIGNAL_WAIT = {
    SignalWaitState.RECEIVED: pb.WAIT_SIGNAL_RECEIVED,
    SignalWaitState.WAIT: pb.WAIT_SIGNAL_WAIT,
    SignalWaitState.SUSPENDED: pb.WAIT_SIGNAL_SUSPENDED,
    SignalWaitState.TIMED_OUT: pb.WAIT_SIGNAL_TIMED_OUT,
}


def encode_status(status: InstanceStatus) -> pb.InstanceStatus:
    """The wire number of a status."""
    return _STATUS[status]


def decode_signal_type(number: int) -> SignalType:
    """A signal type; an unknown number is an error, never a cancel."""
    try:
        return _SIGNAL_TYPE[number]
    except KeyError:
        raise InvalidInputError(
            f"signal type {number} is not known: use 0 cancel, 1 pause, 2 resume or 3 shutdown"
        ) from None


def decode_event(message: pb.InstanceEvent) -> InstanceEvent:
    """An event as reported; its time is ignored, the server's clock stamps it."""
    event_type = _EVENT_TYPE.get(message.event_type)
    if event_type is None:
        raise InvalidInputError(f"event type {message.event_type} is not known")
    return InstanceEvent(
        event_type=event_type,
        payload=message.payload,
        subtype=message.subtype if message.HasField("subtype") else None,
        checkpoint_id=message.checkpoint_id if message.HasField("checkpoint_id") else None,
        event_key=message.event_key if message.HasField("event_key") else None,
    )


def encode_checkpoint_result(instance_id: str, result: CheckpointResult) -> pb.CheckpointResponse:
    """The answer to a checkpoint call. Signals come along as far as there is room; a poll gives them whole."""
    message = pb.CheckpointResponse(found=result.found, state=result.state)
    room = MAX_PAYLOAD_SIZE - len(result.state) - _ROOM_BESIDE_STATE
    if result.pending_signal is not None:
        signal = result.pending_signal
        if len(signal.payload) > room:
            signal = replace(signal, payload=b"")
        room -= len(signal.payload)
        message.pending_signal.CopyFrom(_encode_signal(instance_id, signal))
    if result.custom_signal is not None and len(result.custom_signal.payload) <= room:
        message.custom_signal.CopyFrom(_encode_custom_signal(result.custom_signal))
    return message


def decode_new_checkpoints(message: pb.CheckpointsRequest) -> list[NewCheckpoint]:
    """The checkpoints of one call; too many are refused before they are looked at."""
    if len(message.checkpoints) > MAX_CHECKPOINTS:
        raise InvalidInputError(
            f"{len(message.checkpoints)} checkpoints are more than {MAX_CHECKPOINTS}: store them in several calls"
        )
    return [NewCheckpoint(each.checkpoint_id, each.state, each.call_key) for each in message.checkpoints]


def encode_checkpoint_results(instance_id: str, results: Sequence[CheckpointResult]) -> pb.CheckpointsResponse:
    """The answer to several checkpoints. Signals come along as far as there is room, the same one once for all."""
    message = pb.CheckpointsResponse()
    room = MAX_PAYLOAD_SIZE - sum(len(result.state) for result in results) - _ROOM_BESIDE_STATE
    signal = results[-1].pending_signal
    if signal is not None:
        if len(signal.payload) > room:
            signal = replace(signal, payload=b"")
        room -= len(signal.payload)
        message.pending_signal.CopyFrom(_encode_signal(instance_id, signal))
    for result in results:
        answer = message.checkpoints.add(found=result.found, state=result.state)
        custom = result.custom_signal
        if custom is not None and len(custom.payload) + _ROOM_BESIDE_SIGNAL <= room:
            room -= len(custom.payload) + _ROOM_BESIDE_SIGNAL
            answer.custom_signal.CopyFrom(_encode_custom_signal(custom))
    return message


def encode_progress(progress: CallProgress) -> pb.GetCheckpointResponse:
    """The answer to a lookup."""
    message = pb.GetCheckpointResponse(found=progress.state is not None, state=progress.state or b"")
    if progress.retry is not None:
        message.retry.CopyFrom(
            pb.RetryState(
                attempt_number=progress.retry.attempt_number,
                error_message=progress.retry.error,
                next_attempt_at_ms=progress.retry.next_attempt_at_ms,
                remaining_ms=progress.retry.remaining_ms,
                retries_used=progress.retry.retries_used,
                rate_limit_waited_ms=progress.retry.rate_limit_waited_ms,
            )
        )
    return message


def decode_retry_attempt(message: pb.RetryAttemptEvent) -> RetryAttempt:
    """An attempt as reported; of the caller's clock only the difference of its two times counts."""
    wait_ms = message.next_attempt_at_ms - message.timestamp_ms if message.HasField("next_attempt_at_ms") else 0
    return RetryAttempt(
        attempt_number=message.attempt_number,
        error=message.error_message if message.HasField("error_message") else None,
        wait_ms=wait_ms,
        retries_used=message.retries_used,
        rate_limit_waited_ms=message.rate_limit_waited_ms,
        max_attempts=message.max_attempts if message.HasField("max_attempts") else None,
    )


def encode_retry_outcome(outcome: SleepOutcome) -> pb.RetryAttemptResponse:
    """The answer to a retry attempt."""
    return pb.RetryAttemptResponse(
        state=_SLEEP[outcome.state], next_attempt_at_ms=outcome.wake_at_ms, remaining_ms=outcome.remaining_ms
    )


def encode_signal_wait(wait: SignalWait) -> pb.WaitSignalResponse:
    """The answer to a wait for a custom signal."""
    return pb.WaitSignalResponse(
        state=_SIGNAL_WAIT[wait.state],
        payload=wait.payload,
        deadline_ms=wait.deadline_ms,
        remaining_ms=wait.remaining_ms,
    )


def encode_signal_poll(instance_id: str, poll: SignalPoll) -> pb.PollSignalsResponse:
    """The answer to a poll."""
    message = pb.PollSignalsResponse(status=None if poll.status is None else _STATUS[poll.status])
    if poll.signal is not None:
        message.signal.CopyFrom(_encode_signal(instance_id, poll.signal))
    if poll.custom_signal is not None:
        message.custom_signal.CopyFrom(_encode_custom_signal(poll.custom_signal))
    return message


def encode_sleep_outcome(outcome: SleepOutcome) -> pb.SleepResponse:
    """The answer to a sleep call."""
    return pb.SleepResponse(
        state=_SLEEP[outcome.state], wake_at_ms=outcome.wake_at_ms, remaining_ms=outcome.remaining_ms
    )


def encode_status_report(report: StatusReport) -> pb.GetInstanceStatusResponse:
    """The answer to a status call; an unknown instance is told by `found` and, for old clients, by an error text."""
    if not report.found or report.status is None:
        return pb.GetInstanceStatusResponse(
            instance_id=report.instance_id,
            status=pb.STATUS_UNKNOWN,
            error=f"instance {report.instance_id} not found",
            found=False,
        )
    return pb.GetInstanceStatusResponse(
        instance_id=report.instance_id,
        status=_STATUS[report.status],
        checkpoint_id=report.checkpoint_id,
        started_at_ms=report.started_at_ms,
        finished_at_ms=report.finished_at_ms,
        output=report.output,
        error=report.error,
        found=True,
    )


def _encode_signal(instance_id: str, signal: Signal) -> pb.Signal:
    return pb.Signal(
        instance_id=instance_id,
        signal_type=_SIGNAL[signal.signal_type],
        payload=signal.payload,
        signal_id=signal.signal_id,
    )


def _encode_custom_signal(signal: CustomSignal) -> pb.CustomSignal:
    return pb.CustomSignal(checkpoint_id=signal.checkpoint_id, payload=signal.payload)
