"""What an agent declares: metadata, schemas, ids and errors."""

from __future__ import annotations

import json
import re

from runtara_sdk.testing.agent_checks.calls import AgentCalls
from runtara_sdk.testing.agent_checks.findings import findings

_CODE = re.compile(r"[A-Z][A-Z0-9_]*")
_TYPE_NAMES = frozenset({"string", "boolean", "integer", "number", "any", "null", "array", "object"})


class AgentDeclarationCases(AgentCalls):
    """What every agent owes those who look for it in a list."""

    def test_metadata_is_json_and_complete(self) -> None:
        """The listing survives JSON and describes every capability."""
        document = self.agent.metadata()
        with findings() as found:
            found.require(_survives_json(document), "the metadata of the agent must be plain JSON")
            found.require(bool(document["description"].strip()), "the agent needs a description")
            for item in document["capabilities"]:
                place = f"capability {item['id']}"
                found.require(
                    bool(item.get("description", "").strip()), f"{place} needs a description: @capability(description=)"
                )
                for field in item["inputs"]:
                    name = f"{place}: input {field['name']}"
                    found.require(field["type"] in _TYPE_NAMES, f"{name} has the unknown type {field['type']!r}")
                    found.require(not field["name"].startswith("_"), f"{name} must be hidden: use another name")
                output = item["output"]["type"]
                found.require(output in _TYPE_NAMES, f"{place}: its result has the unknown type {output!r}")
                hint = item.get("compensationHint", {}).get("capabilityId")
                found.require(
                    hint is None or self.agent.find_capability(hint) is not None,
                    f"{place} is undone by {hint}, which is no capability of this agent",
                )

    def test_defaults_are_acceptable_inputs(self) -> None:
        """A default that the listing shows can be given explicitly."""
        with findings() as found:
            for capability in self.agent.capabilities:
                for field in capability.fields:
                    if field.default is not None and field.enum:
                        found.require(
                            field.default in field.enum,
                            f"{capability.id}: the default {field.default!r} of {field.name} is not in enum: add it "
                            "there, or choose another default",
                        )

    def test_schemas_are_json(self) -> None:
        """Inputs and result have a JSON Schema."""
        with findings() as found:
            for capability in self.agent.capabilities:
                for what, schema in (("inputs", capability.input_schema), ("result", capability.output_schema)):
                    try:
                        json.dumps(schema(), allow_nan=False)
                    except Exception as error:  # noqa: BLE001 - an author's model may raise anything
                        reason = str(error).partition("\n")[0]
                        found.add(
                            f"{capability.id}: its {what} have no JSON Schema ({reason}): use types that JSON has, or "
                            "annotate them with pydantic's WithJsonSchema"
                        )

    def test_ids_and_aliases_find_their_capability(self) -> None:
        """Lookup is exact, by id and by alias."""
        with findings() as found:
            for capability in self.agent.capabilities:
                for name in (capability.id, *capability.aliases):
                    found.require(
                        self.agent.find_capability(name) is capability,
                        f"{name} must find {capability.id}, but does not",
                    )
                    found.require(
                        self.agent.find_capability(name.upper()) is None,
                        f"{name.upper()} finds a capability: ids are looked up as they are written",
                    )

    def test_errors_keep_their_shape(self) -> None:
        """Declared errors have well-formed codes."""
        with findings() as found:
            for capability in self.agent.capabilities:
                for known in capability.known_errors:
                    found.require(
                        _CODE.fullmatch(known.code) is not None,
                        f"{capability.id}: the malformed code {known.code!r} must be UPPER_SNAKE_CASE",
                    )
                    found.require(
                        bool(known.description.strip()),
                        f"{capability.id}: the error {known.code} needs a description that says when it happens",
                    )


def _survives_json(document: object) -> bool:
    try:
        return bool(json.loads(json.dumps(document, allow_nan=False)) == document)
    except (TypeError, ValueError):
        return False
