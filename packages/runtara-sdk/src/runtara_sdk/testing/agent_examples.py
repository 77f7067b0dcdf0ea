"""Examples and connections of an agent: what the conformance suite checks of them."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from typing import Any

from runtara_sdk.agents import AgentError, Capability, EffectClass, Example
from runtara_sdk.agents.errors import TIMEOUT
from runtara_sdk.agents.inputs import decode_inputs
from runtara_sdk.clock import SystemClock
from runtara_sdk.testing.agent_calls import SECRET, AgentCalls, require

_PARTS_OF_SECRET = (SECRET[:12], SECRET[-12:], base64.b64encode(SECRET.encode()).decode()[4:16])


class AgentExampleCases(AgentCalls):
    """What every agent owes those who learn from its examples."""

    def test_every_capability_has_an_example(self) -> None:
        """What is declared shows how to call it; of a pure capability it tells the result, too."""
        for capability in self.agent.capabilities:
            require(bool(capability.examples), f"{capability.id} declares no example: @capability(examples=[...])")
            for example in capability.examples:
                unknown = [name for name in example.inputs if capability.input_field(name) is None]
                require(not unknown, f"{capability.id}: its example has the unknown input {', '.join(unknown)}")
                decode_inputs(capability.id, capability, example.inputs)
            if capability.effect is EffectClass.PURE and capability.deterministic:
                told = any(example.output is not ... or example.needs for example in capability.examples)
                require(told, f"{capability.id}: no example tells what comes out: Example(inputs, output)")

    def test_declared_examples_give_what_they_say(self) -> None:
        """Every declared example that needs nothing else succeeds, and gives the output that it tells."""
        for capability in self.agent.capabilities:
            for example in capability.examples:
                if example.needs:
                    continue
                given = json.loads(json.dumps(self._run_example(capability, example), allow_nan=False))
                if example.output is not ...:
                    expected = json.loads(json.dumps(example.output))
                    require(given == expected, f"{capability.id}: the example says {expected!r}, the call {given!r}")

    def test_secrets_of_a_connection_are_taken_out_of_errors(self) -> None:
        """No error of a call with a connection shows what is secret in it."""
        for capability in self.agent.capabilities:
            for declared in self.agent.connection_types:
                parameters: dict[str, Any] = {field.name: field.placeholder or "x" for field in declared.fields}
                parameters |= {field.name: SECRET for field in declared.fields if field.secret}
                connection = {"integration_id": declared.integration_id, "parameters": parameters}
                for inputs in ({}, {"url": f"http://{SECRET}", "path": SECRET}):
                    error = self._failure(capability.id, {**inputs, "_connection": connection})
                    if error is not None:
                        shown = json.dumps(error.to_json())
                        leaked = any(part in shown for part in _PARTS_OF_SECRET)
                        require(not leaked, f"{capability.id}: {error.code} shows a secret, or a part of one")

    def test_a_call_ends_at_its_deadline(self) -> None:
        """A call whose time is over ends at once, with its result or the transient error TIMEOUT."""
        for capability in self.agent.capabilities:
            for example in capability.examples[:1]:

                async def late(capability: Capability = capability, example: Example = example) -> AgentError | None:
                    with self._surroundings(example) as context:
                        context = replace(context, deadline_ms=SystemClock().now_ms() + 1)
                        try:
                            await self.agent.invoke(capability.id, example.inputs, context)
                        except AgentError as failure:
                            return failure
                        return None

                if example.needs:
                    continue
                error = self._run(late)
                expected = error is None or (error.code == TIMEOUT and error.retryable)
                require(expected, f"{capability.id}: a call without time left ended with {error}")
