"""Schemas of a scenario: what an input may hold, and the defaults that complete it.

A schema maps names to fields as the scenario writes them: `{"who": {"type": "string", "required": true}}`. Names that
it does not mention pass unchecked. Checking never stops at the first violation.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from runtara_sdk.errors import VIOLATIONS_IN_MESSAGE
from runtara_sdk.workflow.coercion import shown
from runtara_sdk.workflow.failures import StepFailedError

MAXIMUM_VIOLATIONS = 100
"""More are counted, but not listed."""

_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int, float),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
    "file": (dict,),
}
_SHOWN_VALUES = 20
_PLAIN_NAME = re.compile(r"[^\W\d][\w-]*")


@dataclass(frozen=True, slots=True)
class Violation:
    """Where a value does not fit, as a path from the checked value, and why."""

    path: str
    message: str

    def to_json(self) -> dict[str, str]:
        """`{path, message}`."""
        return {"path": self.path, "message": self.message}


@dataclass(frozen=True, slots=True)
class SchemaField:
    """One field: its JSON form, read once.

    Attributes:
        type: `string`, `integer`, `number`, `boolean`, `array`, `object` or `file` (an object with `content`).
        allowed: the first values of `enum`, for messages: written once, however many values are none of them.
        minimum: least value of a number, least number of characters of a string.
        maximum: the same for the greatest.
        visible_when: the field counts as required only where this sibling has, or has not, a value.
    """

    type: str
    required: bool = False
    nullable: bool = False
    has_default: bool = False
    default: Any = None
    enum: tuple[Any, ...] | None = None
    allowed: str = ""
    items: SchemaField | None = None
    properties: Schema | None = None
    minimum: float | None = None
    maximum: float | None = None
    pattern: re.Pattern[str] | None = None
    visible_when: Mapping[str, Any] | None = None
    description: str | None = None

    @property
    def described(self) -> str:
        """Type and description, for messages."""
        return self.type if self.description is None else f"{self.type}: {self.description}"

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> SchemaField:
        """Read `{type, required?, default?, ...}`; hints for forms are passed over."""
        items, properties, pattern = (document.get(name) for name in ("items", "properties", "pattern"))
        enum = None if document.get("enum") is None else tuple(document["enum"])
        return cls(
            type=document["type"],
            required=document.get("required", False),
            nullable=document.get("nullable", False),
            has_default="default" in document,
            default=document.get("default"),
            enum=enum,
            allowed="" if enum is None else ", ".join(shown(item) for item in enum[:_SHOWN_VALUES]),
            items=None if items is None else cls.from_json(items),
            properties=None if properties is None else Schema.from_json(properties),
            minimum=document.get("min"),
            maximum=document.get("max"),
            pattern=None if pattern is None else re.compile(pattern),
            visible_when=document.get("visibleWhen"),
            description=document.get("description"),
        )

    def violations(self, value: Any, path: str) -> Iterator[Violation]:
        """What is wrong with a value that is there."""
        if value is None:
            if not self.nullable and self.required:
                yield Violation(path, "is required and must not be null")
            return
        if not self._has_type(value):
            yield Violation(path, f"must be {_article(self.type)}, found {shown(value)}")
            return
        if self.enum is not None and not any(_same(value, allowed) for allowed in self.enum):
            yield Violation(path, f"must be one of {self.allowed}; found {shown(value)}")
        yield from self._bounds(value, path)
        if isinstance(value, list) and self.items is not None:
            for index, item in enumerate(value):
                yield from self.items.violations(item, f"{path}[{index}]")
        if isinstance(value, dict) and self.properties is not None:
            yield from self.properties.violations(value, path)

    def completed(self, value: Any) -> Any:
        """The value with the defaults of what it holds filled in; the value itself where nothing is missing."""
        if isinstance(value, dict) and self.properties is not None:
            return self.properties.completed(value)
        if isinstance(value, list) and self.items is not None:
            return [self.items.completed(item) for item in value]
        return value

    def _has_type(self, value: Any) -> bool:
        if isinstance(value, bool):
            return self.type == "boolean"
        if self.type == "integer" and isinstance(value, float):
            return value.is_integer()
        if self.type == "file":
            return isinstance(value, dict) and isinstance(value.get("content"), str)
        return isinstance(value, _TYPES[self.type])

    def _bounds(self, value: Any, path: str) -> Iterator[Violation]:
        if isinstance(value, str):
            measured, unit = float(len(value)), " characters"
            if self.pattern is not None and self.pattern.search(value) is None:
                yield Violation(path, f"must match the pattern {self.pattern.pattern!r}, found {shown(value)}")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            measured, unit = value, ""
        else:
            return
        if self.minimum is not None and measured < self.minimum:
            yield Violation(path, f"must be at least {self.minimum:g}{unit}, found {shown(value)}")
        if self.maximum is not None and measured > self.maximum:
            yield Violation(path, f"must be at most {self.maximum:g}{unit}, found {shown(value)}")


@dataclass(frozen=True, slots=True)
class Schema:
    """Fields by name."""

    fields: Mapping[str, SchemaField] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.fields)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Schema:
        """Read a map of name to field."""
        return cls({name: SchemaField.from_json(item) for name, item in document.items()})

    def violations(self, value: Any, path: str = "") -> Iterator[Violation]:
        """All violations of an object, in the order of the schema."""
        if not isinstance(value, dict):
            yield Violation(path, f"must be an object, found {shown(value)}")
            return
        for name, declared in self.fields.items():
            where = _join(path, name)
            if name in value:
                yield from declared.violations(value[name], where)
            elif declared.required and not declared.has_default and _is_visible(declared, value):
                yield Violation(where, f"is required ({declared.described})")

    def completed(self, value: dict[str, Any]) -> dict[str, Any]:
        """A copy with defaults for what is missing; what is there stays, null included."""
        result = dict(value)
        for name, declared in self.fields.items():
            if name in result:
                result[name] = declared.completed(result[name])
            elif declared.has_default:
                result[name] = copy.deepcopy(declared.default)
        return result


def schema(document: Mapping[str, Any]) -> Schema:
    """A schema from its JSON form."""
    return Schema.from_json(document)


def checked(declared: Schema, value: Any, *, code: str, what: str, root: str) -> Any:
    """The value completed with defaults; see `require_fitting`."""
    require_fitting(declared, value, code=code, what=what, root=root)
    return declared.completed(value) if declared else value


def require_fitting(declared: Schema, value: Any, *, code: str, what: str, root: str) -> None:
    """Raise `StepFailedError` that lists every violation.

    Args:
        declared: the schema; one without fields checks nothing.
        value: an object.
        code: of the failure.
        what: begins the message, such as `the input`.
        root: begins the paths of the violations, such as `data`.
    """
    found = list(declared.violations(value, root)) if declared else []
    if not found:
        return
    listed = found[:MAXIMUM_VIOLATIONS]
    more = f"; and {len(found) - VIOLATIONS_IN_MESSAGE} more" if len(found) > VIOLATIONS_IN_MESSAGE else ""
    text = "; ".join(f"{item.path} {item.message}" for item in listed[:VIOLATIONS_IN_MESSAGE]) + more
    raise StepFailedError(
        code,
        f"{what} does not fit its schema: {text}",
        violations=[item.to_json() for item in listed],
        violationCount=len(found),
    )


def _is_visible(declared: SchemaField, siblings: Mapping[str, Any]) -> bool:
    """A form does not ask for a field that it hides, so nothing may require it then."""
    condition = declared.visible_when
    if condition is None:
        return True
    value = siblings.get(condition["field"])
    if "equals" in condition and not _same(value, condition["equals"]):
        return False
    return not ("notEquals" in condition and _same(value, condition["notEquals"]))


def _same(left: Any, right: Any) -> bool:
    # In Python True equals 1; in JSON it does not, at whatever depth.
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(_same, left, right))
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(_same(left[key], right[key]) for key in left)
    return bool(left == right)


def _join(path: str, name: str) -> str:
    if _PLAIN_NAME.fullmatch(name):
        return f"{path}.{name}" if path else name
    return f"{path}[{name!r}]"


def _article(kind: str) -> str:
    if kind == "file":
        return "a file (an object with 'content')"
    return f"an {kind}" if kind[0] in "aio" else f"a {kind}"
