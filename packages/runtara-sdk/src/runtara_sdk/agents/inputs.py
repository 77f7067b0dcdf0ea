"""From the input object of a step to the input model of a capability.

References into loosely typed data often yield `"42"` where a number is declared. Such values are fitted to the
declared type where only one reading is possible; everything else is an error that names the input. Values never appear
in error texts: they may be secret.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from runtara_sdk.agents.capability import Capability
from runtara_sdk.agents.errors import INPUT_DESERIALIZATION_ERROR, AgentError
from runtara_sdk.agents.schema import InputField

_INTEGER = re.compile(r"[+-]?[0-9]{1,100}")
_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,5})?")
_TRUE = frozenset({"true", "1", "yes"})
_FALSE = frozenset({"false", "0", "no"})
_REPORTED_PROBLEMS = 5


class _UnfitError(Exception):
    """A value that cannot be read as the declared type; the text completes "must be"."""


def decode_inputs(place: str, capability: Capability, inputs: Any) -> BaseModel:
    """The input model of `capability`, filled from `inputs`; unknown inputs are ignored.

    Raises:
        AgentError: permanent INPUT_DESERIALIZATION_ERROR naming every unacceptable input.
    """
    if not isinstance(inputs, Mapping):
        raise _refusal(place, ["inputs must be an object"])
    fitted = dict(inputs)
    for field in capability.fields:
        _rename_camel_case(field, fitted)
        for name in (field.name, *field.aliases):
            if name in fitted:
                try:
                    fitted[name] = _fit(field, fitted[name])
                except _UnfitError as error:
                    raise _refusal(place, [f"{name} must be {error}"]) from None
    try:
        return capability.input_model.model_validate(fitted)
    except ValidationError as error:
        problems = [
            f"{_path(problem['loc'])}: {problem['msg']}"
            for problem in error.errors(include_url=False, include_input=False, include_context=False)
        ]
        raise _refusal(place, problems) from None
    except RecursionError:
        raise _refusal(place, ["inputs are nested too deeply"]) from None


def _rename_camel_case(field: InputField, inputs: dict[str, Any]) -> None:
    camel = field.camel_case_name
    if camel != field.name and camel in inputs and camel not in field.aliases:
        value = inputs.pop(camel)
        inputs.setdefault(field.name, value)


def _fit(field: InputField, value: Any) -> Any:
    if field.enum:
        return value
    if field.type == "array" and isinstance(value, list):
        item_type = field.type_info.get("items", {}).get("type", "any")
        return [_fit_scalar(item_type, item) for item in value]
    return _fit_scalar(field.type, value)


def _fit_scalar(type_name: str, value: Any) -> Any:
    if value is None:
        return value
    match type_name:
        case "integer":
            return _integer(value)
        case "number":
            return _number(value)
        case "boolean":
            return _boolean(value)
        case "string":
            return _string(value)
        case _:
            return value


def _integer(value: Any) -> Any:
    if isinstance(value, bool):
        raise _UnfitError("an integer, not a boolean")
    if isinstance(value, str):
        text = value.strip()
        if not _INTEGER.fullmatch(text):
            raise _UnfitError("an integer")
        return int(text)
    return value


def _number(value: Any) -> Any:
    if isinstance(value, bool):
        raise _UnfitError("a number, not a boolean")
    if isinstance(value, str):
        text = value.strip()
        if not _NUMBER.fullmatch(text):
            raise _UnfitError("a number")
        value = float(text)
    if isinstance(value, float) and not math.isfinite(value):
        raise _UnfitError("a finite number")
    return value


def _boolean(value: Any) -> Any:
    if isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        return value != 0
    if isinstance(value, str):
        lowered = value.strip().lower()
        if lowered in _TRUE:
            return True
        if lowered in _FALSE:
            return False
        raise _UnfitError("a boolean: true/1/yes or false/0/no")
    return value


def _string(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    return value


def _path(location: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in location) or "inputs"


def _refusal(place: str, problems: list[str]) -> AgentError:
    listed = "; ".join(problems[:_REPORTED_PROBLEMS])
    if len(problems) > _REPORTED_PROBLEMS:
        listed += f"; and {len(problems) - _REPORTED_PROBLEMS} more"
    return AgentError.permanent(INPUT_DESERIALIZATION_ERROR, f"{place}: {listed}")
