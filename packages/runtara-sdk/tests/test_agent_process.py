"""One call of a capability outside a workflow, and the order that a daemon gives for it."""

from __future__ import annotations

import asyncio
import io
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from runtara_sdk.agent_process.messages import CallOrder
from runtara_sdk.agent_process.single_call import call_once
from runtara_sdk.agents import AgentDefinition, AgentError, CapabilityContext, capability
from runtara_sdk.agents.workspace import Workspace
from runtara_sdk.errors import InstanceCancelled


class Way(BaseModel):
    """How a call ends."""

    way: str = ""


@capability(id="end", description="Ends as it is told.")
async def end(inputs: Way, context: CapabilityContext) -> Any:
    if inputs.way == "exit":
        sys.exit(3)
    if inputs.way == "interrupt":
        raise InstanceCancelled
    if inputs.way == "fail":
        raise AgentError.transient("NO_ANSWER", "nobody is there")
    if inputs.way == "stay":
        await asyncio.sleep(60)
    return str(context.require_workspace().root)


@capability(id="leave", description="Leaves on a thread.")
def leave(inputs: Way) -> Any:
    sys.exit(inputs.way)


class Closing:
    """Notes that it was closed, which fails."""

    count = 0

    async def close(self) -> None:
        self.count += 1
        raise RuntimeError("it does not close")


def agent(closing: Closing | None = None) -> AgentDefinition:
    return AgentDefinition(id="ending", capabilities=[end, leave], close=closing.close if closing else None)


@pytest.mark.parametrize(
    ("capability_id", "inputs", "code"),
    [
        ("end", {"way": "exit"}, "CAPABILITY_EXITED"),
        ("leave", {"way": "exit"}, "CAPABILITY_EXITED"),
        ("end", {"way": "interrupt"}, "CAPABILITY_EXITED"),
        ("end", {"way": "fail"}, "NO_ANSWER"),
        ("end", {"way": "stay"}, "TIMEOUT"),
        ("end", {"way": []}, "INPUT_DESERIALIZATION_ERROR"),
        ("begin", {}, "UNKNOWN_CAPABILITY"),
    ],
)
async def test_every_failure_is_an_outcome(capability_id: str, inputs: dict[str, Any], code: str) -> None:
    closing = Closing()
    timeout_ms = 50 if inputs.get("way") == "stay" else 60_000
    outcome = await call_once(agent(closing), capability_id, inputs, timeout_ms=timeout_ms)
    assert (outcome.success, closing.count) == (False, 1)
    told = outcome.to_json()
    assert (told["success"], told["error"]["code"], "output" in told) == (False, code, False)


async def test_a_result_is_an_outcome(tmp_path: Path) -> None:
    outcome = await call_once(agent(), "end", {}, timeout_ms=60_000, workspace=Workspace(tmp_path))
    assert outcome.to_json() == {
        "success": True,
        "output": str(tmp_path),
        "execution_time_ms": outcome.execution_time_ms,
    }
    own = await call_once(agent(), "end", {}, timeout_ms=60_000)
    assert not Path(own.output).exists()


@pytest.mark.parametrize("connection", [None, b"", b'{"parameters": {"token": "\n"}}'])
def test_an_order_is_read_as_it_was_given(connection: bytes | None) -> None:
    order = CallOrder(
        "module", "attribute", "capability", 1_234, 99, b'{"price": 0.10,\n"text": "\xc3\xa4"}', connection
    )
    stream = io.BytesIO(order.encode() + b"what follows")
    assert CallOrder.read(stream) == order
    assert stream.read() == b"what follows"
    for cut in (0, 10, len(order.encode()) - 1):
        with pytest.raises((EOFError, ValueError)):
            CallOrder.read(io.BytesIO(order.encode()[:cut]))
