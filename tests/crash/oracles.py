"""What must be true of a run that has ended, whoever was killed in it and wherever."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from courses import MOST_TOGETHER
from scenarios import Scenario


class Run(Protocol):
    """An instance whose end is judged."""

    async def rows(self, statement: str) -> list[dict[str, Any]]:
        """What is stored about it; `{id}` stands for the instance."""

    def witness(self) -> list[list[Any]]:
        """What its processes did."""


_INSTANCE = """
    SELECT status, epoch, output, error, wake_at_ms, lease_owner, lease_until_ms, finished_at_ms FROM instances
    WHERE instance_id = {id}
"""


@dataclass(frozen=True, slots=True)
class Ending:
    """What is left of a run."""

    instance: dict[str, Any]
    checkpoints: dict[str, str]
    checkpoint_times_ms: list[int]
    sleeps: list[dict[str, Any]]
    signals: list[dict[str, Any]]
    events: Counter[str]
    witness: list[list[Any]]

    @classmethod
    async def of(cls, run: Run) -> Ending:
        """Read it."""
        where = "WHERE instance_id = {id}"
        (instance,) = await run.rows(_INSTANCE)
        checkpoints = await run.rows(f"SELECT checkpoint_id, state, created_at_ms FROM checkpoints {where}")
        events = await run.rows(f"SELECT event_type FROM instance_events {where}")
        return cls(
            instance=instance,
            checkpoints={row["checkpoint_id"]: bytes(row["state"]).decode() for row in checkpoints},
            checkpoint_times_ms=[row["created_at_ms"] for row in checkpoints],
            sleeps=await run.rows(f"SELECT wake_at_ms, done_at_ms FROM sleeps {where} AND checkpoint_id = 'nap'"),
            signals=await run.rows(
                f"SELECT signal_type, created_at_ms, acknowledged_at_ms FROM pending_signals {where}"
            ),
            events=Counter(row["event_type"] for row in events),
            witness=run.witness(),
        )

    @property
    def output(self) -> bytes | None:
        """As stored, byte for byte."""
        output = self.instance["output"]
        return None if output is None else bytes(output)


def violations(scenario: Scenario, ending: Ending, undisturbed: Ending | None, *, launches_too_many: int) -> list[str]:
    """Every promise that was not kept, in words; at most `launches_too_many` more than undisturbed are right."""
    found = [*_of_the_end(scenario, ending, undisturbed), *_of_the_rows(ending)]
    more = ending.instance["epoch"] - scenario.launches
    if not 0 <= more <= launches_too_many:
        found.append(f"{ending.instance['epoch']} launches, {scenario.launches} are right: a wake was lost or doubled")
    return [*found, *_of_the_processes(ending), *_of_the_work(ending, max(more, 0))]


def violations_of_storm(ending: Ending, status: str, output: bytes | None, known: set[str], kills: int) -> list[str]:
    """As `violations`, where `kills` processes of the instance were killed and `known` must be recorded."""
    found = [
        # A signal may come when nothing is left to do but what is done at the same time.
        *_of_the_rows(ending, late_checkpoints=MOST_TOGETHER),
        *_of_the_processes(ending),
        *_of_the_work(ending, kills),
    ]
    if (ending.instance["status"], ending.output) != (status, output):
        found.append(f"it is {ending.instance['status']} with {ending.output!r}: {ending.instance['error']}")
    if missing := known - ending.checkpoints.keys():
        found.append(f"checkpoints are missing: {sorted(missing)}")
    return found


def _of_the_end(scenario: Scenario, ending: Ending, undisturbed: Ending | None) -> Iterator[str]:
    instance = ending.instance
    if instance["status"] != scenario.status:
        yield f"it is {instance['status']}, not {scenario.status}: {instance['error']}"
    if undisturbed is not None and ending.output != undisturbed.output:
        yield f"its output is {ending.output!r}, that of the undisturbed run {undisturbed.output!r}"
    if undisturbed is not None and ending.checkpoints.keys() != undisturbed.checkpoints.keys():
        yield f"checkpoints {sorted(ending.checkpoints)}, undisturbed {sorted(undisturbed.checkpoints)}"
    if ending.events["completed"] != (scenario.status == "completed") or ending.events["failed"]:
        yield f"events: {dict(ending.events)}"


def _of_the_rows(ending: Ending, *, late_checkpoints: int = -1) -> Iterator[str]:
    """A signal after which no more than `late_checkpoints` were made may have come too late."""
    for column in ("wake_at_ms", "lease_owner", "lease_until_ms"):
        if ending.instance[column] is not None:
            yield f"the ended instance keeps {column} = {ending.instance[column]}"
    for sleep in ending.sleeps:
        if sleep["done_at_ms"] is None or sleep["done_at_ms"] < sleep["wake_at_ms"]:
            yield f"a sleep until {sleep['wake_at_ms']} ended at {sleep['done_at_ms']}"
    for signal in ending.signals:
        later = sum(time_ms >= signal["created_at_ms"] for time_ms in ending.checkpoint_times_ms)
        if signal["acknowledged_at_ms"] is None and later > late_checkpoints:
            yield f"the signal {signal['signal_type']} was never obeyed"


def _of_the_processes(ending: Ending) -> Iterator[str]:
    begun = Counter(fact[1] for fact in ending.witness if fact[0] == "begin")
    for epoch, count in begun.items():
        if count > 1:
            yield f"epoch {epoch} had {count} processes"
        if epoch > ending.instance["epoch"]:
            yield f"epoch {epoch} ran, the instance is at {ending.instance['epoch']}"
    if any(fact[0] == "overlap" for fact in ending.witness):
        yield "two processes of the instance were alive at once"


def _of_the_work(ending: Ending, launches_too_many: int) -> Iterator[str]:
    known: dict[str, str] = {}
    effects: Counter[str] = Counter()
    keys: dict[str, set[str]] = {}
    for fact in ending.witness:
        if fact[0] == "effect":
            _, name, key = fact
            effects[name] += 1
            keys.setdefault(name, set()).add(key)
            if f"step::{name}" in known:
                yield f"{name} was done again after its result was recorded"
        elif fact[0] == "known":
            _, checkpoint_id, state = fact
            if known.setdefault(checkpoint_id, state) != state:
                yield f"{checkpoint_id} was {known[checkpoint_id]}, then {state}"
    for checkpoint_id, state in known.items():
        if ending.checkpoints.get(checkpoint_id) != state:
            yield f"{checkpoint_id} was acknowledged as {state}, stored is {ending.checkpoints.get(checkpoint_id)}"
    for name in effects:
        if len(keys[name]) > 1:
            yield f"{name} had the idempotency keys {sorted(keys[name])}"
        if f"step::{name}" not in ending.checkpoints and ending.instance["status"] == "completed":
            yield f"{name} was done and not recorded"
    again = sum(effects.values()) - len(effects)
    if again > launches_too_many:
        yield f"work was done {again} times more than recorded, with {launches_too_many} launches too many: {effects}"
