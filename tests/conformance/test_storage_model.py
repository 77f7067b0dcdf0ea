"""Random operations on a storage in memory, on SQLite and on PostgreSQL in step: after each, all three show the same.

The storage in memory is the model: plain dictionaries written from the contract. `RUNTARA_MODEL_STEPS` makes the run
longer than the usual 2 000 steps; `RUNTARA_MODEL_SEED` chooses others.
"""

from __future__ import annotations

import asyncio
import importlib
import os
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import asyncpg
import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from runtara_core.models import (
    CoreLimits,
    EventFilter,
    EventPage,
    ExitReport,
    Instance,
    InstanceFilter,
    LeaseKey,
    NewInstance,
    RecoveryPolicy,
    WatchedInstance,
)
from runtara_core.storage import Storage
from runtara_core.storages import open_storage
from runtara_sdk.errors import (
    ConcurrencyLimitError,
    InstanceExistsError,
    InstanceNotFoundError,
    InvalidInputError,
    InvalidStateError,
    StaleEpochError,
)
from runtara_sdk.models import (
    CheckpointResult,
    CustomSignal,
    EventType,
    InstanceEvent,
    InstanceStatus,
    SignalPoll,
    SignalType,
    TerminationReason,
)

STEPS = int(os.environ.get("RUNTARA_MODEL_STEPS", "2000"))
SEED = int(os.environ.get("RUNTARA_MODEL_SEED", "1"))
LEASE_MS = 1_000
LIMITS = CoreLimits(4, RecoveryPolicy(max_recoveries=1, max_failed_launches=2, backoff_base_ms=100))
MANAGED = ("managed-0", "managed-1", "managed-2", "managed-3")
OWN = ("own-0", "own-1")
CHECKPOINTS = ("x", "y", "nap", "gate")
ERRORS = (
    ConcurrencyLimitError,
    InstanceExistsError,
    InstanceNotFoundError,
    InvalidInputError,
    InvalidStateError,
    StaleEpochError,
)
# Opening and credentials have no state of instances; everything else must be reached.
OPERATIONS = Storage.__abstractmethods__ - {"open", "close", "credentials"}

checkpoint_ids = st.sampled_from(CHECKPOINTS)
durations = st.sampled_from((0, 90, 700, -1))
thresholds = st.sampled_from((None, 0, 200))
payloads = st.sampled_from((b"", b"1", b'{"wake_at_ms":1750000001000}', b"\xff\0"))


class Trio:
    """The three storages, empty again at the start of each sequence of steps."""

    def __init__(self, postgres_url: str) -> None:
        self.loop = asyncio.new_event_loop()
        self._postgres_url = postgres_url
        self._postgres = self.run(open_storage(postgres_url))
        self.run(self._postgres.open())
        self._sqlite: Storage | None = None
        self.storages: dict[str, Any] = {}
        self.seen: Counter[str] = Counter()
        self.steps = 0

    def run(self, call: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(call)

    def empty(self) -> None:
        self.run(self._empty())

    async def _empty(self) -> None:
        if self._sqlite is not None:
            await self._sqlite.close()
        self._sqlite = await open_storage("sqlite://:memory:")
        await self._sqlite.open()
        connection = await asyncpg.connect(self._postgres_url)
        await connection.execute("DELETE FROM instances; UPDATE first_epochs SET epoch = 0")
        await connection.close()
        model = importlib.import_module("memory_storage").MemoryStorage()
        self.storages = {"model": model, "sqlite": self._sqlite, "postgres": self._postgres}

    def close(self) -> None:
        self.run(self._postgres.close())
        if self._sqlite is not None:
            self.run(self._sqlite.close())
        self.loop.close()


def comparable(value: Any) -> Any:
    """A result without the numbers that a database gives out as it likes."""
    match value:
        case CheckpointResult(pending_signal=signal) if signal is not None:
            return replace(value, pending_signal=replace(signal, signal_id=0))
        case SignalPoll(signal=signal) if signal is not None:
            return replace(value, signal=replace(signal, signal_id=0))
        case EventPage(events=events):
            return replace(value, events=tuple(replace(event, event_id=0) for event in events))
        case _:
            return value


async def outcome(call: Awaitable[Any]) -> Any:
    """What a call returned, or the kind of error that it raised."""
    try:
        return comparable(await call)
    except ERRORS as error:
        return type(error).__name__


class StorageMachine(RuleBasedStateMachine):
    """Steps on one trio; the class is subclassed for each run."""

    trio: ClassVar[Trio]

    def __init__(self) -> None:
        super().__init__()
        self.trio.empty()
        self.now_ms = 1_750_000_000_000
        self.touched: set[str] = set()

    @initialize(launched=st.integers(1, 4))
    def begin(self, launched: int) -> None:
        """Some instances that run, or little would come of the first steps."""
        for name in MANAGED[:launched]:
            self.create(name, "t")
            (claimed,) = self._claim(name, 1, "a")
            self._register(name, "t", claimed.epoch, None)

    def rows(self, *statuses: InstanceStatus) -> list[Instance]:
        """What the model has, in one of `statuses` when given."""
        rows = [record.row(whole=False) for record in self.trio.storages["model"].records.values()]
        return [row for row in rows if not statuses or row.status in statuses]

    def act(self, operation: str, call: Callable[[Storage], Coroutine[Any, Any, Any]]) -> Any:
        """The same call on all three, with the same outcome."""

        async def together() -> list[Any]:
            return await asyncio.gather(*(outcome(call(storage)) for storage in self.trio.storages.values()))

        model, sqlite, postgres = self.trio.run(together())
        assert sqlite == model, f"{operation}: SQLite differs from the model"
        assert postgres == model, f"{operation}: PostgreSQL differs from the model"
        refused = isinstance(model, str) and not isinstance(model, InstanceStatus)
        self.trio.seen[model if refused else operation] += 1
        return model

    def some(self, data: st.DataObject, *statuses: InstanceStatus) -> tuple[str, int]:
        """An instance, mostly one in `statuses`, and its epoch; now and then one that does not exist."""
        likely = [row.instance_id for row in self.rows(*statuses)]
        name = data.draw(st.sampled_from([*likely * 10, *MANAGED, *OWN, "nobody"]), label="instance")
        self.touched.add(name)
        return name, next((row.epoch for row in self.rows() if row.instance_id == name), 0)

    def program(self, data: st.DataObject) -> tuple[str, int | None]:
        """An instance and the epoch that its process believes in."""
        name, epoch = self.some(data, InstanceStatus.RUNNING)
        believed = data.draw(st.sampled_from([*[epoch] * 10, epoch - 1, None]), label="epoch")
        return name, believed

    # Time

    @rule(milliseconds=st.sampled_from((1, 100, 500, LEASE_MS, 20_000)))
    def time_passes(self, milliseconds: int) -> None:
        self.now_ms += milliseconds

    @rule()
    def time_passes_until_the_next_launch(self) -> None:
        due_at_ms = self.act("next_wake_at_ms", lambda storage: storage.next_wake_at_ms())
        self.now_ms = max(self.now_ms, due_at_ms or 0)

    # Management

    @rule(name=st.sampled_from((*MANAGED, *OWN)), tenant=st.sampled_from(("t", "t", "t", "u")))
    def create(self, name: str, tenant: str) -> None:
        new = NewInstance(name, tenant, "image", b'{"data":1}', b'{"timeout_ms":1}')
        self.touched.add(name)
        self.act("create_instance", lambda storage: storage.create_instance(new, now_ms=self.now_ms))

    @rule(data=st.data(), limit=st.integers(0, 4), owner=st.sampled_from(("a", "b")), registered=st.booleans())
    def claim(self, data: st.DataObject, limit: int, owner: str, registered: bool) -> None:
        due = [
            at_ms
            for row in self.rows()
            if (at_ms := row.lease_until_ms if row.status is InstanceStatus.RUNNING else row.wake_at_ms) is not None
        ]
        # Of two that are due at the same time a storage may take either.
        by_name = len(set(due)) < len(due) or data.draw(st.booleans(), label="by name")
        name = self.some(data, InstanceStatus.PENDING, InstanceStatus.SUSPENDED)[0] if by_name else None
        claims = self._claim(name, limit, owner)
        assert self.trio.run(self.trio.storages["model"].count_running()) <= LIMITS.max_concurrent_instances
        for claimed in claims if registered else ():
            self._register(claimed.instance_id, claimed.tenant_id, claimed.epoch, None)

    def _claim(self, name: str | None, limit: int, owner: str) -> Any:
        self.touched.update(row.instance_id for row in self.rows())
        return self.act(
            "claim_launches",
            lambda storage: storage.claim_launches(
                owner, instance_id=name, limit=limit, lease_ms=LEASE_MS, limits=LIMITS, now_ms=self.now_ms
            ),
        )

    @rule(data=st.data(), owner=st.sampled_from(("a", "b")))
    def renew(self, data: st.DataObject, owner: str) -> None:
        name, epoch = self.some(data, InstanceStatus.RUNNING)
        keys = [LeaseKey(name, epoch), LeaseKey("unknown", 1)]
        self.act("record_contacts", lambda storage: storage.record_contacts(keys, now_ms=self.now_ms))
        self.act(
            "renew_leases",
            lambda storage: storage.renew_leases(owner, keys, lease_ms=LEASE_MS, now_ms=self.now_ms),
        )

    @rule(owner=st.sampled_from(("a", "b")))
    def expire(self, owner: str) -> None:
        self.touched.update(row.instance_id for row in self.rows(InstanceStatus.RUNNING))
        self.act("expire_leases", lambda storage: storage.expire_leases(owner, now_ms=self.now_ms))

    @rule(
        data=st.data(),
        reason=st.sampled_from(
            (
                TerminationReason.CRASHED,
                TerminationReason.TIMEOUT,
                TerminationReason.HEARTBEAT_TIMEOUT,
                TerminationReason.CANCELLED,
                *(TerminationReason.ENVIRONMENT_RESTART, TerminationReason.SHUTDOWN_REQUESTED) * 2,
            )
        ),
        exit_code=st.sampled_from((0, 1, -9, None)),
        stale=st.sampled_from((False, False, False, True)),
    )
    def exit(self, data: st.DataObject, reason: TerminationReason, exit_code: int | None, stale: bool) -> None:
        name, epoch = self.some(data, InstanceStatus.RUNNING)
        key, report = LeaseKey(name, epoch - stale), ExitReport(reason, exit_code, "a\0b\nlast", 7, None)
        self.act("report_exit", lambda storage: storage.report_exit(key, report, limits=LIMITS, now_ms=self.now_ms))

    @rule(
        times=st.integers(1, 2),
        unread=st.sampled_from((None, None, SignalType.PAUSE, SignalType.CANCEL, SignalType.SHUTDOWN)),
    )
    def environment_vanishes(self, times: int, unread: SignalType | None) -> None:
        """Leases run out, and whoever claims next finds instances that are running, some with a signal unread."""
        for left in reversed(range(times)):
            leases = [row for row in self.rows(InstanceStatus.RUNNING) if row.lease_until_ms is not None]
            for row in leases[:1]:
                self.now_ms = max(self.now_ms, row.lease_until_ms or 0)
                if unread is not None and not left:
                    self._send(row.instance_id, unread, b"")
                if not self._claim(row.instance_id, 1, "b"):
                    self.trio.seen[f"claim of an expired lease with {unread} waiting"] += 1

    @rule(data=st.data(), permanent=st.sampled_from((False, False, True)))
    def fail_to_launch(self, data: st.DataObject, permanent: bool) -> None:
        key = LeaseKey(*self.some(data, InstanceStatus.RUNNING))
        self.act(
            "report_launch_failure",
            lambda storage: storage.report_launch_failure(
                key, "no", permanent=permanent, limits=LIMITS, now_ms=self.now_ms
            ),
        )

    @rule(
        data=st.data(),
        # Cancels end an instance, so they come less often than what leads on.
        signal_type=st.sampled_from(
            (SignalType.PAUSE, SignalType.RESUME) * 3 + (SignalType.SHUTDOWN, SignalType.CANCEL)
        ),
        payload=payloads,
    )
    def send(self, data: st.DataObject, signal_type: SignalType, payload: bytes) -> None:
        name, _ = self.some(data, InstanceStatus.RUNNING, InstanceStatus.SUSPENDED)
        self._send(name, signal_type, payload)

    @rule(data=st.data(), also=st.sampled_from((None, None, SignalType.PAUSE, SignalType.CANCEL)))
    def shut_down(self, data: st.DataObject, also: SignalType | None) -> None:
        """A program obeys a shutdown, not knowing what else it was sent."""
        name, epoch = self.some(data, InstanceStatus.RUNNING)
        for signal_type in (SignalType.SHUTDOWN, also):
            if signal_type is not None:
                self._send(name, signal_type, b"")
        self.act(
            "acknowledge_signal",
            lambda storage: storage.acknowledge_signal(name, epoch, SignalType.SHUTDOWN, None, now_ms=self.now_ms),
        )

    def _send(self, name: str, signal_type: SignalType, payload: bytes) -> None:
        self.touched.add(name)
        self.act("send_signal", lambda storage: storage.send_signal(name, signal_type, payload, now_ms=self.now_ms))

    @rule(data=st.data(), checkpoint_id=st.sampled_from((*CHECKPOINTS, "")), payload=payloads)
    def send_custom(self, data: st.DataObject, checkpoint_id: str, payload: bytes) -> None:
        name, _ = self.some(data, InstanceStatus.RUNNING, InstanceStatus.SUSPENDED)
        signal = CustomSignal(checkpoint_id, payload)
        self.act("send_custom_signal", lambda storage: storage.send_custom_signal(name, signal, now_ms=self.now_ms))

    @rule(age_ms=st.sampled_from((0, 500, 30_000)), limit=st.integers(0, 3))
    def delete(self, age_ms: int, limit: int) -> None:
        ends = [row.finished_at_ms for row in self.rows() if row.finished_at_ms is not None]
        limit = limit if len(set(ends)) == len(ends) else 100
        self.touched.update(row.instance_id for row in self.rows())
        self.act(
            "delete_finished",
            lambda storage: storage.delete_finished(finished_before_ms=self.now_ms - age_ms, limit=limit),
        )

    @rule(
        where=st.builds(
            InstanceFilter,
            tenant_id=st.sampled_from((None, "t")),
            statuses=st.sampled_from(((), (InstanceStatus.RUNNING, InstanceStatus.FAILED))),
            image_ids=st.sampled_from((None, ("image",), ())),
            order_by=st.sampled_from(
                ("created_at_desc", "created_at_asc", "finished_at_desc", "finished_at_asc", "unknown")
            ),
            limit=st.integers(-1, 3),
            offset=st.integers(0, 2),
        )
    )
    def list(self, where: InstanceFilter) -> None:
        self.act("list_instances", lambda storage: storage.list_instances(where))

    @rule(
        data=st.data(),
        where=st.builds(
            EventFilter,
            event_type=st.sampled_from((None, "custom", "started")),
            subtype=st.sampled_from((None, "note")),
            ascending=st.booleans(),
            limit=st.integers(0, 3),
            offset=st.integers(0, 2),
        ),
    )
    def list_some_events(self, data: st.DataObject, where: EventFilter) -> None:
        name, _ = self.some(data)
        self.act("list_events", lambda storage: storage.list_events(name, where))

    # Programs

    @rule(
        data=st.data(), tenant=st.sampled_from(("t", "t", "t", "u")), checkpoint_id=st.sampled_from((None, None, "x"))
    )
    def register(self, data: st.DataObject, tenant: str, checkpoint_id: str | None) -> None:
        name, epoch = self.program(data)
        self._register(name, tenant, epoch, checkpoint_id)

    @rule(name=st.sampled_from(OWN))
    def register_itself(self, name: str) -> None:
        self.touched.add(name)
        self._register(name, "t", None, None)

    def _register(self, name: str, tenant: str, epoch: int | None, checkpoint_id: str | None) -> None:
        self.act(
            "register_instance",
            lambda storage: storage.register_instance(
                name, tenant, epoch=epoch, checkpoint_id=checkpoint_id, limits=LIMITS, now_ms=self.now_ms
            ),
        )

    @rule(data=st.data(), checkpoint_id=checkpoint_ids, state=payloads)
    def checkpoint(self, data: st.DataObject, checkpoint_id: str, state: bytes) -> None:
        name, epoch = self.program(data)
        self.act(
            "checkpoint",
            lambda storage: storage.checkpoint(name, epoch, checkpoint_id, state, now_ms=self.now_ms),
        )

    @rule(data=st.data(), checkpoint_id=checkpoint_ids, duration_ms=durations, suspend_above_ms=thresholds)
    def sleep(self, data: st.DataObject, checkpoint_id: str, duration_ms: int, suspend_above_ms: int | None) -> None:
        name, epoch = self.program(data)
        self.act(
            "sleep",
            lambda storage: storage.sleep(
                name,
                epoch,
                checkpoint_id,
                b"s",
                duration_ms=duration_ms,
                suspend_above_ms=suspend_above_ms,
                now_ms=self.now_ms,
            ),
        )

    @rule(
        data=st.data(),
        checkpoint_id=checkpoint_ids,
        timeout_ms=st.sampled_from((None, 0, 300)),
        suspend_above_ms=thresholds,
    )
    def wait_signal(
        self, data: st.DataObject, checkpoint_id: str, timeout_ms: int | None, suspend_above_ms: int | None
    ) -> None:
        name, epoch = self.program(data)
        self.act(
            "wait_signal",
            lambda storage: storage.wait_signal(
                name,
                epoch,
                checkpoint_id,
                timeout_ms=timeout_ms,
                suspend_above_ms=suspend_above_ms,
                now_ms=self.now_ms,
            ),
        )

    @rule(
        data=st.data(),
        checkpoint_id=checkpoint_ids,
        attempt_number=st.integers(2, 4),
        error=st.sampled_from((None, "no\0")),
        wait_ms=durations,
        suspend_above_ms=thresholds,
    )
    def retry(
        self,
        data: st.DataObject,
        checkpoint_id: str,
        attempt_number: int,
        error: str | None,
        wait_ms: int,
        suspend_above_ms: int | None,
    ) -> None:
        name, epoch = self.program(data)
        self.act(
            "record_retry_attempt",
            lambda storage: storage.record_retry_attempt(
                name,
                epoch,
                checkpoint_id,
                attempt_number=attempt_number,
                error=error,
                wait_ms=wait_ms,
                retries_used=attempt_number - 1,
                rate_limit_waited_ms=attempt_number,
                max_attempts=None if error is None else 4,
                suspend_above_ms=suspend_above_ms,
                now_ms=self.now_ms,
            ),
        )

    @rule(
        data=st.data(),
        # Ends come less often than what leads on.
        event_type=st.sampled_from(
            (EventType.HEARTBEAT, EventType.CUSTOM, EventType.SUSPENDED) * 2
            + (EventType.STARTED, EventType.COMPLETED, EventType.FAILED)
        ),
        payload=payloads,
        subtype=st.sampled_from(
            (None, None, None, "note", "paused", "sleeping", "waiting_signal", "shutdown_requested")
        ),
        checkpoint_id=st.sampled_from((None, "gate")),
        event_key=st.sampled_from((None, None, "key-1", "key-2")),
    )
    def report(
        self,
        data: st.DataObject,
        event_type: EventType,
        payload: bytes,
        subtype: str | None,
        checkpoint_id: str | None,
        event_key: str | None,
    ) -> None:
        name, epoch = self.program(data)
        event = InstanceEvent(event_type, payload, subtype, checkpoint_id, event_key)
        self.act("report_event", lambda storage: storage.report_event(name, epoch, event, now_ms=self.now_ms))

    @rule(
        data=st.data(),
        signal_type=st.sampled_from(SignalType),
        numbered=st.sampled_from(("as sent", "as sent", "none", "too high")),
    )
    def acknowledge(self, data: st.DataObject, signal_type: SignalType, numbered: str) -> None:
        name, epoch = self.program(data)

        async def acknowledge(storage: Storage) -> InstanceStatus:
            # Each storage has numbers of its own.
            signal = (await storage.poll_signals(name, epoch, None, now_ms=self.now_ms)).signal
            number = {"none": None, "too high": 2**40}.get(numbered, signal.signal_id if signal else None)
            obeyed = signal.signal_type if signal and numbered == "as sent" else signal_type
            return await storage.acknowledge_signal(name, epoch, obeyed, number, now_ms=self.now_ms)

        self.act("acknowledge_signal", acknowledge)

    # What anybody can see

    @invariant()
    def all_show_the_same(self) -> None:
        self.trio.steps += 1
        touched, self.touched = self.touched, set()
        if not touched:
            return
        self.act("list_instances", lambda storage: storage.list_instances(InstanceFilter()))
        self.act("next_wake_at_ms", lambda storage: storage.next_wake_at_ms())
        self.act("count_running", lambda storage: storage.count_running())
        for name in sorted(touched):
            self._all_show_the_same_of(name)

    def teardown(self) -> None:
        for row in self.rows():
            self._all_show_the_same_of(row.instance_id, final=True)
        self.act("check_health", lambda storage: storage.check_health())

    def _all_show_the_same_of(self, name: str, *, final: bool = False) -> None:
        row = self.act("get_instance", lambda storage: storage.get_instance(name))
        if row is not None:
            self.trio.seen[row.status] += 1
            assert (row.finished_at_ms is not None) is row.status.is_terminal
            if row.termination_reason is not None:
                self.trio.seen[f"reason {row.termination_reason}"] += 1
            else:
                assert row.status in (InstanceStatus.PENDING, InstanceStatus.RUNNING)

        record = self.trio.storages["model"].records.get(name)
        # What was stored under an id never changes again, so the newest is enough until the end of the sequence.
        stored = list(record.checkpoints) if record else []
        states = stored if final else stored[-1:]
        retried = CHECKPOINTS if final else sorted(record.attempts) if record else CHECKPOINTS[:1]

        async def all_of_it(storage: Storage) -> list[Any]:
            shown: list[Any] = [
                comparable(await storage.list_events(name, EventFilter(limit=1_000))),
                await storage.list_checkpoints(name, limit=100, offset=0),
                *[await storage.load_checkpoint(name, each) for each in states],
                *[await storage.get_progress(name, each, now_ms=self.now_ms) for each in retried],
            ]
            if row is not None:
                poll = storage.poll_signals(name, row.epoch, "gate", now_ms=self.now_ms)
                shown.append(comparable(await poll))
                signal = (await storage.poll_signals(name, row.epoch, None, now_ms=self.now_ms)).signal
                for known in (0, signal.signal_id if signal else 2**40):
                    for epoch in (row.epoch, row.epoch + 1):
                        watched = [WatchedInstance(name, epoch, known, gate) for gate in (None, "gate")]
                        news = await storage.find_news(watched)
                        shown.append([each in news for each in watched])
            if final:
                shown += [await storage.get_checkpoint(name, each) for each in CHECKPOINTS]
            return shown

        self.act("everything of an instance", all_of_it)
        self.trio.seen.update(("list_events", "list_checkpoints"))
        self.trio.seen.update(
            operation
            for operation, reached in (
                ("poll_signals", row is not None),
                ("find_news", row is not None),
                ("load_checkpoint", states),
                ("get_progress", retried),
                ("get_checkpoint", final),
            )
            if reached
        )


@pytest.fixture
def trio(emptied_postgres_database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Trio]:
    monkeypatch.syspath_prepend(str(Path(__file__).parent / "outside_storage"))
    trio = Trio(emptied_postgres_database_url)
    yield trio
    trio.close()


def test_model_sqlite_and_postgres_agree(trio: Trio) -> None:
    expected = {*OPERATIONS, *InstanceStatus, *(f"reason {reason}" for reason in TerminationReason)}
    expected |= {error.__name__ for error in ERRORS}
    expected |= {f"claim of an expired lease with {unread} waiting" for unread in (None, "pause", "cancel")}
    number = SEED
    # Some more steps, should chance have left something out.
    while trio.steps < STEPS or (expected - trio.seen.keys() and trio.steps < STEPS + 2_000):
        machine = seed(number)(type("SeededStorageMachine", (StorageMachine,), {"trio": trio}))
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=8,
                stateful_step_count=50,
                deadline=None,
                database=None,
                phases=(Phase.generate, Phase.shrink),
                suppress_health_check=list(HealthCheck),
            ),
        )
        number += 1
    print(f"{trio.steps} steps, seeds {SEED} to {number - 1}: {dict(sorted(trio.seen.items()))}")
    assert expected <= trio.seen.keys(), sorted(expected - trio.seen.keys())
