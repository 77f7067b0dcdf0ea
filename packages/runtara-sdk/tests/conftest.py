"""A core in memory that speaks the real messages, for tests of what talks to a core."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from runtara_sdk.core_backend import CoreBackend
from runtara_sdk.errors import RuntaraError
from runtara_sdk.instance import RuntaraSdk
from runtara_sdk.instance_settings import InstanceSettings
from runtara_sdk.protocol import instance_pb2 as pb
from runtara_sdk.testing.clock import ManualClock


class MemoryCore:
    """One instance, kept in attributes; takes the place of a QUIC client. `faults` are raised by the next calls."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.status = pb.STATUS_PENDING
        self.epoch = 0
        self.checkpoints: dict[str, bytes] = {}
        self.deadlines: dict[str, int] = {}
        self.done_sleeps: set[str] = set()
        self.signal: pb.Signal | None = None
        self.custom_signals: dict[str, bytes] = {}
        self.events: list[pb.InstanceEvent] = []
        self.attempts: list[tuple[str, int, str]] = []
        self.retries: dict[str, pb.RetryState] = {}
        self.timed_out: set[str] = set()
        self.acknowledged: list[int] = []
        self.faults: list[BaseException] = []
        self.calls: list[str] = []
        self.held_polls: list[pb.PollSignalsRequest] = []
        self.holds_polls = False
        self.closed = 0
        self.lose_answers = 0

    async def connect(self) -> None:
        if self.faults:
            raise self.faults.pop(0)

    async def close(self) -> None:
        self.closed += 1

    async def call(self, payload: bytes, *, timeout_ms: int | None = None, is_held: bool = False) -> bytes:
        request = pb.RpcRequest.FromString(payload)
        verb = request.WhichOneof("request")
        assert verb is not None
        if verb == "poll_signals" and request.poll_signals.wait_ms:
            return await self._held_poll(request)
        self.calls.append(verb)
        if self.faults:
            raise self.faults.pop(0)
        stale = request.HasField("epoch") and verb != "register_instance" and request.epoch != self.epoch
        if stale and verb not in ("get_checkpoint", "get_instance_status"):
            answer = pb.RpcResponse(error=pb.RpcError(code="STALE_EPOCH", message="a newer launch owns it"))
        else:
            answer = getattr(self, f"_{verb}")(getattr(request, verb))
        if self.lose_answers:
            self.lose_answers -= 1
            raise lost()
        return answer.SerializeToString()

    async def _held_poll(self, request: pb.RpcRequest) -> bytes:
        """As by `runtara-core` when `holds_polls`, else as by a core of the original protocol."""
        poll = request.poll_signals
        self.held_polls.append(poll)
        ends_at_ms = self.clock.now_ms() + poll.wait_ms
        while True:
            if request.epoch != self.epoch:
                return pb.RpcResponse(
                    error=pb.RpcError(code="STALE_EPOCH", message="a newer launch owns it")
                ).SerializeToString()
            answer = self._poll_signals(poll)
            if not self.holds_polls:
                return answer.SerializeToString()
            answer.poll_signals.status = self.status
            signal_id = self.signal.signal_id if self.signal else 0
            ended = self.status in (pb.STATUS_COMPLETED, pb.STATUS_FAILED, pb.STATUS_CANCELLED)
            if ended or signal_id != poll.known_signal_id or answer.poll_signals.HasField("custom_signal"):
                return answer.SerializeToString()
            if self.clock.now_ms() >= ends_at_ms:
                return pb.RpcResponse(poll_signals=pb.PollSignalsResponse()).SerializeToString()
            await asyncio.sleep(0)

    def reported(self, event_type: pb.InstanceEventType) -> list[bytes]:
        return [event.payload for event in self.events if event.event_type == event_type]

    def send(self, signal_type: pb.SignalType, signal_id: int = 7) -> None:
        self.signal = pb.Signal(instance_id="i", signal_type=signal_type, signal_id=signal_id)

    def _register_instance(self, request: pb.RegisterInstanceRequest) -> pb.RpcResponse:
        if self.status in (pb.STATUS_COMPLETED, pb.STATUS_FAILED, pb.STATUS_CANCELLED):
            refusal = pb.RegisterInstanceResponse(
                success=False, error="the instance has ended", error_code="INVALID_INSTANCE_STATE"
            )
            return pb.RpcResponse(register_instance=refusal)
        self.epoch += 1
        self.status = pb.STATUS_RUNNING
        return pb.RpcResponse(register_instance=pb.RegisterInstanceResponse(success=True, epoch=self.epoch))

    def _checkpoints(self, request: pb.CheckpointsRequest) -> pb.RpcResponse:
        answers = [
            self._checkpoint(pb.CheckpointRequest(checkpoint_id=each.checkpoint_id, state=each.state))
            for each in request.checkpoints
        ]
        return pb.RpcResponse(
            checkpoints=pb.CheckpointsResponse(
                checkpoints=[
                    pb.CheckpointResponse(found=each.checkpoint.found, state=each.checkpoint.state) for each in answers
                ],
                pending_signal=self.signal,
            )
        )

    def _checkpoint(self, request: pb.CheckpointRequest) -> pb.RpcResponse:
        found = request.checkpoint_id in self.checkpoints
        state = self.checkpoints.setdefault(request.checkpoint_id, request.state)
        return pb.RpcResponse(
            checkpoint=pb.CheckpointResponse(found=found, state=state if found else b"", pending_signal=self.signal)
        )

    def _get_checkpoint(self, request: pb.GetCheckpointRequest) -> pb.RpcResponse:
        state = self.checkpoints.get(request.checkpoint_id)
        retry = self.retries.get(request.checkpoint_id) if state is None else None
        if retry is not None:
            retry.remaining_ms = max(0, retry.next_attempt_at_ms - self.clock.now_ms())
        answer = pb.GetCheckpointResponse(found=state is not None, state=state or b"", retry=retry)
        return pb.RpcResponse(get_checkpoint=answer)

    def _sleep(self, request: pb.SleepRequest) -> pb.RpcResponse:
        assert request.sleep_revision == 1
        now_ms = self.clock.now_ms()
        wake_at_ms = self.deadlines.setdefault(request.checkpoint_id, now_ms + request.duration_ms)
        left_ms = max(wake_at_ms - now_ms, 0)
        state = pb.SLEEP_WAIT
        if left_ms == 0 or request.checkpoint_id in self.done_sleeps:
            self.done_sleeps.add(request.checkpoint_id)
            state, left_ms = pb.SLEEP_DONE, 0
        elif request.HasField("suspend_above_ms") and left_ms > request.suspend_above_ms and not self.signal:
            state, self.status = pb.SLEEP_SUSPENDED, pb.STATUS_SUSPENDED
        return pb.RpcResponse(sleep=pb.SleepResponse(state=state, wake_at_ms=wake_at_ms, remaining_ms=left_ms))

    def _instance_event(self, request: pb.InstanceEvent) -> pb.RpcResponse:
        if not request.event_key or all(event.event_key != request.event_key for event in self.events):
            self.events.append(request)
        ends = {
            pb.EVENT_COMPLETED: pb.STATUS_COMPLETED,
            pb.EVENT_FAILED: pb.STATUS_FAILED,
            pb.EVENT_SUSPENDED: pb.STATUS_SUSPENDED,
        }
        self.status = ends.get(request.event_type, self.status)
        return pb.RpcResponse(instance_event=pb.InstanceEventResponse(success=True))

    def _poll_signals(self, request: pb.PollSignalsRequest) -> pb.RpcResponse:
        custom = None
        if request.checkpoint_id in self.custom_signals:
            payload = self.custom_signals[request.checkpoint_id]
            custom = pb.CustomSignal(checkpoint_id=request.checkpoint_id, payload=payload)
        return pb.RpcResponse(poll_signals=pb.PollSignalsResponse(signal=self.signal, custom_signal=custom))

    def _signal_ack(self, request: pb.SignalAck) -> pb.RpcResponse:
        self.acknowledged.append(request.signal_id)
        self.signal = None
        if request.signal_type == pb.SIGNAL_CANCEL:
            self.status = pb.STATUS_CANCELLED
        elif request.signal_type in (pb.SIGNAL_PAUSE, pb.SIGNAL_SHUTDOWN):
            self.status = pb.STATUS_SUSPENDED
        return pb.RpcResponse(signal_ack=pb.SignalAckResponse(success=True, status=self.status))

    def _retry_attempt(self, request: pb.RetryAttemptEvent) -> pb.RpcResponse:
        retry = self.retries.get(request.checkpoint_id)
        if retry is None or retry.attempt_number < request.attempt_number:
            self.attempts.append((request.checkpoint_id, request.attempt_number, request.error_message))
            wait_ms = request.next_attempt_at_ms - request.timestamp_ms if request.next_attempt_at_ms else 0
            retry = self.retries[request.checkpoint_id] = pb.RetryState(
                attempt_number=request.attempt_number,
                error_message=request.error_message,
                next_attempt_at_ms=self.clock.now_ms() + wait_ms,
                retries_used=request.retries_used,
                rate_limit_waited_ms=request.rate_limit_waited_ms,
            )
        left_ms = max(0, retry.next_attempt_at_ms - self.clock.now_ms())
        state = pb.SLEEP_WAIT if left_ms else pb.SLEEP_DONE
        if request.HasField("suspend_above_ms") and left_ms > request.suspend_above_ms and not self.signal:
            state, self.status = pb.SLEEP_SUSPENDED, pb.STATUS_SUSPENDED
        return pb.RpcResponse(
            retry_attempt=pb.RetryAttemptResponse(
                state=state, next_attempt_at_ms=retry.next_attempt_at_ms, remaining_ms=left_ms
            )
        )

    def _wait_signal(self, request: pb.WaitSignalRequest) -> pb.RpcResponse:
        key, answer = request.checkpoint_id, pb.WaitSignalResponse()
        if request.HasField("timeout_ms"):
            self.deadlines.setdefault(key, self.clock.now_ms() + request.timeout_ms)
        if key in self.deadlines:
            answer.deadline_ms = self.deadlines[key]
            answer.remaining_ms = max(0, self.deadlines[key] - self.clock.now_ms())
        ends = [answer.deadline_ms] if answer.HasField("deadline_ms") else []
        ends += [request.beside_wake_at_ms] if request.HasField("beside_wake_at_ms") else []
        far = not ends or min(ends) - self.clock.now_ms() > request.suspend_above_ms
        far = far and not any(
            name in self.custom_signals and name not in self.checkpoints for name in request.beside_checkpoint_ids
        )
        if key not in self.timed_out and key in {**self.checkpoints, **self.custom_signals}:
            answer.payload = self.checkpoints.setdefault(key, self.custom_signals.get(key, b""))
        elif answer.HasField("remaining_ms") and answer.remaining_ms == 0:
            self.timed_out.add(key)
            answer.state = pb.WAIT_SIGNAL_TIMED_OUT
        elif request.HasField("suspend_above_ms") and far and not self.signal:
            answer.state, self.status = pb.WAIT_SIGNAL_SUSPENDED, pb.STATUS_SUSPENDED
            self.wake_at_ms = min(ends, default=None)
        else:
            answer.state = pb.WAIT_SIGNAL_WAIT
        return pb.RpcResponse(wait_signal=answer)

    def _get_instance_status(self, request: pb.GetInstanceStatusRequest) -> pb.RpcResponse:
        return pb.RpcResponse(
            get_instance_status=pb.GetInstanceStatusResponse(
                instance_id=request.instance_id, status=self.status, found=request.instance_id == "i"
            )
        )


def lost() -> RuntaraError:
    from runtara_sdk.errors import TransportError

    return TransportError("the connection was lost")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def core(clock: ManualClock) -> MemoryCore:
    return MemoryCore(clock)


@pytest.fixture
def make_sdk(core: MemoryCore, clock: ManualClock) -> Callable[..., RuntaraSdk]:
    """Makes an SDK on the core in memory; keywords are settings."""

    def make(**settings: object) -> RuntaraSdk:
        values: dict[str, object] = {"reconnect_deadline_ms": 500, "heartbeat_interval_ms": 0, **settings}
        instance_settings = InstanceSettings("i", "t", **values)  # type: ignore[arg-type]  # tests choose the fields
        return RuntaraSdk(instance_settings, backend=CoreBackend(instance_settings, client=core), clock=clock)

    return make
