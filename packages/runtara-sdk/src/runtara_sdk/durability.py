"""Work whose result is recorded: `@durable` for functions, `sdk.step` for one call.

Both record the result *after* the work. What that guarantees:

* recorded work is never done again: a later run returns the record, whatever happened since;
* work in flight when the process dies is done again: at least once towards the outside world. Where the other side can
  tell repeats apart, give it `idempotency_key()`, which is the same in each attempt and each run;
* failed attempts are recorded with the time of the next one: a later run neither repeats nor forgets them;
* a failed lookup fails the call, because doing the work again might do it twice.

(A loop that calls `sdk.checkpoint` *before* its work, as older programs do, skips work instead: the checkpoint exists
although the work behind it may have died half-way.)
"""

from __future__ import annotations

import functools
import hashlib
import inspect
import json
from collections.abc import Awaitable, Callable
from datetime import date, time
from decimal import Decimal
from enum import Enum
from typing import Any, ParamSpec, TypeVar, overload
from uuid import UUID

from runtara_sdk.codecs import codec_for
from runtara_sdk.errors import ConfigurationError
from runtara_sdk.instance import current_sdk
from runtara_sdk.instance_calls import calls_of
from runtara_sdk.recorded_work import current_checkpoint_id, record_work
from runtara_sdk.retry import (
    DEFAULT_RATE_LIMIT_BUDGET_MS,
    LONGEST_DELAY_MS,
    ErrorPredicate,
    ErrorTypes,
    RetryPolicy,
    RetryStrategy,
)

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")

# A longer one would not fit the 1024 bytes of a checkpoint id with a name before it.
_LONGEST_PART_BYTES = 512


@overload
def durable(
    function: Callable[Parameters, Awaitable[Result]],
) -> Callable[Parameters, Awaitable[Result]]: ...


@overload
def durable(
    *,
    max_retries: int = ...,
    delay: int = ...,
    strategy: RetryStrategy | str = ...,
    max_delay: int = ...,
    jitter: float = ...,
    timeout: int | None = ...,
    rate_limit_budget: int = ...,
    retry_on: ErrorTypes | ErrorPredicate | None = ...,
    non_retryable: ErrorTypes = ...,
    key: Callable[..., str] | None = ...,
    codec: Any = ...,
) -> Callable[[Callable[Parameters, Awaitable[Result]]], Callable[Parameters, Awaitable[Result]]]: ...


def durable(
    function: Callable[Parameters, Awaitable[Result]] | None = None,
    *,
    max_retries: int = 3,
    delay: int = 1_000,
    strategy: RetryStrategy | str = RetryStrategy.EXPONENTIAL,
    max_delay: int = LONGEST_DELAY_MS,
    jitter: float = 0.0,
    timeout: int | None = None,
    rate_limit_budget: int = DEFAULT_RATE_LIMIT_BUDGET_MS,
    retry_on: ErrorTypes | ErrorPredicate | None = None,
    non_retryable: ErrorTypes = (),
    key: Callable[..., str] | None = None,
    codec: Any = None,
) -> Any:
    """Make an async function durable: its result is recorded and its failures are retried.

    Args:
        function: an async function.
        max_retries: attempts beyond the first.
        delay: milliseconds before the second attempt.
        strategy: `exponential` (each wait is twice the one before) or `fixed`.
        max_delay: cap of every wait, milliseconds; `MAX_RETRY_DELAY_MS` of the environment caps it further.
        jitter: largest part of a wait that is added to it, 0 to 1; the same in every run.
        timeout: bound of one attempt, milliseconds; exceeding it is a failure that is retried.
        rate_limit_budget: milliseconds in all that may be waited for failures with the code RATE_LIMITED without using
            up retries; `retry_after_ms` of the failure says how long. `AUTO_RETRY_ON_429=false` turns it off.
        retry_on: types that are retried, all others are not; or a function that says so for a failure.
        non_retryable: types that are not retried.
        key: makes the last part of the checkpoint id from the arguments. Default is what is passed for the function's
            first parameter (after `self`), by place or by name; it must be a text, a number, a date, a UUID or an Enum
            member. Calls that differ in other arguments only are one call, and so are those of closures that one piece
            of code has made; two pieces of code under one name are refused. The id is
            `durable::<module>:<qualified name>::<that part as JSON>`.
        codec: how the result is stored: None for JSON, `bytes`, a pydantic model (or any type that pydantic knows), or
            a `ResultCodec`.

    The function runs inside `async with RuntaraSdk...`. A failure whose attribute `retryable` is false is raised at
    once; other exceptions are retried, and the last one is raised. A cancel interrupts attempts and waits, a pause or
    a shutdown waits; a signal that is pending once the result is recorded is raised then.
    """
    policy = RetryPolicy(
        max_retries=max_retries,
        delay_ms=delay,
        strategy=_strategy(strategy),
        max_delay_ms=max_delay,
        jitter=jitter,
        timeout_ms=timeout,
        rate_limit_budget_ms=rate_limit_budget,
        retry_on=retry_on,
        non_retryable=non_retryable,
    )
    result_codec = codec_for(codec)

    def decorate(work: Callable[Parameters, Awaitable[Result]]) -> Callable[Parameters, Awaitable[Result]]:
        name = f"{work.__module__}:{work.__qualname__}"
        if key is None and name.endswith("<lambda>"):
            raise ConfigurationError(f"@durable {name}: all lambdas share this name: use a function, or give key=")
        code = getattr(inspect.unwrap(work), "__code__", None)
        first_argument = _FirstArgument(name, inspect.signature(work))

        @functools.wraps(work)
        async def call(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
            calls = calls_of(current_sdk())
            if key is None:
                calls.require_one_function(name, code)
            part = key(*args, **kwargs) if key is not None else first_argument.of(args, kwargs)
            checkpoint_id = f"durable::{name}::{_key_part(name, part)}"
            result: Result = await record_work(
                calls, checkpoint_id, lambda: work(*args, **kwargs), policy=policy, codec=result_codec
            )
            return result

        return call

    return decorate if function is None else decorate(function)


def idempotency_key() -> str:
    """A key for the durable work that is running: the same in each attempt and run, different for any other work."""
    checkpoint_id = current_checkpoint_id()
    if checkpoint_id is None:
        raise ConfigurationError("idempotency_key() is for use inside a @durable function or a step")
    return f"{current_sdk().instance_id}/{checkpoint_id}"


def _strategy(strategy: RetryStrategy | str) -> RetryStrategy:
    try:
        return RetryStrategy(strategy)
    except ValueError:
        raise ConfigurationError(f"@durable: strategy={strategy!r} is unknown: use exponential or fixed") from None


class _FirstArgument:
    """Finds what a call passes for the first parameter of its function, which the call is named after.

    By parameter and not by place in the call: `pay(order=1, amount=2)` and `pay(amount=1, order=2)` are two calls.
    """

    def __init__(self, name: str, signature: inspect.Signature) -> None:
        self._name = name
        parameters = list(signature.parameters.values())
        # The object of a method says nothing about the call.
        self._skipped = 1 if parameters and parameters[0].name in ("self", "cls") else 0
        rest = parameters[self._skipped :]
        takes_name = rest and rest[0].kind in (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
        self._parameter = rest[0].name if takes_name else None

    def of(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if len(args) > self._skipped:
            return args[self._skipped]
        if self._parameter is not None and self._parameter in kwargs:
            return kwargs[self._parameter]
        what = "its first argument" if self._parameter is None else f"an argument for {self._parameter}"
        raise ConfigurationError(f"@durable {self._name} was called without {what}: give it one, or a key function")


def _key_part(name: str, value: Any) -> str:
    """`value` as JSON, in which no two values look alike and nothing can be mistaken for another part of the id."""
    if isinstance(value, UUID | date | time | Decimal | Enum) and not isinstance(value, str | int):
        text = value.name if isinstance(value, Enum) else str(value)
        part = f"{type(value).__name__}({json.dumps(text)})"  # a date and the text of a date are two calls
    elif value is None or isinstance(value, str | int | float):  # with bool, and with members of StrEnum and IntEnum
        part = json.dumps(value, ensure_ascii=False)
    else:
        raise ConfigurationError(
            f"@durable {name}: a {type(value).__name__} cannot name the call: pass an id first, or give a key function"
        )
    encoded = part.encode("utf-8", "surrogatepass")
    if len(encoded) <= _LONGEST_PART_BYTES:
        return part
    return f"sha256:{hashlib.sha256(encoded).hexdigest()}"
