"""Random operations on a storage in memory, on SQLite and on PostgreSQL in step: after each, all three show the same.

The storage in memory is the model: plain dictionaries written from the contract. `RUNTARA_MODEL_STEPS` makes the run
longer than the usual 2 000 steps; `RUNTARA_MODEL_SEED` chooses others.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, run_state_machine_as_test
from runtara_core.models import CheckpointFilter, EventFilter, InstanceFilter, WatchedInstance
from runtara_core.storage import Storage
from runtara_sdk.models import InstanceStatus, TerminationReason

from .storage_management_steps import ManagementSteps
from .storage_program_steps import ProgramSteps
from .storage_steps import CHECKPOINTS, MANAGED
from .storage_trio import ERRORS, EXAMPLE_STORAGE, Trio, comparable

STEPS = int(os.environ.get("RUNTARA_MODEL_STEPS", "2000"))
SEED = int(os.environ.get("RUNTARA_MODEL_SEED", "1"))
# Opening and credentials have no state of instances; everything else must be reached.
OPERATIONS = Storage.__abstractmethods__ - {"open", "close", "credentials"}


class StorageMachine(ManagementSteps, ProgramSteps):
    """All steps, and what must be the same after each; the class is subclassed for each run, with its trio."""

    @initialize(launched=st.integers(1, 4))
    def begin(self, launched: int) -> None:
        """Some instances that run, or little would come of the first steps."""
        for name in MANAGED[:launched]:
            self.create(name, "t")
            (claimed,) = self._claim(name, 1, "a")
            self._register(name, "t", claimed.epoch, None)

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
        self.restart_all()
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
                await storage.list_checkpoints(name, CheckpointFilter(limit=100, offset=0)),
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
    monkeypatch.syspath_prepend(str(EXAMPLE_STORAGE))
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
