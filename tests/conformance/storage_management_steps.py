"""Steps that create, launch, signal, list and delete instances."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import rule
from runtara_core.models import (
    EventFilter,
    ExitReport,
    InstanceFilter,
    InstanceFork,
    InstanceKey,
    InstancePage,
    LeaseKey,
    NewInstance,
    PendingCancel,
)
from runtara_core.steps import TRACE_SUBTYPES, StepFilter, StepStatus
from runtara_core.storage import Storage
from runtara_core.tenant_metrics import MetricsRange
from runtara_sdk.models import (
    CustomSignal,
    EventType,
    InstanceEvent,
    InstanceStatus,
    SignalType,
    TerminationReason,
)

from .storage_steps import CHECKPOINTS, LEASE_MS, LIMITS, MANAGED, OWN, StorageSteps, payloads


class ManagementSteps(StorageSteps):
    """Steps of operators, and of environments that launch."""

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

    def _claim(self, name: str | None, limit: int, owner: str, without_images: tuple[str, ...] = ()) -> Any:
        self.touched.update(row.instance_id for row in self.rows())
        return self.act(
            "claim_launches",
            lambda storage: storage.claim_launches(
                owner,
                instance_id=name,
                limit=limit,
                lease_ms=LEASE_MS,
                limits=LIMITS,
                now_ms=self.now_ms,
                without_images=without_images,
            ),
        )

    @rule(name=st.sampled_from(MANAGED), image=st.sampled_from(("image", "other")))
    def claim_without(self, name: str, image: str) -> None:
        self._claim(name, 1, "b", (image,))
        self.act("next_wake_at_ms", lambda storage: storage.next_wake_at_ms(without_images=(image,)))

    @rule(data=st.data(), owner=st.sampled_from(("a", "b")))
    def renew(self, data: st.DataObject, owner: str) -> None:
        name, epoch = self.some(data, InstanceStatus.RUNNING)
        keys = [LeaseKey(name, epoch), LeaseKey("unknown", 1)]
        self.act("record_contacts", lambda storage: storage.record_contacts(keys, now_ms=self.now_ms))
        self.act("last_contacts", lambda storage: storage.last_contacts(owner, limit=100))
        self.act(
            "renew_leases",
            lambda storage: storage.renew_leases(owner, keys, lease_ms=LEASE_MS, now_ms=self.now_ms),
        )

    @rule(owner=st.sampled_from(("a", "b")))
    def pending_cancels(self, owner: str) -> None:
        # Of two that were sent at the same time a storage may name either first.
        self.act(
            "pending_cancels",
            lambda storage: self._sorted_cancels(storage, owner),
        )

    async def _sorted_cancels(self, storage: Storage, owner: str) -> list[PendingCancel]:
        return sorted(await storage.pending_cancels(owner, limit=100, now_ms=self.now_ms), key=repr)

    @rule(owner=st.sampled_from(("a", "b")))
    def expire(self, owner: str) -> None:
        self.touched.update(row.instance_id for row in self.rows(InstanceStatus.RUNNING))
        self.act("expire_leases", lambda storage: storage.expire_leases(owner))

    @rule(
        data=st.data(),
        reason=st.sampled_from(
            (
                TerminationReason.CRASHED,
                TerminationReason.TIMEOUT,
                TerminationReason.HEARTBEAT_TIMEOUT,
                TerminationReason.OUT_OF_MEMORY,
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

    @rule(data=st.data(), permanent=st.sampled_from((False, False, True)), is_due=st.booleans())
    def fail_to_launch(self, data: st.DataObject, permanent: bool, is_due: bool) -> None:
        key = LeaseKey(*self.some(data, InstanceStatus.RUNNING))
        self.act(
            "report_launch_failure",
            lambda storage: storage.report_launch_failure(
                key, "no", permanent=permanent, limits=LIMITS, now_ms=self.now_ms, is_due=is_due
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

    def restart_all(self) -> None:
        """Whatever a sequence has left: some of it is forked, what has ended goes on, and all is launched."""
        for place, row in enumerate(self.rows()[:3]):
            step = (None, *CHECKPOINTS, "unknown")[place % 6]
            fork = InstanceFork(f"fork-{place}", row.instance_id, step, (None, "other")[place % 2], due=place % 3 > 0)
            for asked in (replace(fork, dry_run=True), fork, fork, replace(fork, image_id="third")):
                self.act("fork_instance", lambda storage, asked=asked: storage.fork_instance(asked, now_ms=self.now_ms))
            self._retry(row.instance_id, "k")
        for row in self.rows():
            self._retry(row.instance_id, "k")
            self._retry(row.instance_id, None)
        self._claim(None, 0, "a")
        for row in self.rows(InstanceStatus.PENDING):
            for claimed in self._claim(row.instance_id, 1, "a"):
                self._register(claimed.instance_id, claimed.tenant_id, claimed.epoch, None)

    def _retry(self, name: str, retry_key: str | None) -> None:
        self.act(
            "retry_instance",
            lambda storage: storage.retry_instance(name, retry_key=retry_key, now_ms=self.now_ms),
        )

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
            termination_reasons=st.sampled_from(
                ((), (TerminationReason.SLEEPING, TerminationReason.CRASHED), (TerminationReason.OUT_OF_MEMORY,))
            ),
            without_total=st.booleans(),
            image_ids=st.sampled_from((None, ("image",), ())),
            order_by=st.sampled_from(
                ("created_at_desc", "created_at_asc", "finished_at_desc", "finished_at_asc", "unknown")
            ),
            limit=st.integers(-1, 3),
            offset=st.integers(0, 2),
        )
    )
    def list(self, where: InstanceFilter) -> None:
        ended = MetricsRange("t", max(0, self.now_ms - 3_600_000), self.now_ms + 1)
        self.act("get_tenant_metrics", lambda storage: storage.get_tenant_metrics(ended))
        page = self.act("list_instances", lambda storage: storage.list_instances(where))
        if isinstance(page, InstancePage) and page.instances:
            behind = replace(where, after=InstanceKey.of(page.instances[0], where.order_by))
            self.act("list_instances", lambda storage: storage.list_instances(behind))

    @rule(
        data=st.data(),
        traces=st.lists(
            st.tuples(
                st.sampled_from(TRACE_SUBTYPES),
                st.sampled_from(
                    (
                        b'{"step_id": "a", "step_type": "Agent", "inputs": 1}',
                        b'{"step_id": "b", "step_type": "Split", "scope_id": "sc_b", "outputs": {"_error": true}}',
                        b'{"step_id": "c", "step_type": "Agent", "scope_id": "sc_b_0", "parent_scope_id": "sc_b"}',
                        b"{",
                    )
                ),
            ),
            max_size=3,
        ),
        where=st.builds(
            StepFilter,
            status=st.sampled_from((None, None, *StepStatus)),
            step_type=st.sampled_from((None, "Agent")),
            root_scopes_only=st.booleans(),
            descending=st.booleans(),
            limit=st.integers(-1, 3),
            offset=st.integers(0, 1),
        ),
        shown=st.builds(
            EventFilter,
            event_type=st.sampled_from((None, "custom", "started")),
            subtype=st.sampled_from((None, "note")),
            payload_contains=st.sampled_from((None, None, "A", "step")),
            scope_id=st.sampled_from((None, None, "sc_b")),
            root_scopes_only=st.booleans(),
            ascending=st.booleans(),
            limit=st.integers(0, 3),
            offset=st.integers(0, 2),
        ),
    )
    def trace_and_list(
        self, data: st.DataObject, traces: Sequence[tuple[str, bytes]], where: StepFilter, shown: EventFilter
    ) -> None:
        name, epoch = self.some(data)
        for subtype, payload in traces:
            event = InstanceEvent(EventType.CUSTOM, payload, subtype=subtype)
            self.act(
                "report_event",
                lambda storage, event=event: storage.report_event(name, epoch, event, now_ms=self.now_ms),
            )
        self.act("list_events", lambda storage: storage.list_events(name, shown))
        self.act("list_step_summaries", lambda storage: storage.list_step_summaries(name, where))
        self.act("get_scope_ancestors", lambda storage: storage.get_scope_ancestors(name, "sc_b_0"))
