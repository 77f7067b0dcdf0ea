"""The conformance suite passes a well-behaved agent, and each of its checks catches a hostile one."""

from __future__ import annotations

import asyncio
import base64
import logging
import random
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, Field, field_validator, model_validator
from runtara_sdk.agents import (
    AgentDefinition,
    AgentError,
    AuthType,
    Capability,
    CapabilityContext,
    ConnectionCategory,
    ConnectionField,
    ConnectionType,
    Example,
    KnownError,
    RawConnection,
    capability,
)
from runtara_sdk.testing.agents import AgentConformanceSuite, ProblemsFoundError, ProvidedCall

GRACE_SECONDS = 0.2
TOO_LONG_SECONDS = 5 * GRACE_SECONDS


class Text(BaseModel):
    text: str
    times: int = Field(default=1, ge=0, le=100)


class Nothing(BaseModel):
    """No inputs."""


class Connected(BaseModel):
    connection: RawConnection | None = Field(default=None, alias="_connection")

    @property
    def token(self) -> str:
        return str(self.connection.parameters["token"]) if self.connection else ""


SERVICE = ConnectionType(
    "service",
    "Service",
    "For tests.",
    ConnectionCategory.API,
    AuthType.API_KEY,
    (ConnectionField("token", secret=True),),
)


@capability(
    id="repeat", description="Repeats a text.", examples=[Example(inputs={"text": "ab", "times": 2}, output="abab")]
)
def repeat(inputs: Text) -> str:
    return inputs.text * inputs.times


@capability(
    id="note",
    description="Notes a text once for each step.",
    side_effects=True,
    effect="keyed",
    examples=[Example(inputs={"text": "a"}, needs="a notebook")],
)
async def note(inputs: Text, context: CapabilityContext) -> str:
    NOTEBOOK[context.idempotency_key or ""] = inputs.text
    return inputs.text


@capability(id="greet", description="Says hello.", examples=[Example(inputs={})], deterministic=False)
async def greet(inputs: Connected, context: CapabilityContext) -> str:
    context.secrets.add(encoded := base64.b64encode(inputs.token.encode()).decode())
    return f"hello {encoded}"


NOTEBOOK: dict[str, str] = {}


class TestGoodAgent(AgentConformanceSuite):
    agent = AgentDefinition(id="good", capabilities=[repeat, note, greet], connection_types=[SERVICE])
    installed = False

    @contextmanager
    def provided(self, capability: Capability, example: Example) -> Iterator[ProvidedCall]:
        assert example.needs == "a notebook"
        NOTEBOOK.clear()
        yield ProvidedCall(example.inputs, effects=lambda: dict(NOTEBOOK))


class LaxAgent(AgentDefinition):
    """Finds capabilities however they are written, and takes anything for inputs."""

    def find_capability(self, id_or_alias: str) -> Capability | None:
        return super().find_capability(id_or_alias.lower())

    async def invoke(self, capability_id: str, inputs: Any, context: CapabilityContext | None = None) -> Any:
        found = self.find_capability(capability_id)
        given = inputs if isinstance(inputs, Mapping) else {"text": ""}
        return None if found is None else await super().invoke(found.id, given, context)


@dataclass(frozen=True)
class Hostile:
    """An agent that a check of the suite must catch, and what the check must say."""

    check: str
    messages: tuple[str, ...]
    suite: AgentConformanceSuite

    @property
    def name(self) -> str:
        return f"{self.check}-{self.suite.agent.capabilities[0].id}"


HOSTILE: list[Hostile] = []


def hostile(
    check: str,
    *messages: str,
    kind: type[AgentDefinition] = AgentDefinition,
    given: Mapping[str, Any] | None = None,
    **declared: Any,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Declare a capability of an agent that `check` must catch; with `given`, the suite names these inputs for it."""

    def declare(function: Callable[..., Any]) -> Callable[..., Any]:
        made = capability(**{"description": "Bad.", **declared})(function)

        class Suite(AgentConformanceSuite):
            agent = kind(id="bad", capabilities=[made], connection_types=[SERVICE])
            grace_seconds = GRACE_SECONDS

        if given is not None:
            Suite.examples = {Suite.agent.capabilities[0].id: given}
        HOSTILE.append(Hostile(check, messages, Suite()))
        return made

    return declare


NO_INPUTS = [Example(inputs={})]


# What it declares.


@hostile("metadata_is_json_and_complete", "capability silent needs a description", description="")
def silent(inputs: Text) -> str:
    return ""


@hostile("metadata_is_json_and_complete", "is undone by nobody, which is no capability", compensates_with="nobody")
def undone(inputs: Text) -> str:
    return ""


class BadDefault(BaseModel):
    mode: str = Field(default="c", json_schema_extra={"enum": ["a", "b"]})


@hostile("defaults_are_acceptable_inputs", "the default 'c' of mode is not in enum")
def default(inputs: BadDefault) -> int:
    return 0


@hostile("schemas_are_json", "its result have no JSON Schema")
def shapeless(inputs: Text) -> Callable[[], int]:
    return lambda: 0


@hostile("ids_and_aliases_find_their_capability", "LAX-ID finds a capability", kind=LaxAgent)
def lax_id(inputs: Text) -> str:
    return ""


@hostile(
    "errors_keep_their_shape", "the error ODD needs a description", known_errors=[KnownError.permanent("ODD", " ")]
)
def wordless(inputs: Text) -> str:
    return ""


# Its examples.


@hostile("every_capability_has_an_example", "unexplained declares no example")
def unexplained(inputs: Text) -> str:
    return ""


@hostile(
    "every_capability_has_an_example",
    "its example has the unknown input txt",
    "its example is refused",
    "no example tells what comes out",
    examples=[Example(inputs={"txt": "a"})],
)
def typo(inputs: Text) -> str:
    return inputs.text


@hostile(
    "declared_examples_give_what_they_say",
    "the example says 'b', the call 'a'",
    examples=[Example(inputs={"text": "a"}, output="b")],
)
def boast(inputs: Text) -> str:
    return inputs.text


@hostile("examples_succeed", r"its example fails with \[REFUSED\] no", given={})
def refuse(inputs: Nothing) -> int:
    raise AgentError.permanent("REFUSED", "no")


# Wrong inputs.


@hostile("unknown_capability_is_a_permanent_error", "must be refused with UNKNOWN_CAPABILITY", kind=LaxAgent)
def unknown(inputs: Text) -> str:
    return ""


class SelfService(BaseModel):
    text: str

    @model_validator(mode="before")
    @classmethod
    def fill(cls, value: Any) -> Any:
        return {"text": "anything"} | value


@hostile("missing_inputs_are_named", "ran without its required inputs")
def self_service(inputs: SelfService) -> str:
    return inputs.text


@hostile("inputs_that_are_no_object_are_refused", r"accepted \[\] as its inputs", kind=LaxAgent)
def shape_shifter(inputs: Text) -> str:
    return ""


class Lenient(BaseModel):
    items: list[Any] = Field(default_factory=list)
    mode: str = "a"


@hostile("hostile_inputs_give_results_or_structured_errors", r"mode='\\x00' lets out SystemExit: 1")
def escape(inputs: Lenient) -> int:
    if inputs.mode == "\x00":
        raise SystemExit(1)
    return 0


class Echoing(BaseModel):
    text: str

    @field_validator("text", mode="before")
    @classmethod
    def complain(cls, value: Any) -> Any:
        if not isinstance(value, str):
            raise ValueError(f"cannot use {value!r}")  # noqa: TRY004 - pydantic expects it
        return value


@hostile("wrong_types_do_not_echo_values", "the value of text is echoed")
def echoing(inputs: Echoing) -> str:
    return ""


# Repetitions.


@hostile("equal_inputs_give_equal_results", "guess is not deterministic", examples=NO_INPUTS)
def guess(inputs: Nothing) -> float:
    return random.random()


@hostile("inputs_are_left_alone", "changed its inputs", examples=[Example(inputs={"items": [{"a": 1}]})])
def scribble(inputs: Lenient) -> int:
    inputs.items[0]["a"] += 1
    return 0


def write(context: CapabilityContext, name: str, text: str) -> None:
    with context.require_workspace().create(name) as file:
        file.write(text.encode())
        file.commit()


@hostile("a_repetition_does_nothing_more", "is declared pure, but a call changes the file 'trace'", examples=NO_INPUTS)
def tracing(inputs: Nothing, context: CapabilityContext) -> int:
    write(context, "trace", "x")
    return 0


@hostile(
    "a_repetition_does_nothing_more",
    "is declared keyed, but the same call made again changes the file 'log'",
    side_effects=True,
    effect="keyed",
    examples=NO_INPUTS,
)
def repeating(inputs: Nothing, context: CapabilityContext) -> int:
    path = context.require_workspace().path("log")
    write(context, "log", (path.read_text() if path.exists() else "") + "line\n")
    return 0


@hostile(
    "a_repetition_does_nothing_more",
    r"is declared idempotent, but the same call made again fails with \[EXISTS\]",
    side_effects=True,
    idempotent=True,
    examples=NO_INPUTS,
)
def once_only(inputs: Nothing, context: CapabilityContext) -> int:
    if context.require_workspace().path("made").exists():
        raise AgentError.permanent("EXISTS", "it is there already")
    write(context, "made", "")
    return 0


CALLS: list[str] = []


@hostile(
    "a_repetition_does_nothing_more",
    "the same call made again gives 1, then 2",
    side_effects=True,
    idempotent=True,
    examples=NO_INPUTS,
)
def counting(inputs: Nothing) -> int:
    CALLS.append("")
    return 1 + (len(CALLS) + 1) % 2


# Endings.


@hostile("a_call_ends_at_its_deadline", "leaves behind the thread 'capability bad:deaf-thread'", examples=NO_INPUTS)
def deaf_thread(inputs: Nothing) -> int:
    time.sleep(TOO_LONG_SECONDS)
    return 0


@hostile("a_call_ends_at_its_deadline", "after its deadline", examples=NO_INPUTS, runs_inline=True)
def blocking(inputs: Nothing) -> int:
    time.sleep(TOO_LONG_SECONDS)
    return 0


@hostile(
    "a_call_ends_at_its_deadline", r"ended with \[GAVE_UP\] : it must give", examples=NO_INPUTS, deterministic=False
)
async def giving_up(inputs: Nothing) -> int:
    try:
        await asyncio.sleep(TOO_LONG_SECONDS)
    except asyncio.CancelledError:
        raise AgentError.permanent("GAVE_UP", "") from None
    return 0


KEPT: list[Any] = []


@hostile("a_call_ends_at_its_deadline", "leaves behind the task forgotten", examples=NO_INPUTS)
async def forgetful(inputs: Nothing) -> int:
    async def forgotten() -> None:
        await asyncio.sleep(60)

    forgotten.__qualname__ = "forgotten"
    KEPT.append(asyncio.ensure_future(forgotten()))
    return 0


@hostile("a_call_ends_at_its_deadline", "leaves behind an open socket, the process", examples=NO_INPUTS)
async def leaking(inputs: Nothing) -> int:
    KEPT.append(socket.socket())
    KEPT.append(subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE))
    return 0


@hostile("cancellation_passes_through", "swallowed its cancellation and gave a result", examples=NO_INPUTS)
async def swallow(inputs: Nothing) -> int:
    try:
        await asyncio.sleep(30)
    except asyncio.CancelledError:
        return 1
    return 0


@hostile("cancellation_passes_through", "a cancelled call did not end within 0.2 s", examples=NO_INPUTS)
async def stubborn(inputs: Nothing) -> int:
    until = time.monotonic() + TOO_LONG_SECONDS
    while time.monotonic() < until:
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(0.01)
    return 0


HELD: list[str] = []


@hostile(
    "cancellation_passes_through",
    r"after a cancelled call the next one fails with \[BUSY\]",
    examples=NO_INPUTS,
    deterministic=False,
)
async def holding(inputs: Nothing) -> int:
    if HELD:
        raise AgentError.transient("BUSY", "somebody else calls")
    HELD.append("")
    await asyncio.sleep(1)
    HELD.clear()
    return 0


# Secrets.


@hostile("secrets_of_a_connection_are_taken_out_of_errors", "REFUSED shows a secret, or a part of one")
def leak(inputs: Connected) -> int:
    raise AgentError.permanent("REFUSED", f"the token is {inputs.token[:-1]}")


@hostile("secrets_of_a_connection_are_taken_out_of_results", "its result shows a secret")
def leak_by_result(inputs: Connected) -> str:
    return base64.b64encode(inputs.token.encode()).decode()


@hostile("secrets_of_a_connection_are_not_logged", "a log record shows a secret", "standard output shows a secret")
def leak_by_log(inputs: Connected) -> int:
    logging.getLogger("acme").debug("token %s", inputs.token)
    print(inputs.token)
    return 0


class OpenConnection(BaseModel):
    parameters: dict[str, Any]


class OpenlyConnected(BaseModel):
    connection: OpenConnection | None = Field(default=None, alias="_connection")


@hostile("inputs_do_not_represent_secrets", r"repr\(\) of its inputs shows a secret")
def leak_by_representation(inputs: OpenlyConnected) -> int:
    return 0


# The suite on all of them.


@pytest.mark.parametrize("case", HOSTILE, ids=lambda case: case.name)
def test_a_hostile_agent_is_caught(case: Hostile) -> None:
    try:
        with pytest.raises(ProblemsFoundError) as caught:
            getattr(case.suite, f"test_{case.check}")()
    finally:
        for kept in KEPT:
            if isinstance(kept, subprocess.Popen):
                kept.communicate()
            elif isinstance(kept, socket.socket):
                kept.close()
        KEPT.clear()
    for message in case.messages:
        caught.match(message)


def test_effects_outside_are_seen_where_they_are_provided() -> None:
    done: list[str] = []

    @capability(side_effects=True, effect="keyed", examples=[Example(inputs={}, needs="a shop")])
    def order(inputs: Nothing) -> None:
        """Order, whether it was ordered before or not."""
        done.append("ordered")

    class Suite(AgentConformanceSuite):
        agent = AgentDefinition(id="bad", capabilities=[order])

    Suite().test_a_repetition_does_nothing_more()
    assert done == []

    class ProvidingSuite(Suite):
        @contextmanager
        def provided(self, capability: Capability, example: Example) -> Iterator[ProvidedCall]:
            yield ProvidedCall(example.inputs, effects=lambda: done)

    with pytest.raises(ProblemsFoundError, match="the same call made again changes the outside world"):
        ProvidingSuite().test_a_repetition_does_nothing_more()


def test_all_problems_are_told_at_once() -> None:
    class Suite(AgentConformanceSuite):
        agent = AgentDefinition(id="bad", capabilities=[silent, typo, unexplained])

    with pytest.raises(ProblemsFoundError) as caught:
        Suite().test_every_capability_has_an_example()
    assert len(caught.value.problems) == 5
    assert {problem.split(":")[0].split()[0] for problem in caught.value.problems} == {"silent", "typo", "unexplained"}


CAUGHT_WHEN_INSTALLED = frozenset(
    {
        "distribution_describes_itself",
        "files_lie_in_its_own_packages",
        "import_changes_no_global_state",
        "import_does_nothing_else",
        "import_is_light",
        "import_is_quick",
        "import_loads_what_is_declared",
        "is_discovered",
        "package_is_typed",
        "supported_versions_are_declared",
    }
)
"""The checks whose hostile agents must be installed: `test_agents_conformance_installed.py`."""


def test_every_check_has_a_hostile_agent() -> None:
    checks = {name.removeprefix("test_") for name in dir(AgentConformanceSuite) if name.startswith("test_")}
    caught = {case.check for case in HOSTILE}
    assert caught | CAUGHT_WHEN_INSTALLED == checks
    assert not caught & CAUGHT_WHEN_INSTALLED
    installed = Path(__file__).with_name("test_agents_conformance_installed.py").read_text(encoding="utf-8")
    named = re.findall(r'"(\w+)"|Absent\(\)\.test_(\w+)\(\)', installed)
    assert {name for names in named for name in names} >= CAUGHT_WHEN_INSTALLED
