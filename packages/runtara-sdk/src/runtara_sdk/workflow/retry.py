"""Durable calls: a result is computed once, kept under its key, and found there by every later run.

A call that failed for a reason that may pass is tried again. The wait before the next attempt is a durable sleep, so
its deadline and the number of attempts outlive the process. Interruptions pass through untouched.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from runtara_sdk.errors import InstanceCancelled, InstancePaused
from runtara_sdk.models import CheckpointResult
from runtara_sdk.workflow.failures import StepFailedError
from runtara_sdk.workflow.json_text import decode_json, encode_json

if TYPE_CHECKING:
    from runtara_sdk.instance import RuntaraSdk

LONGEST_DELAY_MS = 3_600_000
"""No backoff waits longer than an hour."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often a call is tried again, and after what wait.

    Attributes:
        max_retries: further attempts after the first.
        delay_ms: wait before the second attempt, milliseconds; it doubles with each further one.
    """

    max_retries: int = 3
    delay_ms: int = 1000

    def wait_ms(self, attempt: int, retry_after_ms: Any = None) -> int:
        """The wait before attempt `attempt` (2, 3, ...), at least what the failure asked for, at most an hour."""
        doublings = min(attempt - 2, 32)  # beyond that any delay has reached the hour
        wait_ms = self.delay_ms << doublings
        if isinstance(retry_after_ms, int):
            wait_ms = max(wait_ms, retry_after_ms)
        return min(wait_ms, LONGEST_DELAY_MS)


class DurableCalls:
    """The durable calls of one instance, shared by all its graph runs."""

    def __init__(self, sdk: RuntaraSdk) -> None:
        self._sdk = sdk
        # What an earlier launch left unfinished comes before anything new, so only until the first new call can there
        # be attempts of an earlier launch to take into account.
        self._may_be_replaying = True

    async def call(self, key: str, function: Callable[[], Awaitable[Any]], policy: RetryPolicy) -> Any:
        """The JSON result stored under `key`, else that of `function`, which is then stored.

        Raises:
            StepFailedError: `function` failed for good, or as often as the policy allows; it carries `attempts`.
            InstanceInterrupted: a signal is pending, or the instance sleeps until the next attempt.
        """
        stored = await self._sdk.get_checkpoint(key)
        if stored is not None:
            try:
                return decode_json(stored)
            except ValueError:
                pass  # not a result of ours: run as if it were not there
        state = await self._attempt(key, function, policy)
        kept = await self._sdk.checkpoint(key, state)
        _obey_signal(kept)
        try:
            return decode_json(kept.existing_state or state)
        except ValueError:
            return decode_json(state)

    async def _attempt(self, key: str, function: Callable[[], Awaitable[Any]], policy: RetryPolicy) -> bytes:
        attempt = await self._resumed_attempt(key, policy)
        while True:
            try:
                return _encode(await self._sdk.run_interruptible(function()))
            except StepFailedError as failure:
                failure.details["attempts"] = attempt
                if not failure.retryable or attempt > policy.max_retries:
                    raise
                attempt += 1
                await self._wait(key, attempt, policy, failure)

    async def _resumed_attempt(self, key: str, policy: RetryPolicy) -> int:
        """The number of the attempt to make first: an earlier launch may have used some up, or died in a wait."""
        attempt = 1
        while self._may_be_replaying and attempt <= policy.max_retries:
            waited = await self._sdk.get_checkpoint(_wait_key(key, attempt + 1))
            if waited is None:
                break
            attempt += 1
        self._may_be_replaying = False
        if attempt > 1:
            # The deadline is the stored one; the duration given here counts for nothing.
            await self._sdk.durable_sleep(timedelta(0), _wait_key(key, attempt))
        return attempt

    async def _wait(self, key: str, attempt: int, policy: RetryPolicy, failure: StepFailedError) -> None:
        await self._sdk.record_retry_attempt(key, attempt, failure.as_text())
        wait = timedelta(milliseconds=policy.wait_ms(attempt, failure.details.get("retryAfterMs")))
        await self._sdk.durable_sleep(wait, _wait_key(key, attempt))


def _wait_key(key: str, attempt: int) -> str:
    return f"{key}::backoff::{attempt}"


def _encode(result: Any) -> bytes:
    try:
        return encode_json(result)
    except (TypeError, ValueError) as error:
        raise StepFailedError("OUTPUT_SERIALIZATION_ERROR", f"the result is not JSON: {error}") from error


def _obey_signal(result: CheckpointResult) -> None:
    if result.should_cancel:
        raise InstanceCancelled("a cancel signal reached the instance")
    if result.should_pause:
        raise InstancePaused("a pause signal reached the instance")
