"""What the durable calls of one instance share; for the modules of this package, not for programs.

`RuntaraSdk` shows what a program needs, and is made on top of this. What `@durable`, steps and compiled workflows need
beside it is here, and `calls_of` is the way to it.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence
from types import CodeType
from typing import TYPE_CHECKING, Protocol, TypeVar
from weakref import WeakValueDictionary

from runtara_sdk.backend import InstanceBackend
from runtara_sdk.clock import Clock
from runtara_sdk.durable_waits import DurableWaits
from runtara_sdk.errors import ConfigurationError, InvalidInputError
from runtara_sdk.gathered_checkpoints import GatheredCheckpoints
from runtara_sdk.interruption import InterruptionWatch
from runtara_sdk.models import (
    MAX_CHECKPOINTS,
    CallProgress,
    CheckpointResult,
    NewCheckpoint,
    Registration,
    RetryAttempt,
)
from runtara_sdk.seen_keys import SeenKeys
from runtara_sdk.signal_polls import StoreCall
from runtara_sdk.under_way import OperationsUnderWay

if TYPE_CHECKING:
    from runtara_sdk.instance_settings import InstanceSettings

Result = TypeVar("Result")


class HasInstanceCalls(Protocol):
    """What `RuntaraSdk` is to the modules below it."""

    @property
    def _calls(self) -> InstanceCalls: ...


def calls_of(sdk: HasInstanceCalls) -> InstanceCalls:
    """The shared state of an SDK's durable calls."""
    return sdk._calls  # noqa: SLF001 - the one door for the modules of this package


class InstanceCalls:
    """The durable calls of one instance in this process.

    Attributes:
        settings: of the instance.
        under_way: which of them, and which waits, are under way.
    """

    def __init__(
        self,
        settings: InstanceSettings,
        *,
        store: Callable[[], InstanceBackend],
        ask: StoreCall,
        watch: InterruptionWatch,
        waits: DurableWaits,
        under_way: OperationsUnderWay,
        clock: Clock,
    ) -> None:
        self.settings = settings
        self.under_way = under_way
        self._store = store
        self._ask = ask
        self._watch = watch
        self._waits = waits
        self._clock = clock
        self._functions: dict[str, CodeType | None] = {}
        self._gathered = GatheredCheckpoints(store)
        self._recorded: SeenKeys | None = None
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def begin(self, registration: Registration) -> None:
        """Hear of the registration: in a new instance nothing is found that this process has not recorded."""
        self._recorded = SeenKeys() if registration.is_new else None

    def end(self) -> None:
        """Hear that the connection is about to be closed."""
        self._gathered.close()

    def about_to_record(self, checkpoint_id: str) -> None:
        """Hear that something will be recorded under a checkpoint id."""
        if self._recorded is not None:
            self._recorded.add(checkpoint_id)

    def turn(self, checkpoint_id: str) -> asyncio.Lock:
        """Held by the call that is under way for a checkpoint id, so that a second one finds its record."""
        lock = self._turns.get(checkpoint_id)
        if lock is None:
            lock = self._turns[checkpoint_id] = asyncio.Lock()
        return lock

    def require_one_function(self, name: str, code: CodeType | None) -> None:
        """Refuse a second function under a name that durable calls are found by: it would be given the first's results.

        Raises `ConfigurationError`.
        """
        if self._functions.setdefault(name, code) != code:
            raise ConfigurationError(f"@durable {name}: two functions have this name: rename one, or give both key=")

    async def checkpoint(self, checkpoint_id: str, state: bytes = b"") -> CheckpointResult:
        """As `RuntaraSdk.checkpoint`."""
        (result,) = await self._checkpoints([NewCheckpoint(checkpoint_id, state, os.urandom(16))])
        return result

    async def checkpoints(self, checkpoints: Sequence[tuple[str, bytes]]) -> list[CheckpointResult]:
        """As `RuntaraSdk.checkpoints`."""
        if len(checkpoints) > MAX_CHECKPOINTS:
            raise InvalidInputError(
                f"{len(checkpoints)} checkpoints are more than {MAX_CHECKPOINTS}: store them in several calls"
            )
        if not checkpoints:
            return []
        return await self._checkpoints(
            [NewCheckpoint(checkpoint_id, state, os.urandom(16)) for checkpoint_id, state in checkpoints]
        )

    async def _checkpoints(self, new: Sequence[NewCheckpoint]) -> list[CheckpointResult]:
        for each in new:
            self.about_to_record(each.checkpoint_id)
        results = await self._ask(self._gathered.store(new))
        self._watch.observe(results[-1].pending_signal)
        return results

    async def progress(self, checkpoint_id: str) -> CallProgress:
        """The stored state or, without one, the retry attempt that comes next; never writes."""
        if self._recorded is not None and not self._recorded.add(checkpoint_id):
            return CallProgress()
        return await self._ask(self._store().get_progress(checkpoint_id))

    async def state_of(self, checkpoint_id: str) -> bytes | None:
        """As `RuntaraSdk.get_checkpoint`, for ids that only this program records under."""
        if self._recorded is not None and not self._recorded.add(checkpoint_id):
            return None
        return await self._ask(self._store().get_checkpoint(checkpoint_id))

    async def wait_before_attempt(self, checkpoint_id: str, attempt: RetryAttempt) -> None:
        """Record an attempt, and return when it may run; what was recorded first for its number decides.

        Waits as `RuntaraSdk.durable_sleep` does: in process, or by suspending the instance.
        """
        await self._waits.before_attempt(checkpoint_id, attempt)

    async def run_interruptible(self, awaitable: Awaitable[Result]) -> Result:
        """As `RuntaraSdk.run_interruptible`."""
        return await self._watch.race(awaitable, suspension_too=False)

    async def pause(self, wait_ms: int) -> None:
        """Wait in process, not durably; a cancel, pause, shutdown or supersession ends the wait by raising."""
        await self._watch.race(self._clock.sleep(wait_ms / 1000), suspension_too=True)

    def raise_if_interrupted(self) -> None:
        """As `RuntaraSdk.check_signals`, for what is known already; asks nobody."""
        if (interruption := self._watch.interruption(suspension_too=True)) is not None:
            raise interruption
