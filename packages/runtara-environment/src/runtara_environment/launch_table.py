"""Which launches may have a process, and who watches them.

A row is written before the spawn (`intended`) and completed after it (`started`), so that whatever a killed environment
left can be found. It goes when the end of the process has been reported. Owners are announced before they claim.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from runtara_core.database import Database, Row, Transaction
from runtara_core.models import LeaseKey
from runtara_sdk.errors import InvalidStateError, StaleEpochError

from runtara_environment.database_identity import DatabaseIdentity

_PAGE = 500
_MAX_EPOCHS = 100
_STOP_REQUESTS_KEPT_MS = 24 * 3_600_000


class LaunchPhase(StrEnum):
    """How far a launch is known to have come."""

    INTENDED = "intended"
    """A process may exist; `state` is the runner's planned one."""
    STARTED = "started"
    """A process was started; `state` names it."""


@dataclass(frozen=True, slots=True)
class Launch:
    """One launch.

    Attributes:
        instance_id: whose launch it is.
        epoch: number of the launch.
        owner: environment process that watches it.
        host_id: host whose runner knows it; only there `state` means anything.
        runner_type: runner that launched it.
        run_directory: absolute path on that host.
        state: what `Runner.attach` takes.
        created_at_ms: when it was intended.
        phase: how far it came.
        deadline_ms: when it times out, for supervisors; None = not watched by them.
    """

    instance_id: str
    epoch: int
    owner: str
    host_id: str
    runner_type: str
    run_directory: str
    state: Mapping[str, Any]
    created_at_ms: int
    phase: LaunchPhase = LaunchPhase.INTENDED
    deadline_ms: int | None = None


class LaunchTable:
    """The rows. `database` carries `environment_queries` and the environment's schema."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._identity = DatabaseIdentity(database)

    async def database_id(self) -> str:
        """The random name of this database (32 hexadecimal digits); made on first use, never changed."""
        return await self._identity.get()

    async def record_intent(self, launch: Launch) -> None:
        """Write the row of a launch that is about to happen.

        Raises `StaleEpochError` when a newer launch of the instance is recorded, `InvalidStateError` when this one is.
        """

        async def work(transaction: Transaction) -> None:
            newest = await transaction.fetch_one("newest_launch_epoch", instance_id=launch.instance_id)
            if newest is not None and newest["epoch"] is not None and newest["epoch"] > launch.epoch:
                raise StaleEpochError(f"instance {launch.instance_id} has a newer launch than epoch {launch.epoch}")
            inserted = await transaction.execute(
                "insert_launch",
                instance_id=launch.instance_id,
                epoch=launch.epoch,
                owner=launch.owner,
                host_id=launch.host_id,
                runner_type=launch.runner_type,
                run_directory=launch.run_directory,
                state=json.dumps(dict(launch.state)),
                deadline_ms=launch.deadline_ms,
                created_at_ms=launch.created_at_ms,
            )
            if inserted == 0:
                raise InvalidStateError(f"epoch {launch.epoch} of instance {launch.instance_id} is recorded already")

        await self._database.run(work, operation="record launch")

    async def record_started(self, instance_id: str, epoch: int, state: Mapping[str, Any]) -> None:
        """Complete the row with the state of the process; raises `InvalidStateError` when there is no such row."""

        async def work(transaction: Transaction) -> None:
            changed = await transaction.execute(
                "start_launch", instance_id=instance_id, epoch=epoch, state=json.dumps(dict(state))
            )
            if changed == 0:
                raise InvalidStateError(f"epoch {epoch} of instance {instance_id} is not recorded")

        await self._database.run(work, operation="record start")

    async def take_over(self, instance_id: str, epoch: int, owner: str, new_owner: str) -> bool:
        """Make `new_owner` the owner if `owner` still is; whether it was."""

        async def work(transaction: Transaction) -> bool:
            changed = await transaction.execute(
                "take_over_launch", instance_id=instance_id, epoch=epoch, owner=owner, new_owner=new_owner
            )
            return changed == 1

        return await self._database.run(work, operation="take over launch")

    async def remove(self, instance_id: str, epoch: int) -> None:
        """Forget a launch whose end has been reported; harmless to repeat."""

        async def work(transaction: Transaction) -> None:
            await transaction.execute("remove_launch", instance_id=instance_id, epoch=epoch)

        await self._database.run(work, operation="remove launch")

    async def of_host(self, host_id: str) -> list[Launch]:
        """All launches of a host, by instance, newest epoch first."""
        return await self._list("list_launches_of_host", host_id=host_id)

    async def of_owner(self, owner: str) -> list[Launch]:
        """All launches of an owner, by instance, newest epoch first."""
        return await self._list("list_launches_of_owner", owner=owner)

    async def of_instance(self, instance_id: str) -> list[Launch]:
        """The newest launches of an instance, at most 100, newest first."""

        async def work(transaction: Transaction) -> list[Launch]:
            rows = await transaction.fetch_all(
                "list_launches_of_instance", instance_id=instance_id, page_limit=_MAX_EPOCHS
            )
            return [_launch(row) for row in rows]

        return await self._database.run(work, operation="list launches", read_only=True)

    async def request_stop(self, key: LeaseKey, *, grace_ms: int, now_ms: int) -> None:
        """Leave word for whoever watches a launch that was told to cancel: it may go on for `grace_ms`, no longer."""

        async def work(transaction: Transaction) -> None:
            await transaction.execute("forget_stop_requests", requested_before_ms=now_ms - _STOP_REQUESTS_KEPT_MS)
            await transaction.execute(
                "request_stop", instance_id=key.instance_id, epoch=key.epoch, grace_ms=grace_ms, now_ms=now_ms
            )

        await self._database.run(work, operation="request stop")

    async def requested_stops(self, instance_ids: Sequence[str]) -> dict[LeaseKey, int]:
        """How long launches of these instances may go on when told to cancel, in milliseconds, where it was said."""
        if not instance_ids:
            return {}

        async def work(transaction: Transaction) -> dict[LeaseKey, int]:
            rows = await transaction.fetch_all("list_stop_requests", instance_ids=json.dumps(list(instance_ids)))
            return {LeaseKey(row["instance_id"], row["epoch"]): row["grace_ms"] for row in rows}

        return await self._database.run(work, operation="stop requests", read_only=True)

    async def announce_owner(self, owner: str, host_id: str, *, now_ms: int) -> None:
        """Record an owner before its first claim, so that a successor can free what it held."""

        async def work(transaction: Transaction) -> None:
            await transaction.execute("announce_owner", owner=owner, host_id=host_id, now_ms=now_ms)

        await self._database.run(work, operation="announce owner")

    async def owners_of_host(self, host_id: str) -> list[str]:
        """The announced owners of a host, oldest first."""

        async def work(transaction: Transaction) -> list[str]:
            rows = await transaction.fetch_all("list_owners_of_host", host_id=host_id)
            return [row["owner"] for row in rows]

        return await self._database.run(work, operation="list owners", read_only=True)

    async def forget_owner(self, owner: str) -> None:
        """Forget an owner that holds nothing any more; harmless to repeat."""

        async def work(transaction: Transaction) -> None:
            await transaction.execute("forget_owner", owner=owner)

        await self._database.run(work, operation="forget owner")

    async def _list(self, query: str, **filters: str) -> list[Launch]:
        """Every matching row, read in pages."""
        launches: list[Launch] = []
        after_instance_id, after_epoch = "", 0
        while True:

            async def work(
                transaction: Transaction, instance_id: str = after_instance_id, epoch: int = after_epoch
            ) -> list[Launch]:
                rows = await transaction.fetch_all(
                    query, after_instance_id=instance_id, after_epoch=epoch, page_limit=_PAGE, **filters
                )
                return [_launch(row) for row in rows]

            page = await self._database.run(work, operation="list launches", read_only=True)
            launches += page
            if len(page) < _PAGE:
                return launches
            after_instance_id, after_epoch = page[-1].instance_id, page[-1].epoch


def _launch(row: Row) -> Launch:
    return Launch(
        instance_id=row["instance_id"],
        epoch=row["epoch"],
        owner=row["owner"],
        host_id=row["host_id"],
        runner_type=row["runner_type"],
        run_directory=row["run_directory"],
        state=json.loads(row["state"]),
        created_at_ms=row["created_at_ms"],
        phase=LaunchPhase(row["phase"]),
        deadline_ms=row["deadline_ms"],
    )
