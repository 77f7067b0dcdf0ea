"""The conformance suite passes a well-behaved agent and catches each way of misbehaving."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest
from pydantic import BaseModel, Field, field_validator
from runtara_sdk.agents import (
    AgentDefinition,
    AgentError,
    AuthType,
    ConnectionCategory,
    ConnectionField,
    ConnectionType,
    Example,
    RawConnection,
    capability,
)
from runtara_sdk.testing.agents import AgentConformanceSuite


class Text(BaseModel):
    text: str
    times: int = Field(default=1, ge=0, le=100)


@capability(
    id="repeat", description="Repeats a text.", examples=[Example(inputs={"text": "ab", "times": 2}, output="abab")]
)
def repeat(inputs: Text) -> str:
    return inputs.text * inputs.times


class TestGoodAgent(AgentConformanceSuite):
    agent = AgentDefinition(id="good", capabilities=[repeat])
    installed = False


class Echoing(BaseModel):
    text: str

    @field_validator("text", mode="before")
    @classmethod
    def complain(cls, value: Any) -> Any:
        if not isinstance(value, str):
            raise ValueError(f"cannot use {value!r}")  # noqa: TRY004 - pydantic expects it
        return value


class Lenient(BaseModel):
    items: list[Any] = Field(default_factory=list)
    mode: str = "a"


class BadDefault(BaseModel):
    mode: str = Field(default="c", json_schema_extra={"enum": ["a", "b"]})


@capability(id="silent")
def without_description(inputs: Text) -> str:
    return ""


@capability(id="echoing", description="Shows secrets.")
def echoing(inputs: Echoing) -> str:
    return ""


@capability(id="guess", description="Claims to be deterministic.")
def guess(inputs: Lenient) -> float:
    return random.random()


@capability(id="swallow", description="Cannot be cancelled.")
async def swallow(inputs: Lenient) -> int:
    try:
        await asyncio.sleep(30)
    except asyncio.CancelledError:
        return 1
    return 0


@capability(id="default", description="Has a default that it refuses.")
def default(inputs: BadDefault) -> int:
    return 0


@capability(id="escape", description="Lets an interruption out.")
def escape(inputs: Lenient) -> int:
    if inputs.mode == "\x00":
        raise SystemExit(1)
    return 0


@capability(id="refuse", description="Its example fails.")
def refuse(inputs: Lenient) -> int:
    raise AgentError.permanent("REFUSED", "no")


@capability(id="boast", description="Its example says too much.", examples=[Example(inputs={"text": "a"}, output="b")])
def boast(inputs: Text) -> str:
    return inputs.text


@capability(id="typo", description="Its example has another input.", examples=[Example(inputs={"txt": "a"})])
def typo(inputs: Text) -> str:
    return inputs.text


@capability(id="vague", description="Does not say what comes out.", examples=[Example(inputs={"text": "a"})])
def vague(inputs: Text) -> str:
    return inputs.text


class Connected(BaseModel):
    connection: RawConnection | None = Field(default=None, alias="_connection")


@capability(id="leak", description="Shows a part of its credentials.")
def leak(inputs: Connected) -> int:
    token = inputs.connection.parameters["token"] if inputs.connection else ""
    raise AgentError.permanent("REFUSED", f"the token is {token[:-1]}")


_LEAKY = ConnectionType(
    "leaky",
    "Leaky",
    "For tests.",
    ConnectionCategory.API,
    AuthType.API_KEY,
    (ConnectionField("token", secret=True),),
)


def _suite(function: Any, **examples: Any) -> AgentConformanceSuite:
    class Suite(AgentConformanceSuite):
        agent = AgentDefinition(id="bad", capabilities=[function])

    Suite.examples = examples
    return Suite()


def test_catches_a_missing_description() -> None:
    with pytest.raises(AssertionError, match="needs a description"):
        _suite(without_description).test_metadata_is_json_and_complete()


def test_catches_echoed_values() -> None:
    with pytest.raises(AssertionError, match="is echoed"):
        _suite(echoing).test_wrong_types_do_not_echo_values()


def test_catches_false_determinism() -> None:
    with pytest.raises(AssertionError, match="not deterministic"):
        _suite(guess, guess={}).test_examples_succeed()


def test_catches_a_failing_example() -> None:
    with pytest.raises(AgentError, match="REFUSED"):
        _suite(refuse, refuse={}).test_examples_succeed()


def test_catches_a_capability_without_example() -> None:
    with pytest.raises(AssertionError, match="guess declares no example"):
        _suite(guess).test_every_capability_has_an_example()


def test_catches_an_example_with_unknown_inputs() -> None:
    with pytest.raises(AssertionError, match="unknown input txt"):
        _suite(typo).test_every_capability_has_an_example()


def test_catches_a_pure_example_without_its_result() -> None:
    with pytest.raises(AssertionError, match="no example tells what comes out"):
        _suite(vague).test_every_capability_has_an_example()


def test_catches_an_example_that_is_not_true() -> None:
    with pytest.raises(AssertionError, match="the example says 'b', the call 'a'"):
        _suite(boast).test_declared_examples_give_what_they_say()


def test_catches_a_part_of_a_secret_in_an_error() -> None:
    class Suite(AgentConformanceSuite):
        agent = AgentDefinition(id="leaky", capabilities=[leak], connection_types=[_LEAKY])

    with pytest.raises(AssertionError, match="leak: REFUSED shows a secret"):
        Suite().test_secrets_of_a_connection_are_taken_out_of_errors()


def test_catches_swallowed_cancellation() -> None:
    with pytest.raises(AssertionError, match="swallowed its cancellation"):
        _suite(swallow).test_cancellation_passes_through()


def test_catches_a_default_outside_its_enumeration() -> None:
    with pytest.raises(AssertionError, match="not in enum"):
        _suite(default).test_defaults_are_acceptable_inputs()


def test_catches_an_escaping_exception() -> None:
    with pytest.raises(SystemExit):
        _suite(escape).test_hostile_inputs_give_results_or_structured_errors()


def test_catches_an_agent_that_is_not_installed() -> None:
    with pytest.raises(AssertionError, match="not an installed plugin"):
        _suite(repeat).test_is_discovered()
