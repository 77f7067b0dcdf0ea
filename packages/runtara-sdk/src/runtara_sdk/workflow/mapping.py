"""Mapping values: where the inputs and outputs of steps come from.

`reference` reads a path, `immediate` is a constant, `composite` holds further mapping values. Each resolves against
the roots of the current scope (`data`, `variables`, `steps`, ...).
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from runtara_sdk.workflow.coercion import CoercionError, coerce
from runtara_sdk.workflow.failures import StepFailedError
from runtara_sdk.workflow.paths import PathError, resolve_path

Roots = dict[str, Any]


class Value(ABC):
    """Something that has a JSON value once the run has reached it."""

    @abstractmethod
    def resolve(self, roots: Roots) -> Any:
        """The JSON value; raises `StepFailedError` when it cannot be had."""

    def as_json(self) -> dict[str, Any] | None:
        """The value as a scenario writes it, for people who look for what a step was given; None for conditions."""
        return None


@dataclass(frozen=True, slots=True)
class Reference(Value):
    """The value at `path`; `default` stands in for null, missing and what does not fit `type`."""

    path: str
    type: str | None = None
    default: Any = None

    def resolve(self, roots: Roots) -> Any:
        try:
            found = resolve_path(self.path, roots)
            if found is None:
                found = copy.deepcopy(self.default)
            elif self.type is not None:
                return coerce(found, self.type)
        except (PathError, CoercionError) as error:
            if self.default is None:
                code = "TYPE_COERCION_ERROR" if isinstance(error, CoercionError) else "REFERENCE_ERROR"
                raise StepFailedError(code, f"reference {self.path!r}: {error}") from None
            found = copy.deepcopy(self.default)
        return found if self.type is None else self._coerced_default(found)

    def as_json(self) -> dict[str, Any]:
        written: dict[str, Any] = {"valueType": "reference", "value": self.path}
        given = {"type": self.type, "default": self.default}
        return written | {name: value for name, value in given.items() if value is not None}

    def _coerced_default(self, value: Any) -> Any:
        try:
            return coerce(value, self.type or "json")
        except CoercionError as error:
            raise StepFailedError("TYPE_COERCION_ERROR", f"reference {self.path!r}: its default {error}") from None


@dataclass(frozen=True, slots=True)
class Immediate(Value):
    """A constant, taken literally."""

    value: Any

    def resolve(self, roots: Roots) -> Any:
        # A step may keep and change what it got; the constant serves every iteration.
        if not isinstance(self.value, dict | list):
            return self.value
        return copy.deepcopy(self.value) if self.value else type(self.value)()

    def as_json(self) -> dict[str, Any]:
        return {"valueType": "immediate", "value": self.value}


@dataclass(frozen=True, slots=True)
class Composite(Value):
    """An object or an array of mapping values."""

    value: Mapping[str, Value] | tuple[Value, ...]

    def resolve(self, roots: Roots) -> Any:
        if isinstance(self.value, Mapping):
            return {key: item.resolve(roots) for key, item in self.value.items()}
        return [item.resolve(roots) for item in self.value]

    def as_json(self) -> dict[str, Any]:
        if isinstance(self.value, Mapping):
            return {"valueType": "composite", "value": mapping_json(self.value)}
        return {"valueType": "composite", "value": [item.as_json() for item in self.value]}


def reference(path: str, *, type: str | None = None, default: Any = None) -> Reference:  # noqa: A002
    """Read `path`, fit it to `type`, fall back on `default`."""
    return Reference(path, type, default)


def immediate(value: Any) -> Immediate:
    """A constant."""
    return Immediate(value)


def composite(value: Mapping[str, Value] | list[Value]) -> Composite:
    """An object or an array put together from mapping values."""
    return Composite(value if isinstance(value, Mapping) else tuple(value))


def mapping_json(mapping: Mapping[str, Value]) -> dict[str, Any]:
    """An input mapping as a scenario writes it."""
    return {name: value.as_json() for name, value in mapping.items()}


def resolve_mapping(mapping: Mapping[str, Value], roots: Roots) -> dict[str, Any]:
    """Resolve a whole input mapping; a name with dots builds nested objects."""
    resolved: dict[str, Any] = {}
    for name, value in mapping.items():
        *parents, last = name.split(".")
        target = resolved
        for parent in parents:
            target = _child_object(target, parent, name)
        target[last] = value.resolve(roots)
    return resolved


def _child_object(target: dict[str, Any], key: str, name: str) -> dict[str, Any]:
    child = target.get(key, {})
    if not isinstance(child, dict):
        raise StepFailedError(
            "MAPPING_CONFLICT", f"input {name!r} needs an object at {key!r}, but another input put a value there"
        )
    target[key] = dict(child)  # a copy: the object may belong to another step's record
    return target[key]  # type: ignore[no-any-return]  # the dict of the line above
