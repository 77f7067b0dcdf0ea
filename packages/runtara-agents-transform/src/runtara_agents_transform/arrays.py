"""Building arrays: `append`, `flat-map`, `array-length`, `ensure-array`, `sort`."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field
from runtara_sdk.agents import Example, capability

from runtara_agents_transform.paths import PATH_ERRORS, read_path
from runtara_agents_transform.values import order_of


class AppendInput(BaseModel):
    """What is added to what."""

    array: list[Any] = Field(title="Array", description="The array.", examples=[[1]])
    item: Any = Field(title="Item", description="The new element; an array is added as one.", examples=[2])


class AppendOutput(BaseModel):
    """The longer array."""

    array: list[Any] = Field(description="The array with the item at its end.")
    length: int = Field(description="How many elements it has.")


@capability(
    id="append",
    examples=[Example(inputs={"array": [1], "item": {"a": 1}}, output={"array": [1, {"a": 1}], "length": 2})],
    display_name="Append",
    description="Adds an item at the end of an array.",
)
def append(inputs: AppendInput) -> AppendOutput:
    """Add it."""
    return AppendOutput(array=[*inputs.array, inputs.item], length=len(inputs.array) + 1)


class FlatMapInput(BaseModel):
    """Where the arrays are."""

    value: list[Any] = Field(title="Value", description="The array.", examples=[[{"a": [1]}, {"a": [2]}]])
    property_path: str = Field(title="Property path", description="Path to an array in each element.", examples=["a"])


class FlatOutput(BaseModel):
    """The elements."""

    items: list[Any] = Field(description="The elements, in order.")
    count: int = Field(description="How many.")


@capability(
    id="flat-map",
    examples=[Example(inputs={"value": [{"a": [1]}], "property_path": "a"}, output={"items": [1], "count": 1})],
    display_name="Flat Map",
    description="Puts the arrays at a path of each element one after the other; what is no array is left out.",
    known_errors=PATH_ERRORS,
)
def flat_map(inputs: FlatMapInput) -> FlatOutput:
    """Put them together."""
    found = [read_path(item, inputs.property_path) for item in inputs.value] if inputs.property_path else []
    items = [item for inner in found if isinstance(inner, list) for item in inner]
    return FlatOutput(items=items, count=len(items))


class ArrayLengthInput(BaseModel):
    """What is counted."""

    value: Any = Field(title="Value", description="Any value.", examples=[[1, 2]])


class ArrayLengthOutput(BaseModel):
    """The count."""

    length: int = Field(description="Elements of an array, characters of a text, members of an object; else 0.")
    is_array: bool = Field(description="Whether it is an array.")


@capability(
    id="array-length",
    examples=[Example(inputs={"value": [1]}, output={"length": 1, "is_array": True})],
    display_name="Array Length",
    description="Counts what a value has.",
    runs_inline=True,
)
def array_length(inputs: ArrayLengthInput) -> ArrayLengthOutput:
    """Count."""
    value = inputs.value
    length = len(value) if isinstance(value, list | str | dict) else 0
    return ArrayLengthOutput(length=length, is_array=isinstance(value, list))


class EnsureArrayInput(BaseModel):
    """A value or an array of values."""

    value: Any = Field(title="Value", description="Any value.", examples=["one"])


class EnsureArrayOutput(BaseModel):
    """An array in any case."""

    items: list[Any] = Field(description="The array; [] for null, and an array of one for anything else.")
    count: int = Field(description="How many.")
    was_array: bool = Field(description="Whether it was one before.")


@capability(
    id="ensure-array",
    examples=[Example(inputs={"value": 1}, output={"items": [1], "count": 1, "was_array": False})],
    display_name="Ensure Array",
    description="Makes an array of what is none.",
)
def ensure_array(inputs: EnsureArrayInput) -> EnsureArrayOutput:
    """Wrap it if need be."""
    value = inputs.value
    items = value if isinstance(value, list) else [] if value is None else [value]
    return EnsureArrayOutput(items=items, count=len(items), was_array=isinstance(value, list))


class SortKey(BaseModel):
    """One of several keys."""

    property_path: str = Field(description="Path in each element; empty: the element.")
    ascending: bool = Field(default=True, description="Whether the smallest comes first.")
    nulls: Literal["first", "last"] | None = Field(default=None, description="Where nulls are, whatever the direction.")


class SortInput(BaseModel):
    """What is put in order, by what."""

    value: list[Any] = Field(title="Value", description="The array.", examples=[[3, 1, 2]])
    property_path: str | None = Field(default=None, title="Property path", description="What is compared.")
    ascending: bool = Field(default=True, description="Whether the smallest comes first.")
    keys: list[SortKey] | None = Field(default=None, description="Several keys instead, the most important one first.")


@capability(
    id="sort",
    examples=[Example(inputs={"value": [2, 1]}, output={"items": [1, 2], "count": 2})],
    display_name="Sort Array",
    description="Puts an array in order; what compares equal keeps its order.",
    known_errors=PATH_ERRORS,
)
def sort(inputs: SortInput) -> FlatOutput:
    """Put it in order."""
    keys = inputs.keys
    if keys is None:
        keys = [SortKey(property_path=inputs.property_path or "", ascending=inputs.ascending)]
    items = list(inputs.value)
    for key in reversed(keys):  # sorting is stable
        items = _sorted(items, key)
    return FlatOutput(items=items, count=len(items))


def _sorted(items: list[Any], key: SortKey) -> list[Any]:
    found = [(read_path(item, key.property_path), item) for item in items]
    there = [pair for pair in found if pair[0] is not None]
    nulls = [item for value, item in found if value is None]
    order = order_of([value for value, _ in there])
    there.sort(key=lambda pair: order(pair[0]), reverse=not key.ascending)
    ordered = [item for _, item in there]
    nulls_first = key.nulls == "first" if key.nulls is not None else not key.ascending
    return [*nulls, *ordered] if nulls_first else [*ordered, *nulls]
