"""Inputs that nobody should give: missing ones, wrong ones and hostile ones."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from runtara_sdk.agents import Capability
from runtara_sdk.agents.errors import INPUT_DESERIALIZATION_ERROR, UNKNOWN_CAPABILITY
from runtara_sdk.testing.agent_checks.calls import SECRET, AgentCalls
from runtara_sdk.testing.agent_checks.findings import Findings, findings

_SHOWN_CHARACTERS = 30
_HOSTILE_VALUES: tuple[Any, ...] = (
    None,
    True,
    -1,
    10**400,
    float("nan"),
    float("inf"),
    "",
    "\x00",
    "\ud800",
    "../../etc/passwd",
    "{{ 7 * 7 }}",
    "\r\nX-Injected: 1",
    "x" * 100_000,
    [],
    {},
    [[[[[[[[]]]]]]]],
    {"": {"": None}},
    {"__class__": "object"},
)


class AgentInputCases(AgentCalls):
    """What every agent owes those who call it wrongly."""

    def test_unknown_capability_is_a_permanent_error(self) -> None:
        """A wrong id is refused for good: retrying cannot help."""
        with findings() as found:
            error = self._failure("no-such-capability", {})
            found.require(
                error is not None and error.code == UNKNOWN_CAPABILITY,
                f"a call of an unknown capability must be refused with {UNKNOWN_CAPABILITY}, but gives "
                f"{'a result' if error is None else error}",
            )
            found.require(error is None or not error.retryable, f"{UNKNOWN_CAPABILITY} must be a permanent error")

    def test_missing_inputs_are_named(self) -> None:
        """Leaving out a required input gives a permanent error that names it."""
        with findings() as found:
            for capability in self.agent.capabilities:
                required = [field.name for field in capability.fields if field.required]
                if not required:
                    continue
                outcome = self._attempt(capability.id, {})
                error = outcome.error
                if error is None or error.code != INPUT_DESERIALIZATION_ERROR:
                    found.add(
                        f"{capability.id} ran without its required inputs and gave {outcome.failure or 'a result'}: "
                        "its model must refuse them"
                    )
                    continue
                found.require(not error.retryable, f"{capability.id}: missing inputs must be a permanent error")
                found.require(
                    required[0] in error.message,
                    f"{capability.id}: the error must name {required[0]}, which is missing",
                )

    def test_inputs_that_are_no_object_are_refused(self) -> None:
        """Inputs of another shape give a permanent error."""
        with findings() as found:
            for capability in self.agent.capabilities:
                shapes: tuple[Any, ...] = (None, [], "text", 1)
                for inputs in shapes:
                    error = self._failure(capability.id, inputs)
                    found.require(
                        error is not None and error.code == INPUT_DESERIALIZATION_ERROR,
                        f"{capability.id} accepted {inputs!r} as its inputs, which must be an object",
                    )

    def test_hostile_inputs_give_results_or_structured_errors(self) -> None:
        """No value in any input makes a capability hang or raise anything but an `AgentError`."""
        with findings() as found:
            for capability in self.agent.capabilities:
                for field in capability.fields:
                    for value in _HOSTILE_VALUES:
                        self._check_hostile(found, capability, field.name, value)

    def test_wrong_types_do_not_echo_values(self) -> None:
        """Inputs may be secrets: an error about one names it but does not show it."""
        with findings() as found:
            for capability in self.agent.capabilities:
                for field in capability.fields:
                    error = self._failure(capability.id, {**self._example(capability), field.name: {"x": [SECRET]}})
                    if error is not None and error.code == INPUT_DESERIALIZATION_ERROR:
                        found.require(
                            SECRET not in json.dumps(error.to_json()),
                            f"{capability.id}: the value of {field.name} is echoed by the error that refuses it: leave "
                            "values out of the messages of validators",
                        )

    def _example(self, capability: Capability) -> Mapping[str, Any]:
        given = self.examples.get(capability.id)
        if given is not None:
            return given
        return next((each.inputs for each in capability.examples if not each.needs and not each.files), {})

    def _check_hostile(self, found: Findings, capability: Capability, name: str, value: Any) -> None:
        inputs = {**self._example(capability), name: value}
        if capability.side_effects and name not in self._hostile_fields(capability):
            return  # with its other inputs from an example, the call would really be made
        outcome = self._attempt(capability.id, inputs)
        if outcome.escaped is not None:
            found.add(
                f"{capability.id}: {name}={_shown(value)} lets out {outcome.escaped}: refuse the value with an "
                "AgentError, and end in time"
            )
            return
        try:
            json.dumps(outcome.value if outcome.error is None else outcome.error.to_json(), allow_nan=False)
        except (TypeError, ValueError) as error:
            found.add(f"{capability.id}: {name}={_shown(value)} gives what has no JSON form: {error}")

    def _hostile_fields(self, capability: Capability) -> frozenset[str]:
        """Side effects must not happen: without an example, the missing inputs stop the call."""
        required = frozenset(field.name for field in capability.fields if field.required)
        all_names = frozenset(field.name for field in capability.fields)
        return required if self._example(capability) else all_names


def _shown(value: Any) -> str:
    try:
        text = repr(value)
    except ValueError:  # a number of too many digits
        text = "10**400"
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}..."
