"""Choosing elements: `filter`, `filter-non-values`, `select-first`, `coalesce`, `unique`, `slice`, `chunk`."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, Field, SerializerFunctionWrapHandler, model_serializer
from runtara_sdk.agents import AgentError, Example, KnownError, capability
from runtara_sdk.agents.conditions import ConditionInput, read_condition

from runtara_agents_transform.paths import PATH_ERRORS, read_path
from runtara_agents_transform.values import INPUT_ERROR, INVALID_INPUT, identity, is_blank, is_zero


class ItemsOutput(BaseModel):
    """What is left."""

    items: list[Any] = Field(description="The elements, in their order.")
    count: int = Field(description="How many.")
    removed_count: int = Field(description="How many are not among them.")

    @classmethod
    def of(cls, items: list[Any], before: list[Any]) -> ItemsOutput:
        """What is left of `before`."""
        return cls(items=items, count=len(items), removed_count=len(before) - len(items))


class MatchCondition(StrEnum):
    """How an element is compared with the values."""

    INCLUDES = "INCLUDES"
    EXCLUDES = "EXCLUDES"
    STARTS_WITH = "STARTS_WITH"
    ENDS_WITH = "ENDS_WITH"
    CONTAINS = "CONTAINS"


class FilterOutput(BaseModel):
    """What was kept."""

    items: list[Any] = Field(description="What was kept, in its order.")
    count: int = Field(description="How many were kept.")
    removed_count: int = Field(description="How many were not.")
    rejected: list[Any] = Field(default_factory=list, description="What was not kept, with `with_rejected`.")

    @model_serializer(mode="wrap")
    def _without_what_was_not_asked_for(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        document: dict[str, Any] = handler(self)
        if "rejected" not in self.model_fields_set:
            del document["rejected"]
        return document


class FilterInput(BaseModel):
    """What is compared."""

    value: list[Any] | None = Field(
        default_factory=list, title="Value", description="The array.", examples=[[{"s": "on"}]]
    )
    property_path: str | None = Field(
        default=None, title="Property path", description="What is compared; empty: the element.", examples=["s"]
    )
    match_values: Any = Field(
        default=None, title="Match values", description="A value, or an array of values.", examples=[["on"]]
    )
    match_condition: MatchCondition | None = Field(
        default=None,
        title="Match condition",
        description="INCLUDES and EXCLUDES compare values, and elements of an array that is found; the others texts.",
    )
    match_all: bool = Field(default=False, description="Whether all of the values must fit, not only one.")
    condition: ConditionInput | None = Field(
        default=None,
        title="Condition",
        description="In place of path, values and match condition, or beside them: a condition of the language.",
    )
    with_rejected: bool = Field(default=False, description="Whether `rejected` holds what was not kept.")
    case_sensitive: bool = Field(default=True, description="Whether texts differ by case.")


@capability(
    id="filter",
    examples=[
        Example(
            inputs={"value": [1, 2], "property_path": "", "match_values": [1], "match_condition": "INCLUDES"},
            output={"items": [1], "count": 1, "removed_count": 1},
        )
    ],
    display_name="Filter Array",
    description="Keeps elements by a property that is among values or like one, or by a condition.",
    known_errors=(
        *PATH_ERRORS,
        INPUT_ERROR,
        KnownError.permanent("CONDITION_INVALID", "`condition` is no condition.", "place"),
    ),
)
def filter_array(inputs: FilterInput) -> FilterOutput:
    """Keep what matches."""
    values = inputs.value or []
    tests: list[Callable[[Any], bool]] = []
    if inputs.condition is not None:
        tests.append(read_condition(inputs.condition, "condition"))
    if inputs.match_condition is not None:
        path = inputs.property_path or ""
        wanted = inputs.match_values if isinstance(inputs.match_values, list) else [inputs.match_values]
        groups = [[value] for value in wanted] if inputs.match_all else [wanted]
        for group in groups:
            matches = _matcher(inputs.match_condition, group, case_sensitive=inputs.case_sensitive)
            tests.append(lambda item, matches=matches: matches(read_path(item, path)))  # type: ignore[misc]
    if not tests:
        raise AgentError.permanent(
            INVALID_INPUT, "give match_condition with match_values, or condition", attributes={"input": "condition"}
        )
    kept: list[Any] = []
    rejected: list[Any] = []
    for item in values:
        (kept if all(test(item) for test in tests) else rejected).append(item)
    asked_for = {"rejected": rejected} if inputs.with_rejected else {}
    return FilterOutput(items=kept, count=len(kept), removed_count=len(rejected), **asked_for)


def _matcher(condition: MatchCondition, wanted: list[Any], *, case_sensitive: bool) -> Callable[[Any], bool]:
    def folded(value: Any) -> Any:
        return value.casefold() if isinstance(value, str) and not case_sensitive else value

    if condition in (MatchCondition.INCLUDES, MatchCondition.EXCLUDES):
        known = {identity(folded(value)) for value in wanted}
        is_wanted = condition is MatchCondition.INCLUDES

        def is_listed(found: Any) -> bool:
            if found is None:
                return not is_wanted
            candidates = [found, *found] if isinstance(found, list) else [found]
            return any(identity(folded(item)) in known for item in candidates) is is_wanted

        return is_listed
    parts = [folded(value) for value in wanted if isinstance(value, str)]
    tests: dict[MatchCondition, Callable[[str, str], bool]] = {
        MatchCondition.STARTS_WITH: str.startswith,
        MatchCondition.ENDS_WITH: str.endswith,
        MatchCondition.CONTAINS: str.__contains__,
    }
    test = tests[condition]
    return lambda found: isinstance(found, str) and any(test(folded(found), part) for part in parts)


class FilterNonValuesInput(BaseModel):
    """What is dropped."""

    value: list[Any] = Field(title="Value", description="The array.", examples=[["a", None, ""]])
    property_path: str | None = Field(default=None, title="Property path", description="What is looked at.")
    filter_empty_strings: bool = Field(default=False, description='Drop "".')
    filter_null_values: bool = Field(default=False, description="Drop null, and elements without the property.")
    filter_blank_strings: bool = Field(default=False, description="Drop texts of white space, and the empty one.")
    filter_zero_values: bool = Field(default=False, description='Drop 0 and "0".')


@capability(
    id="filter-non-values",
    examples=[
        Example(
            inputs={"value": [None, 1], "filter_null_values": True},
            output={"items": [1], "count": 1, "removed_count": 1},
        )
    ],
    display_name="Filter Non-Values",
    description="Drops elements that are null, empty, blank or zero, as far as asked for.",
    known_errors=PATH_ERRORS,
)
def filter_non_values(inputs: FilterNonValuesInput) -> ItemsOutput:
    """Keep what has a value."""

    def is_dropped(item: Any) -> bool:
        found = read_path(item, inputs.property_path or "")
        return (
            (inputs.filter_null_values and found is None)
            or (inputs.filter_empty_strings and found == "")
            or (inputs.filter_blank_strings and is_blank(found))
            or (inputs.filter_zero_values and (is_zero(found) or found == "0"))
        )

    return ItemsOutput.of([item for item in inputs.value if not is_dropped(item)], inputs.value)


class SelectFirstInput(BaseModel):
    """Candidates."""

    value: list[Any] | None = Field(default=None, title="Value", description="The array.", examples=[[None, "", "a"]])


@capability(
    id="select-first",
    examples=[Example(inputs={"value": [None, 1]}, output=1)],
    display_name="Select First",
    description="The first element that is not null, blank, 0 or false; null when there is none.",
)
def select_first(inputs: SelectFirstInput) -> Any:
    """The first that says something."""
    for item in inputs.value or []:
        if not (item is None or item is False or is_blank(item) or is_zero(item)):
            return item
    return None


class CoalesceInput(BaseModel):
    """Candidates."""

    values: list[Any] = Field(title="Values", description="The values, best first.", examples=[[None, "a"]])
    treat_empty_string_as_null: bool = Field(default=False, description='Whether "" is passed over, too.')
    treat_zero_as_null: bool = Field(default=False, description="Whether 0 is passed over, too.")


@capability(
    id="coalesce",
    examples=[Example(inputs={"values": [None, 1]}, output=1)],
    display_name="Coalesce",
    description="The first value that is not null; null when all are.",
    runs_inline=True,
)
def coalesce(inputs: CoalesceInput) -> Any:
    """The first that is there."""
    for value in inputs.values:
        if value is None or (inputs.treat_empty_string_as_null and value == ""):
            continue
        if inputs.treat_zero_as_null and is_zero(value):
            continue
        return value
    return None


class UniqueInput(BaseModel):
    """What makes elements the same."""

    value: list[Any] = Field(title="Value", description="The array.", examples=[[1, 2, 1]])
    property_path: str | None = Field(default=None, description="Property that tells elements apart; else all of it.")


@capability(
    id="unique",
    examples=[Example(inputs={"value": [1, 1]}, output={"items": [1], "count": 1, "removed_count": 1})],
    display_name="Unique",
    description="Keeps the first of elements that are the same, or have the same property.",
    known_errors=PATH_ERRORS,
)
def unique(inputs: UniqueInput) -> ItemsOutput:
    """Keep the first of each."""
    firsts: dict[str, Any] = {}
    for item in inputs.value:
        firsts.setdefault(identity(read_path(item, inputs.property_path or "")), item)
    return ItemsOutput.of(list(firsts.values()), inputs.value)


class SliceInput(BaseModel):
    """From where to where."""

    value: list[Any] = Field(title="Value", description="The array.", examples=[[1, 2, 3]])
    start: int = Field(default=0, description="Position of the first; negative from the end.")
    end: int | None = Field(default=None, description="Position after the last; negative from the end.")


@capability(
    id="slice",
    examples=[Example(inputs={"value": [1, 2], "end": 1}, output={"items": [1], "count": 1, "removed_count": 1})],
    display_name="Slice",
    description="The elements from one position to another.",
)
def slice_array(inputs: SliceInput) -> ItemsOutput:
    """Cut it out."""
    return ItemsOutput.of(inputs.value[inputs.start : inputs.end], inputs.value)


class ChunkInput(BaseModel):
    """How large the parts are."""

    value: list[Any] = Field(title="Value", description="The array.", examples=[[1, 2, 3]])
    size: int = Field(ge=1, description="Elements of a part.", examples=[2])


class ChunkOutput(BaseModel):
    """The parts."""

    chunks: list[list[Any]] = Field(description="Arrays of at most that size, in order.")
    count: int = Field(description="How many.")


@capability(
    id="chunk",
    examples=[Example(inputs={"value": [1, 2], "size": 1}, output={"chunks": [[1], [2]], "count": 2})],
    display_name="Chunk",
    description="Cuts an array into parts; the last may be shorter.",
)
def chunk(inputs: ChunkInput) -> ChunkOutput:
    """Cut it up."""
    chunks = [inputs.value[at : at + inputs.size] for at in range(0, len(inputs.value), inputs.size)]
    return ChunkOutput(chunks=chunks, count=len(chunks))
