"""One call of a capability: decode, run (coroutines here, functions on a thread), encode.

Every failure becomes an `AgentError`; cancellation and interruptions pass through.
"""

from __future__ import annotations

import asyncio
import contextvars
import dataclasses
import json
import threading
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import BaseModel
from pydantic_core import to_jsonable_python

from runtara_sdk.agents.capability import Capability
from runtara_sdk.agents.context import Cancellation, CapabilityContext
from runtara_sdk.agents.errors import (
    CAPABILITY_ERROR,
    OUTPUT_SERIALIZATION_ERROR,
    TIMEOUT,
    AgentError,
    ErrorCategory,
)
from runtara_sdk.agents.inputs import decode_inputs
from runtara_sdk.errors import RuntaraError
from runtara_sdk.written_decimal import WrittenDecimal

_CHECKER = json.JSONEncoder(allow_nan=False, ensure_ascii=False)


async def invoke_capability(agent_id: str, capability: Capability, inputs: Any, context: CapabilityContext) -> Any:
    """Run `capability` and return its result as a JSON value; see `AgentDefinition.invoke`."""
    place = f"{agent_id}:{capability.id}"
    decoded = decode_inputs(place, capability, inputs)
    try:
        value = await _invoke(place, capability, decoded, context)
    except AgentError as error:
        if context.secrets:
            raise _redacted(error, context) from None
        raise
    return value


async def _invoke(place: str, capability: Capability, decoded: BaseModel, context: CapabilityContext) -> Any:
    try:
        if capability.runs_inline:
            result = capability.function(*((decoded, context) if capability.takes_context else (decoded,)))
        else:
            result = await _call(place, capability, decoded, context)
    except AgentError:
        raise
    except RuntaraError as error:
        category = ErrorCategory.TRANSIENT if error.retryable else ErrorCategory.PERMANENT
        raise AgentError(error.code, error.message, category=category) from error
    except Exception as error:  # whatever the author's code raises is a failure of the capability
        raise AgentError.permanent(CAPABILITY_ERROR, f"{place}: {_describe(error)}") from error
    return _encode(place, result, context)


def _redacted(error: AgentError, context: CapabilityContext) -> AgentError:
    """The error without the secrets of the call; its cause, whose text may hold them, is left behind."""
    document = error.to_json()
    clean = context.secrets.redact_json(document)
    return error if clean == document else AgentError.from_json(clean)


async def _call(place: str, capability: Capability, decoded: BaseModel, context: CapabilityContext) -> Any:
    """The result of the author's function, within the deadline."""
    # Attempts of one step may share a context; each call has its own end.
    context = dataclasses.replace(context, cancellation=Cancellation())
    arguments = (decoded, context) if capability.takes_context else (decoded,)
    remaining_ms = context.remaining_ms()
    limit = asyncio.timeout(None if remaining_ms is None else remaining_ms / 1000)
    try:
        async with limit:
            if capability.is_async:
                return await capability.function(*arguments)
            return await _run_on_thread(place, capability.function, arguments)
    except TimeoutError:
        if not limit.expired():
            raise
        raise AgentError.transient(TIMEOUT, f"{place} did not finish within {remaining_ms} ms") from None
    finally:
        context.cancellation.request()  # a thread that still runs has lost its audience


async def _run_on_thread(place: str, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    """Call `function` on a daemon thread: one that ignores cancellation must not keep the process alive."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Any] = loop.create_future()
    variables = contextvars.copy_context()

    def settle(result: Any, error: BaseException | None) -> None:
        if future.done():
            return
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)

    def run() -> None:
        result: Any = None
        failure: BaseException | None = None
        try:
            result = variables.run(function, *arguments)
        except StopIteration as error:  # a future cannot carry it
            failure = RuntimeError(f"StopIteration: {error.value!r}")
        except BaseException as error:  # noqa: BLE001 - handed to the awaiting task, interruptions included
            failure = error
        if not loop.is_closed():
            loop.call_soon_threadsafe(settle, result, failure)

    threading.Thread(target=run, name=f"capability {place}", daemon=True).start()
    return await future


def _encode(place: str, result: Any, context: CapabilityContext) -> Any:
    try:
        value = to_jsonable_python(result, by_alias=True, inf_nan_mode="constants")
        # NaN and lone surrogates have no JSON form; better refused here than when the checkpoint is written.
        text = _CHECKER.encode(value)
        text.encode()
        if WrittenDecimal.is_used:
            value = _with_decimals(value, result)
    except (ValueError, TypeError, RecursionError) as error:
        raise AgentError.permanent(
            OUTPUT_SERIALIZATION_ERROR, f"{place}: the result has no JSON form: {_describe(error)}"
        ) from error
    # Records of steps are kept and shown: a service that echoes its credentials does not bring them there.
    return context.secrets.redact_json(value) if context.secrets and context.secrets.found_in(text) else value


def _with_decimals(value: Any, source: Any) -> Any:
    """JSON made from `source`, in which decimals that it only passes on are still as they were written."""
    if isinstance(source, WrittenDecimal):
        return source if value == source else value
    if isinstance(value, dict):
        if isinstance(source, BaseModel):
            source = source.model_dump(by_alias=True)
        elif dataclasses.is_dataclass(source):
            source = {field.name: getattr(source, field.name) for field in dataclasses.fields(source)}
        if isinstance(source, Mapping):
            return {key: _with_decimals(item, source.get(key)) for key, item in value.items()}
    elif isinstance(value, list) and isinstance(source, list | tuple) and len(source) == len(value):
        return [_with_decimals(*pair) for pair in zip(value, source, strict=True)]
    return value


def _describe(error: Exception) -> str:
    first_line = str(error).strip().partition("\n")[0][:500]
    return f"{type(error).__name__}: {first_line}" if first_line else type(error).__name__
