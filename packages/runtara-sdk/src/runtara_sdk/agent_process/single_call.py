"""One call of a capability outside a workflow, to try it: as a step calls it, without retries and records."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runtara_sdk.agents.context import CapabilityContext
from runtara_sdk.agents.definition import AgentDefinition
from runtara_sdk.agents.errors import AgentError
from runtara_sdk.agents.workspace import Workspace
from runtara_sdk.clock import SystemClock
from runtara_sdk.errors import InstanceInterrupted

CAPABILITY_EXITED = "CAPABILITY_EXITED"
"""The capability tried to end the process, or spoke as if it were the run time of an instance."""

_CLOSE_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class CallOutcome:
    """What came of a call.

    Attributes:
        execution_time_ms: how long it took.
        output: the result, a JSON value; None when it failed.
        error: the structured error `{code, message, category, severity, ...}` when it failed.
    """

    execution_time_ms: int
    output: Any = None
    error: Mapping[str, Any] | None = None

    @property
    def success(self) -> bool:
        """Whether there is a result."""
        return self.error is None

    def to_json(self) -> dict[str, Any]:
        """`{success, output or error, execution_time_ms}`."""
        told = {"output": self.output} if self.error is None else {"error": dict(self.error)}
        return {"success": self.success, **told, "execution_time_ms": self.execution_time_ms}


async def call_once(
    agent: AgentDefinition,
    capability_id: str,
    inputs: Mapping[str, Any],
    *,
    timeout_ms: int,
    workspace: Workspace | None = None,
) -> CallOutcome:
    """Call a capability once, really and with all that it does. Every failure is an outcome.

    Args:
        agent: the agent; it is closed afterwards.
        capability_id: id or alias.
        inputs: JSON object, with `_connection` where there is a connection.
        timeout_ms: bound of the call.
        workspace: its files; None gives it a directory that is removed afterwards.
    """
    with tempfile.TemporaryDirectory(prefix="runtara-agents-test-", ignore_cleanup_errors=True) as temporary:
        context = CapabilityContext(
            step_id="test",
            idempotency_key=Path(temporary).name,
            deadline_ms=SystemClock().now_ms() + timeout_ms,
            workspace=workspace or Workspace(Path(temporary)),
        )
        began = time.perf_counter()
        output: Any = None
        failure: AgentError | None = None
        try:
            output = await agent.invoke(capability_id, inputs, context)
        except AgentError as error:
            failure = error
        except SystemExit as error:
            text = f"{agent.id}:{capability_id} called sys.exit({error.code!r}): a capability returns or raises"
            failure = AgentError.permanent(CAPABILITY_EXITED, text)
        except InstanceInterrupted as error:
            text = f"{agent.id}:{capability_id} raised {type(error).__name__}, which the run time alone may raise"
            failure = AgentError.permanent(CAPABILITY_EXITED, text)
        finally:
            took_ms = round((time.perf_counter() - began) * 1000)
            with contextlib.suppress(Exception):  # the outcome counts; what is not released ends with the process
                async with asyncio.timeout(_CLOSE_SECONDS):
                    await agent.close()
        return CallOutcome(took_ms, output, None if failure is None else failure.to_json())
