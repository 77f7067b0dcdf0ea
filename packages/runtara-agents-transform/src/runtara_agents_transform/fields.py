"""Members of objects: `pick-fields`, `omit-fields`, `rename-fields`, `convert-types`, `validate-schema`.

Each takes an object, or an array of objects and does the same to every one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from pydantic import BaseModel, Field
from runtara_sdk.agents import AgentError, Example, KnownError, capability
from runtara_sdk.workflow.coercion import CoercionError, coerce
from runtara_sdk.workflow.value_schema import Schema

from runtara_agents_transform.paths import PATH_ERRORS, read_path, write_path
from runtara_agents_transform.values import INPUT_ERROR, refuse

CONVERSION_ERROR = "TRANSFORM_CONVERSION_ERROR"
NAME_TAKEN = "TRANSFORM_NAME_TAKEN"
SCHEMA_ERROR = "TRANSFORM_INVALID_SCHEMA"
SCHEMA_VIOLATION = "TRANSFORM_SCHEMA_VIOLATION"

_SHOWN_VIOLATIONS = 20
_VALUE = Field(title="Value", description="An object, or an array of objects.", examples=[{"a": 1, "b": 2}])


class ObjectOutput(BaseModel):
    """The changed value."""

    result: Any = Field(description="An object, or an array of objects, as the input.")


class PickInput(BaseModel):
    """What is kept."""

    value: Any = _VALUE
    fields: list[str] = Field(title="Fields", description="Names of members.", examples=[["a"]])


@capability(
    id="pick-fields",
    examples=[Example(inputs={"value": {"a": 1}, "fields": ["a"]}, output={"result": {"a": 1}})],
    display_name="Pick Fields",
    description="Keeps the members of objects that are named.",
    known_errors=(INPUT_ERROR,),
)
def pick_fields(inputs: PickInput) -> ObjectOutput:
    """Keep them."""
    kept = frozenset(inputs.fields)
    return ObjectOutput(result=_each(inputs.value, lambda item: {name: item[name] for name in item if name in kept}))


class OmitInput(BaseModel):
    """What is left out."""

    value: Any = _VALUE
    fields: list[str] = Field(title="Fields", description="Names of members.", examples=[["b"]])


@capability(
    id="omit-fields",
    examples=[Example(inputs={"value": {"a": 1}, "fields": ["a"]}, output={"result": {}})],
    display_name="Omit Fields",
    description="Leaves out the members of objects that are named.",
    known_errors=(INPUT_ERROR,),
)
def omit_fields(inputs: OmitInput) -> ObjectOutput:
    """Leave them out."""
    dropped = frozenset(inputs.fields)
    return ObjectOutput(
        result=_each(inputs.value, lambda item: {name: item[name] for name in item if name not in dropped})
    )


class RenameInput(BaseModel):
    """Old names and new ones."""

    value: Any = _VALUE
    names: dict[str, str] = Field(title="Names", description="Old name to new name.", examples=[{"a": "first"}])


@capability(
    id="rename-fields",
    examples=[Example(inputs={"value": {"a": 1}, "names": {"a": "b"}}, output={"result": {"b": 1}})],
    display_name="Rename Fields",
    description="Gives members of objects other names; the others keep theirs.",
    known_errors=(
        INPUT_ERROR,
        KnownError.permanent("TRANSFORM_NAME_TAKEN", "Two members would have one name.", "name"),
    ),
)
def rename_fields(inputs: RenameInput) -> ObjectOutput:
    """Rename them."""

    def renamed(item: dict[str, Any]) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for name, value in item.items():
            new = inputs.names.get(name, name)
            if new in result:
                text = f"two members would be called {new[:100]!r}"
                raise AgentError.permanent(NAME_TAKEN, text, attributes={"name": new[:100]})
            result[new] = value
        return result

    return ObjectOutput(result=_each(inputs.value, renamed))


class ConvertInput(BaseModel):
    """Which members get which type."""

    value: Any = _VALUE
    types: dict[str, Literal["string", "integer", "number", "boolean"]] = Field(
        title="Types", description="Path of a member to its type; null stays null.", examples=[{"a": "string"}]
    )


@capability(
    id="convert-types",
    examples=[Example(inputs={"value": {"a": "1"}, "types": {"a": "integer"}}, output={"result": {"a": 1}})],
    display_name="Convert Types",
    description="Gives members of objects a type, by the rules of type hints; what has no counterpart is an error.",
    known_errors=(
        INPUT_ERROR,
        KnownError.permanent(CONVERSION_ERROR, "A value has no counterpart.", "path"),
        *PATH_ERRORS,
    ),
)
def convert_types(inputs: ConvertInput) -> ObjectOutput:
    """Convert them."""

    def converted(item: dict[str, Any]) -> Any:
        result: Any = item
        for path, kind in inputs.types.items():
            found = read_path(item, path)
            if found is None:
                continue
            try:
                result = write_path(result, path, coerce(found, kind))
            except CoercionError as error:
                raise AgentError.permanent(
                    CONVERSION_ERROR, f"{path[:100]}: {error}", attributes={"path": path[:100]}
                ) from None
        return result

    return ObjectOutput(result=_each(inputs.value, converted))


class ValidateInput(BaseModel):
    """What must fit what."""

    value: Any = Field(title="Value", description="An object.", examples=[{"sku": "A-1"}])
    schema_: dict[str, Any] = Field(
        alias="schema",
        title="Schema",
        description="Fields by name, as an inputSchema has them.",
        examples=[{"sku": {"type": "string", "required": True}}],
    )
    fail: bool = Field(default=False, description="Whether a value that does not fit is an error.")


class ValidateOutput(BaseModel):
    """What is wrong."""

    valid: bool = Field(description="Whether the value fits.")
    violations: list[dict[str, str]] = Field(description="{path, message} of everything that does not.")


@capability(
    id="validate-schema",
    examples=[
        Example(
            inputs={"value": {"a": 1}, "schema": {"a": {"type": "integer"}}}, output={"valid": True, "violations": []}
        )
    ],
    display_name="Validate Schema",
    description="Tells what of an object does not fit a schema.",
    known_errors=(
        KnownError.permanent(SCHEMA_ERROR, "The schema itself is malformed."),
        KnownError.permanent(SCHEMA_VIOLATION, "The value does not fit, and fail is set.", "violations"),
    ),
)
def validate_schema(inputs: ValidateInput) -> ValidateOutput:
    """Look at everything."""
    try:
        schema = Schema.from_json(inputs.schema_)
        found = list(schema.violations(inputs.value)) if isinstance(inputs.value, dict) else None
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise AgentError.permanent(SCHEMA_ERROR, f"the schema is malformed: {error}") from None
    if found is None:
        raise refuse("value", "an object", inputs.value)
    violations = [violation.to_json() for violation in found]
    if violations and inputs.fail:
        text = "; ".join(f"{item['path']} {item['message']}" for item in violations[:_SHOWN_VIOLATIONS])
        raise AgentError.permanent(SCHEMA_VIOLATION, text, attributes={"violations": violations[:_SHOWN_VIOLATIONS]})
    return ValidateOutput(valid=not violations, violations=violations)


def _each(value: Any, change: Callable[[dict[str, Any]], Any]) -> Any:
    if isinstance(value, dict):
        return change(value)
    if not isinstance(value, list):
        raise refuse("value", "an object or an array of objects", value)
    for position, item in enumerate(value):
        if not isinstance(item, dict):
            raise refuse(f"value[{position}]", "an object", item)
    return [change(item) for item in value]
