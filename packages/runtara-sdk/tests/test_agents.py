from __future__ import annotations

import asyncio
import enum
import json
import pickle
import threading
from typing import Any

import pytest
from pydantic import AliasChoices, BaseModel, Field
from runtara_sdk.agents import (
    AgentDefinition,
    AgentDefinitionError,
    AgentError,
    CapabilityContext,
    EffectClass,
    KnownError,
    RawConnection,
    agent,
    capability,
)
from runtara_sdk.errors import InstanceCancelled, InvalidInputError, StorageError
from runtara_sdk.testing.clock import ManualClock


class Colour(enum.Enum):
    RED = "red"


class Everything(BaseModel):
    text: str = "GET"
    whole: int = 0
    ratio: float = 0.0
    flag: bool = False
    numbers: list[int] = Field(default_factory=list)
    maybe: int | None = None
    anything: Any = None
    mapping: dict[str, str] = Field(default_factory=dict)
    colour: Colour | None = None
    either: str | int = 0
    source_data: Any = Field(default=None, validation_alias=AliasChoices("source_data", "source"))
    connection: RawConnection | None = Field(default=None, alias="_connection")


class Echo(BaseModel):
    seen: dict[str, Any]
    nested: list[Colour] = []


class Required(BaseModel):
    url: str
    limit: int


@agent(id="sample", category="testing")
class SampleAgent:
    """An agent for tests."""

    def __init__(self) -> None:
        self.closed = 0
        self.started = threading.Event()
        self.stopped = threading.Event()

    @capability(aliases=["echo-all"], known_errors=[KnownError.transient("SAMPLE_BUSY", "Busy.", "place")])
    async def echo(self, inputs: Everything) -> Echo:
        """Return what was understood.

        More text.
        """
        return Echo(seen=inputs.model_dump(mode="json", exclude_unset=True))

    @capability(id="need")
    def need(self, inputs: Required, context: CapabilityContext) -> dict[str, Any]:
        return {"key": context.idempotency_key, "thread": threading.current_thread() is threading.main_thread()}

    @capability(side_effects=True)
    def fail(self, inputs: Everything) -> Any:
        match inputs.text:
            case "agent":
                raise AgentError.transient("SAMPLE_BUSY", "busy", retry_after_ms=500, attributes={"place": 7})
            case "runtara":
                raise StorageError("the database is away")
            case "interruption":
                raise InstanceCancelled
            case "stop":
                raise StopIteration(1)
            case "timeout":
                raise TimeoutError("from the inside")
            case "nan":
                return float("nan")
            case "surrogate":
                return "\ud800"
            case "object":
                return object()
            case _:
                raise KeyError("broken")

    @capability()
    def block(self, inputs: Everything, context: CapabilityContext) -> Any:
        self.started.set()
        if context.cancellation.wait(10):
            self.stopped.set()

    def close(self) -> None:
        self.closed += 1


@pytest.fixture
def instance() -> SampleAgent:
    return SampleAgent()


@pytest.fixture
def sample(instance: SampleAgent) -> AgentDefinition:
    return AgentDefinition.of(instance)


async def _error(definition: AgentDefinition, capability_id: str, inputs: Any, **context: Any) -> AgentError:
    with pytest.raises(AgentError) as caught:
        await definition.invoke(capability_id, inputs, CapabilityContext(**context))
    return caught.value


@pytest.mark.parametrize(
    ("name", "given", "understood"),
    [
        ("ratio", " 1e10 ", 1e10),
        ("ratio", 2, 2.0),
        ("whole", " 42 ", 42),
        ("whole", "-3", -3),
        ("maybe", "5", 5),
        ("maybe", None, None),
        ("flag", " YES ", True),
        ("flag", "1", True),
        ("flag", "no", False),
        ("flag", 2, True),
        ("flag", 0, False),
        ("text", 42, "42"),
        ("text", 2.5, "2.5"),
        ("text", True, "true"),
        ("numbers", ["1", 2], [1, 2]),
        ("anything", "42", "42"),
        ("either", "42", "42"),
        ("colour", "red", "red"),
    ],
)
async def test_coercion_fits_what_has_one_reading(
    sample: AgentDefinition, name: str, given: Any, understood: Any
) -> None:
    result = await sample.invoke("echo", {name: given})
    assert result["seen"] == {name: understood}


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("ratio", "nan"),
        ("ratio", float("inf")),
        ("ratio", True),
        ("whole", "4.0"),
        ("whole", "1_000"),
        ("whole", "x"),
        ("whole", 1.5),
        ("whole", True),
        ("whole", None),
        ("flag", "maybe"),
        ("flag", ""),
        ("text", None),
        ("text", {}),
        ("numbers", ["1", "x"]),
        ("numbers", "1"),
        ("mapping", {"a": 1}),
        ("colour", "blue"),
    ],
)
async def test_coercion_refuses_instead_of_guessing(sample: AgentDefinition, name: str, given: Any) -> None:
    error = await _error(sample, "echo", {name: given})
    assert error.code == "INPUT_DESERIALIZATION_ERROR"
    assert not error.retryable
    assert name in error.message
    assert "\n" not in error.message


async def test_unknown_inputs_are_ignored_and_camel_case_and_aliases_accepted(sample: AgentDefinition) -> None:
    assert await sample.invoke("echo", {"other": 1, "sourceData": 1}) == {"seen": {"source_data": 1}, "nested": []}
    assert (await sample.invoke("echo-all", {"source": 2}))["seen"] == {"source_data": 2}


async def test_missing_inputs_are_all_named(sample: AgentDefinition) -> None:
    error = await _error(sample, "need", {})
    assert "url" in error.message
    assert "limit" in error.message


async def test_synchronous_capabilities_run_on_a_thread_with_their_context(sample: AgentDefinition) -> None:
    context = CapabilityContext(idempotency_key="k1")
    assert await sample.invoke("need", {"url": "u", "limit": 1}, context) == {"key": "k1", "thread": False}


async def test_agent_errors_are_kept_whole(sample: AgentDefinition) -> None:
    error = await _error(sample, "fail", {"text": "agent"})
    assert error.retryable
    assert str(error) == "[SAMPLE_BUSY] busy"
    assert error.to_json() == {
        "code": "SAMPLE_BUSY",
        "message": "busy",
        "category": "transient",
        "severity": "warning",
        "retryAfterMs": 500,
        "attributes": {"place": "7"},
    }
    assert AgentError.from_json(error.to_json()).to_json() == error.to_json()
    assert pickle.loads(pickle.dumps(error)).to_json() == error.to_json()


@pytest.mark.parametrize(
    ("what", "code", "retryable"),
    [
        ("runtara", "DATABASE_ERROR", True),
        ("other", "CAPABILITY_ERROR", False),
        ("stop", "CAPABILITY_ERROR", False),
        ("timeout", "CAPABILITY_ERROR", False),
        ("nan", "OUTPUT_SERIALIZATION_ERROR", False),
        ("surrogate", "OUTPUT_SERIALIZATION_ERROR", False),
        ("object", "OUTPUT_SERIALIZATION_ERROR", False),
    ],
)
async def test_other_failures_become_agent_errors(
    sample: AgentDefinition, what: str, code: str, *, retryable: bool
) -> None:
    error = await _error(sample, "fail", {"text": what})
    assert error.code == code
    assert error.retryable is retryable


async def test_interruptions_pass_through_a_thread(sample: AgentDefinition) -> None:
    with pytest.raises(InstanceCancelled):
        await sample.invoke("fail", {"text": "interruption"})


async def test_cancelling_a_blocked_thread_returns_at_once_and_tells_it(
    sample: AgentDefinition, instance: SampleAgent
) -> None:
    task = asyncio.ensure_future(sample.invoke("block", {}))
    assert await asyncio.to_thread(instance.started.wait, 10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await asyncio.to_thread(instance.stopped.wait, 10)


async def test_the_deadline_ends_a_call(sample: AgentDefinition, instance: SampleAgent) -> None:
    clock = ManualClock()
    error = await _error(sample, "block", {}, deadline_ms=clock.now_ms() + 20, clock=clock)
    assert error.code == "TIMEOUT"
    assert error.retryable
    assert await asyncio.to_thread(instance.stopped.wait, 10)


async def test_a_context_serves_several_attempts(sample: AgentDefinition) -> None:
    context = CapabilityContext()
    for _ in range(2):
        await sample.invoke("need", {"url": "u", "limit": 1}, context)
        assert not context.cancellation.requested


async def test_unknown_capability_is_permanent_with_a_suggestion(sample: AgentDefinition) -> None:
    error = await _error(sample, "ecko", {})
    assert error.code == "UNKNOWN_CAPABILITY"
    assert not error.retryable
    assert "did you mean 'echo'?" in error.message


async def test_close_reaches_the_object(sample: AgentDefinition, instance: SampleAgent) -> None:
    await sample.close()
    assert instance.closed == 1


def test_metadata_tells_true_types_and_defaults(sample: AgentDefinition) -> None:
    document = sample.metadata()
    assert json.loads(json.dumps(document)) == document
    assert document["id"] == "sample"
    assert document["description"] == "An agent for tests."
    assert document["hasSideEffects"] is True
    by_id = {item["id"]: item for item in document["capabilities"]}
    echo = by_id["echo"]
    assert echo["aliases"] == ["echo-all"]
    assert echo["description"] == "Return what was understood."
    assert echo["effect"] == "pure"
    assert echo["knownErrors"] == [
        {"code": "SAMPLE_BUSY", "description": "Busy.", "kind": "transient", "attributes": ["place"]}
    ]
    inputs = {field["name"]: field for field in echo["inputs"]}
    assert "_connection" not in inputs
    assert inputs["text"] == {"name": "text", "type": "string", "required": False, "default": "GET"}
    assert (inputs["ratio"]["type"], inputs["ratio"]["format"]) == ("number", "double")
    assert inputs["numbers"]["items"] == {"type": "integer"}
    assert inputs["maybe"]["nullable"] is True
    assert inputs["anything"]["type"] == inputs["either"]["type"] == "any"
    assert inputs["mapping"]["type"] == "object"
    assert inputs["colour"]["enum"] == ["red"]
    assert inputs["source_data"]["aliases"] == ["source"]
    assert echo["output"]["type"] == "object"
    assert {field["name"]: field["type"] for field in echo["output"]["fields"]} == {"seen": "object", "nested": "array"}
    assert by_id["fail"]["output"] == {"type": "any"}
    assert (by_id["fail"]["isIdempotent"], by_id["fail"]["effect"]) == (False, "at_most_once")


def test_input_fields_are_found_by_every_accepted_name(sample: AgentDefinition) -> None:
    echo = sample.capability("echo")
    for name in ("source_data", "source", "sourceData"):
        field = echo.input_field(name)
        assert field is not None
        assert field.name == "source_data"
    assert echo.input_field("nothing") is None
    connection = echo.input_field("_connection")
    assert connection is not None
    assert connection.hidden


def test_recursive_models_can_be_described() -> None:
    class Tree(BaseModel):
        children: list[Tree] = Field(default_factory=list)

    Tree.model_rebuild(_types_namespace={"Tree": Tree})

    def grow(inputs: Any) -> Any:
        return inputs

    grow.__annotations__ = {"inputs": Tree, "return": Tree}
    definition = AgentDefinition(id="tree", capabilities=[capability()(grow)])
    json.dumps(definition.metadata())


def test_wrong_declarations_are_refused_where_they_are_made() -> None:
    def no_model(inputs: int) -> int:
        return inputs

    def no_return(inputs: Required):  # type: ignore[no-untyped-def]  # what is refused
        return inputs

    def fine(inputs: Required) -> int:
        return 1

    with pytest.raises(AgentDefinitionError, match="pydantic model"):
        capability()(no_model)
    with pytest.raises(AgentDefinitionError, match="annotate what it returns"):
        capability()(no_return)
    with pytest.raises(AgentDefinitionError, match="lower-case words"):
        capability(id="Not_Fine")(fine)
    with pytest.raises(AgentDefinitionError, match="UPPER_SNAKE_CASE"):
        capability(known_errors=[KnownError.permanent("bad", "x")])(fine)
    with pytest.raises(AgentDefinitionError, match="not pure"):
        capability(side_effects=True, effect=EffectClass.PURE)(fine)
    with pytest.raises(AgentDefinitionError, match="unknown; use one of"):
        capability(effect="sometimes")(fine)
    decorated = capability()(fine)
    with pytest.raises(AgentDefinitionError, match="two capabilities"):
        AgentDefinition(id="x", capabilities=[decorated, decorated])
    with pytest.raises(AgentDefinitionError, match="not decorated with @capability"):
        AgentDefinition(id="x", capabilities=[no_model])
    with pytest.raises(AgentDefinitionError, match="no capability"):
        AgentDefinition(id="x", capabilities=[])
    with pytest.raises(AgentDefinitionError, match="lower-case words"):
        AgentDefinition(id="X-1", capabilities=[decorated])
    with pytest.raises(AgentDefinitionError, match="not decorated with @agent"):
        AgentDefinition.of(object())


def test_what_is_no_structured_error_is_refused() -> None:
    for document in ({}, {"code": "A", "message": "m", "category": "odd"}):
        with pytest.raises(InvalidInputError):
            AgentError.from_json(document)
    assert not AgentError.from_json({"code": "A", "message": "m", "category": "business"}).retryable


def test_connections_do_not_show_their_parameters() -> None:
    connection = RawConnection(integration_id="http_bearer", parameters={"token": "hunter2"})
    assert "hunter2" not in repr(connection)


def test_an_error_of_two_lists_is_listed_once() -> None:
    full = KnownError.transient("DISK_FULL", "No space.")

    @capability(known_errors=[full, KnownError.transient("DISK_FULL", "No space."), KnownError.permanent("NO", "No.")])
    def write(inputs: Everything) -> None:
        """Writes."""

    (described,) = AgentDefinition(id="disk", capabilities=[write]).capabilities
    assert [error.code for error in described.known_errors] == ["DISK_FULL", "NO"]
