"""Random sequences of verbs, compared with a plain model of what an instance may do."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from runtara_core.database import DatabaseUrl
from runtara_core.database.sqlite import SqliteDatabase
from runtara_core.models import CoreLimits, ExitReport, LeaseKey, NewInstance, RecoveryPolicy
from runtara_core.storages.sql import CORE_QUERIES, SqlStorage
from runtara_sdk.errors import InvalidStateError, RuntaraError, StaleEpochError
from runtara_sdk.models import EventType, InstanceEvent, InstanceStatus, SignalType, SleepState, TerminationReason

LEASE_MS = 1_000
LIMITS = CoreLimits(3, RecoveryPolicy(max_recoveries=2, max_failed_launches=2, backoff_base_ms=100))
MAX_INSTANCES = 6
TERMINAL = {"completed", "failed", "cancelled"}

# Cancels end an instance, so they come less often than what leads on.
signal_types = st.sampled_from((SignalType.PAUSE, SignalType.RESUME) * 4 + (SignalType.CANCEL,))
checkpoint_ids = st.sampled_from(("x", "y", "z"))


@dataclass
class Model:
    """One managed instance as the contract describes it."""

    status: str = "pending"
    epoch: int = 0
    wake_at_ms: int | None = None
    lease_until_ms: int | None = None
    started: bool = False
    recoveries: int = 0
    failed_launches: int = 0
    cancel_waits: bool = False
    pause_waits: bool = False
    output: bytes | None = None
    checkpoints: dict[str, bytes] = field(default_factory=dict)
    sleeps: dict[str, int] = field(default_factory=dict)
    slept: set[str] = field(default_factory=set)

    def due_at_ms(self) -> int | None:
        return self.lease_until_ms if self.status == "running" else self.wake_at_ms

    def become(self, status: str, wake_at_ms: int | None = None) -> None:
        self.status, self.wake_at_ms, self.lease_until_ms = status, wake_at_ms, None

    def park(self, status: str, wake_at_ms: int | None) -> None:
        if self.cancel_waits:
            self.cancel_waits = False
            self.become("cancelled")
        elif self.pause_waits:
            self.pause_waits = False
            self.become("suspended")
        else:
            self.become(status, wake_at_ms)


class StorageMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.storage = SqlStorage(SqliteDatabase(DatabaseUrl.parse("sqlite://:memory:"), CORE_QUERIES))
        self.do(self.storage.open())
        self.models: dict[str, Model] = {}
        self.now_ms = 1_000_000
        for _ in range(2):
            self.create_another()

    def teardown(self) -> None:
        self.do(self.storage.close())
        self.loop.close()

    def do(self, call: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(call)

    def refused(self, call: Coroutine[Any, Any, Any], error: type[RuntaraError]) -> None:
        try:
            self.do(call)
        except error:
            return
        raise AssertionError(f"{error.__name__} expected")

    @property
    def running(self) -> int:
        return sum(model.status == "running" for model in self.models.values())

    def some(self, data: st.DataObject, *statuses: str) -> tuple[str, Model]:
        """One of the instances, in one of `statuses` when given."""
        names = [name for name, model in self.models.items() if not statuses or model.status in statuses]
        name = data.draw(st.sampled_from(names), label="instance")
        return name, self.models[name]

    @rule(milliseconds=st.sampled_from((0, 1, 99, 100, 500, LEASE_MS)))
    def time_passes(self, milliseconds: int) -> None:
        self.now_ms += milliseconds

    @precondition(lambda self: len(self.models) < MAX_INSTANCES)
    @rule()
    def create_another(self) -> None:
        instance_id = f"instance-{len(self.models)}"
        new = NewInstance(instance_id, "tenant", "image", b"{}")
        assert not self.do(self.storage.create_instance(new, now_ms=self.now_ms)).deduplicated
        self.models[instance_id] = Model(wake_at_ms=self.now_ms)

    @rule(data=st.data())
    def create_again(self, data: st.DataObject) -> None:
        new = NewInstance(self.some(data)[0], "tenant", "image", b"{}")
        assert self.do(self.storage.create_instance(new, now_ms=self.now_ms)).deduplicated

    @rule(data=st.data(), by_name=st.booleans(), limit=st.integers(0, 3))
    def claim(self, data: st.DataObject, by_name: bool, limit: int) -> None:
        self._claim(self.some(data)[0] if by_name else None, limit)

    @rule(registered=st.booleans())
    def time_passes_until_the_next_launch(self, registered: bool) -> None:
        wakes = [model.wake_at_ms for model in self.models.values() if model.wake_at_ms is not None]
        self.now_ms = max(self.now_ms, min(wakes, default=0))
        for instance_id in self._claim(None, 3):
            if registered:
                self._register(instance_id)

    def _claim(self, instance_id: str | None, limit: int) -> set[str]:
        due = {
            name
            for name, model in self.models.items()
            if (due_at_ms := model.due_at_ms()) is not None and due_at_ms <= self.now_ms and instance_id in (None, name)
        }
        room = LIMITS.max_concurrent_instances - self.running
        claims = self.do(
            self.storage.claim_launches(
                "owner", instance_id=instance_id, limit=limit, lease_ms=LEASE_MS, limits=LIMITS, now_ms=self.now_ms
            )
        )
        claimed = {each.instance_id: each for each in claims}
        assert len(claimed) == len(claims) <= limit
        assert claimed.keys() <= due
        given_up = set()
        for name in due:
            model = self.models[name]
            expired = model.status == "running"
            if name in claimed:
                assert claimed[name].epoch == model.epoch + 1
                assert claimed[name].failed_launches == model.failed_launches
                model.recoveries += expired
                assert model.recoveries <= LIMITS.recovery.max_recoveries
                room -= not expired
                model.become("running")
                model.epoch, model.lease_until_ms = claimed[name].epoch, self.now_ms + LEASE_MS
            elif expired and self.do(self.storage.get_instance(name)).status == "failed":
                assert model.recoveries == LIMITS.recovery.max_recoveries
                given_up.add(name)
                model.become("failed")
        assert room >= 0
        # What was left was over the limit of the call or found no room.
        left = due - claimed.keys() - given_up
        if left and len(claimed) + len(given_up) < limit:
            assert room == 0
            assert all(self.models[name].status != "running" for name in left)
        return set(claimed)

    @rule(data=st.data())
    def register_stale(self, data: st.DataObject) -> None:
        instance_id, model = self.some(data)
        self.refused(self._registration(instance_id, model.epoch - 1), StaleEpochError)

    @rule(data=st.data())
    def register(self, data: st.DataObject) -> None:
        instance_id, model = self.some(data)
        if model.status == "running":
            self._register(instance_id)
        elif model.status != "pending":
            self.refused(self._registration(instance_id, model.epoch), InvalidStateError)

    def _register(self, instance_id: str) -> None:
        model = self.models[instance_id]
        self.do(self._registration(instance_id, model.epoch))
        model.started, model.failed_launches = True, 0

    def _registration(self, instance_id: str, epoch: int) -> Coroutine[Any, Any, Any]:
        return self.storage.register_instance(
            instance_id, "tenant", epoch=epoch, checkpoint_id=None, limits=LIMITS, now_ms=self.now_ms
        )

    @rule(data=st.data(), checkpoint_id=checkpoint_ids, state=st.binary(max_size=3), stale=st.booleans())
    def checkpoint(self, data: st.DataObject, checkpoint_id: str, state: bytes, stale: bool) -> None:
        instance_id, model = self.some(data)
        call = self.storage.checkpoint(instance_id, model.epoch - stale, checkpoint_id, state, now_ms=self.now_ms)
        if stale:
            self.refused(call, StaleEpochError)
        elif model.status != "running":
            self.refused(call, InvalidStateError)
        else:
            result = self.do(call)
            assert result.existing_state == model.checkpoints.get(checkpoint_id)
            assert result.should_cancel is model.cancel_waits
            assert result.should_pause is (model.pause_waits and not model.cancel_waits)
            if checkpoint_id not in model.checkpoints:
                model.checkpoints[checkpoint_id] = state
                model.recoveries = 0

    @precondition(lambda self: self.running)
    @rule(
        data=st.data(),
        checkpoint_id=st.sampled_from(("nap", "rest")),
        duration_ms=st.sampled_from((0, 100, 700)),
        suspend_above_ms=st.sampled_from((None, 0, 200)),
    )
    def sleep(self, data: st.DataObject, checkpoint_id: str, duration_ms: int, suspend_above_ms: int | None) -> None:
        instance_id, model = self.some(data, "running")
        outcome = self.do(
            self.storage.sleep(
                instance_id,
                model.epoch,
                checkpoint_id,
                b"nap",
                duration_ms=duration_ms,
                suspend_above_ms=suspend_above_ms,
                now_ms=self.now_ms,
            )
        )
        if checkpoint_id not in model.sleeps:
            model.sleeps[checkpoint_id] = self.now_ms + duration_ms
            model.checkpoints[checkpoint_id] = b"nap"
            model.recoveries = 0
        wake_at_ms = model.sleeps[checkpoint_id]
        assert outcome.wake_at_ms == wake_at_ms
        left = wake_at_ms - self.now_ms
        if left <= 0 or checkpoint_id in model.slept:
            assert (outcome.state, outcome.remaining_ms) == (SleepState.DONE, 0)
            model.slept.add(checkpoint_id)
            return
        assert outcome.remaining_ms == left
        if suspend_above_ms is not None and left > suspend_above_ms and not (model.cancel_waits or model.pause_waits):
            assert outcome.state is SleepState.SUSPENDED
            model.become("suspended", wake_at_ms)
        else:
            assert outcome.state is SleepState.WAIT

    @rule(data=st.data(), event_type=st.sampled_from((EventType.COMPLETED, EventType.FAILED)))
    def finish(self, data: st.DataObject, event_type: EventType) -> None:
        instance_id, model = self.some(data)
        if model.status == event_type.value:
            return
        call = self.storage.report_event(
            instance_id, model.epoch, InstanceEvent(event_type, b"result"), now_ms=self.now_ms
        )
        if model.status != "running":
            self.refused(call, InvalidStateError)
            return
        self.do(call)
        model.become(event_type.value)
        model.output = b"result" if event_type is EventType.COMPLETED else None

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def suspend(self, data: st.DataObject) -> None:
        instance_id, model = self.some(data, "running")
        event = InstanceEvent(EventType.SUSPENDED)
        self.do(self.storage.report_event(instance_id, model.epoch, event, now_ms=self.now_ms))
        model.park("suspended", None)

    @rule(data=st.data(), signal_type=signal_types)
    def send_signal(self, data: st.DataObject, signal_type: SignalType) -> None:
        instance_id, model = self.some(data)
        call = self.storage.send_signal(instance_id, signal_type, b"", now_ms=self.now_ms)
        if model.status in TERMINAL:
            self.refused(call, InvalidStateError)
            return
        self.do(call)
        match signal_type:
            case SignalType.CANCEL if model.status == "running":
                model.cancel_waits = True
            case SignalType.CANCEL:
                model.become("cancelled")
            case SignalType.PAUSE if model.status == "running":
                model.pause_waits = True
            case SignalType.PAUSE:
                model.become("suspended")
            case SignalType.RESUME if model.status == "running":
                model.pause_waits = False
            case SignalType.RESUME:
                model.wake_at_ms = self.now_ms

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def acknowledge(self, data: st.DataObject) -> None:
        instance_id, model = self.some(data, "running")
        poll = self.do(self.storage.poll_signals(instance_id, model.epoch, None, now_ms=self.now_ms))
        assert (poll.signal is not None) is (model.cancel_waits or model.pause_waits)
        if poll.signal is None:
            return
        signal_type = SignalType.CANCEL if model.cancel_waits else SignalType.PAUSE
        assert poll.signal.signal_type is signal_type
        self.do(
            self.storage.acknowledge_signal(
                instance_id, model.epoch, signal_type, poll.signal.signal_id, now_ms=self.now_ms
            )
        )
        model.park("suspended", None)

    @rule(data=st.data(), exit_code=st.sampled_from((0, 1, -9)), stale=st.booleans())
    def exit(self, data: st.DataObject, exit_code: int, stale: bool) -> None:
        instance_id, model = self.some(data)
        report = ExitReport(TerminationReason.CRASHED, exit_code)
        decision = self.do(
            self.storage.report_exit(
                LeaseKey(instance_id, model.epoch - stale), report, limits=LIMITS, now_ms=self.now_ms
            )
        )
        assert decision.stale is stale
        if not stale and model.status == "running":
            signalled = model.cancel_waits or model.pause_waits
            exhausted = model.recoveries >= LIMITS.recovery.max_recoveries
            if not signalled and (exit_code == 0 or exhausted):
                model.become("failed")
            else:
                model.recoveries += 1
                model.park("suspended", self.now_ms + LIMITS.recovery.backoff_ms(model.recoveries))
        assert (decision.status, decision.wake_at_ms) == (model.status, model.wake_at_ms)

    @precondition(lambda self: self.running)
    @rule(data=st.data(), permanent=st.booleans())
    def fail_to_launch(self, data: st.DataObject, permanent: bool) -> None:
        instance_id, model = self.some(data, "running")
        key = LeaseKey(instance_id, model.epoch)
        decision = self.do(
            self.storage.report_launch_failure(key, "no", permanent=permanent, limits=LIMITS, now_ms=self.now_ms)
        )
        model.failed_launches += 1
        if not model.cancel_waits and (permanent or model.failed_launches >= LIMITS.recovery.max_failed_launches):
            model.become("failed")
        else:
            wake_at_ms = self.now_ms + LIMITS.recovery.backoff_ms(model.failed_launches + 1)
            model.park("suspended" if model.started else "pending", wake_at_ms)
        assert (decision.status, decision.wake_at_ms) == (model.status, model.wake_at_ms)

    @precondition(lambda self: self.models)
    @invariant()
    def rows_are_as_the_model_says(self) -> None:
        for name, model in self.models.items():
            row = self.do(self.storage.get_instance(name))
            assert (row.status, row.epoch, row.wake_at_ms) == (model.status, model.epoch, model.wake_at_ms)
            assert row.lease_until_ms == model.lease_until_ms
            assert row.recovery_attempts == model.recoveries
            assert row.output == model.output
            assert row.checkpoint_count == len(model.checkpoints)
            assert (row.finished_at_ms is not None) is row.status.is_terminal
            assert row.termination_reason is not None or row.status in (InstanceStatus.PENDING, InstanceStatus.RUNNING)
        dues = [due for model in self.models.values() if (due := model.due_at_ms()) is not None]
        assert self.do(self.storage.next_wake_at_ms()) == min(dues, default=None)
        assert self.do(self.storage.count_running()) == self.running <= LIMITS.max_concurrent_instances


StorageMachine.TestCase.settings = settings(max_examples=40, stateful_step_count=60, deadline=None)
TestStorageModel = StorageMachine.TestCase
