"""The door between an instance and the store of its durable state.

`CoreBackend` (in `runtara_sdk.core_backend`) speaks to a core daemon. Other packages contribute backends through the
entry-point group `runtara.backends`: each entry is an async callable
`connect(database_url: str, instance_id: str, tenant_id: str) -> InstanceBackend`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from runtara_sdk.models import (
    ALONE,
    CallProgress,
    CheckpointResult,
    InstanceEvent,
    NewCheckpoint,
    Registration,
    RetryAttempt,
    Signal,
    SignalPoll,
    SignalWait,
    SleepOutcome,
    StatusReport,
    WaitsBeside,
)


class InstanceBackend(ABC):
    """Durable operations of one instance. Every method is idempotent and may raise any `RuntaraError`.

    A call of a process that a newer launch has replaced raises `StaleEpochError`.
    """

    @property
    @abstractmethod
    def can_suspend(self) -> bool:
        """Whether somebody starts the program again after it exits in a long sleep."""

    @abstractmethod
    async def connect(self) -> None:
        """Reach the store. Calling again on a live connection does nothing."""

    @abstractmethod
    async def close(self) -> None:
        """Release the connection. Calling again does nothing."""

    @abstractmethod
    async def register(self, checkpoint_id: str | None) -> Registration:
        """Announce this process as the one that advances the instance; creates it when unknown."""

    @abstractmethod
    async def checkpoint(self, checkpoint_id: str, state: bytes, *, call_key: bytes = b"") -> CheckpointResult:
        """Store `state` under `checkpoint_id` unless something is stored there; the stored state wins.

        A call that is made again with the same `call_key` (at most 64 bytes) is answered as the first time.
        """

    @abstractmethod
    async def checkpoints(self, new: Sequence[NewCheckpoint]) -> list[CheckpointResult]:
        """As many calls of `checkpoint` one after the other, all or nothing: 1 to `MAX_CHECKPOINTS` of them.

        One that is refused lets all be refused; the error names its place. Raises `AnswerTooLargeError` when what was
        found is more than one answer may hold: then each is to be asked for alone, with its call key.
        """

    @abstractmethod
    async def get_checkpoint(self, checkpoint_id: str) -> bytes | None:
        """The stored state, or None. Never writes."""

    @abstractmethod
    async def get_progress(self, checkpoint_id: str) -> CallProgress:
        """The stored state or, without one, the attempt that comes next, in one round trip. Never writes."""

    @abstractmethod
    async def sleep(
        self, checkpoint_id: str, duration_ms: int, state: bytes, *, suspend_above_ms: int | None
    ) -> SleepOutcome:
        """Sleep durably under `checkpoint_id`; the deadline is fixed by the first call.

        Suspends the instance when more than `suspend_above_ms` remain and `can_suspend` is true; never with None, as in
        the other waits.
        """

    @abstractmethod
    async def report_event(self, event: InstanceEvent) -> None:
        """Record an event; completed, failed and suspended also change the state of the instance."""

    @abstractmethod
    async def poll_signals(
        self, checkpoint_id: str | None, *, wait_ms: int = 0, known_signal_id: int = 0
    ) -> SignalPoll:
        """The most urgent pending signal, and the custom signal for `checkpoint_id` when given.

        With `wait_ms` the answer may be held back for so long, as long as the most urgent signal is the one of
        `known_signal_id` (0: none), the custom signal is not there, and the instance has not ended.
        """

    @abstractmethod
    async def acknowledge_signal(self, signal: Signal) -> None:
        """Say that the signal was obeyed; cancel, pause and shutdown change the state of the instance."""

    @abstractmethod
    async def record_retry_attempt(
        self, checkpoint_id: str, attempt: RetryAttempt, *, suspend_above_ms: int | None
    ) -> SleepOutcome:
        """Record that an attempt is about to run, and when; the first record of its number decides.

        Suspends the instance when more than `suspend_above_ms` remain until then and `can_suspend` is true.
        """

    @abstractmethod
    async def wait_signal(
        self,
        checkpoint_id: str,
        timeout_ms: int | None,
        *,
        suspend_above_ms: int | None,
        beside: WaitsBeside = ALONE,
    ) -> SignalWait:
        """Wait for the custom signal `checkpoint_id`; the deadline is fixed by the first call with a timeout.

        The payload that is found becomes the state of that checkpoint. Suspends the instance when more than
        `suspend_above_ms` remain, or no deadline is set, and `can_suspend` is true; `beside` names what else the
        instance then waits for.
        """

    @abstractmethod
    async def get_instance_status(self, instance_id: str) -> StatusReport:
        """Status of an instance of the same tenant."""
