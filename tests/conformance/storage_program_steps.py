"""Steps that instances take themselves: register, checkpoint, sleep, wait, report, acknowledge."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import rule
from runtara_core.storage import Storage
from runtara_sdk.models import EventType, InstanceEvent, InstanceStatus, SignalType, WaitsBeside

from .storage_steps import CHECKPOINTS, OWN, StorageSteps, payloads

checkpoint_ids = st.sampled_from(CHECKPOINTS)
durations = st.sampled_from((0, 90, 700, -1))
thresholds = st.sampled_from((None, 0, 200))


class ProgramSteps(StorageSteps):
    """Steps of the programs that are the instances."""

    def program(self, data: st.DataObject) -> tuple[str, int | None]:
        """An instance and the epoch that its process believes in."""
        name, epoch = self.some(data, InstanceStatus.RUNNING)
        believed = data.draw(st.sampled_from([*[epoch] * 10, epoch - 1, None]), label="epoch")
        return name, believed

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
        beside_ms=st.sampled_from((None, None, 0, 200)),
        others=st.lists(checkpoint_ids, max_size=2),
    )
    def wait_signal(
        self,
        data: st.DataObject,
        checkpoint_id: str,
        timeout_ms: int | None,
        suspend_above_ms: int | None,
        beside_ms: int | None,
        others: list[str],
    ) -> None:
        beside = WaitsBeside(None if beside_ms is None else self.now_ms + beside_ms, tuple(others))
        name, epoch = self.program(data)
        self.act(
            "wait_signal",
            lambda storage: storage.wait_signal(
                name,
                epoch,
                checkpoint_id,
                timeout_ms=timeout_ms,
                suspend_above_ms=suspend_above_ms,
                beside=beside,
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
