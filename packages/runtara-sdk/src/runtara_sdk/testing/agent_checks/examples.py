"""The examples of an agent."""

from __future__ import annotations

import json
from typing import Any

from runtara_sdk.agents import AgentError, Capability, EffectClass, Example
from runtara_sdk.agents.inputs import decode_inputs
from runtara_sdk.testing.agent_checks.calls import AgentCalls
from runtara_sdk.testing.agent_checks.findings import Findings, findings


class AgentExampleCases(AgentCalls):
    """What every agent owes those who learn from its examples."""

    def test_every_capability_has_an_example(self) -> None:
        """What is declared shows how to call it; of a pure capability it tells the result, too."""
        with findings() as found:
            for capability in self.agent.capabilities:
                found.require(
                    bool(capability.examples), f"{capability.id} declares no example: @capability(examples=[...])"
                )
                for example in capability.examples:
                    _check_inputs(found, capability, example)
                if capability.examples and capability.effect is EffectClass.PURE and capability.deterministic:
                    told = any(example.output is not ... or example.needs for example in capability.examples)
                    found.require(told, f"{capability.id}: no example tells what comes out: Example(inputs, output)")

    def test_declared_examples_give_what_they_say(self) -> None:
        """Every declared example that can be called succeeds, and gives the output that it tells."""
        with findings() as found:
            for capability in self.agent.capabilities:
                for example in capability.examples:
                    with self._callable(capability, example) as call:
                        if call is None:
                            continue
                        given = self._result(found, capability, call.inputs, example)
                    if given is not ... and example.output is not ... and call.inputs == example.inputs:
                        expected = json.loads(json.dumps(example.output))
                        found.require(
                            given == expected, f"{capability.id}: the example says {expected!r}, the call {given!r}"
                        )

    def test_examples_succeed(self) -> None:
        """The inputs that the suite's `examples` name give a JSON value."""
        with findings() as found:
            for capability_id, inputs in self.examples.items():
                capability = self.agent.find_capability(capability_id)
                if capability is None:
                    found.add(f"the suite's examples name {capability_id}, which is no capability of this agent")
                else:
                    self._result(found, capability, inputs, None)

    def _result(self, found: Findings, capability: Capability, inputs: Any, example: Example | None) -> Any:
        """The JSON value of a call, or `...` where it fails."""
        outcome = self._attempt(capability.id, inputs, example=example)
        if outcome.failure is not None:
            found.add(f"{capability.id}: its example fails with {outcome.failure}")
            return ...
        return json.loads(json.dumps(outcome.value))


def _check_inputs(found: Findings, capability: Capability, example: Example) -> None:
    unknown = [name for name in example.inputs if capability.input_field(name) is None]
    found.require(not unknown, f"{capability.id}: its example has the unknown input {', '.join(unknown)}")
    try:
        decode_inputs(capability.id, capability, example.inputs)
    except AgentError as error:
        found.add(f"{capability.id}: its example is refused: {error.message}")
