"""What a capability may know about the step that called it."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from runtara_sdk.agents.durable import DurableParts
from runtara_sdk.agents.errors import TIMEOUT, AgentError
from runtara_sdk.agents.secrets import Secrets
from runtara_sdk.clock import Clock, SystemClock

if TYPE_CHECKING:
    from runtara_sdk.agents.workspace import Workspace

_LOGGER = logging.getLogger("runtara.agents")
_WAITING = threading.Lock()


class Cancellation:
    """Tells a synchronous capability, which runs on a thread, that nobody waits for its result any more."""

    def __init__(self) -> None:
        self._requested = False
        self._event: threading.Event | None = None  # made by the first that waits: most calls have none

    @property
    def requested(self) -> bool:
        """Whether the call was cancelled or ran out of time."""
        return self._requested

    def request(self) -> None:
        """Ask the capability to stop."""
        with _WAITING:
            self._requested = True
            event = self._event
        if event is not None:
            event.set()

    def wait(self, seconds: float) -> bool:
        """Block the calling thread for at most `seconds`; true as soon as cancellation is requested."""
        with _WAITING:
            if self._requested:
                return True
            self._event = event = self._event or threading.Event()
        return event.wait(seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class CapabilityContext:
    """Handed to a capability that declares a parameter of this type.

    Attributes:
        instance_id: the running instance; empty outside a workflow.
        step_id: the step of the scenario; empty outside a workflow.
        idempotency_key: the same for every attempt of one execution of one step; None outside a workflow.
        deadline_ms: when the call must be over, in milliseconds since the Unix epoch; None for no limit.
        logger: where the capability logs. Never log secrets.
        cancellation: for synchronous capabilities; asynchronous ones are cancelled by asyncio.
        clock: the source of time for `deadline_ms`.
        workspace: files of the instance; None where the program has none. `require_workspace` is what most want.
        durable: parts of the work and waits that outlive the process. For asynchronous capabilities.
        secrets: values that are taken out of errors, log lines and results of the call.
    """

    instance_id: str = ""
    step_id: str = ""
    idempotency_key: str | None = None
    deadline_ms: int | None = None
    logger: logging.Logger = _LOGGER
    cancellation: Cancellation = field(default_factory=Cancellation)
    clock: Clock = field(default_factory=SystemClock)
    workspace: Workspace | None = None
    durable: DurableParts = field(default_factory=DurableParts)
    secrets: Secrets = field(default_factory=Secrets)

    def require_workspace(self) -> Workspace:
        """The files of the instance; raises the permanent error WORKSPACE_UNAVAILABLE where there are none."""
        if self.workspace is None:
            from runtara_sdk.agents.workspace import unavailable  # most capabilities work without files

            raise unavailable()
        return self.workspace

    def remaining_ms(self) -> int | None:
        """Milliseconds until the deadline, never negative; None when there is no deadline."""
        if self.deadline_ms is None:
            return None
        return max(0, self.deadline_ms - self.clock.now_ms())

    def check(self) -> None:
        """Raise the transient error TIMEOUT when the call was cancelled or its deadline has passed."""
        if self.cancellation.requested or self.remaining_ms() == 0:
            raise AgentError.transient(TIMEOUT, "the call was cancelled or ran out of time")
