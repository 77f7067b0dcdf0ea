"""What each capability makes of what it gets, and what it refuses."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from runtara_agents_transform import transform_agent
from runtara_agents_transform.paths import read_path, write_path
from runtara_agents_transform.values import identity, same
from runtara_sdk.agents import AgentError
from runtara_sdk.workflow.json_text import decode_json
from runtara_sdk.written_decimal import dump_json

PEOPLE = [{"n": "Bo", "a": 7}, {"n": "Al", "a": 30}, {"n": None}, {"n": "al", "a": 7}]

CASES: list[tuple[str, dict[str, Any], Any]] = [
    ("extract", {"value": [{"a": 1}, {}], "property_path": "a"}, {"values": [1, None], "count": 2}),
    ("extract", {"value": [], "property_path": "a"}, {"values": [], "count": 0}),
    ("extract", {"value": [{"a": [{"b": 1}, {"b": 2}]}], "property_path": "a[*].b"}, {"values": [[1, 2]], "count": 1}),
    ("get-value-by-path", {"value": {"a": [{"b": 9}]}, "property_path": "a.0.b"}, 9),
    ("get-value-by-path", {"value": {"a": [{"b": 9}]}, "property_path": "$.a[-1]['b']"}, 9),
    ("get-value-by-path", {"value": {"a.b": {"c d": 1}}, "property_path": "['a.b'][\"c d\"]"}, 1),
    ("get-value-by-path", {"value": {"a": 1}, "property_path": "b.c"}, None),
    ("get-value-by-path", {"value": {"a": 1}}, None),
    ("set-value-by-path", {"target": {}, "property_path": "a.b", "value": 1}, {"a": {"b": 1}}),
    ("set-value-by-path", {"target": {"a": [1, 2]}, "property_path": "a.1"}, {"a": [1, None]}),
    ("set-value-by-path", {"target": {"a": [1]}, "property_path": "a[1].b", "value": 2}, {"a": [1, {"b": 2}]}),
    ("set-value-by-path", {"target": None, "property_path": "a", "value": 1}, None),
    ("set-value-by-path", {"target": {"a": 1}, "value": 2}, {"a": 1}),
    (
        "filter-non-values",
        {"value": [1, None, "", " ", 0, "0"], "filter_null_values": True, "filter_blank_strings": True},
        {"items": [1, 0, "0"], "count": 3, "removed_count": 3},
    ),
    (
        "filter-non-values",
        {"value": [{"a": 0}, {}, {"a": False}], "property_path": "a", "filter_zero_values": True},
        {"items": [{}, {"a": False}], "count": 2, "removed_count": 1},
    ),
    ("select-first", {"value": [None, " ", 0, False, [], 1]}, []),
    ("select-first", {"value": [None]}, None),
    ("coalesce", {"values": [None, False, 1]}, False),
    ("coalesce", {"values": ["", 0, 1], "treat_empty_string_as_null": True, "treat_zero_as_null": True}, 1),
    ("from-json-string", {"value": '{"a":[1.5]}'}, {"a": [1.5]}),
    ("from-json-string", {"value": ""}, None),
    ("to-json-string", {"value": {"a": "é"}}, {"json": '{"a":"é"}', "length": 9}),
    ("to-json-string", {"value": [1], "indent": 1}, {"json": "[\n 1\n]", "length": 6}),
    (
        "filter",
        {
            "value": [{"s": "on"}, {"s": "off"}],
            "property_path": "s",
            "match_values": ["on"],
            "match_condition": "INCLUDES",
        },
        {"items": [{"s": "on"}], "count": 1, "removed_count": 1},
    ),
    (
        "filter",
        {"value": [1, 1.0, "1", True, None], "property_path": "", "match_values": 1, "match_condition": "INCLUDES"},
        {"items": [1, 1.0], "count": 2, "removed_count": 3},
    ),
    (
        "filter",
        {
            "value": [{"t": ["a", "b"]}, {"t": ["c"]}, {}],
            "property_path": "t",
            "match_values": "b",
            "match_condition": "EXCLUDES",
        },
        {"items": [{"t": ["c"]}, {}], "count": 2, "removed_count": 1},
    ),
    (
        "filter",
        {
            "value": PEOPLE,
            "property_path": "n",
            "match_values": "A",
            "match_condition": "STARTS_WITH",
            "case_sensitive": False,
        },
        {"items": [PEOPLE[1], PEOPLE[3]], "count": 2, "removed_count": 2},
    ),
    (
        "filter",
        {"value": None, "property_path": "n", "match_values": [], "match_condition": "CONTAINS"},
        {"items": [], "count": 0, "removed_count": 0},
    ),
    (
        "unique",
        {"value": [1, 1.0, "1", {"a": 1}, {"a": 1}]},
        {
            "items": [1, "1", {"a": 1}],
            "count": 3,
            "removed_count": 2,
        },
    ),
    ("slice", {"value": [1, 2, 3], "start": -2}, {"items": [2, 3], "count": 2, "removed_count": 1}),
    ("chunk", {"value": [1, 2, 3], "size": 2}, {"chunks": [[1, 2], [3]], "count": 2}),
    ("append", {"array": [1], "item": [2]}, {"array": [1, [2]], "length": 2}),
    ("flat-map", {"value": [{"a": [1]}, {"a": 2}, {"a": [3]}], "property_path": "a"}, {"items": [1, 3], "count": 2}),
    ("flat-map", {"value": [[1]], "property_path": ""}, {"items": [], "count": 0}),
    ("array-length", {"value": "né"}, {"length": 2, "is_array": False}),
    ("array-length", {"value": 7}, {"length": 0, "is_array": False}),
    ("ensure-array", {"value": None}, {"items": [], "count": 0, "was_array": False}),
    ("ensure-array", {"value": {"a": 1}}, {"items": [{"a": 1}], "count": 1, "was_array": False}),
    ("sort", {"value": [3, None, 1.5, 2]}, {"items": [1.5, 2, 3, None], "count": 4}),
    ("sort", {"value": [True, False, None], "ascending": False}, {"items": [None, True, False], "count": 3}),
    ("sort", {"value": [10, "9", [1]]}, {"items": ["9", 10, [1]], "count": 3}),
    (
        "sort",
        {
            "value": PEOPLE,
            "keys": [{"property_path": "a", "nulls": "first"}, {"property_path": "n", "ascending": False}],
        },
        {"items": [PEOPLE[2], PEOPLE[3], PEOPLE[0], PEOPLE[1]], "count": 4},
    ),
    (
        "group-by",
        {"value": [{"k": 1, "v": 2}, {"v": 0}, {"k": 1.0, "v": 3}], "key": "k", "as_map": True},
        {"groups": {"1": [{"k": 1, "v": 2}, {"k": 1.0, "v": 3}]}, "group_count": 1},
    ),
    (
        "group-by",
        {"value": [{"k": "b"}, {"k": "a"}, {"k": "b"}], "key": "k"},
        {
            "groups": [
                {"key": "b", "items": [{"k": "b"}, {"k": "b"}], "count": 2},
                {"key": "a", "items": [{"k": "a"}], "count": 1},
            ],
            "group_count": 2,
        },
    ),
    (
        "aggregate",
        {
            "value": [{"k": "a", "v": 1}, {"k": "b", "v": 5}, {"k": "a", "v": 2}],
            "group_by": "k",
            "aggregates": [{"operation": "sum", "property_path": "v"}, {"operation": "count", "name": "n"}],
        },
        {"rows": [{"key": "a", "sum_v": 3, "n": 2}, {"key": "b", "sum_v": 5, "n": 1}], "count": 2},
    ),
    (
        "aggregate",
        {
            "value": [3, 1, None],
            "aggregates": [{"operation": name} for name in ("min", "max", "avg", "list", "first", "last")],
        },
        {"rows": [{"key": None, "min": 1, "max": 3, "avg": 2, "list": [3, 1], "first": 3, "last": 1}], "count": 1},
    ),
    (
        "merge",
        {"left": {"a": {"x": 1, "y": 1}, "b": 1}, "right": {"a": {"y": 2}, "c": 3}},
        {"result": {"a": {"x": 1, "y": 2}, "b": 1, "c": 3}, "count": 3},
    ),
    (
        "merge",
        {
            "left": {"a": {"x": 1}},
            "right": {"a": {"y": 2}},
            "mode": "shallow",
        },
        {"result": {"a": {"y": 2}}, "count": 1},
    ),
    ("merge", {"left": {"a": 1}, "right": {"a": 2}, "conflict": "left"}, {"result": {"a": 1}, "count": 1}),
    ("merge", {"left": [1], "right": [1, 2]}, {"result": [1, 1, 2], "count": 3}),
    ("merge", {"left": None, "right": [1]}, {"result": [1], "count": 1}),
    (
        "merge",
        {"left": [{"a": 1}], "right": [{"b": 1}, {"b": 2}], "mode": "position", "join": "outer"},
        {"result": [{"a": 1, "b": 1}, {"b": 2}], "count": 2},
    ),
    (
        "merge",
        {
            "left": [{"id": 1, "n": "a"}, {"id": 2, "n": "b"}],
            "right": [{"ref": 2, "q": 5}, {"ref": 3, "q": 6}],
            "mode": "key",
            "left_key": "id",
            "right_key": "ref",
        },
        {"result": [{"id": 2, "n": "b", "ref": 2, "q": 5}], "count": 1},
    ),
    (
        "merge",
        {"left": [{"id": 1}, {}], "right": [{"id": 3}], "mode": "key", "left_key": "id", "join": "outer"},
        {"result": [{"id": 1}, {}, {"id": 3}], "count": 3},
    ),
    ("lookup", {"value": 1, "table": {"1": "one"}}, {"result": "one", "found": True}),
    ("lookup", {"value": None, "table": {"null": 1}, "default": 0}, {"result": 0, "found": False}),
    (
        "compare-lists",
        {
            "before": [{"id": 1, "n": 1}, {"id": 2}, {"id": 4}],
            "after": [{"id": 3}, {"id": 1, "n": 2}, {"id": 4}],
            "key": "id",
        },
        {
            "added": [{"id": 3}],
            "removed": [{"id": 2}],
            "changed": [{"key": 1, "before": {"id": 1, "n": 1}, "after": {"id": 1, "n": 2}}],
            "unchanged_count": 1,
        },
    ),
    ("pick-fields", {"value": {"a": 1, "b": 2}, "fields": ["b", "x"]}, {"result": {"b": 2}}),
    ("omit-fields", {"value": [{"a": 1, "b": 2}, {}], "fields": ["a"]}, {"result": [{"b": 2}, {}]}),
    ("rename-fields", {"value": {"a": 1, "b": 2}, "names": {"a": "first"}}, {"result": {"first": 1, "b": 2}}),
    (
        "convert-types",
        {"value": [{"a": "1", "b": {"c": 2}}, {"a": None}], "types": {"a": "integer", "b.c": "string"}},
        {"result": [{"a": 1, "b": {"c": "2"}}, {"a": None}]},
    ),
    (
        "validate-schema",
        {"value": {"n": "x"}, "schema": {"sku": {"type": "string", "required": True}, "n": {"type": "integer"}}},
        {
            "valid": False,
            "violations": [
                {"path": "sku", "message": "is required (string)"},
                {"path": "n", "message": 'must be an integer, found "x"'},
            ],
        },
    ),
]

REFUSED: list[tuple[str, dict[str, Any], str, str]] = [
    ("extract", {"value": [{"a": 1}, {}], "property_path": "a", "strict": True}, "TRANSFORM_PATH_NOT_FOUND", "'a'"),
    ("get-value-by-path", {"value": {}, "property_path": "a[b"}, "TRANSFORM_INVALID_PATH", "at character 2"),
    ("get-value-by-path", {"value": {}, "property_path": "{{ a }}"}, "TRANSFORM_INVALID_PATH", "is a template"),
    ("set-value-by-path", {"target": {"a": 1}, "property_path": "a.b"}, "TRANSFORM_INVALID_PATH", "through number"),
    ("set-value-by-path", {"target": {"a": [1]}, "property_path": "a.x"}, "TRANSFORM_INVALID_PATH", "no place 'x'"),
    ("set-value-by-path", {"target": {}, "property_path": "a[*]"}, "TRANSFORM_INVALID_PATH", "many places"),
    ("set-value-by-path", {"target": "text", "property_path": "a"}, "TRANSFORM_INVALID_INPUT", "not string"),
    ("from-json-string", {"value": "{"}, "TRANSFORM_JSON_PARSE_ERROR", "is not JSON"),
    ("from-json-string", {"value": "NaN"}, "TRANSFORM_JSON_PARSE_ERROR", "NaN"),
    ("group-by", {"value": "x", "key": "k"}, "TRANSFORM_INVALID_INPUT", "must be an array, not string"),
    ("aggregate", {"value": ["x"], "aggregates": [{"operation": "sum"}]}, "TRANSFORM_INVALID_INPUT", "a number"),
    ("aggregate", {"value": [True], "aggregates": [{"operation": "avg"}]}, "TRANSFORM_INVALID_INPUT", "not boolean"),
    ("merge", {"left": {}, "right": []}, "TRANSFORM_INVALID_INPUT", "right must be an object"),
    ("merge", {"left": [], "right": [], "mode": "deep"}, "TRANSFORM_INVALID_INPUT", "mode deep"),
    ("merge", {"left": [], "right": [], "mode": "key"}, "TRANSFORM_INVALID_INPUT", "left_key"),
    (
        "merge",
        {"left": {"a": {"b": 1}}, "right": {"a": {"b": 2}}, "conflict": "error"},
        "TRANSFORM_MERGE_CONFLICT",
        "'a.b': 1 and 2",
    ),
    ("chunk", {"value": [], "size": 0}, "INPUT_DESERIALIZATION_ERROR", "size"),
    ("pick-fields", {"value": [1], "fields": []}, "TRANSFORM_INVALID_INPUT", r"value\[0\] must be an object"),
    ("rename-fields", {"value": {"a": 1, "b": 2}, "names": {"a": "b"}}, "TRANSFORM_NAME_TAKEN", "'b'"),
    ("convert-types", {"value": {"a": "x"}, "types": {"a": "integer"}}, "TRANSFORM_CONVERSION_ERROR", 'a: "x"'),
    ("validate-schema", {"value": {}, "schema": {"a": 7}}, "TRANSFORM_INVALID_SCHEMA", "malformed"),
    (
        "validate-schema",
        {"value": {}, "schema": {"a": {"type": "string", "required": True}}, "fail": True},
        "TRANSFORM_SCHEMA_VIOLATION",
        "a is required",
    ),
]


@pytest.mark.parametrize(("capability", "inputs", "expected"), CASES)
async def test_a_capability_gives(capability: str, inputs: dict[str, Any], expected: Any) -> None:
    before = dump_json(inputs)
    assert await transform_agent.invoke(capability, inputs) == expected
    assert dump_json(inputs) == before, "inputs are left as they are"


@pytest.mark.parametrize(("capability", "inputs", "code", "text"), REFUSED)
async def test_a_capability_refuses(capability: str, inputs: dict[str, Any], code: str, text: str) -> None:
    with pytest.raises(AgentError, match=text) as caught:
        await transform_agent.invoke(capability, inputs)
    assert (caught.value.code, caught.value.retryable) == (code, False)


def test_every_capability_has_a_case() -> None:
    tried = {name for name, _, _ in CASES} | {"map-fields", "map-items"}
    assert tried == {capability.id for capability in transform_agent.capabilities}


async def test_sums_of_decimals_are_exact() -> None:
    inputs = decode_json('{"value":[0.1,0.2,19.90],"aggregates":[{"operation":"sum"},{"operation":"avg"}]}')
    result = await transform_agent.invoke("aggregate", inputs)
    assert dump_json(result["rows"]) == '[{"key": null, "sum": 20.20, "avg": 6.733333333333333}]'


async def test_decimals_compare_by_all_their_digits() -> None:
    inputs = decode_json('{"value":[1.10,1.1,12345678901234567890.1,12345678901234567890.2,2.0,2]}')
    result = await transform_agent.invoke("unique", inputs)
    assert dump_json(result["items"]) == "[1.10, 12345678901234567890.1, 12345678901234567890.2, 2.0]"


keys = st.text(max_size=4)
trees = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(keys, trees, max_size=4), st.lists(keys, min_size=1, max_size=4), trees)
def test_what_is_written_is_read(target: dict[str, Any], path: list[str], value: Any) -> None:
    written = "".join(f'["{part}"]' for part in path)
    if '"' in "".join(path):
        return
    before = dump_json(target)
    try:
        changed = write_path(target, written, value)
    except AgentError:
        return  # it leads through something that has no members
    assert read_path(changed, written, strict=True) == value
    assert dump_json(target) == before


@given(trees, trees)
def test_equality_is_that_of_json(left: Any, right: Any) -> None:
    assert same(left, left)
    if same(left, right):
        assert left == right
        assert identity(left) == identity(right)
