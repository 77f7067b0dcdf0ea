"""The conformance suite of agents: an agent's own test file is one subclass.

    class TestWeatherAgent(AgentConformanceSuite):
        agent = weather_agent

pytest collects the inherited tests. They need neither network nor plugins of pytest. Capabilities run with inputs that
must be refused; those named in `examples` also run with inputs that must succeed.
"""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from collections.abc import Mapping
from typing import Any, ClassVar

from runtara_sdk.agents import (
    AgentError,
    Capability,
    ErrorCategory,
)
from runtara_sdk.agents.discovery import DiscoveredAgent, discover_agents
from runtara_sdk.agents.errors import INPUT_DESERIALIZATION_ERROR, UNKNOWN_CAPABILITY
from runtara_sdk.entry_points import installed_requirements, normalised_name
from runtara_sdk.testing.agent_calls import SECRET, require
from runtara_sdk.testing.agent_examples import AgentExampleCases

_IMPORT_SECONDS = 60.0
_CODE = re.compile(r"[A-Z][A-Z0-9_]*")
_TYPE_NAMES = frozenset({"string", "boolean", "integer", "number", "any", "null", "array", "object"})
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


class AgentConformanceSuite(AgentExampleCases):
    """What every agent owes its users. Subclass it, set `agent` (the definition under test), and fill in what fits.

    Attributes:
        examples: inputs by capability id that succeed without network or daemons.
        lazy_imports: modules that importing the agent must not load, because only a call needs them.
        installed: whether the agent is installed as a plugin, so that discovery must find it.
    """

    examples: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    lazy_imports: ClassVar[tuple[str, ...]] = ()
    installed: ClassVar[bool] = True

    def test_metadata_is_json_and_complete(self) -> None:
        """The listing survives JSON and describes every capability."""
        document = self.agent.metadata()
        require(json.loads(json.dumps(document, allow_nan=False)) == document, "metadata must be plain JSON")
        require(bool(document["description"].strip()), "the agent needs a description")
        for item in document["capabilities"]:
            place = f"capability {item['id']}"
            require(bool(item.get("description", "").strip()), f"{place} needs a description")
            for field in item["inputs"]:
                require(field["type"] in _TYPE_NAMES, f"{place}: input {field['name']}: unknown type name")
                require(not field["name"].startswith("_"), f"{place}: {field['name']} must be hidden")
            require(item["output"]["type"] in _TYPE_NAMES, f"{place}: output: unknown type name")

    def test_defaults_are_acceptable_inputs(self) -> None:
        """A default that the listing shows can be given explicitly."""
        for capability in self.agent.capabilities:
            for field in capability.fields:
                if field.default is not None and field.enum:
                    require(field.default in field.enum, f"{capability.id}: default of {field.name} not in enum")

    def test_schemas_are_json(self) -> None:
        """Inputs and result have a JSON Schema."""
        for capability in self.agent.capabilities:
            json.dumps([capability.input_schema(), capability.output_schema()], allow_nan=False)

    def test_ids_and_aliases_find_their_capability(self) -> None:
        """Lookup is exact, by id and by alias."""
        for capability in self.agent.capabilities:
            for name in (capability.id, *capability.aliases):
                require(self.agent.capability(name) is capability, f"{name} must find {capability.id}")
                require(self.agent.find_capability(name.upper()) is None, f"{name}: lookup must be exact")

    def test_unknown_capability_is_a_permanent_error(self) -> None:
        """A wrong id is refused for good: retrying cannot help."""
        error = self._failure("no-such-capability", {})
        require(error is not None and error.code == UNKNOWN_CAPABILITY, "expected UNKNOWN_CAPABILITY")
        require(error is not None and not error.retryable, "an unknown capability must be permanent")

    def test_missing_inputs_are_named(self) -> None:
        """Leaving out a required input gives a permanent error that names it."""
        for capability in self.agent.capabilities:
            required = [field.name for field in capability.fields if field.required]
            if not required:
                continue
            error = self._failure(capability.id, {})
            if error is None:
                raise AssertionError(f"{capability.id} ran without its required inputs")
            require(error.code == INPUT_DESERIALIZATION_ERROR, f"{capability.id}: got {error}")
            require(not error.retryable, f"{capability.id}: missing inputs must be a permanent error")
            require(required[0] in error.message, f"{capability.id}: the error must name {required[0]}")

    def test_inputs_that_are_no_object_are_refused(self) -> None:
        """Inputs of another shape give a permanent error."""
        for capability in self.agent.capabilities:
            shapes: tuple[Any, ...] = (None, [], "text", 1)
            for inputs in shapes:
                error = self._failure(capability.id, inputs)
                require(
                    error is not None and error.code == INPUT_DESERIALIZATION_ERROR,
                    f"{capability.id} accepted {inputs!r} as its inputs",
                )

    def test_hostile_inputs_give_results_or_structured_errors(self) -> None:
        """No value in any input makes a capability hang or raise anything but an `AgentError`."""
        for capability in self.agent.capabilities:
            for field in capability.fields:
                for value in _HOSTILE_VALUES:
                    self._check_hostile(capability, field.name, value)

    def test_wrong_types_do_not_echo_values(self) -> None:
        """Inputs may be secrets: an error about one names it but does not show it."""
        for capability in self.agent.capabilities:
            for field in capability.fields:
                error = self._failure(capability.id, {**self._example(capability), field.name: {"x": [SECRET]}})
                if error is not None and error.code == INPUT_DESERIALIZATION_ERROR:
                    require(SECRET not in json.dumps(error.to_json()), f"{capability.id}: {field.name} is echoed")

    def test_examples_succeed(self) -> None:
        """Every example gives a JSON value; deterministic capabilities give the same one twice."""
        for capability_id, inputs in self.examples.items():
            capability = self.agent.capability(capability_id)
            first = self._call(capability.id, inputs)
            json.dumps(first, allow_nan=False)
            if capability.deterministic and not capability.side_effects:
                require(self._call(capability.id, inputs) == first, f"{capability_id} is not deterministic")

    def test_inputs_are_left_alone(self) -> None:
        """A capability does not change the value it is given."""
        for capability_id, inputs in self.examples.items():
            before = json.dumps(inputs)
            self._call(capability_id, inputs)
            require(json.dumps(inputs) == before, f"{capability_id} changed its inputs")

    def test_cancellation_passes_through(self) -> None:
        """A cancelled call ends as cancelled, not as a result or an error."""
        for capability in self.agent.capabilities:

            async def cancelled(capability: Capability = capability) -> bool:
                inputs = self._example(capability)
                task = asyncio.ensure_future(self.agent.invoke(capability.id, inputs))
                await asyncio.sleep(0)  # the call begins and runs to its first wait
                task.cancel()  # does nothing to a call that has ended
                ended_before = task.done()
                await asyncio.gather(task, return_exceptions=True)
                return ended_before or task.cancelled()

            require(self._run(cancelled), f"{capability.id} swallowed its cancellation")

    def test_errors_keep_their_shape(self) -> None:
        """Declared errors have well-formed codes."""
        for capability in self.agent.capabilities:
            for known in capability.known_errors:
                require(_CODE.fullmatch(known.code) is not None, f"{capability.id}: malformed code {known.code!r}")
                require(bool(known.description), f"{capability.id}: error {known.code} needs a description")

    def test_is_discovered(self) -> None:
        """The installed plugin is found, and its static import reaches the same definition."""
        if self.installed:
            require(self._discovered().definition is self.agent, "discovery found another definition")

    def test_import_is_light(self) -> None:
        """Importing the agent loads none of `lazy_imports`: a workflow pays for them when it calls."""
        if not self.installed:
            return
        found = self._discovered()
        program = (
            "import importlib, json, sys; "
            f"getattr(importlib.import_module({found.module!r}), {found.attribute!r}); "
            f"print(json.dumps([name for name in {list(self.lazy_imports)!r} if name in sys.modules]))"
        )
        completed = subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            text=True,
            timeout=_IMPORT_SECONDS,
            check=False,
        )
        require(completed.returncode == 0, f"import fails alone: {completed.stderr[-500:]}")
        loaded = json.loads(completed.stdout.splitlines()[-1])
        require(not loaded, f"importing {found.module} loads {', '.join(loaded)}")

    def test_supported_versions_are_declared(self) -> None:
        """The distribution says which versions of the SDK it works with; with others it is refused, not failing."""
        if not self.installed:
            return
        distribution = self._discovered().distribution
        if normalised_name(distribution) == "runtara-sdk":
            return
        from packaging.requirements import Requirement

        required = [Requirement(text) for text in installed_requirements(distribution)]
        ranges = [each.specifier for each in required if normalised_name(each.name) == "runtara-sdk"]
        require(bool(ranges), f"{distribution} must require runtara-sdk: its agents are made with it")
        bounded = any(each.operator in ("<", "<=", "==", "~=") for specifiers in ranges for each in specifiers)
        require(bounded, f"{distribution} must bound the versions of runtara-sdk, as in runtara-sdk>=0.1,<0.2")

    def _discovered(self) -> DiscoveredAgent:
        installed = discover_agents(variables={})
        found = installed.find(self.agent.id)
        if found is None:
            reasons = "; ".join(f"{plugin.name}: {plugin.reason}" for plugin in installed.broken)
            raise AssertionError(
                f"agent {self.agent.id!r} is not an installed plugin. Broken plugins: {reasons or 'none'}"
            )
        return found

    def _example(self, capability: Capability) -> Mapping[str, Any]:
        given = self.examples.get(capability.id)
        if given is not None:
            return given
        return next((each.inputs for each in capability.examples if not each.needs and not each.files), {})

    def _check_hostile(self, capability: Capability, name: str, value: Any) -> None:
        inputs = {**self._example(capability), name: value}
        if capability.side_effects and name not in self._hostile_fields(capability):
            return  # with its other inputs from an example, the call would really be made
        try:
            json.dumps(self._call(capability.id, inputs), allow_nan=False)
        except AgentError as error:
            json.dumps(error.to_json(), allow_nan=False)
            require(error.category in set(ErrorCategory), f"{capability.id}: malformed error {error}")

    def _hostile_fields(self, capability: Capability) -> frozenset[str]:
        """Side effects must not happen: without an example, the missing inputs stop the call."""
        required = frozenset(field.name for field in capability.fields if field.required)
        all_names = frozenset(field.name for field in capability.fields)
        return required if self._example(capability) else all_names
