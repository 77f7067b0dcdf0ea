"""Two values: `merge`, `lookup`, `compare-lists`."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field
from runtara_sdk.agents import AgentError, Example, KnownError, capability

from runtara_agents_transform.paths import PATH_ERRORS, read_path
from runtara_agents_transform.values import INPUT_ERROR, as_text, identity, refuse, same, shown

MERGE_CONFLICT = "TRANSFORM_MERGE_CONFLICT"

Conflict = Literal["right", "left", "error"]


class MergeInput(BaseModel):
    """What is put together, and how."""

    left: Any = Field(
        title="Left", description="An object or an array; null counts as an empty one.", examples=[{"a": 1}]
    )
    right: Any = Field(title="Right", description="Of the same kind.", examples=[{"b": 2}])
    mode: Literal["deep", "shallow", "append", "position", "key"] | None = Field(
        default=None,
        description="Objects: deep (objects within them, too) or shallow. Arrays: append, position (one by one) or key "
        "(elements whose keys are equal). Deep and append when left out.",
    )
    conflict: Conflict = Field(default="right", description="Whose value counts where both have one, or an error.")
    left_key: str | None = Field(default=None, description="For key: path in the elements of the left array.")
    right_key: str | None = Field(default=None, description="The same for the right one; as left_key when left out.")
    join: Literal["inner", "left", "right", "outer"] = Field(
        default="inner", description="For position and key: which elements without a partner are kept."
    )


class MergeOutput(BaseModel):
    """Both in one."""

    result: Any = Field(description="The object or the array.")
    count: int = Field(description="Its members or elements.")


@capability(
    id="merge",
    examples=[
        Example(
            inputs={"left": {"a": {"b": 1}}, "right": {"a": {"c": 2}}},
            output={"result": {"a": {"b": 1, "c": 2}}, "count": 1},
        )
    ],
    display_name="Merge",
    description="Puts two objects or two arrays together.",
    known_errors=(
        INPUT_ERROR,
        KnownError.permanent(MERGE_CONFLICT, "Both have another value, and conflict says error.", "path"),
        *PATH_ERRORS,
    ),
)
def merge(inputs: MergeInput) -> MergeOutput:
    """Put them together."""
    left, right = inputs.left, inputs.right
    are_arrays = isinstance(left if left is not None else right, list)
    empty: Any = [] if are_arrays else {}
    left, right = (empty if left is None else left), (empty if right is None else right)
    for name, value in (("left", left), ("right", right)):
        if not isinstance(value, list if are_arrays else dict):
            raise refuse(name, "an array like the other one" if are_arrays else "an object", value)
    mode = inputs.mode or ("append" if are_arrays else "deep")
    if are_arrays is (mode in ("deep", "shallow")):
        raise refuse("left", f"an {'object' if are_arrays else 'array'} for the mode {mode}", left)
    result: Any
    match mode:
        case "append":
            result = [*left, *right]
        case "position":
            result = _by_position(left, right, inputs)
        case "key":
            result = _by_key(left, right, inputs)
        case _:
            result = _merged(left, right, inputs.conflict, is_deep=mode == "deep", place="")
    return MergeOutput(result=result, count=len(result))


def _merged(left: dict[str, Any], right: dict[str, Any], conflict: Conflict, *, is_deep: bool, place: str) -> Any:
    result = dict(left)
    for key, value in right.items():
        inner = f"{place}.{key}" if place else key
        if key not in left:
            result[key] = value
        elif is_deep and isinstance(left[key], dict) and isinstance(value, dict):
            result[key] = _merged(left[key], value, conflict, is_deep=True, place=inner)
        elif conflict == "error" and not same(left[key], value):
            text = f"both have a value at {inner!r}: {shown(left[key])} and {shown(value)}"
            raise AgentError.permanent(MERGE_CONFLICT, text, attributes={"path": inner[:100]})
        elif conflict == "right":
            result[key] = value
    return result


def _pair(left: Any, right: Any, inputs: MergeInput) -> Any:
    """Two elements that belong together."""
    if isinstance(left, dict) and isinstance(right, dict):
        return _merged(left, right, inputs.conflict, is_deep=True, place="")
    if inputs.conflict == "error" and not same(left, right):
        text = f"two elements that belong together differ: {shown(left)} and {shown(right)}"
        raise AgentError.permanent(MERGE_CONFLICT, text, attributes={"path": ""})
    return left if inputs.conflict == "left" else right


def _by_position(left: list[Any], right: list[Any], inputs: MergeInput) -> list[Any]:
    paired = [_pair(*both, inputs) for both in zip(left, right, strict=False)]
    if inputs.join in ("left", "outer"):
        paired += left[len(right) :]
    if inputs.join in ("right", "outer"):
        paired += right[len(left) :]
    return paired


def _by_key(left: list[Any], right: list[Any], inputs: MergeInput) -> list[Any]:
    if not inputs.left_key:
        raise AgentError.permanent(
            "TRANSFORM_INVALID_INPUT",
            "left_key must name the key of the elements, for the mode key",
            attributes={"input": "left_key", "received_type": "null"},
        )
    left_key, right_key = inputs.left_key, inputs.right_key or inputs.left_key
    partners: dict[str, list[Any]] = {}
    for item in right:
        key = read_path(item, right_key)
        if key is not None:
            partners.setdefault(identity(key), []).append(item)
    result, met = [], set()
    for item in left:
        key = read_path(item, left_key)
        name = None if key is None else identity(key)
        others = partners.get(name, []) if name is not None else []
        result += [_pair(item, other, inputs) for other in others]
        if others and name is not None:
            met.add(name)
        elif inputs.join in ("left", "outer"):
            result.append(item)
    if inputs.join in ("right", "outer"):
        for item in right:
            key = read_path(item, right_key)
            if key is None or identity(key) not in met:
                result.append(item)
    return result


class LookupInput(BaseModel):
    """What is looked up where."""

    value: Any = Field(title="Value", description="A text, number or boolean.", examples=["DE"])
    table: dict[str, Any] = Field(title="Table", description="What values stand for.", examples=[{"DE": "Germany"}])
    default: Any = Field(default=None, description="The result for values that the table does not have.")


class LookupOutput(BaseModel):
    """What it stands for."""

    result: Any = Field(description="The entry of the table, or the default.")
    found: bool = Field(description="Whether the table has it.")


@capability(
    id="lookup",
    examples=[Example(inputs={"value": "a", "table": {"a": 1}}, output={"result": 1, "found": True})],
    display_name="Lookup",
    description="Finds what a value stands for in a table.",
    runs_inline=True,
)
def lookup(inputs: LookupInput) -> LookupOutput:
    """Look it up."""
    key = as_text(inputs.value)
    found = inputs.value is not None and key in inputs.table
    return LookupOutput(result=inputs.table[key] if found else inputs.default, found=found)


class CompareListsInput(BaseModel):
    """Before and after."""

    before: list[Any] = Field(title="Before", description="The array as it was.", examples=[[{"id": 1, "n": 1}]])
    after: list[Any] = Field(title="After", description="The array as it is.", examples=[[{"id": 1, "n": 2}]])
    key: str | None = Field(default=None, title="Key", description="Path that tells which elements are the same one.")


class CompareListsOutput(BaseModel):
    """What is different."""

    added: list[Any] = Field(description="Elements that are new.")
    removed: list[Any] = Field(description="Elements that are gone.")
    changed: list[dict[str, Any]] = Field(description="{key, before, after} of elements with the same key that differ.")
    unchanged_count: int = Field(description="How many are the same.")


@capability(
    id="compare-lists",
    examples=[
        Example(
            inputs={"before": [1], "after": [2]},
            output={"added": [2], "removed": [1], "changed": [], "unchanged_count": 0},
        )
    ],
    display_name="Compare Lists",
    description="Tells which elements were added, removed and changed from one array to another.",
    known_errors=PATH_ERRORS,
)
def compare_lists(inputs: CompareListsInput) -> CompareListsOutput:
    """Compare them."""

    def keyed(items: list[Any]) -> dict[str, tuple[Any, Any]]:
        return {identity(key): (key, item) for item in items for key in (read_path(item, inputs.key or ""),)}

    before, after = keyed(inputs.before), keyed(inputs.after)
    both = [name for name in before if name in after]
    changed = [
        {"key": before[name][0], "before": before[name][1], "after": after[name][1]}
        for name in both
        if not same(before[name][1], after[name][1])
    ]
    return CompareListsOutput(
        added=[item for name, (_, item) in after.items() if name not in before],
        removed=[item for name, (_, item) in before.items() if name not in after],
        changed=changed,
        unchanged_count=len(both) - len(changed),
    )
