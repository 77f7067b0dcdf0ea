"""How the conformance suite calls an agent."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from runtara_sdk.agents import AgentDefinition, AgentError, Capability, CapabilityContext, Example
from runtara_sdk.agents.workspace import Workspace
from runtara_sdk.clock import SystemClock

CALL_SECONDS = 20.0

SECRET = "hunter2-must-not-be-shown"

Value = TypeVar("Value")


class AgentCalls:
    """Calls capabilities as a step does, each on an event loop of its own.

    Attributes:
        agent: the definition under test.
    """

    agent: ClassVar[AgentDefinition]

    def _failure(self, capability_id: str, inputs: Any) -> AgentError | None:
        try:
            self._call(capability_id, inputs)
        except AgentError as error:
            return error
        return None

    def _call(self, capability_id: str, inputs: Any) -> Any:
        async def call() -> Any:
            with self._surroundings() as context:
                return await self.agent.invoke(capability_id, inputs, context)

        return self._run(call)

    def _run(self, operation: Callable[[], Awaitable[Value]]) -> Value:
        async def bounded() -> Value:
            try:
                return await asyncio.wait_for(operation(), 2 * CALL_SECONDS)
            except TimeoutError:
                raise AssertionError(f"a call ran longer than {2 * CALL_SECONDS:.0f} s") from None
            finally:
                await self.agent.close()

        return asyncio.run(bounded())

    def _run_example(self, capability: Capability, example: Example) -> Any:
        async def call() -> Any:
            with self._surroundings(example) as context:
                return await self.agent.invoke(capability.id, example.inputs, context)

        return self._run(call)

    @contextmanager
    def _surroundings(self, example: Example | None = None) -> Iterator[CapabilityContext]:
        """A context with a workspace that holds the files of the example."""
        # A thread whose call was given up may still be writing.
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as directory:
            workspace = Workspace(Path(directory))
            for name, text in (example.files if example is not None else {}).items():
                with workspace.create(name) as file:
                    file.write(text.encode())
                    file.commit()
            deadline_ms = SystemClock().now_ms() + int(CALL_SECONDS * 1000)
            yield CapabilityContext(
                instance_id="conformance", step_id="conformance", deadline_ms=deadline_ms, workspace=workspace
            )


def require(condition: bool, message: str) -> None:
    """Fail the test with `message` unless the condition holds."""
    if not condition:
        raise AssertionError(message)
