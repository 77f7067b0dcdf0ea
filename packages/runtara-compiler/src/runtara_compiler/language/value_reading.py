"""Reading mapping values and conditions. One that is refused is replaced, so that it is reported once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from runtara_compiler.language.base import LanguageModel
from runtara_compiler.language.conditions import Operation, Operator, condition_kind
from runtara_compiler.language.json_source import describe, quoted
from runtara_compiler.language.mapping import VALUE_MODELS
from runtara_compiler.language.reading import Place, ReadingReport
from runtara_compiler.language.suggestions import did_you_mean, listing

ReadFields = Callable[[dict[str, Any], type[LanguageModel], Place], dict[str, Any]]

_FORMS = "'reference', 'immediate', 'composite' or 'template'"
_HARMLESS_VALUE: dict[str, Any] = {"valueType": "immediate", "value": None}
_HARMLESS_CONDITION: dict[str, Any] = {"type": "value", "mappingValue": _HARMLESS_VALUE}


class ValueReader:
    """Reads values and conditions; `read_fields` reads the fields of one part by its model."""

    def __init__(self, report: ReadingReport, read_fields: ReadFields) -> None:
        self._report = report.report
        self._read_fields = read_fields

    def value(self, raw: Any, place: Place) -> Any:
        """A mapping value; one that is refused becomes null."""
        if not isinstance(raw, dict):
            example = '{"valueType": "immediate", "value": …}'
            self._report("E095", f"a mapping value is an object such as {example}, found {describe(raw)}", place)
            return _HARMLESS_VALUE
        if "valueType" not in raw:
            self._report("E094", f"'valueType' is missing; it is {_FORMS}", place)
            return _HARMLESS_VALUE
        return self._formed(raw, place)

    def nested_value(self, raw: Any, place: Place) -> Any:
        """JSON in which objects with `valueType` and `value` are mapping values, as one mapping value."""
        if not _holds_values(raw):
            return {"valueType": "immediate", "value": raw}
        if _is_value(raw):
            return self.value(raw, place)
        items = raw.items() if isinstance(raw, dict) else enumerate(raw)
        read = {key: self.nested_value(item, (*place, key)) for key, item in items}
        return {"valueType": "composite", "value": read if isinstance(raw, dict) else list(read.values())}

    def condition(self, raw: Any, place: Place) -> Any:
        """A condition; one that is refused becomes false."""
        kind = condition_kind(raw) if isinstance(raw, dict) else None
        if kind not in ("operation", "value"):
            found = describe(raw.get("type")) if isinstance(raw, dict) else describe(raw)
            self._report("E025", f"a condition has the 'type' 'operation' or 'value', found {found}", place)
            return _HARMLESS_CONDITION
        if kind == "value":
            if "valueType" not in raw:
                self._report("E094", f"'valueType' is missing; it is {_FORMS}", place)
                return _HARMLESS_CONDITION
            inner = {name: item for name, item in raw.items() if name != "type"}
            return {"type": "value", "mappingValue": self._formed(inner, place)}
        return self._operation(raw, place)

    def _operation(self, raw: dict[str, Any], place: Place) -> Any:
        operation = self._read_fields(raw, Operation, place)
        operator = operation.get("op")
        if not isinstance(operator, str) or operator not in Operator.__members__:
            self._refuse_operator(operator, place)
            return _HARMLESS_CONDITION
        arguments = operation.get("arguments", [])
        if not isinstance(arguments, list):
            self._report("E025", f"'arguments' is an array, found {describe(arguments)}", place)
            return _HARMLESS_CONDITION
        operation["arguments"] = [
            self._argument(argument, (*place, "arguments", index)) for index, argument in enumerate(arguments)
        ]
        return operation

    def _argument(self, raw: Any, place: Place) -> Any:
        if not isinstance(raw, dict):
            self._report("E025", f"an argument is a condition or a mapping value, found {describe(raw)}", place)
            return _HARMLESS_VALUE
        if condition_kind(raw) in ("operation", "value"):
            return self.condition(raw, place)
        if "valueType" not in raw:
            self._report("E025", "an argument has a 'type' (a condition) or a 'valueType' (a mapping value)", place)
            return _HARMLESS_VALUE
        return self.value(raw, place)

    def _formed(self, raw: dict[str, Any], place: Place) -> Any:
        """A value that says which form it has."""
        form = raw["valueType"]
        model = VALUE_MODELS.get(form) if isinstance(form, str) else None
        if model is None:
            suggestion = did_you_mean(form, VALUE_MODELS) if isinstance(form, str) else ""
            self._report("E095", f"unknown value type {describe(form)}{suggestion}; it is {_FORMS}", place)
            return _HARMLESS_VALUE
        fields = self._read_fields(raw, model, place)
        if form != "composite":
            return fields
        inner, where = fields.get("value"), (*place, "value")
        if isinstance(inner, dict):
            return {**fields, "value": {key: self.value(item, (*where, key)) for key, item in inner.items()}}
        if isinstance(inner, list):
            return {**fields, "value": [self.value(item, (*where, index)) for index, item in enumerate(inner)]}
        self._report("E095", f"the value of a composite is an object or an array, found {describe(inner)}", place)
        return _HARMLESS_VALUE

    def _refuse_operator(self, operator: Any, place: Place) -> None:
        if operator is None:
            self._report("E094", f"'op' is missing; it is one of {listing(Operator)}", place)
        elif isinstance(operator, str):
            self._report("E025", f"unknown operator {quoted(operator)}{did_you_mean(operator, Operator)}", place)
        else:
            self._report("E025", f"'op' is the name of an operator, found {describe(operator)}", place)


def _is_value(raw: Any) -> bool:
    return isinstance(raw, dict) and "valueType" in raw and "value" in raw


def _holds_values(raw: Any) -> bool:
    stack = [raw]
    while stack:
        item = stack.pop()
        if _is_value(item):
            return True
        if isinstance(item, dict | list):
            stack.extend(item.values() if isinstance(item, dict) else item)
    return False
