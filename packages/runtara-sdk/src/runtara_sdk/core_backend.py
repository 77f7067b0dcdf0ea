"""The backend of an instance whose core is a daemon: the instance protocol, over QUIC or a local socket.

Every call is idempotent by design (checkpoints are insert-if-absent, registrations and events carry keys,
acknowledgements name a signal), so a call whose answer was lost is simply made again: with growing pauses, on a fresh
connection, until `reconnect_deadline_ms` have passed; so is one that core could not serve and says so of it. A core
that is killed and comes back only delays the workflow. An answer that refuses the call, a stale epoch above all, is
never asked for twice.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, TypeVar

from google.protobuf.message import DecodeError

from runtara_sdk.backend import InstanceBackend
from runtara_sdk.errors import (
    ConcurrencyLimitError,
    ProtocolError,
    RuntaraError,
    StorageError,
    TransportError,
    error_from_code,
)
from runtara_sdk.instance_settings import InstanceSettings
from runtara_sdk.models import (
    ALONE,
    CallProgress,
    CheckpointResult,
    CustomSignal,
    EventType,
    InstanceEvent,
    InstanceStatus,
    NewCheckpoint,
    Registration,
    RetryAttempt,
    RetryState,
    Signal,
    SignalPoll,
    SignalType,
    SignalWait,
    SignalWaitState,
    SleepOutcome,
    SleepState,
    StatusReport,
    WaitsBeside,
)
from runtara_sdk.protocol import instance_pb2 as pb

logger = logging.getLogger(__name__)

Answer = TypeVar("Answer")

_FIRST_PAUSE_SECONDS = 0.05
_LONGEST_PAUSE_SECONDS = 2.0
_SLEEP_REVISION = 1

_SIGNALS = {
    pb.SIGNAL_CANCEL: SignalType.CANCEL,
    pb.SIGNAL_PAUSE: SignalType.PAUSE,
    pb.SIGNAL_RESUME: SignalType.RESUME,
    pb.SIGNAL_SHUTDOWN: SignalType.SHUTDOWN,
}
_SIGNAL_NUMBERS = {signal_type: number for number, signal_type in _SIGNALS.items()}
_SLEEP_STATES = {
    pb.SLEEP_DONE: SleepState.DONE,
    pb.SLEEP_WAIT: SleepState.WAIT,
    pb.SLEEP_SUSPENDED: SleepState.SUSPENDED,
}
_SIGNAL_WAITS = {
    pb.WAIT_SIGNAL_RECEIVED: SignalWaitState.RECEIVED,
    pb.WAIT_SIGNAL_WAIT: SignalWaitState.WAIT,
    pb.WAIT_SIGNAL_SUSPENDED: SignalWaitState.SUSPENDED,
    pb.WAIT_SIGNAL_TIMED_OUT: SignalWaitState.TIMED_OUT,
}
_EVENTS = {
    EventType.HEARTBEAT: pb.EVENT_HEARTBEAT,
    EventType.COMPLETED: pb.EVENT_COMPLETED,
    EventType.FAILED: pb.EVENT_FAILED,
    EventType.SUSPENDED: pb.EVENT_SUSPENDED,
    EventType.CUSTOM: pb.EVENT_CUSTOM,
}
_STATUSES = {
    pb.STATUS_PENDING: InstanceStatus.PENDING,
    pb.STATUS_RUNNING: InstanceStatus.RUNNING,
    pb.STATUS_SUSPENDED: InstanceStatus.SUSPENDED,
    pb.STATUS_COMPLETED: InstanceStatus.COMPLETED,
    pb.STATUS_FAILED: InstanceStatus.FAILED,
    pb.STATUS_CANCELLED: InstanceStatus.CANCELLED,
}


class RequestClient(Protocol):
    """The part of a transport's client that a backend uses."""

    async def connect(self) -> None:
        """Reach the server; nothing when connected."""

    async def close(self) -> None:
        """Close the connection."""

    async def call(self, payload: bytes, *, timeout_ms: int | None = None, is_held: bool = False) -> bytes:
        """Send one request and return the answer, both as the bytes of their wrapper message.

        One that `is_held` is not expected to be answered soon.
        """


class CoreBackend(InstanceBackend):
    """Durable operations of one instance, asked of a core daemon.

    Raises, beside the typed errors that core names: `TransportError` when core stayed away for the whole
    `reconnect_deadline_ms`, `ProtocolError` when the answer is not the one asked for.
    """

    def __init__(self, settings: InstanceSettings, *, client: RequestClient | None = None) -> None:
        self._settings = settings
        self._epoch = settings.launch_epoch
        self._token = settings.instance_token
        self._client = client or _client(settings)

    @property
    def can_suspend(self) -> bool:
        return self._settings.launch_epoch is not None

    async def connect(self) -> None:
        await self._persist("connect", self._client.connect)

    async def close(self) -> None:
        await self._client.close()

    async def register(self, checkpoint_id: str | None) -> Registration:
        message = pb.RegisterInstanceRequest(
            instance_id=self._settings.instance_id,
            tenant_id=self._settings.tenant_id,
            checkpoint_id=checkpoint_id,
            registration_key=uuid.uuid4().hex,
        )
        response = await self._call(pb.RpcRequest(register_instance=message), "register_instance")
        answer = response.register_instance
        if not answer.success:
            raise error_from_code(
                answer.error_code or "REGISTER_INSTANCE_ERROR", answer.error or "the registration was refused"
            )
        # An original core knows no epochs and answers 0: then calls go on without one.
        self._epoch = answer.epoch or self._epoch
        self._token = answer.instance_token or self._token
        return Registration(epoch=self._epoch or 0, is_new=answer.is_new)

    async def checkpoint(self, checkpoint_id: str, state: bytes, *, call_key: bytes = b"") -> CheckpointResult:
        # Filled in place: as a message of its own the state would be copied once more.
        request = pb.RpcRequest()
        message = request.checkpoint
        message.instance_id = self._settings.instance_id
        message.checkpoint_id = checkpoint_id
        message.state = state
        message.call_key = call_key
        response = await self._call(request, "checkpoint")
        answer = response.checkpoint
        return CheckpointResult(
            found=answer.found,
            state=answer.state,
            pending_signal=_signal(answer.pending_signal) if answer.HasField("pending_signal") else None,
            custom_signal=_custom_signal(answer.custom_signal) if answer.HasField("custom_signal") else None,
        )

    async def checkpoints(self, new: Sequence[NewCheckpoint]) -> list[CheckpointResult]:
        message = pb.CheckpointsRequest(instance_id=self._settings.instance_id)
        for each in new:
            message.checkpoints.add(checkpoint_id=each.checkpoint_id, state=each.state, call_key=each.call_key)
        answer = (await self._call(pb.RpcRequest(checkpoints=message), "checkpoints")).checkpoints
        if len(answer.checkpoints) != len(new):
            raise ProtocolError(f"core answered {len(new)} checkpoints with {len(answer.checkpoints)} results")
        signal = _signal(answer.pending_signal) if answer.HasField("pending_signal") else None
        return [
            CheckpointResult(
                found=each.found,
                state=each.state,
                pending_signal=signal,
                custom_signal=_custom_signal(each.custom_signal) if each.HasField("custom_signal") else None,
            )
            for each in answer.checkpoints
        ]

    async def get_checkpoint(self, checkpoint_id: str) -> bytes | None:
        return (await self.get_progress(checkpoint_id)).state

    async def get_progress(self, checkpoint_id: str) -> CallProgress:
        message = pb.GetCheckpointRequest(instance_id=self._settings.instance_id, checkpoint_id=checkpoint_id)
        response = await self._call(pb.RpcRequest(get_checkpoint=message), "get_checkpoint")
        answer = response.get_checkpoint
        return CallProgress(
            state=answer.state if answer.found else None,
            retry=_retry_state(answer.retry) if answer.HasField("retry") else None,
        )

    async def sleep(
        self, checkpoint_id: str, duration_ms: int, state: bytes, *, suspend_above_ms: int | None
    ) -> SleepOutcome:
        message = pb.SleepRequest(
            instance_id=self._settings.instance_id,
            duration_ms=duration_ms,
            checkpoint_id=checkpoint_id,
            state=state,
            suspend_above_ms=suspend_above_ms if self.can_suspend else None,
            sleep_revision=_SLEEP_REVISION,
        )
        response = await self._call(pb.RpcRequest(sleep=message), "sleep")
        answer = response.sleep
        return SleepOutcome(_sleep_state(answer.state, "sleep"), answer.wake_at_ms, answer.remaining_ms)

    async def report_event(self, event: InstanceEvent) -> None:
        if event.event_type not in _EVENTS:
            raise ProtocolError(f"an instance does not report events of type {event.event_type.value}")
        message = pb.InstanceEvent(
            instance_id=self._settings.instance_id,
            event_type=_EVENTS[event.event_type],
            checkpoint_id=event.checkpoint_id,
            payload=event.payload,
            timestamp_ms=time.time_ns() // 1_000_000,
            subtype=event.subtype,
            event_key=event.event_key,
        )
        response = await self._call(pb.RpcRequest(instance_event=message), "instance_event")
        if not response.instance_event.success:
            raise error_from_code("INSTANCE_EVENT_ERROR", response.instance_event.error or "core refused the event")

    async def poll_signals(
        self, checkpoint_id: str | None, *, wait_ms: int = 0, known_signal_id: int = 0
    ) -> SignalPoll:
        message = pb.PollSignalsRequest(
            instance_id=self._settings.instance_id,
            checkpoint_id=checkpoint_id,
            wait_ms=wait_ms,
            known_signal_id=known_signal_id,
        )
        response = await self._call(pb.RpcRequest(poll_signals=message), "poll_signals", held_ms=wait_ms)
        answer = response.poll_signals
        return SignalPoll(
            signal=_signal(answer.signal) if answer.HasField("signal") else None,
            custom_signal=_custom_signal(answer.custom_signal) if answer.HasField("custom_signal") else None,
            status=_STATUSES.get(answer.status),
        )

    async def acknowledge_signal(self, signal: Signal) -> None:
        message = pb.SignalAck(
            instance_id=self._settings.instance_id,
            signal_type=_SIGNAL_NUMBERS[signal.signal_type],
            acknowledged=True,
            signal_id=signal.signal_id,
        )
        await self._call(pb.RpcRequest(signal_ack=message), "signal_ack")

    async def record_retry_attempt(
        self, checkpoint_id: str, attempt: RetryAttempt, *, suspend_above_ms: int | None
    ) -> SleepOutcome:
        now_ms = time.time_ns() // 1_000_000
        message = pb.RetryAttemptEvent(
            instance_id=self._settings.instance_id,
            checkpoint_id=checkpoint_id,
            attempt_number=attempt.attempt_number,
            timestamp_ms=now_ms,
            error_message=attempt.error,
            next_attempt_at_ms=now_ms + attempt.wait_ms,
            retries_used=attempt.retries_used,
            rate_limit_waited_ms=attempt.rate_limit_waited_ms,
            suspend_above_ms=suspend_above_ms if self.can_suspend else None,
            max_attempts=_told_attempts(attempt.max_attempts),
        )
        response = await self._call(pb.RpcRequest(retry_attempt=message), "retry_attempt")
        answer = response.retry_attempt
        return SleepOutcome(_sleep_state(answer.state, "retry_attempt"), answer.next_attempt_at_ms, answer.remaining_ms)

    async def wait_signal(
        self,
        checkpoint_id: str,
        timeout_ms: int | None,
        *,
        suspend_above_ms: int | None,
        beside: WaitsBeside = ALONE,
    ) -> SignalWait:
        message = pb.WaitSignalRequest(
            instance_id=self._settings.instance_id,
            checkpoint_id=checkpoint_id,
            timeout_ms=timeout_ms,
            suspend_above_ms=suspend_above_ms if self.can_suspend else None,
            beside_wake_at_ms=beside.wake_at_ms,
            beside_checkpoint_ids=beside.signals,
        )
        response = await self._call(pb.RpcRequest(wait_signal=message), "wait_signal")
        answer = response.wait_signal
        if (state_now := _SIGNAL_WAITS.get(answer.state)) is None:
            raise ProtocolError(f"core answered wait_signal with the unknown state {answer.state}: update runtara-sdk")
        return SignalWait(
            state=state_now,
            payload=answer.payload,
            deadline_ms=answer.deadline_ms if answer.HasField("deadline_ms") else None,
            remaining_ms=answer.remaining_ms if answer.HasField("remaining_ms") else None,
        )

    async def get_instance_status(self, instance_id: str) -> StatusReport:
        message = pb.GetInstanceStatusRequest(instance_id=instance_id)
        response = await self._call(pb.RpcRequest(get_instance_status=message), "get_instance_status")
        answer = response.get_instance_status
        status = _STATUSES.get(answer.status)
        found = answer.found if answer.HasField("found") else status is not None
        return StatusReport(
            instance_id=instance_id,
            found=found,
            status=status,
            checkpoint_id=answer.checkpoint_id if answer.HasField("checkpoint_id") else None,
            started_at_ms=answer.started_at_ms,
            finished_at_ms=answer.finished_at_ms if answer.HasField("finished_at_ms") else None,
            output=answer.output if answer.HasField("output") else None,
            error=answer.error if answer.HasField("error") else None,
        )

    async def _call(self, request: pb.RpcRequest, verb: str, *, held_ms: int = 0) -> pb.RpcResponse:
        if self._epoch is not None:
            request.epoch = self._epoch
        if self._token is not None:
            request.instance_token = self._token
        elif self._settings.api_key is not None:
            request.api_key = self._settings.api_key
        payload = request.SerializeToString()

        async def attempt() -> pb.RpcResponse:
            timeout_ms = self._settings.request_timeout_ms + held_ms
            answer = await self._client.call(payload, timeout_ms=timeout_ms, is_held=held_ms > 0)
            return _decode(answer, verb)

        return await self._persist(verb, attempt)

    async def _persist(self, verb: str, attempt: Callable[[], Awaitable[Answer]]) -> Answer:
        give_up_at = time.monotonic() + self._settings.reconnect_deadline_ms / 1000
        pause = _FIRST_PAUSE_SECONDS
        complained = False
        while True:
            try:
                answer = await attempt()
            except RuntaraError as error:
                # A full core may stay full for hours: its caller decides whether to wait for it.
                if not error.retryable or isinstance(error, ConcurrencyLimitError):
                    raise
                wait = pause * random.uniform(0.5, 1.0)  # noqa: S311 - spreads callers, keeps no secret
                if time.monotonic() + wait > give_up_at:
                    raise self._given_up(error, verb) from error
                if not complained:
                    logger.warning("%s: %s; trying again", verb, error.message)
                    complained = True
            else:
                if complained:
                    logger.info("%s: core answers again", verb)
                return answer
            await asyncio.sleep(wait)
            pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)

    def _given_up(self, error: RuntaraError, verb: str) -> RuntaraError:
        if isinstance(error, StorageError):
            return error
        seconds = self._settings.reconnect_deadline_ms / 1000
        return TransportError(
            f"core at {self._settings.server_addr} gave no answer to {verb} for {seconds:g} s: {error.message}"
        )


def _client(settings: InstanceSettings) -> RequestClient:
    from runtara_sdk.transport import open_client

    return open_client(
        settings.server_addr,
        server_name=settings.server_name,
        ca_file=settings.ca_file,
        verify=not settings.skip_cert_verification,
        connect_timeout_ms=settings.connect_timeout_ms,
        request_timeout_ms=settings.request_timeout_ms,
    )


def _decode(payload: bytes, verb: str) -> pb.RpcResponse:
    try:
        response = pb.RpcResponse.FromString(payload)
    except DecodeError as error:
        raise ProtocolError(f"core answered {verb} with bytes that are not a response") from error
    kind = response.WhichOneof("response")
    if kind == "error":
        retryable = response.error.retryable if response.error.HasField("retryable") else None
        raise error_from_code(response.error.code, response.error.message, retryable=retryable)
    if kind != verb:
        raise ProtocolError(f"core answered {verb} with {kind or 'an empty response'}")
    return response


def _signal(message: pb.Signal) -> Signal:
    signal_type = _SIGNALS.get(message.signal_type)
    if signal_type is None:
        raise ProtocolError(f"core sent the unknown signal {message.signal_type}: update runtara-sdk")
    return Signal(signal_type, message.payload, message.signal_id)


def _sleep_state(number: int, verb: str) -> SleepState:
    state: SleepState | None = _SLEEP_STATES.get(number)  # type: ignore[call-overload]  # any number may come
    if state is None:
        raise ProtocolError(f"core answered {verb} with the unknown state {number}: update runtara-sdk")
    return state


def _told_attempts(max_attempts: int | None) -> int | None:
    """What the field can hold; a program that is to try for ever may give any number."""
    return max_attempts if max_attempts is not None and max_attempts < 2**32 else None


def _retry_state(message: pb.RetryState) -> RetryState:
    return RetryState(
        attempt_number=message.attempt_number,
        error=message.error_message if message.HasField("error_message") else None,
        next_attempt_at_ms=message.next_attempt_at_ms,
        remaining_ms=message.remaining_ms,
        retries_used=message.retries_used,
        rate_limit_waited_ms=message.rate_limit_waited_ms,
    )


def _custom_signal(message: pb.CustomSignal) -> CustomSignal:
    return CustomSignal(message.checkpoint_id, message.payload)
