"""Capabilities: functions from one input model to one JSON value, and what is declared about them."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cached_property
from typing import Any, TypeGuard, TypeVar, get_type_hints

from pydantic import BaseModel, RootModel, TypeAdapter
from pydantic.errors import PydanticSchemaGenerationError, PydanticUserError

from runtara_sdk.agents.context import CapabilityContext
from runtara_sdk.agents.errors import AgentDefinitionError, ErrorCategory
from runtara_sdk.agents.schema import InputField, input_fields, output_type

_CAPABILITY_ID = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_ERROR_CODE = re.compile(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)*")
_MARK = "__runtara_capability__"

Function = TypeVar("Function", bound=Callable[..., Any])


class EffectClass(StrEnum):
    """What happens when a call is repeated after a failure whose effect is unknown."""

    PURE = "pure"
    """Touches nothing outside: repeat freely."""
    IDEMPOTENT = "idempotent"
    """Twice is the same as once: repeat freely."""
    KEYED = "keyed"
    """The other side recognises a repetition by the idempotency key."""
    AT_MOST_ONCE = "at_most_once"
    """A repetition may do it twice."""


class LargeResults(StrEnum):
    """What becomes of a result that is larger than a checkpoint should be (RUNTARA_MAX_RESULT_BYTES)."""

    REFUSE = "refuse"
    """It is the permanent error RESULT_TOO_LARGE."""
    SPILL = "spill"
    """It is written to the workspace as JSON, and a reference to that file takes its place."""


@dataclass(frozen=True, slots=True)
class KnownError:
    """An error that a capability may raise, for listings.

    Attributes:
        code: the code of the `AgentError`.
        description: when it happens.
        kind: transient or permanent.
        attributes: names of the attributes that the error carries.
    """

    code: str
    description: str
    kind: ErrorCategory
    attributes: tuple[str, ...] = ()

    @classmethod
    def transient(cls, code: str, description: str, *attributes: str) -> KnownError:
        """An error that may go away by itself."""
        return cls(code, description, ErrorCategory.TRANSIENT, attributes)

    @classmethod
    def permanent(cls, code: str, description: str, *attributes: str) -> KnownError:
        """An error that the same call will meet again."""
        return cls(code, description, ErrorCategory.PERMANENT, attributes)

    def metadata(self) -> dict[str, Any]:
        """KnownErrorInfo of the agent metadata."""
        document: dict[str, Any] = {
            "code": self.code,
            "description": self.description,
            "kind": self.kind.value,
        }
        if self.attributes:
            document["attributes"] = list(self.attributes)
        return document


@dataclass(frozen=True, slots=True)
class Example:
    """A call that shows what a capability does; documentation prints it and the conformance suite makes it.

    Attributes:
        inputs: JSON object of the inputs.
        output: what it gives; left out (`...`) where that is different each time.
        needs: what must be there for the call, in words (`an SFTP server`); empty for one that can be made anywhere.
        connection: integration id of the connection that the call is made with; empty for one without.
        files: text files that the workspace holds before the call, by path.
    """

    inputs: Mapping[str, Any]
    output: Any = ...
    needs: str = ""
    files: Mapping[str, str] = field(default_factory=dict)
    connection: str = ""

    def metadata(self) -> dict[str, Any]:
        """The example in the agent metadata."""
        document: dict[str, Any] = {"inputs": dict(self.inputs)}
        if self.output is not ...:
            document["output"] = self.output
        if self.needs:
            document["needs"] = self.needs
        if self.connection:
            document["connection"] = self.connection
        if self.files:
            document["files"] = dict(self.files)
        return document


@dataclass(frozen=True)
class Capability:
    """One thing an agent can do. Made by `@capability`; attributes as in its arguments."""

    id: str
    function: Callable[..., Any]
    input_model: type[BaseModel]
    return_type: Any
    takes_context: bool
    aliases: tuple[str, ...]
    display_name: str
    description: str
    side_effects: bool
    idempotent: bool
    deterministic: bool
    rate_limited: bool
    effect: EffectClass
    known_errors: tuple[KnownError, ...]
    tags: tuple[str, ...]
    compensates_with: str | None
    compensates_description: str | None
    runs_inline: bool = False
    examples: tuple[Example, ...] = ()
    large_results: LargeResults = LargeResults.REFUSE

    @cached_property
    def is_async(self) -> bool:
        """Whether the function is a coroutine function; others run on a thread, unless they run inline."""
        return inspect.iscoroutinefunction(self.function)

    @cached_property
    def fields(self) -> tuple[InputField, ...]:
        """Every input, hidden ones included."""
        return input_fields(self.input_model)

    @cached_property
    def _return_adapter(self) -> TypeAdapter[Any]:
        return TypeAdapter(self.return_type)

    def input_field(self, name: str) -> InputField | None:
        """The input called `name`, by its true name, an alias or the camelCase form of its true name."""
        return next((field for field in self.fields if field.accepts(name)), None)

    def input_schema(self) -> dict[str, Any]:
        """JSON Schema of the inputs."""
        return self.input_model.model_json_schema(mode="validation")

    def output_schema(self) -> dict[str, Any]:
        """JSON Schema of the result."""
        return self._return_adapter.json_schema(mode="serialization")

    def metadata(self) -> dict[str, Any]:
        """CapabilityInfo of the agent metadata: a JSON object with camelCase keys."""
        document: dict[str, Any] = {
            "id": self.id,
            "name": self.function.__name__,
            "displayName": self.display_name,
            "inputType": self.input_model.__name__,
            "inputs": [field.metadata() for field in self.fields if not field.hidden],
            "output": output_type(self.output_schema()),
            "hasSideEffects": self.side_effects,
            "isIdempotent": self.idempotent,
            "isDeterministic": self.deterministic,
            "rateLimited": self.rate_limited,
            "effect": self.effect.value,
        }
        if self.description:
            document["description"] = self.description
        if self.aliases:
            document["aliases"] = list(self.aliases)
        if self.compensates_with is not None:
            document["compensationHint"] = {"capabilityId": self.compensates_with}
            if self.compensates_description is not None:
                document["compensationHint"]["description"] = self.compensates_description
        if self.known_errors:
            document["knownErrors"] = [error.metadata() for error in self.known_errors]
        if self.tags:
            document["tags"] = list(self.tags)
        if self.large_results is LargeResults.SPILL:
            document["largeResults"] = self.large_results.value
        if self.examples:
            document["examples"] = [example.metadata() for example in self.examples]
        return document


def capability(
    id: str | None = None,  # noqa: A002 - the name that the agent model gives it
    *,
    aliases: Iterable[str] = (),
    display_name: str | None = None,
    description: str | None = None,
    side_effects: bool = False,
    idempotent: bool | None = None,
    deterministic: bool = True,
    rate_limited: bool = False,
    effect: EffectClass | str | None = None,
    known_errors: Iterable[KnownError] = (),
    tags: Iterable[str] = (),
    compensates_with: str | None = None,
    compensates_description: str | None = None,
    runs_inline: bool = False,
    examples: Iterable[Example] = (),
    large_results: LargeResults | str = LargeResults.REFUSE,
) -> Callable[[Function], Function]:
    """Declare a function, or a method of an `@agent` class, to be a capability.

    The function takes one pydantic model and, if it wants, one `CapabilityContext`, in this order; it is synchronous
    (and then runs on a thread) or asynchronous, returns a pydantic model or a JSON value, and raises `AgentError`.
    The function itself is returned unchanged.

    Args:
        id: lower-case words with hyphens; the function's name with hyphens when left out.
        aliases: further ids that find the capability.
        display_name: for listings; the id in title case when left out.
        description: one sentence; the first line of the docstring when left out.
        side_effects: whether it changes something outside the workflow.
        idempotent: whether twice is the same as once; the opposite of `side_effects` when left out.
        deterministic: whether the same inputs always give the same result.
        rate_limited: whether steps wait for the rate limit of the connection.
        effect: pure without side effects, idempotent or at_most_once with them, when left out.
        known_errors: the errors it may raise.
        tags: free labels.
        compensates_with: id of the capability of the same agent that undoes this one.
        compensates_description: how it undoes it.
        runs_inline: whether a synchronous function is called where the workflow runs, not on a thread. For one that
            calculates for microseconds and never blocks: nothing else happens meanwhile, no cancel and no deadline.
        examples: calls that show what it does.
        large_results: whether a result that is too large for a checkpoint is refused or goes to the workspace.

    Raises:
        AgentDefinitionError: the declaration or the signature is not acceptable.
    """

    def declare(function: Function) -> Function:
        place = f"capability {function.__qualname__}"
        capability_id = id if id is not None else function.__name__.replace("_", "-")
        other_ids = tuple(aliases)
        errors = tuple(dict.fromkeys(known_errors))  # lists of them are put together, and may overlap
        for candidate in (capability_id, *other_ids):
            if not _CAPABILITY_ID.fullmatch(candidate):
                raise AgentDefinitionError(f"{place}: id {candidate!r} must be lower-case words with hyphens")
        for error in errors:
            if not _ERROR_CODE.fullmatch(error.code):
                raise AgentDefinitionError(f"{place}: error code {error.code!r} must be UPPER_SNAKE_CASE")
        if runs_inline and inspect.iscoroutinefunction(function):
            raise AgentDefinitionError(f"{place}: runs_inline is for synchronous functions; coroutines never block")
        is_idempotent = not side_effects if idempotent is None else idempotent
        input_model, return_type, takes_context = _signature(function, place)
        documentation = inspect.getdoc(function) or ""
        declared = Capability(
            id=capability_id,
            function=function,
            input_model=input_model,
            return_type=return_type,
            takes_context=takes_context,
            aliases=other_ids,
            display_name=display_name or capability_id.replace("-", " ").title(),
            description=description if description is not None else documentation.partition("\n")[0],
            side_effects=side_effects,
            idempotent=is_idempotent,
            deterministic=deterministic,
            rate_limited=rate_limited,
            effect=_effect(effect, side_effects=side_effects, idempotent=is_idempotent, place=place),
            known_errors=errors,
            tags=tuple(tags),
            compensates_with=compensates_with,
            compensates_description=compensates_description,
            runs_inline=runs_inline,
            examples=tuple(examples),
            large_results=LargeResults(large_results),
        )
        setattr(function, _MARK, declared)
        return function

    return declare


def declared_capability(function: Any) -> Capability | None:
    """The capability that `@capability` made of a function; of a bound method, one that calls the bound method."""
    declared = getattr(function, _MARK, None)
    if not isinstance(declared, Capability):
        return None
    return replace(declared, function=function)


def _effect(effect: EffectClass | str | None, *, side_effects: bool, idempotent: bool, place: str) -> EffectClass:
    if effect is None:
        if not side_effects:
            return EffectClass.PURE
        return EffectClass.IDEMPOTENT if idempotent else EffectClass.AT_MOST_ONCE
    try:
        declared = EffectClass(effect)
    except ValueError:
        known = ", ".join(EffectClass)
        raise AgentDefinitionError(f"{place}: effect {effect!r} is unknown; use one of {known}") from None
    if declared is EffectClass.PURE and side_effects:
        raise AgentDefinitionError(f"{place}: a capability with side effects is not pure")
    return declared


def _is_object_model(candidate: Any) -> TypeGuard[type[BaseModel]]:
    return isinstance(candidate, type) and issubclass(candidate, BaseModel) and not issubclass(candidate, RootModel)


def _signature(function: Callable[..., Any], place: str) -> tuple[type[BaseModel], Any, bool]:
    try:
        hints = get_type_hints(function, include_extras=True)
    except NameError as error:
        raise AgentDefinitionError(
            f"{place}: {error}; import the types of its signature outside TYPE_CHECKING"
        ) from None
    parameters = [name for name in inspect.signature(function).parameters if name != "self"]
    expected = f"{place}: expected (inputs: <pydantic model>) or (inputs: <pydantic model>, context: CapabilityContext)"
    if not 1 <= len(parameters) <= 2:
        raise AgentDefinitionError(expected)
    input_model = hints.get(parameters[0])
    if not _is_object_model(input_model):
        raise AgentDefinitionError(expected)
    takes_context = len(parameters) == 2
    if takes_context and hints.get(parameters[1]) is not CapabilityContext:
        raise AgentDefinitionError(expected)
    if "return" not in hints:
        raise AgentDefinitionError(f"{place}: annotate what it returns (a pydantic model or a JSON type)")
    try:
        input_model.model_rebuild()
    except (PydanticUserError, PydanticSchemaGenerationError, NameError) as error:
        raise AgentDefinitionError(
            f"{place}: input model {input_model.__name__}: {str(error).partition(chr(10))[0]}"
        ) from None
    return input_model, hints["return"], takes_context
