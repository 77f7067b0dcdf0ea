"""The storage: an SQLite file that keeps the state of instances, and a log of changes beside it.

`runtara_core.storage.Storage` is the contract: one method for each verb, one transaction for each method. `SqlStorage`
implements all of it on a `Database`. So there are two places to make this storage your own:

* another `Database` keeps the rows somewhere else, and the verbs stay as they are;
* a verb that is overridden does something more, as three of them do below.

A storage that is not made of SQL derives from `Storage` itself. `tests/test_conformance.py` holds each of them to the
same contract.
"""

from __future__ import annotations

from pathlib import Path
from typing import Self

from runtara_core.database import Database, DatabaseUrl, create_database
from runtara_core.models import CreatedInstance, NewInstance
from runtara_core.storages.sql import CORE_QUERIES, SqlStorage
from runtara_sdk.errors import ConfigurationError
from runtara_sdk.models import InstanceEvent, InstanceStatus, SignalType

from {{ cookiecutter.__module }}.audit_log import AuditLog


class AuditedStorage(SqlStorage):
    """Durable state in SQLite, with a line in a log for each start, signal and end of an instance.

    A line is written after the transaction that it tells of, so the log never tells of something that did not happen.
    A death between the two loses the line, and a call that is repeated for want of an answer may write a second one.

    Args:
        database: keeps the rows; it carries `CORE_QUERIES`.
        audit_log: gets the lines.
    """

    def __init__(self, database: Database, audit_log: AuditLog) -> None:
        super().__init__(database)
        self._audit_log = audit_log

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

    async def create_instance(self, new: NewInstance, *, now_ms: int) -> CreatedInstance:
        created = await super().create_instance(new, now_ms=now_ms)
        if not created.deduplicated:
            await self._audit_log.record("created", new.instance_id, at_ms=now_ms, tenant_id=new.tenant_id)
        return created

    async def send_signal(
        self, instance_id: str, signal_type: SignalType, payload: bytes, *, now_ms: int
    ) -> InstanceStatus:
        status = await super().send_signal(instance_id, signal_type, payload, now_ms=now_ms)
        await self._audit_log.record("signal", instance_id, at_ms=now_ms, signal=str(signal_type))
        return status

    async def report_event(
        self, instance_id: str, epoch: int | None, event: InstanceEvent, *, now_ms: int
    ) -> InstanceStatus:
        status = await super().report_event(instance_id, epoch, event, now_ms=now_ms)
        if status.is_terminal:
            await self._audit_log.record("ended", instance_id, at_ms=now_ms, status=str(status))
        return status
