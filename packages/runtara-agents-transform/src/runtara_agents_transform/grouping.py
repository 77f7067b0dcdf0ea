"""Groups of elements: `group-by` and `aggregate`."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal, localcontext
from typing import Any, Literal

from pydantic import BaseModel, Field
from runtara_sdk.agents import Example, KnownError, capability
from runtara_sdk.written_decimal import exact_number, read_decimal

from runtara_agents_transform.paths import PATH_ERRORS, read_path
from runtara_agents_transform.values import INPUT_ERROR, array, as_text, identity, order_of, refuse, shown

_ARRAY_ERROR = KnownError.permanent("TRANSFORM_INVALID_INPUT", "The value is no array.", "input", "received_type")
_PRECISION = 1000


class GroupByInput(BaseModel):
    """What is grouped by what."""

    value: Any = Field(title="Value", description="The array.", examples=[[{"k": 1, "v": 2}, {"k": 1, "v": 3}]])
    key: str = Field(title="Key", description="Path in each element.", examples=["k"])
    as_map: bool = Field(default=False, description="Whether the groups are members of an object, by the key as text.")


class GroupByOutput(BaseModel):
    """The groups, in the order in which their keys first appear."""

    groups: Any = Field(description="Array of {key, items, count}; as map: key as text to items.")
    group_count: int = Field(description="How many.")


@capability(
    id="group-by",
    examples=[
        Example(
            inputs={"value": [{"k": 1}], "key": "k"},
            output={"groups": [{"key": 1, "items": [{"k": 1}], "count": 1}], "group_count": 1},
        )
    ],
    display_name="Group By",
    description="Groups the elements of an array by a property; those without it are left out.",
    known_errors=(_ARRAY_ERROR, *PATH_ERRORS),
)
def group_by(inputs: GroupByInput) -> GroupByOutput:
    """Group them."""
    groups = _groups(array("value", inputs.value), inputs.key)
    if inputs.as_map:
        named: dict[str, list[Any]] = {}
        for key, items in groups:
            named.setdefault(as_text(key), []).extend(items)
        return GroupByOutput(groups=named, group_count=len(named))
    entries = [{"key": key, "items": items, "count": len(items)} for key, items in groups]
    return GroupByOutput(groups=entries, group_count=len(entries))


class Aggregate(BaseModel):
    """One figure of a group."""

    operation: Literal["count", "sum", "avg", "min", "max", "list", "first", "last"] = Field(description="Which.")
    property_path: str = Field(default="", description="Path in each element; missing ones and nulls do not count.")
    name: str | None = Field(default=None, description="Name in the result; else operation and path.")

    @property
    def result_name(self) -> str:
        """The name in the result."""
        return self.name or "_".join(part for part in (self.operation, self.property_path) if part)


class AggregateInput(BaseModel):
    """What is calculated."""

    value: list[Any] = Field(title="Value", description="The array.", examples=[[{"k": "a", "v": 1.5}]])
    aggregates: list[Aggregate] = Field(
        min_length=1, description="The figures.", examples=[[{"operation": "sum", "property_path": "v"}]]
    )
    group_by: str | None = Field(default=None, description="Path whose values make groups; all in one without.")


class AggregateOutput(BaseModel):
    """One row for each group, in the order in which the groups first appear."""

    rows: list[dict[str, Any]] = Field(description="{key, ...figures}.")
    count: int = Field(description="How many.")


@capability(
    id="aggregate",
    examples=[
        Example(
            inputs={"value": [1, 2], "aggregates": [{"operation": "sum"}]},
            output={"rows": [{"key": None, "sum": 3}], "count": 1},
        )
    ],
    display_name="Aggregate",
    description="Counts, sums and averages the elements of an array, by groups if wanted; decimals are exact.",
    known_errors=(INPUT_ERROR, *PATH_ERRORS),
)
def aggregate(inputs: AggregateInput) -> AggregateOutput:
    """Calculate."""
    groups = [(None, inputs.value)] if inputs.group_by is None else _groups(inputs.value, inputs.group_by)
    rows = []
    for key, items in groups:
        row: dict[str, Any] = {"key": key}
        for figure in inputs.aggregates:
            found = [value for item in items if (value := read_path(item, figure.property_path)) is not None]
            row[figure.result_name] = _FIGURES[figure.operation](found, figure.property_path)
        rows.append(row)
    return AggregateOutput(rows=rows, count=len(rows))


def _groups(items: list[Any], path: str) -> list[tuple[Any, list[Any]]]:
    found: dict[str, tuple[Any, list[Any]]] = {}
    for item in items:
        key = read_path(item, path)
        if key is not None:
            found.setdefault(identity(key), (key, []))[1].append(item)
    return list(found.values())


def _total(values: list[Any], path: str) -> Decimal:
    for value in values:
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise refuse(f"what is added up at {path or 'the elements'} ({shown(value)})", "a number", value)
    with localcontext(prec=_PRECISION):
        return sum((exact_number(value) for value in values), Decimal(0))


def _number(value: Decimal) -> int | float:
    return (
        int(value)
        if value == value.to_integral_value() and value.as_tuple().exponent == 0
        else read_decimal(f"{value:f}")
    )


def _average(values: list[Any], path: str) -> int | float | None:
    if not values:
        return None
    total = _total(values, path)
    with localcontext(prec=34):
        mean = total / len(values)
    return int(mean) if mean == mean.to_integral_value() else float(mean)


def _extreme(choose: Callable[..., Any]) -> Callable[[list[Any], str], Any]:
    return lambda values, _: choose(values, key=order_of(values)) if values else None


_FIGURES: dict[str, Callable[[list[Any], str], Any]] = {
    "count": lambda values, _: len(values),
    "sum": lambda values, path: _number(_total(values, path)),
    "avg": _average,
    "min": _extreme(min),
    "max": _extreme(max),
    "list": lambda values, _: values,
    "first": lambda values, _: values[0] if values else None,
    "last": lambda values, _: values[-1] if values else None,
}
