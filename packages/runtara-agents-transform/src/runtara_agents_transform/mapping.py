"""`map-fields` and `map-items`: new objects from parts of others."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AliasChoices, BaseModel, BeforeValidator, Field
from runtara_sdk.agents import AgentError, Example, KnownError, capability

from runtara_agents_transform.paths import PATH_ERRORS, read_path
from runtara_agents_transform.values import INPUT_ERROR, INVALID_INPUT

TEMPLATE_ERROR = "TRANSFORM_TEMPLATE_ERROR"

_TEMPLATE = KnownError.permanent(TEMPLATE_ERROR, "A template cannot be rendered.", "target")


class FieldSource(BaseModel):
    """Where one field of the result comes from."""

    path: str | None = Field(default=None, description="Path in the source.")
    value: Any = Field(default=None, description="A constant, where there is neither path nor template.")
    template: str | None = Field(
        default=None, description="Text with placeholders over `source`, as {{ source.name }}."
    )
    default: Any = Field(default=None, description="Taken where nothing is found.")


def _as_source(value: Any) -> Any:
    return {"path": value} if isinstance(value, str) else value


Target = Annotated[FieldSource, BeforeValidator(_as_source)]


class MapFieldsInput(BaseModel):
    """What to read, and where each part goes."""

    source_data: Any = Field(
        validation_alias=AliasChoices("source_data", "source"),
        title="Source data",
        description="The value to read from.",
        examples=[{"customer": {"name": "Ada"}}],
    )
    mappings: dict[str, str | list[str]] | None = Field(
        default=None,
        title="Mappings",
        description="Path in the source -> name in the result, or several names. Missing and null parts are left out.",
        examples=[{"customer.name": "name"}],
    )
    mapping: dict[str, Target] | None = Field(
        default=None,
        title="Mapping by target",
        description="The other way round: target in the result -> path in the source, or {path, default}, {value} or "
        "{template}. Applied after `mappings`.",
        examples=[{"name": "customer.name"}],
    )
    nested_targets: bool = Field(
        default=False, description="Whether dots in targets make objects within objects: `customer.name`."
    )
    keep_nulls: bool = Field(default=False, description="Whether missing and null parts are kept as null.")


class MapFieldsOutput(BaseModel):
    """The new value."""

    result: Any = Field(description="The new object; the source itself when no mapping is given.")
    field_count: int = Field(description="How many fields the result has; 0 when it is not an object.")


@capability(
    id="map-fields",
    aliases=("map",),
    display_name="Map Fields",
    description="Makes a new object from chosen parts of a value; without a mapping the source passes through.",
    known_errors=(*PATH_ERRORS, INPUT_ERROR, _TEMPLATE),
    runs_inline=True,
    examples=[
        Example(
            inputs={"source_data": {"n": {"f": "Al"}}, "mappings": {"n.f": "first", "x": "y"}},
            output={"result": {"first": "Al"}, "field_count": 1},
        ),
        Example(
            inputs={
                "source": {"name": "Ada", "tags": ["a", "b"]},
                "mapping": {
                    "customer.greeting": {"template": "Dear {{ source.name }}"},
                    "customer.tag": "tags[0]",
                    "state": {"path": "state", "default": "new"},
                },
                "nested_targets": True,
            },
            output={"result": {"customer": {"greeting": "Dear Ada", "tag": "a"}, "state": "new"}, "field_count": 2},
        ),
    ],
)
def map_fields(inputs: MapFieldsInput) -> MapFieldsOutput:
    """Build the mapped object."""
    if inputs.mappings is None and inputs.mapping is None:
        source = inputs.source_data
        return MapFieldsOutput(result=source, field_count=len(source) if isinstance(source, dict) else 0)
    targets: list[tuple[str, FieldSource]] = []
    for path, names in (inputs.mappings or {}).items():
        targets += [(name, FieldSource(path=path)) for name in (names if isinstance(names, list) else [names])]
    targets += (inputs.mapping or {}).items()
    result = mapped(inputs.source_data, targets, nested=inputs.nested_targets, keep_nulls=inputs.keep_nulls)
    return MapFieldsOutput(result=result, field_count=len(result))


class MapItemsInput(BaseModel):
    """What becomes of each element."""

    value: list[Any] = Field(title="Value", description="The array.", examples=[[{"n": 1}]])
    mapping: dict[str, Target] | None = Field(
        default=None, description="Target -> path in the element, or {path, default}, {value} or {template}."
    )
    template: str | None = Field(
        default=None, description="In place of `mapping`: each element becomes the text of this template."
    )
    nested_targets: bool = Field(default=False, description="Whether dots in targets make objects within objects.")
    keep_nulls: bool = Field(default=False, description="Whether missing and null parts are kept as null.")


class MapItemsOutput(BaseModel):
    """The new elements."""

    items: list[Any] = Field(description="One for each element.")
    count: int = Field(description="How many.")


@capability(
    id="map-items",
    display_name="Map Items",
    description="Makes a new object, or a text, of every element of an array.",
    known_errors=(*PATH_ERRORS, INPUT_ERROR, _TEMPLATE),
    examples=[
        Example(
            inputs={"value": [{"n": "a", "q": 2}], "mapping": {"name": "n"}},
            output={"items": [{"name": "a"}], "count": 1},
        ),
        Example(
            inputs={"value": ["a", "b"], "template": "{{ index }}: {{ source }}"},
            output={"items": ["0: a", "1: b"], "count": 2},
        ),
    ],
)
def map_items(inputs: MapItemsInput) -> MapItemsOutput:
    """Each element anew."""
    if (inputs.mapping is None) == (inputs.template is None):
        raise AgentError.permanent(
            INVALID_INPUT, "give either mapping or template", attributes={"input": "mapping, template"}
        )
    items: list[Any] = []
    for index, item in enumerate(inputs.value):
        if inputs.template is not None:
            items.append(_rendered(inputs.template, {"source": item, "index": index}, f"value[{index}]"))
        else:
            targets = list((inputs.mapping or {}).items())
            items.append(mapped(item, targets, nested=inputs.nested_targets, keep_nulls=inputs.keep_nulls))
    return MapItemsOutput(items=items, count=len(items))


def mapped(source: Any, targets: list[tuple[str, FieldSource]], *, nested: bool, keep_nulls: bool) -> dict[str, Any]:
    """The object that the targets make of a source."""
    result: dict[str, Any] = {}
    for target, wanted in targets:
        if wanted.template is not None:
            found: Any = _rendered(wanted.template, {"source": source}, target)
        else:
            found = wanted.value if wanted.path is None else read_path(source, wanted.path)
        if found is None:
            found = wanted.default
        if found is None and not keep_nulls:
            continue
        if nested:
            _put(result, target, found)
        else:
            result[target] = found
    return result


def _put(result: dict[str, Any], target: str, value: Any) -> None:
    *parents, last = target.split(".")
    place = result
    for parent in parents:
        inner = place.setdefault(parent, {})
        if not isinstance(inner, dict):
            raise AgentError.permanent(
                INVALID_INPUT,
                f"target {target!r} needs an object at {parent!r}, but another target put a value there",
                attributes={"input": "mapping", "target": target},
            )
        place = inner
    place[last] = value


def _rendered(text: str, roots: dict[str, Any], target: str) -> str:
    from runtara_sdk.workflow.template_engine import TemplateProblem, render  # most mappings have no template

    try:
        return render(text, roots)
    except TemplateProblem as problem:
        raise AgentError.permanent(TEMPLATE_ERROR, f"{target}: {problem}", attributes={"target": target}) from None
