"""Each code by a scenario that provokes it, and by neighbours that do not."""

# ruff: noqa: E501 - a table reads best with one case a line

import json

import pytest
from runtara_compiler.closure import ChildSource
from runtara_compiler.language import CODES, ScenarioError, load_scenario
from runtara_compiler.validation import validate, validate_source

AGENTS = {
    "http": {
        "id": "http",
        "integrationIds": ["http_bearer"],
        "secure": True,
        "capabilities": [
            {
                "id": "http-request",
                "aliases": ["request"],
                "inputs": [
                    {"name": "url", "type": "string", "required": True, "aliases": ["address"]},
                    {"name": "method", "type": "string", "required": False, "enum": ["GET", "POST"]},
                    {"name": "headers", "type": "object", "required": False},
                    {"name": "body", "type": "any", "required": False},
                    {"name": "timeout_ms", "type": "integer", "required": False},
                    {"name": "follow", "type": "boolean", "required": False},
                    {"name": "ratio", "type": "number", "required": False},
                    {"name": "parts", "type": "array", "required": False},
                    {"name": "level", "type": "integer", "required": False, "enum": [1, 2]},
                ],
            }
        ],
    },
    "transform": {
        "id": "transform",
        "capabilities": [
            {
                "id": "map-fields",
                "inputs": [{"name": "source_data", "aliases": ["source"], "required": True, "type": "any"}],
            }
        ],
    },
}

FINISH = {"stepType": "Finish"}
LOG = {"stepType": "Log", "message": "hello"}
TRUE = {"type": "value", "valueType": "immediate", "value": True}
CONDITIONAL = {"stepType": "Conditional", "condition": TRUE}


def ref(path, **more):
    return {"valueType": "reference", "value": path, **more}


def literal(value):
    return {"valueType": "immediate", "value": value}


def agent(mapping=None, **more):
    mapping = {"url": literal("http://x")} if mapping is None else mapping
    return {"stepType": "Agent", "agentId": "http", "capabilityId": "request", "inputMapping": mapping, **more}


CONNECTION = {"stepType": "Connection", "connectionId": "shop", "integrationId": "http_bearer"}
TEMPLATE = {"valueType": "template", "value": "key {{ steps.c.outputs.parameters.token }}"}
CHILD = {"stepType": "StartScenario", "childScenarioId": "kid", "childVersion": "latest"}


def split(config, steps=None, *edges):
    body = {"f": FINISH} if steps is None else steps
    return {"stepType": "Split", "config": config, "subgraph": flow(*edges, **body)}


def loop(**config):
    return {"stepType": "While", "condition": TRUE, "config": config, "subgraph": flow(f=FINISH)}


def finish(path, **more):
    return {**FINISH, "inputMapping": {"out": ref(path, **more)}}


def flow(*edges, entry=None, graph=None, **steps):
    """A scenario from steps and edges such as `a>b` or `c>b:true`."""
    plan = []
    for edge in edges:
        ends, _, label = edge.partition(":")
        source, target = ends.split(">")
        plan.append({"fromStep": source, "toStep": target, **({"label": label} if label else {})})
    document = {"steps": steps, "executionPlan": plan, **(graph or {})}
    return document if entry is None else {**document, "entryPoint": entry}


def report(document):
    return validate(load_scenario(document, origin="flow.json"), AGENTS)


def one(document, code):
    """The only finding with a code; no other errors beside it."""
    result = report(document)
    found = [item for item in (*result.errors, *result.warnings) if item.code == code]
    assert len(found) == 1, result
    assert {item.code for item in result.errors} <= {code}, result.errors
    return found[0]


def clean(document):
    result = report(document)
    return not result.errors and not result.warnings


def linear(step, **more):
    return flow("a>f", a=step, f=FINISH, **more)


# One row a code: the scenario, the step named (None: none), and texts the message must hold.
CASES = [
    ("E001", flow(a=FINISH, entry="b"), None, ["'b'", "a"]),
    ("E001", flow(a=FINISH, b=FINISH), None, ["'a'", "'b'", "exactly one"]),
    ("E001", flow("a>b", "b>a", a=LOG, b=LOG), None, ["every step has one"]),
    ("E002", flow("a>f", a=LOG, f=FINISH, x=FINISH, entry="a"), "x", ["not reachable", "'a'"]),
    ("E004", flow(), None, ["no steps"]),
    ("E005", flow("a>b", "b>a", "b>f", a=LOG, b=LOG, f=FINISH, entry="a"), "a", ["'a' -> 'b' -> 'a'"]),
    ("E010", flow("fetch>f", fetch=agent(), f=finish("steps.fetchh.outputs")), "f", ["steps.fetchh.outputs", "'fetchh'", "'fetch'"]),
    ("E011", linear(LOG | {"context": {"x": ref("data..x")}}), "a", ["data..x", "empty segment"]),
    ("E011", linear(LOG | {"context": {"x": ref("{{ data.x }}")}}), "a", ["template"]),
    ("E011", linear(LOG | {"context": {"x..y": literal(1)}}), "a", ["x..y"]),
    ("E012", flow("a>b", "b>f", a=LOG | {"context": {"x": ref("steps.b.outputs")}}, b=LOG, f=FINISH), "a", ["'a'", "'b'", "after"]),
    ("E013", linear(LOG | {"context": {"x": ref("variables.limt")}}, graph={"variables": {"limit": {"type": "integer", "value": 1}}}), "a", ["'limt'", "did you mean 'limit'", "_tenant_id"]),
    ("E014", flow("a>f", "a>ff", a=LOG, f=FINISH), None, ["'ff'", "did you mean 'f'"]),
    ("E020", linear(agent() | {"agentId": "htp"}), "a", ["'htp'", "did you mean 'http'", "http, transform"]),
    ("E021", linear(agent() | {"capabilityId": "http-requst"}), "a", ["'http'", "http-requst", "did you mean 'http-request'"]),
    ("E022", linear(agent({})), "a", ["http::request", "'url'"]),
    ("E023", linear(agent({"url": literal(5)})), "a", ["'url'", "string", "integer 5"]),
    ("E023", linear(agent({"url": literal(None)})), "a", ["null"]),
    ("E023", linear({"stepType": "Delay", "durationMs": literal("5")}), "a", ["durationMs", "number of milliseconds"]),
    ("E024", linear(agent({"url": literal("x"), "method": literal("get")})), "a", ["'method'", '"get"', '"GET", "POST"']),
    ("E024", linear(agent({"url": literal("x"), "level": literal(3)})), "a", ["1, 2", "integer 3"]),
    ("E030", flow("a>f", a=CONNECTION | {"integrationId": "http_berer"}, f=FINISH), "a", ["'http_berer'", "did you mean 'http_bearer'"]),
    ("E030", linear({"stepType": "Agent", "agentId": "transform", "capabilityId": "map-fields", "connectionId": "c", "inputMapping": {"source": literal(1)}}), "a", ["'transform'", "takes no connection"]),
    ("E040", flow("c>a", "a>f", c=CONNECTION, a={"stepType": "Agent", "agentId": "transform", "capabilityId": "map-fields", "inputMapping": {"source": ref("steps.c.outputs.parameters")}}, f=FINISH), "a", ["'transform'", "secrets of the connection 'c'", "agents that may read them are http"]),
    ("E040", flow("c>a", "a>f", c=CONNECTION, a={"stepType": "Agent", "agentId": "transform", "capabilityId": "map-fields", "inputMapping": {"source": TEMPLATE}}, f=FINISH), "a", ["secrets of the connection 'c'"]),
    ("E041", flow("c>f", c=CONNECTION, f=finish("steps.c.outputs")), "f", ["they would become outputs"]),
    ("E041", flow("c>f", c=CONNECTION, f={**FINISH, "inputMapping": {"x": {"valueType": "composite", "value": [TEMPLATE]}}}), "f", ["secrets"]),
    ("E042", flow("c>a", "a>f", c=CONNECTION, a=LOG | {"context": {"x": ref("steps")}}, f=FINISH), "a", ["a Log step"]),
    ("E042", flow("c>a", "a>f", c=CONNECTION, a={"stepType": "Filter", "config": {"value": literal([1]), "condition": {"type": "value", **ref("steps.c.outputs.parameters.token")}}}, f=FINISH), "a", ["a Filter step"]),
    ("E051", linear(LOG | {"context": {"x": ref("data.nam")}}, graph={"inputSchema": {"name": {"type": "string"}}}), "a", ["data.nam", "did you mean 'name'", "fields: name"]),
    ("E051", linear(LOG | {"context": {"x": ref("data.user.nam")}}, graph={"inputSchema": {"user": {"type": "object", "properties": {"name": {"type": "string"}}}}}), "a", ["'nam'", "the field 'user'"]),
    ("E058", flow("a>f", a=LOG, f=finish("steps.a.outputs.text")), "f", ["'text'", "level, message"]),
    ("E059", flow("a>f", a=LOG, f=finish("steps.a.outputs.level.name")), "f", ["'name'", "plain value"]),
    ("E059", linear(LOG | {"context": {"x": ref("data.name.first")}}, graph={"inputSchema": {"name": {"type": "string"}}}), "a", ["'first'", "string"]),
    ("E060", linear(split({"value": ref("data")}, {"b": FINISH | {"name": "Split it"}}) | {"name": "Split it"}), None, ["'Split it'", "'a', 'b'"]),
    ("E060", flow("a>b", "b>f", a=LOG | {"name": "Note"}, b=LOG | {"name": "Note"}, f=FINISH), None, ["'Note'", "'a', 'b'"]),
    ("E071", flow("a>f:next", "a>g:next", a=LOG, f=FINISH, g=FINISH, entry="a"), "a", ["'next'", "'f', 'g'"]),
    ("E072", flow("c>f:yes", "c>g:true", c=CONDITIONAL, f=FINISH, g=FINISH, entry="c"), "c", ["'yes'", "'true' and 'false'"]),
    ("E073", flow("a>b", "a>c", "b>f", "c>g", a=LOG, b=LOG, c=LOG, f=FINISH, g=FINISH, entry="a"), "a", ["'b', 'c'", "Finish of its own"]),
    ("E074", flow("a>f", "a>f:true", a=LOG, f=FINISH, entry="a"), "a", ["'true'", "Log"]),
    ("E117", linear(LOG | {"context": {"": literal(1)}}), "a", ["empty"]),
    ("E118", flow(f=finish(" ")), "f", ["'out'", "no source"]),
    ("E124", linear(CHILD), "a", ["'kid'", "was not given"]),
    ("E050", linear(CHILD | {"childVersion": "newest"}), "a", ["'kid'", "'latest', 'current'", '"newest"']),
    ("E128", linear(split({"value": ref("data")}, {"w": {"stepType": "WaitForSignal"}, "f": FINISH}, "w>f"), w={"stepType": "WaitForSignal"}) | {"executionPlan": [{"fromStep": "a", "toStep": "w"}, {"fromStep": "w", "toStep": "f"}]}, "w", ["one signal"]),
    ("E126", linear(LOG | {"context": {"x": ref("dat.x")}}), "a", ["'dat'", "did you mean 'data'", "steps"]),
    ("E126", linear(LOG | {"context": {"x": ref("scenario.data.x")}}), "a", ["scenario.inputs.data"]),
    ("E127", linear(LOG | {"context": {"x": ref("loop.index")}}), "a", ["'loop'", "While"]),
    ("E127", linear(LOG | {"context": {"x": ref("steps.__error.code")}}), "a", ["handler"]),
    ("E127", linear(LOG | {"context": {"x": ref("variables._index")}}), "a", ["_index"]),
    ("W003", flow("a>f", "a>b", a=LOG, b=LOG, f=FINISH), "b", ["Log", "no outgoing edge"]),
    ("W004", flow("a>f", "f>a", a=LOG, f=FINISH, entry="a"), "f", ["never followed"]),
    ("W020", linear(agent({"url": literal("x"), "metod": literal("GET")})), "a", ["'metod'", "did you mean 'method'"]),
    ("W025", linear(CONDITIONAL | {"condition": {"type": "operation", "op": "EQ", "arguments": [literal(1)]}}) | {"executionPlan": [{"fromStep": "a", "toStep": "f", "label": "true"}]}, "a", ["EQ takes 2 arguments, found 1"]),
    ("W030", linear(agent(maxRetries=51)), "a", ["51"]),
    ("W031", linear(agent(retryDelay=5_400_000)), "a", ["1.5 h"]),
    ("W032", linear(split({"value": ref("data"), "parallelism": 101})), "a", ["101"]),
    ("W033", linear(loop(maxIterations=10_001)), "a", ["10001"]),
    ("W035", linear({"stepType": "Delay", "durationMs": literal(-5)}), "a", ["counts as 0"]),
    ("W034", linear(agent(timeout=3_600_001)), "a", ["1.0 h"]),
    ("W040", flow("a>f", "a>f", a=LOG, f=FINISH, entry="a"), "a", ["'f'", "more than once"]),
    ("W050", linear(LOG | {"context": {"x": ref("steps.a.outputs")}}), "a", ["own record"]),
    ("W051", linear(LOG | {"context": {"x": ref("data.o.x")}}, graph={"inputSchema": {"o": {"type": "object"}}}), "a", ["'o'", "without declared properties"]),
    ("E129", linear(LOG | {"context": {"x": {"valueType": "template", "value": "{{ a"}}}), "a", ["line 1"]),
    ("W052", linear(LOG | {"context": {"x": {"valueType": "template", "value": "{{ steps.b.outputs }}"}}}), "a", ["steps.b.outputs", "does not exist"]),
    ("W053", flow("a>f", "a>h:onError", a=LOG, f=FINISH, h=finish("__error.code"), entry="a"), "h", ["'__error'", "steps.__error"]),
    ("W061", linear(agent(compensation={"compensationStep": "x"})), "a", ["nothing executes"]),
    ("W073", linear(split({"value": ref("data"), "parallelism": 4, "sequential": True})), "a", ["'sequential'", "4 at a time"]),
    ("W080", linear(LOG | {"context": {"x": ref("data.name")}}), "a", ["data.name", "inputSchema"]),
    ("W081", flow("a>f", a=agent(), f=finish("steps.a.output.body")), "f", ["'output'", "did you mean 'outputs'"]),
    ("W090", linear({"stepType": "Agent", "operatorId": "http", "capabilityId": "request", "inputMapping": {"url": literal("x")}}), "a", ["'operatorId'", "'agentId'"]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("code", "document", "step_id", "texts"), CASES, ids=[f"{c[0]}-{i}" for i, c in enumerate(CASES)]
)
def test_each_code(code, document, step_id, texts):
    found = one(document, code)
    assert found.step_id == step_id
    for text in texts:
        assert text in found.message
    assert found.severity is CODES[code].severity


def test_conditional_edges_of_one_priority_and_edges_beside_them():
    document = flow("a>f", a=LOG, f=FINISH)
    document["executionPlan"] = [
        {"fromStep": "a", "toStep": "f", "condition": TRUE},
        {"fromStep": "a", "toStep": "f", "condition": TRUE},
        {"fromStep": "a", "toStep": "f"},
        {"fromStep": "a", "toStep": "f"},
    ]
    codes = [item.code for item in report(document).errors]
    assert codes.count("E070") == 1
    assert codes.count("E071") == 1


def test_no_finish_reachable():
    codes = {item.code for item in report(flow(a=LOG, f=FINISH, entry="a")).errors}
    assert codes == {"E002", "E003"}


# Neighbours that must pass.

CLEAN = [
    linear(LOG),
    linear(agent({"address": literal("x"), "headers.x": literal(1), "_connection": literal(1), "timeoutMs": literal(5.0)})),
    linear(agent({"url": ref("variables._tenant_id"), "method": literal(None), "ratio": literal(1), "body": literal([1])})),
    linear(agent() | {"agentId": "HTTP"}),
    linear({"stepType": "Delay", "durationMs": literal(1.5)}),
    linear(LOG | {"context": {"x": ref("scenario.inputs.variables._instance_id"), "y": ref("workflow.inputs.data")}}),
    linear(LOG | {"context": {"x": ref("data['a b'].c.d")}}, graph={"inputSchema": {"a b": {"type": "object", "properties": {"c": {"type": "array"}}}}}),
    flow("a>f", a=agent(), f=finish("steps.a.outputs.body[0]['x y'].-1")),
    flow("a>f", a=agent(), f=finish("steps.a.output", default=1)),
    flow("a>f", a={"stepType": "Delay", "durationMs": literal(1)}, f=finish("steps.a.duration_ms")),
    # A step of the other branch may be read: it is null then.
    flow("c>a:true", "c>b:false", "a>f", "b>f", c=CONDITIONAL, a=LOG, b=LOG | {"context": {"x": ref("steps.a.outputs")}}, f=FINISH),
    # Fan-out, also inside a branch; a Finish may read all of it.
    flow("a>b", "a>d", "b>f", "d>f", a=LOG, b=LOG, d=LOG, f=finish("steps.d.outputs")),
    flow("c>a:true", "c>b:true", "a>f", "b>f", c=CONDITIONAL, a=LOG, b=LOG, f=FINISH),
    flow("c>f:true", "c>f:false", c=CONDITIONAL, f=FINISH),
    flow("a>f:next", a=LOG, f=FINISH),
    flow("a>f", a=LOG | {"name": None}, f=FINISH),
]  # fmt: skip


@pytest.mark.parametrize("document", CLEAN, ids=range(len(CLEAN)))
def test_sound_scenarios_have_no_findings(document):
    assert clean(document), report(document)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("follow", 1), ("follow", "true"), ("timeout_ms", True), ("timeout_ms", 1.5), ("ratio", "1")),
        *(("headers", []), ("parts", {}), ("level", True), ("url", {})),
    ],
)
def test_literals_of_wrong_types(field, value):
    assert one(linear(agent({"url": literal("x"), field: literal(value)})), "E023")


def test_every_reference_of_a_condition_is_checked():
    condition = {
        "type": "operation",
        "op": "AND",
        "arguments": [
            {"type": "operation", "op": "EQ", "arguments": [ref("steps.x.outputs"), ref("dta")]},
            {"type": "value", **ref("variables.nope")},
        ],
    }
    document = flow("c>f:true", c=CONDITIONAL | {"condition": condition}, f=FINISH)
    found = {item.code: item.path for item in report(document).errors}
    assert found == {
        "E010": "steps.c.condition.arguments[0].arguments[0]",
        "E126": "steps.c.condition.arguments[0].arguments[1]",
        "E013": "steps.c.condition.arguments[1]",
    }


def test_all_errors_are_reported_at_once():
    document = flow(
        "a>f",
        "a>gone",
        a=agent({"url": ref("steps.b.outputs")}) | {"agentId": "none"},
        f=finish("variables.x"),
        x=FINISH,
        entry="a",
    )
    assert {item.code for item in report(document).errors} == {"E002", "E010", "E013", "E014", "E020"}


def test_cyclic_graphs_are_judged_without_an_order():
    document = flow("a>b", "b>a", a=LOG | {"context": {"x": ref("steps.b.outputs")}}, b=LOG, entry="a")
    assert {item.code for item in report(document).errors} == {"E005"}


def test_report_as_json():
    result = report(linear(agent({"url": literal(5)}, maxRetries=60)))
    document = json.loads(json.dumps(result.to_json()))
    assert document["valid"] is False
    assert document["errors"] == [
        {
            "code": "E023",
            "title": "Wrong type of an immediate value",
            "severity": "error",
            "message": "step 'a': inputMapping.url: the input 'url' is of type string, found integer 5",
            "stepId": "a",
            "path": "steps.a.inputMapping.url",
        }
    ]
    assert [item["code"] for item in document["warnings"]] == ["W030"]
    with pytest.raises(ScenarioError, match=r"flow\.json: \[E023\]"):
        result.raise_for_errors("flow.json")


def test_warnings_do_not_block():
    result = report(linear(agent(maxRetries=60)))
    assert result.valid
    result.raise_for_errors("flow.json")


def test_validate_source_reports_what_cannot_be_loaded():
    scenario, result = validate_source("{", AGENTS, origin="flow.json")
    assert scenario is None
    assert [item.code for item in result.errors] == ["E090"]


def test_thousands_of_errors_are_cut():
    steps = {f"s{i}": agent() | {"agentId": f"nope{i}"} for i in range(5000)}
    assert len(report(flow(entry="s0", **steps)).errors) == 200


def test_secrets_may_go_to_an_agent_that_is_made_for_them():
    reads = agent({"url": literal("http://x"), "_connection": ref("steps.c.outputs")})
    assert clean(flow("c>a", "a>f", c=CONNECTION, a=reads, f=FINISH))
    assert clean(linear(agent(connectionId="shop")))


def test_conditions_of_edges_read_no_secrets():
    document = flow("c>f", c=CONNECTION, f=FINISH)
    document["executionPlan"][0]["condition"] = {"type": "value", **ref("steps.c.outputs.parameters.token")}
    found = one(document, "E042")
    assert "the condition of an edge" in found.message
    assert found.path == "executionPlan[0].condition"


def test_every_code_of_the_validator_has_a_case():
    loader = {f"E09{digit}" for digit in (0, 1, 2, 3, 4, 5, 6, 8, 9)} | {"E025"}
    apart = {"W124", "E003", "E070", "E054", "E055", "E056", "E097"}
    assert set(CODES) - loader - apart == {case[0] for case in CASES}


# The scenarios of the product's own pages.

URL = literal("https://api.example.com/validate")
PUBLISHED = [
    {
        "name": "Data Processing",
        "steps": {
            "fetch": {"stepType": "Agent", "id": "fetch", "agentId": "http", "capabilityId": "request", "inputMapping": {"url": ref("data.endpoint")}},
            "transform": {"stepType": "Agent", "id": "transform", "agentId": "transform", "capabilityId": "map-fields", "inputMapping": {"source": ref("steps.fetch.outputs")}},
            "finish": {"stepType": "Finish", "id": "finish", "inputMapping": {"result": ref("steps.transform.outputs")}},
        },
        "entryPoint": "fetch",
        "executionPlan": [{"fromStep": "fetch", "toStep": "transform"}, {"fromStep": "transform", "toStep": "finish"}],
    },
    {
        "name": "Order Processing",
        "steps": {
            "validate": {"stepType": "Agent", "agentId": "http", "capabilityId": "request", "inputMapping": {"url": URL, "body": ref("data.order")}},
            "notify": {"stepType": "Agent", "agentId": "http", "capabilityId": "request", "inputMapping": {"url": URL}},
            "finish": {"stepType": "Finish", "inputMapping": {"result": ref("steps.notify.outputs")}},
        },
        "executionPlan": [{"fromStep": "validate", "toStep": "notify"}, {"fromStep": "notify", "toStep": "finish"}],
    },
]  # fmt: skip


@pytest.mark.parametrize("document", PUBLISHED, ids=["data-processing", "order-processing"])
def test_published_scenarios_validate(document):
    result = report(document)
    assert result.valid
    assert {item.code for item in result.warnings} == {"W080"}


def test_a_child_that_nothing_starts_is_told():
    given = (ChildSource("kid", flow(f=FINISH)), ChildSource("kidd", flow(f=FINISH)))
    starts = flow("a>f", a=CHILD, f=FINISH, graph={"name": "parent"})
    _, result = validate_source(starts, AGENTS, origin="flow.json", children=given)
    assert [(item.code, item.message) for item in result.warnings if item.code == "W124"] == [
        ("W124", "no step starts the child scenario 'kidd'; did you mean 'kid'?")
    ]
    _, result = validate_source(starts, AGENTS, origin="flow.json", children=given[:1])
    assert "W124" not in {item.code for item in result.warnings}
