"""Loading: accepted forms, old names, refusals, bounds, and that nothing but a scenario or diagnostics comes out."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from runtara_compiler.language import CODES, Immediate, Reference, ScenarioError, load_scenario
from runtara_compiler.language.json_source import MAXIMUM_SOURCE_BYTES

FINISH = {"stepType": "Finish"}
LOG = {"stepType": "Log", "message": "hello"}


def load(document):
    return load_scenario(document, origin="flow.json")


def refusals(document):
    with pytest.raises(ScenarioError) as caught:
        load(document)
    assert str(caught.value).startswith("flow.json: ")
    assert all("\n" not in item.message for item in caught.value.diagnostics)
    return caught.value.diagnostics


def only_refusal(document):
    (found,) = refusals(document)
    return found


def agent(**fields):
    return {"steps": {"a": {"stepType": "Agent", "agentId": "http", "capabilityId": "request", **fields}}}


# Accepted forms.


def test_wrapper_and_bare_graph_give_the_same_graph():
    bare = {"name": "greet", "steps": {"done": FINISH}, "entryPoint": "done"}
    wrapped = load({"executionGraph": bare, "memoryTier": "S", "debugMode": True})
    assert (
        wrapped.execution_graph
        == load(json.dumps(bare)).execution_graph
        == load(json.dumps(bare).encode()).execution_graph
    )
    assert (wrapped.name, wrapped.debug_mode, wrapped.memory_tier.value) == ("greet", True, "S")


def test_step_id_is_its_key():
    assert load({"steps": {"done": FINISH}}).execution_graph.steps["done"].id == "done"
    assert load({"steps": {"done": {**FINISH, "id": None}}}).execution_graph.steps["done"].id == "done"
    found = only_refusal({"steps": {"done": {**FINISH, "id": "end"}}})
    assert (found.code, found.step_id) == ("E098", "done")
    assert "end" in found.message


@pytest.mark.parametrize("given_entry", [{}, {"entryPoint": None}, {"entryPoint": ""}])
def test_entry_point_is_inferred_from_the_edges(given_entry):
    document = {
        "steps": {"b": FINISH, "a": LOG},
        "executionPlan": [{"fromStep": "a", "toStep": "b"}],
        **given_entry,
    }
    assert load(document).execution_graph.entry_point == "a"


def test_entry_point_stays_empty_when_it_is_ambiguous():
    assert load({"steps": {"a": FINISH, "b": FINISH}}).execution_graph.entry_point == ""


def test_agent_defaults():
    step = load(agent()).execution_graph.steps["a"]
    assert (step.max_retries, step.retry_delay_ms, step.timeout_ms, step.input_mapping) == (3, 1000, None, {})
    assert step.display_name == "Unnamed"


def test_old_names_are_read_with_a_warning():
    scenario = load({"steps": {"a": {"stepType": "Agent", "operatorId": "http", "operationId": "request"}}})
    step = scenario.execution_graph.steps["a"]
    assert (step.agent_id, step.capability_id) == ("http", "request")
    assert [item.code for item in scenario.load_warnings] == ["W090", "W090"]


def test_a_field_under_two_names_is_refused():
    assert [item.code for item in refusals(agent(operatorId="sftp"))] == ["E099"]


def test_track_events_is_debug_mode():
    scenario = load({"executionGraph": {"steps": {"done": FINISH}}, "trackEvents": True})
    assert scenario.debug_mode
    assert scenario.load_warnings == ()


def test_editor_fields_are_free_form():
    document = {
        "steps": {"done": {**FINISH, "position": {"x": 1}}},
        "nodes": [{"any": 1}],
        "edges": {},
        "notes": [{"id": "n", "text": "t", "position": {"x": 0, "y": 0}, "metadata": {"width": 3}}],
        "positions": {"done": [1, 2]},
    }
    assert load(document).execution_graph.nodes == [{"any": 1}]


def test_a_null_default_is_a_default_and_an_absent_one_is_not():
    mapping = {
        "x": {"valueType": "reference", "value": "data.x", "default": None, "type": "integer"},
        "y": {"valueType": "reference", "value": "data.y"},
        "z": {"valueType": "immediate", "value": None},
    }
    read = load(agent(inputMapping=mapping)).execution_graph.steps["a"].input_mapping
    assert read["x"].has_default
    assert not read["y"].has_default
    assert read["x"].segments == ("data", "x")
    assert read["z"] == Immediate(value=None)


def test_a_condition_argument_may_be_a_reference_with_a_type_hint():
    condition = {
        "type": "operation",
        "op": "AND",
        "arguments": [
            {"valueType": "reference", "value": "data.n", "type": "integer"},
            {"type": "value", "valueType": "reference", "value": "data.m", "default": 1},
            {"type": "operation", "op": "NOT", "arguments": [{"valueType": "immediate", "value": {"type": "x"}}]},
        ],
    }
    step = load({"steps": {"c": {"stepType": "Conditional", "condition": condition}}}).execution_graph.steps["c"]
    first, second, third = step.condition.arguments
    assert first == Reference(value="data.n", type="integer")
    assert second.mapping_value == Reference(value="data.m", default=1)
    assert third.arguments[0].value == {"type": "x"}


def test_neutral_values_of_uncompiled_fields_pass():
    assert load(agent(breakpoint=False, durable=True, connectionId=None))


# Refusals.

CONDITION_ERRORS = [
    (5, "E025", "found integer 5"),
    ({}, "E025", "'operation' or 'value'"),
    ({"type": "operation"}, "E094", "'op' is missing"),
    ({"type": "operation", "op": "eq"}, "E025", "did you mean 'EQ'?"),
    ({"type": "operation", "op": 5}, "E025", "'op' is the name"),
    ({"type": "operation", "op": "EQ", "arguments": {}}, "E025", "'arguments' is an array"),
    ({"type": "operation", "op": "EQ", "arguments": [1]}, "E025", "arguments[0]"),
    ({"type": "operation", "op": "EQ", "arguments": [{}]}, "E025", "arguments[0]"),
    ({"type": "operation", "op": "EQ", "argument": []}, "E093", "'arguments'"),
    ({"type": "value", "value": 1}, "E094", "'valueType'"),
    ({"type": "value", "valueType": "reference", "value": 1}, "E095", "must be a string"),
    ({"type": "value", "valueType": "immediate", "value": 1, "default": 2}, "E093", "default"),
]


@pytest.mark.parametrize(("condition", "code", "text"), CONDITION_ERRORS)
def test_malformed_conditions(condition, code, text):
    found = only_refusal({"steps": {"c": {"stepType": "Conditional", "condition": condition}}})
    assert found.code == code
    assert found.step_id == "c"
    assert text in found.message


VALUE_ERRORS = [
    (3, "E095", "found integer 3"),
    ({"value": 3}, "E094", "'valueType' is missing"),
    ({"valueType": "refrence", "value": "x"}, "E095", "did you mean 'reference'?"),
    ({"valueType": "template", "value": 5}, "E095", "must be a string, found integer 5"),
    ({"valueType": "composite", "value": 5}, "E095", "an object or an array, found integer 5"),
    ({"valueType": "composite", "value": {"a": 5}}, "E095", "value.a"),
    ({"valueType": "reference", "value": 3}, "E095", "must be a string, found integer 3"),
    ({"valueType": "reference"}, "E094", "'value' is missing"),
    ({"valueType": "reference", "value": "data", "type": "int"}, "E095", 'found string "int"'),
    ({"valueType": "immediate", "valeu": 3, "value": 3}, "E093", "did you mean 'value'?"),
]


@pytest.mark.parametrize(("value", "code", "text"), VALUE_ERRORS)
def test_malformed_mapping_values(value, code, text):
    found = only_refusal(agent(inputMapping={"url": value}))
    assert found.code == code
    assert found.path.startswith("steps.a.inputMapping.url")
    assert "'a'" in found.message
    assert text in found.message


STEP_ERRORS = [
    ({"stepType": "Switch"}, "E094", "'config'"),
    ({"stepType": "AiAgent"}, "E097", "'AiAgent'"),
    ({"stepType": "Agnt"}, "E096", "did you mean 'Agent'?"),
    ({"stepType": "agent"}, "E096", "did you mean 'Agent'?"),
    ({"stepType": 5}, "E095", "found integer 5"),
    ({}, "E094", "'stepType' is missing"),
    ([], "E095", "a step is an object"),
    ({"stepType": "Log"}, "E094", "'message' is missing"),
    ({**LOG, "level": "warning"}, "E095", "'warn'"),
    ({"stepType": "Delay", "durationMs": 5}, "E095", "immediate"),
    ({"stepType": "Agent", "agentId": "a", "capabilityId": "b", "maxRetrys": 1}, "E093", "did you mean 'maxRetries'?"),
    ({"stepType": "Agent", "agentId": "a", "capabilityId": "b", "maxRetries": -1}, "E095", "at least 0"),
    ({"stepType": "Agent", "agentId": "a", "capabilityId": "b", "maxRetries": "3"}, "E095", "an integer"),
    ({"stepType": "Agent", "agentId": "a", "capabilityId": "b", "maxRetries": True}, "E095", "an integer"),
    ({"stepType": "Agent", "agentId": "a", "capabilityId": "b", "connectionRef": "c"}, "E095", "a mapping value"),
]


@pytest.mark.parametrize(("step", "code", "text"), STEP_ERRORS)
def test_malformed_steps(step, code, text):
    found = only_refusal({"steps": {"a": step}})
    assert (found.code, found.step_id) == (code, "a")
    assert text in found.message


DOCUMENT_ERRORS = [
    ({}, "E094", "'steps' is missing"),
    ({"executionGraph": []}, "E095", "must be an object"),
    ({"steps": []}, "E095", "steps: must be an object"),
    ({"steps": {"": FINISH}}, "E095", "step id"),
    ({"steps": {"a\0b": FINISH}}, "E095", "NUL"),
    ({"steps": {"x" * 300: FINISH}}, "E095", "256"),
    ({"steps": {"a": FINISH}, "stpes": 1}, "E093", "did you mean 'steps'?"),
    ({"steps": {"a": FINISH}, "executionPlan": [{"fromStep": "a"}]}, "E094", "executionPlan[0]: 'toStep'"),
    ({"steps": {"a": FINISH}, "executionPlan": [3]}, "E095", "executionPlan[0]: must be an object"),
    ({"steps": {"a": FINISH}, "variables": {"v": {"type": "string"}}}, "E094", "'value' is missing"),
    ({"steps": {"a": FINISH}, "variables": {"v": {"type": "str", "value": 1}}}, "E095", "variables.v.type"),
    (
        {"steps": {"a": FINISH}, "inputSchema": {"v": {"type": "array", "items": {"typ": "x", "type": "string"}}}},
        "E093",
        "inputSchema.v.items",
    ),
    ({"executionGraph": {"steps": {"a": FINISH}}, "origin": "x"}, "E093", "origin"),
    ({"executionGraph": {"steps": {"a": FINISH}}, "durable": 0}, "E095", "durable"),
    ({"executionGraph": {"steps": {"a": FINISH}}, "memoryTier": "XXL"}, "E095", "memoryTier"),
]


@pytest.mark.parametrize(("document", "code", "text"), DOCUMENT_ERRORS)
def test_malformed_documents(document, code, text):
    found = only_refusal(document)
    assert found.code == code
    assert text in found.message


def test_everything_is_reported_at_once():
    document = agent(maxRetrys=1, retryDelay="x", inputMapping={"u": 3})
    document["steps"]["b"] = {"stepType": "Split"}
    document["surplus"] = 1
    assert {item.code for item in refusals(document)} == {"E093", "E094", "E095"}
    assert len(refusals(document)) == 6


SOURCES = [
    (b'{"a": 1,\n "b":}', "E090", "line 2, column 6"),
    ("", "E090", "line 1, column 1"),
    ("[1]", "E090", "found array"),
    ('"\\ud800"', "E090", "found string"),
    ('{"steps": {"a": NaN}}', "E090", "NaN"),
    ('{"steps": 1e999}', "E090", "out of range"),
    ('{"steps": ' + "1" * 5000 + "}", "E090", "digits"),
    (b"\xff{}", "E090", "UTF-8"),
    ('{"name": "\\ud800"}', "E090", "surrogate"),
    ('{"\\ud800": 1}', "E090", "surrogate"),
    ('{"steps": {"a": 1, "a": 2}}', "E091", "'a' is given twice in steps"),
    ('{"a":' * 250 + "1" + "}" * 250, "E092", "200 levels"),
    ("[" * 100_000, "E092", "200 levels"),
    (b" " * (MAXIMUM_SOURCE_BYTES + 1), "E092", "10 MiB"),
    ({"a": {1, 2}}, "E090", "JSON cannot"),
    ({"a": float("nan")}, "E090", "JSON cannot"),
]


@pytest.mark.parametrize(("source", "code", "text"), SOURCES)
def test_sources_that_are_not_sound_json(source, code, text):
    found = only_refusal(source)
    assert found.code == code
    assert text in found.message


def test_a_cyclic_object_is_refused():
    document = {}
    document["a"] = document
    assert only_refusal(document).code == "E090"


def test_a_byte_order_mark_is_skipped():
    assert load(b"\xef\xbb\xbf" + json.dumps({"steps": {"done": FINISH}}).encode())


def test_hostile_names_stay_on_one_line():
    found = only_refusal({"steps": {"a\nb\u2028": {"stepType": "Nope\x1b[31m"}}})
    assert "\x1b" not in found.message


def test_thousands_of_errors_are_cut():
    assert len(refusals({"steps": {"a": FINISH}, **{f"field{i}": 1 for i in range(50_000)}})) == 200


def test_a_deep_condition_within_the_bounds_loads():
    condition = {"type": "value", "valueType": "immediate", "value": True}
    for _ in range(90):
        condition = {"type": "operation", "op": "NOT", "arguments": [condition]}
    assert load({"steps": {"c": {"stepType": "Conditional", "condition": condition}}})


# Any JSON.

_SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8)
)
_NAMES = (
    "steps executionGraph executionPlan stepType id inputMapping condition arguments op type valueType value a b "
    "fromStep toStep label entryPoint variables inputSchema message context durationMs items properties "
    "visibleWhen default agentId capabilityId"
)
_KEYS = st.sampled_from(_NAMES.split()) | st.text(max_size=4)
_VALUES = st.sampled_from(
    ["Agent", "Log", "Finish", "Conditional", "Delay", "operation", "value", "reference", "immediate", "EQ", "string"]
)
_JSON = st.recursive(
    _SCALARS | _VALUES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_KEYS, inner, max_size=5),
    max_leaves=30,
)
_STEPS = st.dictionaries(
    st.text(max_size=4),
    st.fixed_dictionaries({"stepType": _VALUES}, optional={"condition": _JSON, "inputMapping": _JSON, "id": _JSON}),
    max_size=4,
)


@settings(max_examples=300, deadline=None)
@given(_JSON | st.fixed_dictionaries({"steps": _STEPS}, optional={"executionPlan": _JSON, "variables": _JSON}))
def test_any_json_gives_a_scenario_or_diagnostics(document):
    found = ()
    try:
        load(json.dumps(document))
    except ScenarioError as error:
        found = error.diagnostics or pytest.fail("an error without diagnostics")
    for item in found:
        assert item.code in CODES
        json.dumps(item.to_json()).encode()
        assert "\n" not in item.message


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200) | st.text(max_size=200))
def test_any_text_gives_diagnostics(source):
    with pytest.raises(ScenarioError):
        load(source)
