"""How the conformance suite calls an agent."""

from __future__ import annotations

import asyncio
import copy
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from runtara_sdk.agents import AgentDefinition, AgentError, Capability, CapabilityContext, Example
from runtara_sdk.agents.workspace import Workspace
from runtara_sdk.clock import SystemClock
from runtara_sdk.testing.agent_checks.leftovers import Leftovers
from runtara_sdk.testing.agent_checks.parts import RememberedParts

CALL_SECONDS = 20.0
"""The time that every call has, unless a check gives it less."""

SECRET = "hunter2-must-not-be-shown"
IDEMPOTENCY_KEY = "conformance-1"

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class ProvidedCall:
    """A call that can really be made here.

    Attributes:
        inputs: of the call, `_connection` included where the capability takes one.
        effects: what the outside world shows of the calls that were made, as a JSON value: compared before and after a
            call that must not do anything a second time.
    """

    inputs: Mapping[str, Any]
    effects: Callable[[], Any] = lambda: None


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a call ended: with a value, with an error, or with something that should not have come out.

    Attributes:
        value: JSON value of the result.
        error: the error of the agent.
        escaped: what was raised instead of an `AgentError`, as a text.
        seconds: how long it took.
    """

    value: Any = None
    error: AgentError | None = None
    escaped: str | None = None
    seconds: float = 0.0

    @property
    def failure(self) -> str | None:
        """How it failed; None for a result."""
        return self.escaped if self.error is None else str(self.error)


class AgentCalls:
    """Calls capabilities as a step does, each on an event loop of its own.

    Attributes:
        agent: the definition under test.
        examples: inputs by capability id that succeed without network or daemons, beside the declared examples.
        grace_seconds: how long a call may take to end once its time is over or it is cancelled, with all that it
            started.
    """

    agent: ClassVar[AgentDefinition]
    examples: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    grace_seconds: ClassVar[float] = 5.0

    def provided(self, capability: Capability, example: Example) -> AbstractContextManager[ProvidedCall | None]:
        """Make a declared example that `needs` something callable, while the context lasts. Override it.

            @contextmanager
            def provided(self, capability, example):
                with running_service() as service:
                    parameters = {"base_url": service.url, "token": "top-secret"}
                    connection = {"integration_id": "shop", "parameters": parameters}
                    yield ProvidedCall({**example.inputs, "_connection": connection}, lambda: service.orders)

        Without it, such examples are read but not called.
        """
        return nullcontext(None)

    def _examples(self, capability: Capability) -> Iterator[Example]:
        """The declared examples, and what the suite's `examples` add."""
        yield from capability.examples
        if capability.id in self.examples:
            yield Example(inputs=self.examples[capability.id])

    @contextmanager
    def _callable(self, capability: Capability, example: Example) -> Iterator[ProvidedCall | None]:
        """What to call for an example; None where it needs something that nobody provides."""
        if not example.needs:
            yield ProvidedCall(example.inputs)
            return
        with self.provided(capability, example) as call:
            yield call

    def _calls(self) -> Iterator[tuple[Capability, Example, ProvidedCall]]:
        """Every call that can be made here. What is provided for it lasts until the next one is asked for."""
        for capability in self.agent.capabilities:
            for example in self._examples(capability):
                with self._callable(capability, example) as call:
                    if call is not None:
                        yield capability, example, call

    def _failure(self, capability_id: str, inputs: Any) -> AgentError | None:
        return self._attempt(capability_id, inputs).error

    def _attempt(
        self,
        capability_id: str,
        inputs: Any,
        *,
        example: Example | None = None,
        context: CapabilityContext | None = None,
    ) -> Outcome:
        """Make one call, in the surroundings of the example unless a context is given."""

        async def call() -> Any:
            given = copy.deepcopy(inputs)
            if context is not None:
                return await self.agent.invoke(capability_id, given, context)
            with self._surroundings(example) as own:
                return await self.agent.invoke(capability_id, given, own)

        began = time.monotonic()
        try:
            return Outcome(self._run(call), seconds=time.monotonic() - began)
        except AgentError as error:
            return Outcome(error=error, seconds=time.monotonic() - began)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - whatever comes out is what the check is about
            text = str(error) if isinstance(error, EndlessCallError) else f"{type(error).__name__}: {error}"
            return Outcome(escaped=text, seconds=time.monotonic() - began)

    def _run(self, operation: Callable[[], Awaitable[Value]]) -> Value:
        """The result of an asynchronous operation on an event loop of its own, which ends in any case."""
        limit_seconds = CALL_SECONDS + 2 * self.grace_seconds

        async def closing() -> Value:
            try:
                return await operation()
            finally:
                await self.agent.close()

        outcome: list[Value] = []
        failure: list[BaseException] = []

        def run() -> None:
            try:
                outcome.append(asyncio.run(closing()))
            except BaseException as error:  # noqa: BLE001 - raised again where the test runs
                failure.append(error)

        # On a thread, since nothing else ends a call that holds its event loop.
        thread = threading.Thread(target=run, name="conformance", daemon=True)
        thread.start()
        thread.join(limit_seconds)
        if thread.is_alive():
            raise EndlessCallError(
                f"a call did not end within {limit_seconds:.0f} s, though it had {CALL_SECONDS:.0f} s"
            )
        if failure:
            raise failure[0]
        return outcome[0]

    @contextmanager
    def _surroundings(
        self, example: Example | None = None, *, deadline_ms: int | None = None
    ) -> Iterator[CapabilityContext]:
        """A context with a workspace that holds the files of the example."""
        # A thread whose call was given up may still be writing.
        with tempfile.TemporaryDirectory(prefix="runtara-conformance-", ignore_cleanup_errors=True) as directory:
            workspace = Workspace(Path(directory))
            for name, text in (example.files if example is not None else {}).items():
                with workspace.create(name) as file:
                    file.write(text.encode())
                    file.commit()
            if deadline_ms is None:
                deadline_ms = SystemClock().now_ms() + int(CALL_SECONDS * 1000)
            yield CapabilityContext(
                instance_id="conformance",
                step_id="conformance",
                idempotency_key=IDEMPOTENCY_KEY,
                deadline_ms=deadline_ms,
                workspace=workspace,
                durable=RememberedParts(),
            )

    def _leftovers(self) -> Leftovers:
        """Begin to watch what a call leaves behind."""
        return Leftovers(self.grace_seconds)


class EndlessCallError(AssertionError):
    """A call did not end."""
