"""The storage: an SQLite file that keeps the state of instances, and a log of changes beside it.

`runtara_core.storage.Storage` is the contract: one method for each verb, one transaction for each method. `SqlStorage`
implements all of it on a `Database`. So there are two places to make this storage your own:

* another `Database` keeps the rows somewhere else, and the verbs stay as they are;
* a verb that is overridden does something more, as some of them do below.

A storage that is not made of SQL derives from `Storage` itself. `tests/test_conformance.py` holds each of them to the
same contract.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Self, TypeVar

from runtara_core.database import Database, DatabaseUrl, create_database
from runtara_core.models import CreatedInstance, ForkedInstance, InstanceFork, NewInstance, RetriedInstance
from runtara_core.storages.sql import CORE_QUERIES, SqlStorage
from runtara_sdk.errors import ConfigurationError
from runtara_sdk.models import InstanceEvent, InstanceStatus, SignalType

from {{ cookiecutter.__module }}.audit_log import AuditLog, Line

Result = TypeVar("Result")

CLOSE_SECONDS = 60.0


class AuditedStorage(SqlStorage):
    """Durable state in SQLite, with a line in a log for each start, signal, end and restart of an instance.

    A line is written after the transaction that it tells of, so the log never tells of something that did not happen.
    A process that is killed between the two loses the line; one that is stopped writes it first. A call that is
    repeated for want of an answer may write a second line.

    Args:
        database: keeps the rows; it carries `CORE_QUERIES`.
        audit_log: gets the lines.
    """

    def __init__(self, database: Database, audit_log: AuditLog) -> None:
        super().__init__(database)
        self._audit_log = audit_log
        self._under_way: set[asyncio.Task[Any]] = set()

    @classmethod
    def at(cls, database_url: str) -> Self:
        """The storage of a URL such as `{{ cookiecutter.__scheme }}:///PATH`, which names a file as `sqlite:///PATH` does.

        Raises `ConfigurationError` when the URL names no file.
        """
        scheme, _, place = database_url.partition(":")
        url = DatabaseUrl.parse(f"sqlite:{place}")
        if url.path is None:
            raise ConfigurationError(f"a log needs a file to lie beside: write {scheme}:///PATH")
        log = AuditLog(url.path.with_name(f"{url.path.name}.audit.jsonl"))
        return cls(create_database(url.url, CORE_QUERIES), log)

    @property
    def audit_path(self) -> Path:
        """Where the log is."""
        return self._audit_log.path

    async def close(self) -> None:
        """Close the database, once the changes that are under way have their lines."""
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=CLOSE_SECONDS)
        await super().close()

    async def create_instance(self, new: NewInstance, *, now_ms: int) -> CreatedInstance:
        line: Line = {"at_ms": now_ms, "change": "created", "instance_id": new.instance_id, "tenant_id": new.tenant_id}
        return await self._recorded(
            super().create_instance(new, now_ms=now_ms),
            lambda created: None if created.deduplicated else line,
        )

    async def send_signal(
        self, instance_id: str, signal_type: SignalType, payload: bytes, *, now_ms: int
    ) -> InstanceStatus:
        line: Line = {"at_ms": now_ms, "change": "signal", "instance_id": instance_id, "signal": str(signal_type)}
        return await self._recorded(
            super().send_signal(instance_id, signal_type, payload, now_ms=now_ms),
            lambda _: line,
        )

    async def report_event(
        self, instance_id: str, epoch: int | None, event: InstanceEvent, *, now_ms: int
    ) -> InstanceStatus:
        line: Line = {"at_ms": now_ms, "change": "ended", "instance_id": instance_id}
        return await self._recorded(
            super().report_event(instance_id, epoch, event, now_ms=now_ms),
            lambda status: line | {"status": str(status)} if status.is_terminal else None,
        )

    async def retry_instance(self, instance_id: str, *, retry_key: str | None = None, now_ms: int) -> RetriedInstance:
        line: Line = {"at_ms": now_ms, "change": "retried", "instance_id": instance_id}
        return await self._recorded(
            super().retry_instance(instance_id, retry_key=retry_key, now_ms=now_ms),
            lambda retried: None if retried.deduplicated else line,
        )

    async def fork_instance(self, fork: InstanceFork, *, now_ms: int) -> ForkedInstance:
        line: Line = {"at_ms": now_ms, "change": "forked", "instance_id": fork.instance_id, "origin_id": fork.origin_id}
        return await self._recorded(
            super().fork_instance(fork, now_ms=now_ms),
            lambda forked: None if forked.deduplicated or fork.dry_run else line,
        )

    async def _recorded(self, change: Coroutine[Any, Any, Result], line_of: Callable[[Result], Line | None]) -> Result:
        """The result of a change, once its line is written. A caller that is cancelled meanwhile leaves both done."""

        async def change_and_record() -> Result:
            result = await change
            line = line_of(result)
            if line is not None:
                await self._audit_log.record(line)
            return result

        task = asyncio.create_task(change_and_record())
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        return await asyncio.shield(task)
