"""One durable call: look its result up, else do the work, as often as the policy allows, and record the result.

The order of things, and what a crash between two of them means:

1. the lookup gives the recorded result or the attempt that comes next, in one round trip. A failing lookup fails the
   call: to do the work then might do it twice;
2. an attempt. Killed here, the same attempt is made again: at least once towards the outside world;
3. it failed: the next attempt is recorded with its time before anything waits. Killed later, in the wait above all, the
   next run waits for what is left and makes that attempt: no failed attempt is repeated, none is forgotten. A wait
   beyond the sleep threshold suspends the instance in the transaction that records it;
4. it succeeded: the result is recorded, and what is recorded is returned. Before, it is decoded once: a result that no
   later run could read is not recorded. A caller that is cancelled meanwhile lets the record be finished first.

Calls under one key in one process take turns, so that the second finds what the first has recorded.

Interruptions are no `Exception`: they pass through untouched, are never retried and never recorded.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import replace
from typing import Any

from runtara_sdk.codecs import ResultCodec, decode_result, encode_result
from runtara_sdk.errors import ConfigurationError, DeadlineExceededError, InstanceInterrupted, RuntaraError
from runtara_sdk.instance_calls import InstanceCalls
from runtara_sdk.models import CheckpointResult, RetryAttempt, RetryState
from runtara_sdk.outcome import describe_error
from runtara_sdk.retry import RetryPolicy

MayWait = Callable[[str, int, int], Awaitable[bool]]
"""Whether the call of a key may wait before its attempt of a number, milliseconds."""

logger = logging.getLogger(__name__)

_RECORD_SECONDS = 5.0
"""How long a caller that is cancelled waits for the record of work that is done."""

_surrounding: ContextVar[frozenset[str]] = ContextVar("runtara_surrounding_calls", default=frozenset())


async def call_durably(
    calls: InstanceCalls,
    key: str,
    work: Callable[[int], Awaitable[Any]],
    *,
    policy: RetryPolicy,
    codec: ResultCodec,
    describe: Callable[[Exception], str] = describe_error,
    may_wait: MayWait | None = None,
    interruptible: bool = True,
) -> Any:
    """The result recorded under `key`, else that of `work`, which is then recorded.

    Args:
        calls: those of a registered instance.
        key: checkpoint id of the call.
        work: makes one attempt; is given its number (1, 2, ...). A cancel or a supersession cancels it.
        policy: which failures are tried again.
        codec: of the result.
        describe: text of a failure, as stored with the attempt after it.
        interruptible: whether a cancel may come while an attempt is made; false for one that never waits.
        may_wait: whether a wait for a rate limit, one that the budget of the policy allows, may be; asked before it.

    Raises the last failure; `ProtocolError` when the recorded result cannot be decoded; an interruption when one is
    pending once the result is recorded, or when the instance sleeps until the next attempt.
    """
    surrounding = _surrounding.get()
    if key in surrounding:
        raise ConfigurationError(f"{key} calls itself under the same key, which names one piece of work: give it a key")
    token = _surrounding.set(surrounding | {key})
    try:
        with calls.under_way.operation():
            async with calls.turn(key):
                progress = await calls.progress(key)
                if progress.state is not None:
                    return decode_result(codec, key, progress.state)
                encoded, result = await _attempt(
                    calls, key, work, progress.retry, policy, codec, describe, may_wait, interruptible=interruptible
                )
                answer = await _record(calls, key, encoded)
                calls.raise_if_interrupted()
                return decode_result(codec, key, answer.state) if answer.found else result
    finally:
        _surrounding.reset(token)


async def _attempt(
    calls: InstanceCalls,
    key: str,
    work: Callable[[int], Awaitable[Any]],
    recorded: RetryState | None,
    policy: RetryPolicy,
    codec: ResultCodec,
    describe: Callable[[Exception], str],
    may_wait: MayWait | None,
    *,
    interruptible: bool,
) -> tuple[bytes, Any]:
    """The result of the attempt that succeeded: as it is stored, and as it is read again."""
    attempt = RetryAttempt(1)
    if recorded is not None:
        attempt = RetryAttempt(
            recorded.attempt_number,
            recorded.error,
            recorded.remaining_ms,
            recorded.retries_used,
            recorded.rate_limit_waited_ms,
        )
        if recorded.remaining_ms:
            await calls.wait_before_attempt(key, attempt)
    while True:
        try:
            if interruptible or policy.timeout_ms is not None:
                result = await _attempt_once(calls, key, work, attempt.attempt_number, policy.timeout_ms)
            else:
                result = await work(attempt.attempt_number)
            return encode_result(codec, key, result)
        except Exception as error:
            following = await next_attempt(calls, key, policy, attempt, error, may_wait)
            if following is None:
                raise
            attempt = replace(following, error=describe(error))
        logger.info("%s: attempt %d in %d ms: %s", key, attempt.attempt_number, attempt.wait_ms, attempt.error)
        await calls.wait_before_attempt(key, attempt)


async def next_attempt(
    calls: InstanceCalls,
    key: str,
    policy: RetryPolicy,
    last: RetryAttempt,
    error: Exception,
    may_wait: MayWait | None = None,
) -> RetryAttempt | None:
    """The attempt after one that failed, as policy, settings and budget have it; None when there is none."""
    settings = calls.settings
    wait_for_rate_limits = settings.auto_retry_on_429
    while True:
        following = policy.next_attempt(
            last,
            error,
            seed=f"{settings.instance_id}/{key}",
            wait_for_rate_limits=wait_for_rate_limits,
            longest_delay_ms=settings.max_retry_delay_ms,
        )
        if following is None or following.rate_limit_waited_ms == last.rate_limit_waited_ms or may_wait is None:
            return following
        if await may_wait(key, following.attempt_number, following.wait_ms):
            return following
        wait_for_rate_limits = False


async def _record(calls: InstanceCalls, key: str, result: bytes) -> CheckpointResult:
    try:
        return await calls.checkpoint(key, result)
    except asyncio.CancelledError:
        # The work is done: whoever gives the call up must not have it done again.
        with contextlib.suppress(RuntaraError, InstanceInterrupted, TimeoutError):
            async with asyncio.timeout(_RECORD_SECONDS):
                await calls.checkpoint(key, result)
        raise


async def _attempt_once(
    calls: InstanceCalls, key: str, work: Callable[[int], Awaitable[Any]], number: int, timeout_ms: int | None
) -> Any:
    bound = asyncio.timeout(None if timeout_ms is None else timeout_ms / 1000)
    try:
        async with bound:
            return await calls.run_interruptible(work(number))
    except TimeoutError as error:
        if not bound.expired():
            raise
        raise DeadlineExceededError(f"{key}: attempt {number} took longer than {timeout_ms} ms") from error
