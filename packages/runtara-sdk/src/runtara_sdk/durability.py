"""Work whose result is recorded: `@durable` for functions, `sdk.step` for one call.

Both record the result *after* the work. What that guarantees:

* recorded work is never done again: a later run returns the record, whatever happened since;
* work in flight when the process dies is done again: at least once towards the outside world. Where the other side can
  tell repeats apart, give it `idempotency_key()`, which is the same in each attempt and each run;
* a failed lookup fails the call, because doing the work again might do it twice.

(A loop that calls `sdk.checkpoint` *before* its work, as older programs do, skips work instead: the checkpoint exists
although the work behind it may have died half-way.)

Interruptions pass through untouched: they are no `Exception`, so nothing here retries or records them.
"""

from __future__ import annotations

import functools
import json
import logging
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from enum import StrEnum
from typing import Any, ParamSpec, TypeVar, cast

from runtara_sdk.errors import ConfigurationError, ProtocolError
from runtara_sdk.instance import RuntaraSdk, current_sdk
from runtara_sdk.outcome import describe_error, encode_json

logger = logging.getLogger(__name__)

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")

_LONGEST_DELAY_MS = 24 * 3600 * 1000

_checkpoint_id: ContextVar[str | None] = ContextVar("runtara_checkpoint_id", default=None)


class RetryStrategy(StrEnum):
    """How the wait before an attempt grows."""

    EXPONENTIAL = "exponential"
    """`delay` before the second attempt, twice as long before each further one."""
    FIXED = "fixed"
    """`delay` before each attempt."""


def durable(
    function: Callable[Parameters, Awaitable[Result]] | None = None,
    *,
    max_retries: int = 3,
    delay: int = 1_000,
    strategy: RetryStrategy | str = RetryStrategy.EXPONENTIAL,
    key: Callable[Parameters, str] | None = None,
) -> Any:
    """Make an async function durable: its result is recorded and its failures are retried.

    Args:
        function: an async function; its result must be JSON.
        max_retries: attempts beyond the first.
        delay: milliseconds before the second attempt, at most 24 h in any wait.
        strategy: `exponential` or `fixed`.
        key: makes the last part of the checkpoint id from the arguments; default is the first argument as text. The
            id is `durable::<module>.<qualified name>::<that part>`.

    The function runs inside `async with RuntaraSdk...`. An error with `retryable` false (a `RuntaraError`, or any
    exception with such an attribute) is raised at once; other exceptions are retried, and the last one is raised.
    Waits between attempts end early by a cancel or a pause, and a signal that is pending once the result is recorded is
    raised then.
    """
    if max_retries < 0 or delay < 0:
        raise ConfigurationError(f"@durable: max_retries={max_retries} and delay={delay} must not be negative")
    try:
        strategy = RetryStrategy(strategy)
    except ValueError:
        raise ConfigurationError(f"@durable: strategy={strategy!r} is unknown: use exponential or fixed") from None

    def decorate(work: Callable[Parameters, Awaitable[Result]]) -> Callable[Parameters, Awaitable[Result]]:
        name = f"{work.__module__}.{work.__qualname__}"

        @functools.wraps(work)
        async def call(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
            sdk = current_sdk()
            part = key(*args, **kwargs) if key is not None else _first_argument(name, args, kwargs)
            checkpoint_id = f"durable::{name}::{part}"

            async def attempt() -> Result:
                return await work(*args, **kwargs)

            return await _record(
                sdk, checkpoint_id, attempt, max_retries=max_retries, delay_ms=delay, strategy=strategy
            )

        return call

    return decorate if function is None else decorate(function)


async def record_step(sdk: RuntaraSdk, name: str, function: Callable[[], Awaitable[Any]]) -> Any:
    """The body of `RuntaraSdk.step`: one attempt, recorded under `name`."""
    return await _record(sdk, name, function, max_retries=0, delay_ms=0, strategy=RetryStrategy.FIXED)


def idempotency_key() -> str:
    """A key for the durable work that is running: the same in each attempt and run, different for any other work."""
    checkpoint_id = _checkpoint_id.get()
    if checkpoint_id is None:
        raise ConfigurationError("idempotency_key() is for use inside a @durable function or a step")
    return f"{current_sdk().instance_id}/{checkpoint_id}"


async def _record(
    sdk: RuntaraSdk,
    checkpoint_id: str,
    work: Callable[[], Awaitable[Result]],
    *,
    max_retries: int,
    delay_ms: int,
    strategy: RetryStrategy,
) -> Result:
    recorded = await sdk.get_checkpoint(checkpoint_id)
    if recorded is not None:
        return cast("Result", _decode(checkpoint_id, recorded))
    result = await _attempt(sdk, checkpoint_id, work, max_retries, delay_ms, strategy)
    answer = await sdk.checkpoint(checkpoint_id, encode_json(result, f"the result of {checkpoint_id!r}"))
    await sdk.check_signals()
    if answer.existing_state is not None:
        return cast("Result", _decode(checkpoint_id, answer.existing_state))
    return result


async def _attempt(
    sdk: RuntaraSdk,
    checkpoint_id: str,
    work: Callable[[], Awaitable[Result]],
    max_retries: int,
    delay_ms: int,
    strategy: RetryStrategy,
) -> Result:
    attempt_number = 1
    while True:
        try:
            return await _inside(checkpoint_id, work)
        except Exception as error:
            if attempt_number > max_retries or not getattr(error, "retryable", True):
                raise
            attempt_number += 1
            reason = describe_error(error)
        wait_ms = _wait_ms(attempt_number, delay_ms, strategy)
        logger.info("%s: attempt %d in %d ms: %s", checkpoint_id, attempt_number, wait_ms, reason)
        await sdk.wait_interruptibly(wait_ms)
        await sdk.record_retry_attempt(checkpoint_id, attempt_number, reason)


async def _inside(checkpoint_id: str, work: Callable[[], Awaitable[Result]]) -> Result:
    token = _checkpoint_id.set(checkpoint_id)
    try:
        return await work()
    finally:
        _checkpoint_id.reset(token)


def _wait_ms(attempt_number: int, delay_ms: int, strategy: RetryStrategy) -> int:
    if strategy is RetryStrategy.FIXED:
        return min(delay_ms, _LONGEST_DELAY_MS)
    doublings = min(attempt_number - 2, 40)
    return min(delay_ms << doublings, _LONGEST_DELAY_MS)


def _first_argument(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    if args:
        return str(args[0])
    if kwargs:
        return str(next(iter(kwargs.values())))
    raise ConfigurationError(f"@durable {name} was called without arguments: give it one, or a key function")


def _decode(checkpoint_id: str, recorded: bytes) -> Any:
    try:
        return json.loads(recorded)
    except ValueError as error:
        raise ProtocolError(f"checkpoint {checkpoint_id!r} holds no JSON result: {error}") from error
