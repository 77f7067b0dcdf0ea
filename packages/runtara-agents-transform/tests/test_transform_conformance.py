from typing import Any, ClassVar

from runtara_agents_transform import transform_agent
from runtara_sdk.testing.agents import AgentConformanceSuite


class TestTransformAgent(AgentConformanceSuite):
    agent = transform_agent
    examples: ClassVar[dict[str, Any]] = {
        "map-fields": {"source_data": {"n": {"f": "Al"}}, "mappings": {"n.f": "first", "x": "y"}},
        "extract": {"value": [{"a": 1}], "property_path": "a"},
        "get-value-by-path": {"value": {"a": 1}, "property_path": "a"},
        "set-value-by-path": {"target": {"a": 1}, "property_path": "b.c", "value": 2},
        "from-json-string": {"value": "[1]"},
        "to-json-string": {"value": [1]},
        "filter": {"value": [1, 2], "property_path": "", "match_values": [1], "match_condition": "INCLUDES"},
        "filter-non-values": {"value": [None, 1], "filter_null_values": True},
        "select-first": {"value": [None, 1]},
        "coalesce": {"values": [None, 1]},
        "unique": {"value": [1, 1]},
        "slice": {"value": [1, 2], "end": 1},
        "chunk": {"value": [1, 2], "size": 1},
        "append": {"array": [1], "item": {"a": 1}},
        "flat-map": {"value": [{"a": [1]}], "property_path": "a"},
        "array-length": {"value": [1]},
        "ensure-array": {"value": 1},
        "sort": {"value": [2, 1]},
        "group-by": {"value": [{"k": 1}], "key": "k"},
        "aggregate": {"value": [1, 2], "aggregates": [{"operation": "sum"}]},
        "merge": {"left": {"a": {"b": 1}}, "right": {"a": {"c": 2}}},
        "lookup": {"value": "a", "table": {"a": 1}},
        "compare-lists": {"before": [1], "after": [2]},
        "pick-fields": {"value": {"a": 1}, "fields": ["a"]},
        "omit-fields": {"value": {"a": 1}, "fields": ["a"]},
        "rename-fields": {"value": {"a": 1}, "names": {"a": "b"}},
        "convert-types": {"value": {"a": "1"}, "types": {"a": "integer"}},
        "validate-schema": {"value": {"a": 1}, "schema": {"a": {"type": "integer"}}},
    }
