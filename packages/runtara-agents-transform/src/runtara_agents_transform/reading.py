"""Reading and writing parts of values: `extract`, `get-value-by-path`, `set-value-by-path`, and JSON texts."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field
from runtara_sdk.agents import AgentError, Example, KnownError, capability
from runtara_sdk.workflow.json_text import decode_json
from runtara_sdk.written_decimal import dump_json

from runtara_agents_transform.paths import PATH_ERRORS, read_path, write_path
from runtara_agents_transform.values import INPUT_ERROR, refuse

PARSE_ERROR = "TRANSFORM_JSON_PARSE_ERROR"
SERIALIZE_ERROR = "TRANSFORM_JSON_SERIALIZE_ERROR"


class ExtractInput(BaseModel):
    """Where to read in each element."""

    value: list[Any] = Field(title="Value", description="The array.", examples=[[{"a": 1}, {"a": 2}]])
    property_path: str = Field(title="Property path", description="Path in each element.", examples=["a"])
    strict: bool = Field(default=False, description="Whether an element without that property is an error.")


class ExtractOutput(BaseModel):
    """What was found, in the order of the elements."""

    values: list[Any] = Field(description="One for each element; null where the property is missing.")
    count: int = Field(description="How many.")


@capability(
    id="extract",
    examples=[Example(inputs={"value": [{"a": 1}], "property_path": "a"}, output={"values": [1], "count": 1})],
    display_name="Extract Property",
    description="Reads one property of every element of an array.",
    known_errors=PATH_ERRORS,
)
def extract(inputs: ExtractInput) -> ExtractOutput:
    """Read the property of each element."""
    values = [read_path(item, inputs.property_path, strict=inputs.strict) for item in inputs.value]
    return ExtractOutput(values=values, count=len(values))


class GetValueInput(BaseModel):
    """Where to read."""

    value: Any = Field(default=None, title="Value", description="The value to read in.", examples=[{"a": [{"b": 9}]}])
    property_path: str | None = Field(default=None, title="Property path", description="Path.", examples=["a.0.b"])
    strict: bool = Field(default=False, description="Whether it is an error that nothing is there.")


@capability(
    id="get-value-by-path",
    examples=[Example(inputs={"value": {"a": 1}, "property_path": "a"}, output=1)],
    aliases=("get",),
    display_name="Get Value By Path",
    description="Reads the value at a path; null when nothing is there.",
    known_errors=PATH_ERRORS,
    runs_inline=True,
)
def get_value_by_path(inputs: GetValueInput) -> Any:
    """The value at the path."""
    if not inputs.property_path:
        return None
    return read_path(inputs.value, inputs.property_path, strict=inputs.strict)


class SetValueInput(BaseModel):
    """What to write, and where."""

    target: Any = Field(default=None, title="Target", description="The object, or array.", examples=[{"a": {}}])
    property_path: str | None = Field(default=None, title="Property path", description="Path.", examples=["a.b"])
    value: Any = Field(default=None, title="Value", description="What is written.", examples=[1])


@capability(
    id="set-value-by-path",
    examples=[Example(inputs={"target": {"a": 1}, "property_path": "b.c", "value": 2}, output={"a": 1, "b": {"c": 2}})],
    aliases=("set",),
    display_name="Set Value By Path",
    description="Gives a copy of a value with another one at a path; objects that are missing on the way are made.",
    known_errors=(*PATH_ERRORS, INPUT_ERROR),
    runs_inline=True,
)
def set_value_by_path(inputs: SetValueInput) -> Any:
    """The changed copy."""
    if inputs.target is None or not inputs.property_path:
        return inputs.target
    if not isinstance(inputs.target, dict | list):
        raise refuse("target", "an object or an array", inputs.target)
    return write_path(inputs.target, inputs.property_path, inputs.value)


class FromJsonInput(BaseModel):
    """A JSON text."""

    value: str | None = Field(default=None, title="Value", description="The text.", examples=['{"a": 1}'])


@capability(
    id="from-json-string",
    examples=[Example(inputs={"value": "[1]"}, output=[1])],
    aliases=("parse-json",),
    display_name="From JSON String",
    description="Reads a JSON text; null and the empty text give null.",
    known_errors=(KnownError.permanent(PARSE_ERROR, "The text is not JSON.", "parse_error"),),
)
def from_json_string(inputs: FromJsonInput) -> Any:
    """The value of the text."""
    if not inputs.value:
        return None
    try:
        return decode_json(inputs.value)
    except ValueError as error:
        reason = str(error)[:200]
        raise AgentError.permanent(
            PARSE_ERROR, f"the text is not JSON: {reason}", attributes={"parse_error": reason}
        ) from error


class ToJsonInput(BaseModel):
    """A value."""

    value: Any = Field(title="Value", description="Any JSON value.", examples=[{"a": 1}])
    indent: int | None = Field(default=None, ge=0, le=16, description="Spaces of indentation; compact without.")


class ToJsonOutput(BaseModel):
    """Its text."""

    json_: str = Field(serialization_alias="json", description="The JSON text.")
    length: int = Field(description="Characters of the text.")


@capability(
    id="to-json-string",
    examples=[Example(inputs={"value": [1]}, output={"json": "[1]", "length": 3})],
    aliases=("to-json",),
    display_name="To JSON String",
    description="Writes a value as JSON text.",
)
def to_json_string(inputs: ToJsonInput) -> ToJsonOutput:
    """The text of the value."""
    separators = (",", ":") if inputs.indent is None else None
    text = dump_json(inputs.value, ensure_ascii=False, indent=inputs.indent, separators=separators)
    return ToJsonOutput(json_=text, length=len(text))
