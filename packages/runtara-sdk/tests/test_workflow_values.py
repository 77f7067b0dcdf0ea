"""Paths, coercion, mappings and conditions of generated workflows."""

from __future__ import annotations

from typing import Any

import pytest
from runtara_sdk.workflow import StepFailedError, composite, immediate, operation, reference, truth
from runtara_sdk.workflow.coercion import CoercionError, coerce
from runtara_sdk.workflow.conditions import OPERATORS, is_true
from runtara_sdk.workflow.mapping import resolve_mapping
from runtara_sdk.workflow.paths import PathError, parse_path, resolve_path
from runtara_sdk.written_decimal import WrittenDecimal

ROOTS: dict[str, Any] = {
    "data": {
        "order": {"lines": [{"sku": "a"}, {"sku": "b"}]},
        "full name": "Ada",
        "x.y": {"it's": 1, "0": "zero"},
        "empty": None,
        "text": "12",
        "bad": "abc",
    },
    "steps": {},
}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("data.order.lines[0].sku", "a"),
        ("data.order.lines.1.sku", "b"),
        ("data.order.lines[-1].sku", "b"),
        ("data.order.lines.-2.sku", "a"),
        ("data['full name']", "Ada"),
        ('data["x.y"]["it\'s"]', 1),
        ("data['x.y']['it's']", 1),
        ("data['x.y'].0", "zero"),
        ("data['x.y'][0]", "zero"),
        ("data.order.lines[2].sku", None),
        ("data.order.lines[-3]", None),
        ("data.missing.deep", None),
        ("data.text.deep", None),
        ("nowhere.x", None),
        ("steps.later.outputs", None),
    ],
)
def test_path_reads_value_or_null(path: str, expected: Any) -> None:
    assert resolve_path(path, ROOTS) == expected


@pytest.mark.parametrize("path", ["", ".a", "a.", "a..b", "a[b]", "a]", "['a']", "a['b", "a.['b']", "a[0"])
def test_malformed_path_is_refused(path: str) -> None:
    with pytest.raises(PathError):
        parse_path(path)


def test_array_addressed_by_name_fails_and_names_the_path() -> None:
    with pytest.raises(StepFailedError, match=r"data\.order\.lines\.sku"):
        reference("data.order.lines.sku").resolve(ROOTS)
    assert reference("data.order.lines.sku", default="?").resolve(ROOTS) == "?"


@pytest.mark.parametrize(
    ("value", "hint", "expected"),
    [
        (5, "string", "5"),
        (2.0, "string", "2.0"),
        (True, "string", "true"),
        ({"a": [1, None]}, "string", '{"a":[1,null]}'),
        ("é", "string", "é"),
        (2.9, "integer", 2),
        (-2.9, "integer", -2),
        ("-12", "integer", -12),
        (True, "integer", 1),
        (3, "number", 3.0),
        ("1e3", "number", WrittenDecimal("1e3")),
        (" 1", "number", None),
        ("1_0", "integer", None),
        ("1.5", "integer", None),
        ("abc", "integer", None),
        ("inf", "number", None),
        (True, "number", None),
        ([1], "integer", None),
        ("true", "boolean", True),
        ("1", "boolean", True),
        ("yes", "boolean", False),
        (0, "boolean", False),
        ([0], "boolean", True),
        ({}, "boolean", False),
        ({"content": "x"}, "file", {"content": "x"}),
        ("9" * 5000, "integer", None),
        (10**400, "number", 10**400),
        ("1e999", "number", None),
    ],
)
def test_coercion(value: Any, hint: str, expected: Any) -> None:
    if expected is None:
        with pytest.raises(CoercionError, match=hint):
            coerce(value, hint)
    else:
        result = coerce(value, hint)
        assert result == expected
        assert type(result) is type(expected)


@pytest.mark.parametrize("hint", ["string", "integer", "number", "boolean", "json", "file"])
def test_null_passes_every_hint(hint: str) -> None:
    assert reference("data.empty", type=hint).resolve(ROOTS) is None


def test_coercion_error_names_path_and_value_and_default_rescues() -> None:
    with pytest.raises(StepFailedError) as failure:
        reference("data.bad", type="integer").resolve(ROOTS)
    assert failure.value.code == "TYPE_COERCION_ERROR"
    assert failure.value.details["category"] == "permanent"
    assert "data.bad" in failure.value.message
    assert '"abc"' in failure.value.message
    assert reference("data.bad", type="integer", default="7").resolve(ROOTS) == 7


def test_default_replaces_null_and_is_coerced() -> None:
    assert reference("data.missing", type="integer", default="12").resolve(ROOTS) == 12
    assert reference("data.empty", default=[1]).resolve(ROOTS) == [1]


def test_mapping_builds_nested_objects_and_leaves_constants_alone() -> None:
    constant = {"city": "Rome"}
    mapping = {
        "user.address": immediate(constant),
        "user.address.zip": reference("data.text", type="integer"),
        "list": composite([immediate(1), composite({"n": reference("data['full name']")})]),
    }
    resolved = resolve_mapping(mapping, ROOTS)
    assert resolved == {"user": {"address": {"city": "Rome", "zip": 12}}, "list": [1, {"n": "Ada"}]}
    assert constant == {"city": "Rome"}


def test_mapping_conflict_is_an_error() -> None:
    with pytest.raises(StepFailedError, match=r"a\.b"):
        resolve_mapping({"a": immediate(1), "a.b": immediate(2)}, ROOTS)


def evaluate(operator: str, *arguments: Any) -> Any:
    return operation(operator, *map(immediate, arguments)).resolve({})


@pytest.mark.parametrize(
    ("operator", "arguments", "expected"),
    [
        ("AND", [], True),
        ("AND", [1, "x", [0]], True),
        ("AND", [1, ""], False),
        ("OR", [], False),
        ("OR", [0, {}, "x"], True),
        ("NOT", [], True),
        ("NOT", [1], False),
        ("EQ", [1, 1.0], True),
        ("EQ", [1, "1"], True),
        ("EQ", ["1.0", 1], True),
        ("EQ", [True, 1], False),
        ("EQ", [True, "true"], False),
        ("EQ", [None, None], True),
        ("EQ", [None, 0], False),
        ("EQ", [{"a": [1]}, {"a": [1.0]}], True),
        ("EQ", [{"a": [1]}, {"a": [True]}], False),
        ("EQ", [0.1 + 0.2, 0.3], True),
        ("EQ", [10**400, 1.5], False),
        ("NE", ["-2.5", -(10**400)], True),
        ("EQ", [2**53 + 1, 2**53], False),
        ("EQ", [1], False),
        ("NE", [1], False),
        ("NE", [1, 2], True),
        ("GT", [2, "1"], True),
        ("GT", ["b", "a"], False),
        ("GT", [" 2", 1], False),
        ("GTE", [True, 1], True),
        ("LT", [None, 1], False),
        ("LTE", [1.5, 1.5], True),
        ("LT", [1], False),
        ("STARTS_WITH", ["order", "or"], True),
        ("ENDS_WITH", ["order", "er"], True),
        ("STARTS_WITH", [1, "1"], False),
        ("CONTAINS", [["1", 2], 1], True),
        ("CONTAINS", ["HTTP_TIMEOUT", "TIMEOUT"], True),
        ("CONTAINS", [{"a": 1}, "a"], False),
        ("IN", [2, [1, 2]], True),
        ("IN", [2], False),
        ("NOT_IN", [2], True),
        ("NOT_IN", [3, [1, 2]], True),
        ("LENGTH", ["né"], 2),
        ("LENGTH", [[1, 2, 3]], 3),
        ("LENGTH", [None], 0),
        ("LENGTH", [42], 1),
        ("IS_DEFINED", [None], False),
        ("IS_DEFINED", [0], True),
        ("IS_EMPTY", [[]], True),
        ("IS_EMPTY", [0], False),
        ("IS_EMPTY", [], True),
        ("IS_NOT_EMPTY", ["x"], True),
        ("IS_NOT_EMPTY", [], False),
    ],
)
def test_operators(operator: str, arguments: list[Any], expected: Any) -> None:
    result = evaluate(operator, *arguments)
    assert result == expected
    assert type(result) is type(expected)


def test_no_operator_raises_whatever_it_is_given() -> None:
    values = [None, True, 0, 1.5, "", "x", [], [1], {}, {"a": 1}]
    for operator in OPERATORS:
        for left in values:
            evaluate(operator, left)
            for right in values:
                evaluate(operator, left, right)


def test_nested_expressions() -> None:
    longer = operation("GT", operation("LENGTH", reference("data.text")), immediate(1))
    assert longer.resolve(ROOTS) is True
    assert is_true(operation("LENGTH", reference("data.text")).resolve(ROOTS))
    assert operation("EQ", truth(reference("data.text")), immediate(True)).resolve(ROOTS) is True


def test_and_or_stop_early() -> None:
    failing = reference("data.bad", type="integer")
    assert operation("OR", immediate(1), failing).resolve(ROOTS) is True
    assert operation("AND", immediate(0), failing).resolve(ROOTS) is False


def test_unknown_operator_is_refused() -> None:
    with pytest.raises(ValueError, match="XOR"):
        operation("XOR")
