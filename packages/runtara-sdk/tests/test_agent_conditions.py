"""Conditions as inputs of capabilities."""

from __future__ import annotations

from typing import Any

import pytest
from runtara_sdk.agents import AgentError
from runtara_sdk.agents.conditions import read_condition


def compare(op: str, path: str, value: Any) -> dict[str, Any]:
    arguments = [{"valueType": "reference", "value": path}, {"valueType": "immediate", "value": value}]
    return {"type": "operation", "op": op, "arguments": arguments}


def test_items_and_their_members_are_read() -> None:
    both = {"type": "operation", "op": "AND", "arguments": [compare("GT", "item.n", 1), compare("EQ", "s", "x")]}
    holds = read_condition(both, "where")
    assert [holds(item) for item in ({"n": 2, "s": "x"}, {"n": 1, "s": "x"}, {"n": 2}, {}, 3)] == [
        True,
        False,
        False,
        False,
        False,
    ]
    assert read_condition({"type": "value", "mappingValue": {"valueType": "reference", "value": "item"}}, "w")(1)
    parts = {"valueType": "composite", "value": [{"valueType": "reference", "value": "item"}]}
    membership = {"type": "operation", "op": "IN", "arguments": [{"valueType": "immediate", "value": 3}, parts]}
    assert read_condition(membership, "w")(3)


@pytest.mark.parametrize(
    ("document", "place"),
    [
        ({}, "where"),
        ({"type": "operation", "op": "LIKE"}, "where.op"),
        ({"type": "operation", "op": "EQ", "arguments": 1}, "where.arguments"),
        ({"type": "operation", "op": "EQ", "arguments": [1]}, "where.arguments[0]"),
        (compare("EQ", "a..b", 1), "where.arguments[0].value"),
        ({"type": "value"}, "where.mappingValue"),
        ({"type": "value", "mappingValue": {"valueType": "composite", "value": 1}}, "where.mappingValue.value"),
    ],
)
def test_what_is_wrong_is_named(document: dict[str, Any], place: str) -> None:
    with pytest.raises(AgentError) as caught:
        read_condition(document, "where")
    assert (caught.value.code, caught.value.attributes["place"]) == ("CONDITION_INVALID", place)


def test_deep_nesting_is_refused() -> None:
    condition: dict[str, Any] = compare("EQ", "a", 1)
    for _ in range(200):
        condition = {"type": "operation", "op": "NOT", "arguments": [condition]}
    with pytest.raises(AgentError, match="nested deeper"):
        read_condition(condition, "where")


def test_what_cannot_be_judged_is_an_error() -> None:
    holds = read_condition(compare("EQ", "item.name", 1), "where")
    with pytest.raises(AgentError, match="addresses an array by the name"):
        holds([1])
