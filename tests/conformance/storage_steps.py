"""Steps on three storages at once: each is a call that must end alike on all, at a time that tests choose."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule
from runtara_core.models import CoreLimits, Instance, RecoveryPolicy
from runtara_core.storage import Storage
from runtara_sdk.models import InstanceStatus

from .storage_trio import Trio, outcome

LEASE_MS = 1_000
LIMITS = CoreLimits(4, RecoveryPolicy(max_recoveries=1, backoff_base_ms=100))
MANAGED = ("managed-0", "managed-1", "managed-2", "managed-3")
OWN = ("own-0", "own-1")
CHECKPOINTS = ("x", "y", "nap", "gate")

payloads = st.sampled_from((b"", b"1", b'{"wake_at_ms":1750000001000}', b"\xff\0"))


class StorageSteps(RuleBasedStateMachine):
    """What all steps share: the storages, a clock, and instances to choose from."""

    trio: ClassVar[Trio]

    def __init__(self) -> None:
        super().__init__()
        self.trio.empty()
        self.now_ms = 1_750_000_000_000
        self.touched: set[str] = set()

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

    def _register(self, name: str, tenant: str, epoch: int | None, checkpoint_id: str | None) -> None:
        self.act(
            "register_instance",
            lambda storage: storage.register_instance(
                name, tenant, epoch=epoch, checkpoint_id=checkpoint_id, limits=LIMITS, now_ms=self.now_ms
            ),
        )

    @rule(milliseconds=st.sampled_from((1, 100, 500, LEASE_MS, 20_000)))
    def time_passes(self, milliseconds: int) -> None:
        self.now_ms += milliseconds

    @rule()
    def time_passes_until_the_next_launch(self) -> None:
        due_at_ms = self.act("next_wake_at_ms", lambda storage: storage.next_wake_at_ms())
        self.now_ms = max(self.now_ms, due_at_ms or 0)
