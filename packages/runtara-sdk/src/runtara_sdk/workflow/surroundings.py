"""What a run meets outside of itself: time, capabilities, and the scenarios that it embeds.

A program that runs for real has these; a trial of a scenario stands in for some of them.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from runtara_sdk.clock import Clock, SystemClock

if TYPE_CHECKING:
    from runtara_sdk.agents import AgentDefinition, CapabilityContext
    from runtara_sdk.agents.workspace import Workspace
    from runtara_sdk.instance_settings import InstanceSettings
    from runtara_sdk.settings import EnvironmentReader
    from runtara_sdk.workflow.connection_cache import ConnectionCache
    from runtara_sdk.workflow.connections import ConnectionRequest


@dataclass(frozen=True, slots=True)
class CapabilityCall:
    """One call of a capability that a step is about to make; `is_recorded` says whether its result will be kept."""

    agent: AgentDefinition
    agent_id: str
    capability_id: str
    step_id: str
    inputs: Mapping[str, Any]
    context: CapabilityContext
    is_recorded: bool = True


@dataclass(frozen=True, slots=True)
class ChildCall:
    """One run of a child scenario that a step is about to make.

    Attributes:
        child_id: scenario id of the child.
        step_id: the step that starts it.
        base: what the checkpoint keys of the child begin with.
        run: runs it; raises `StepFailedError`.
    """

    child_id: str
    step_id: str
    base: str
    run: Callable[[], Awaitable[Any]]


class Surroundings:
    """The surroundings of a program that runs for real."""

    stops_at_breakpoints: ClassVar[bool] = True
    """Whether somebody is there to resume an instance that stops in debug mode."""

    def __init__(self, clock: Clock | None = None) -> None:
        self.clock = clock or SystemClock()
        self._connections: ConnectionCache | None = None
        self._start: tuple[EnvironmentReader, InstanceSettings] | None = None
        self._workspace: Workspace | None = None

    def begin(self, reader: EnvironmentReader, settings: InstanceSettings) -> None:
        """Hear of the variables and settings of the program, before the run begins."""
        self._start = reader, settings

    def workspace(self) -> Workspace | None:
        """The files of the instance; None where there is no place for them."""
        if self._workspace is None and self._start is not None:
            from runtara_sdk.workflow.instance_workspace import workspace_of  # most workflows have no files

            self._workspace = workspace_of(*self._start)
        return self._workspace

    def waiting(self) -> AbstractContextManager[None]:
        """What surrounds a durable wait of a capability: meanwhile it is not at work."""
        return nullcontext()

    def complain(self, message: str) -> None:
        """Tell people on standard error why the run failed."""
        with suppress(OSError):  # a full disk takes the message, and must not take the report of the end with it
            print(f"error: {' '.join(message.splitlines())}", file=sys.stderr)  # noqa: T201

    def finished(self, output: bytes) -> None:
        """Hear of the result, once it is stored."""

    def interrupted(self, reason: str, *, goes_on: bool) -> None:
        """Hear that the run has stopped before its end, why, and whether another start goes on with it."""

    async def invoke(self, call: CapabilityCall) -> Any:
        """The JSON result of a capability; raises `AgentError`."""
        return await call.agent.invoke(call.capability_id, call.inputs, call.context)

    async def connection(self, request: ConnectionRequest) -> dict[str, Any]:
        """What the connection service says of a connection; raises `StepFailedError`."""
        if self._connections is None:
            # Most workflows need none of this.
            from runtara_sdk.settings import EnvironmentReader
            from runtara_sdk.workflow.connection_cache import DEFAULT_TTL_MS, ConnectionCache
            from runtara_sdk.workflow.connection_client import fetch_connection

            ttl_ms = EnvironmentReader().integer("RUNTARA_CONNECTION_TTL_MS", DEFAULT_TTL_MS, maximum=86_400_000)
            self._connections = ConnectionCache(fetch_connection, self.clock, ttl_ms=ttl_ms)
        return await self._connections.get(request)

    def forget_connection(self, request: ConnectionRequest) -> bool:
        """Hear that credentials were refused; returns whether another fetch may give other ones."""
        return self._connections is not None and self._connections.forget(request)

    async def run_child(self, call: ChildCall) -> Any:
        """The result of a child; raises `StepFailedError`."""
        return await call.run()
