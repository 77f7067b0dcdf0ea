"""Retries and forks."""

from __future__ import annotations

from dataclasses import replace

from runtara_core.models import CheckpointRecord, ForkedInstance, InstanceFork, RetriedInstance
from runtara_core.restarts import (
    FORKED_SUBTYPE,
    copied_checkpoints,
    earlier_fork,
    fork_event_key,
    forked_event,
    require_retriable,
    retried_event,
    retry_event_key,
)
from runtara_sdk.errors import InstanceExistsError, InvalidInputError, InvalidStateError
from runtara_sdk.models import InstanceEvent, InstanceStatus

from acme_storage.checks import require_name
from acme_storage.programs import ProgramVerbs
from acme_storage.record import Record


class RestartVerbs(ProgramVerbs):
    """What lets ended instances go on, and new ones begin with records of others."""

    async def retry_instance(self, instance_id: str, *, retry_key: str | None = None, now_ms: int) -> RetriedInstance:
        if retry_key is not None:
            require_name("event_key", retry_event_key(retry_key))
        record = self.record(instance_id)
        if retry_key is not None and retry_event_key(retry_key) in record.event_keys:
            return RetriedInstance(instance_id, deduplicated=True)
        require_retriable(instance_id, record.status)
        event = retried_event(record.status, record.reason, record.error, record.finished_at_ms, retry_key)
        record.status, record.reason = InstanceStatus.PENDING, None
        record.epoch += 1
        record.attempt += 1
        record.wake_at_ms = None if record.image_id is None else now_ms
        record.finished_at_ms = record.output = record.error = None
        record.failed_launches = record.recovery_attempts = 0
        record.lease_owner = record.lease_until_ms = None
        record.signals.clear()
        record.attempts = {key: tried for key, tried in record.attempts.items() if key in record.checkpoints}
        self._append_once(record, event, now_ms)
        return RetriedInstance(instance_id, deduplicated=False)

    async def fork_instance(self, fork: InstanceFork, *, now_ms: int) -> ForkedInstance:
        require_name("instance_id", fork.instance_id)
        if fork.image_id == "":
            raise InvalidInputError("image_id must not be empty")
        origin = self.record(fork.origin_id)
        if origin.image_id is None:
            raise InvalidStateError(f"instance {fork.origin_id} was started by its own program")
        image_id = fork.image_id or origin.image_id
        known = self.records.get(fork.instance_id)
        if known is not None:
            same = (known.tenant_id, known.image_id) == (origin.tenant_id, image_id)
            if not same or fork_event_key(fork) not in known.event_keys:
                raise InstanceExistsError(f"instance id {fork.instance_id} is taken: choose another")
            payload = next(event.payload for event in known.events if event.subtype == FORKED_SUBTYPE)
            return earlier_fork(fork.instance_id, payload or b"")
        attempted = {
            key: min(each.next_attempt_at_ms - each.attempt.wait_ms for each in tried.values())
            for key, tried in origin.attempts.items()
        }
        recorded = {key: each.created_at_ms for key, each in origin.checkpoints.items()}
        new_ids = copied_checkpoints(fork, recorded, attempted, origin.error)
        for new_id in new_ids.values():
            require_name("checkpoint_id", new_id)
        last_copied = next(reversed(new_ids), None)
        forked = ForkedInstance(fork.instance_id, False, len(new_ids), len(recorded) - len(new_ids), last_copied)
        if fork.dry_run:
            return forked
        record = Record(
            fork.instance_id,
            origin.tenant_id,
            image_id,
            self.first_epoch,
            now_ms,
            wake_at_ms=now_ms if fork.due else None,
            input=origin.input,
            launch_options=origin.launch_options if fork.launch_options is None else fork.launch_options,
        )
        for old_id, new_id in new_ids.items():
            _copy(origin, old_id, record, new_id)
        self.records[fork.instance_id] = record
        self._append_once(record, forked_event(fork, forked), now_ms)
        return forked

    def _append_once(self, record: Record, event: InstanceEvent, now_ms: int) -> None:
        if event.event_key in record.event_keys:
            return
        self._append(record, event.event_type, now_ms, None, event.subtype, event.payload)
        if event.event_key is not None:
            record.event_keys.add(event.event_key)


def _copy(origin: Record, old_id: str, record: Record, new_id: str) -> None:
    stored = origin.checkpoints[old_id]
    record.checkpoints[new_id] = CheckpointRecord(new_id, record.instance_id, stored.created_at_ms, stored.state)
    record.checkpoint_id = new_id
    record.checkpoint_count += 1
    if old_id in origin.deadlines:
        record.deadlines[new_id] = replace(origin.deadlines[old_id])
    if old_id in origin.attempts:
        record.attempts[new_id] = dict(origin.attempts[old_id])
