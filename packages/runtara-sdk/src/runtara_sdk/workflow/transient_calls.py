"""Calls of what asks for no durability (`durable: false`): tried again as others are, but nothing is recorded.

A later run of the program makes all of them anew, and a wait between two attempts, or of a Delay, is lost with the
process that waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, ClassVar

from runtara_sdk.durable_call import next_attempt
from runtara_sdk.errors import DeadlineExceededError
from runtara_sdk.instance_calls import calls_of
from runtara_sdk.models import RetryAttempt
from runtara_sdk.retry import RetryPolicy
from runtara_sdk.workflow.failures import StepFailedError
from runtara_sdk.workflow.json_text import decode_json
from runtara_sdk.workflow.retry import DurableCalls, encode_result


class TransientCalls(DurableCalls):
    """The same verbs as those of durable calls, without a record."""

    keep_records: ClassVar[bool] = False

    @classmethod
    def instead_of(cls, calls: DurableCalls) -> DurableCalls:
        """What does the work of `calls` without a record; `calls` themselves where they keep none."""
        return cls(calls.sdk, calls.rate_limits, calls.longest_result) if calls.keep_records else calls

    async def call(
        self,
        key: str,
        function: Callable[[], Awaitable[Any]],
        policy: RetryPolicy,
        *,
        interruptible: bool = True,
        at_most_once: bool = False,
    ) -> Any:
        shared, policy = calls_of(self.sdk), self._budgeted(policy)
        attempt = RetryAttempt(1)
        with shared.under_way.operation():
            while True:
                try:
                    result = await self._attempt_once(key, function, attempt.attempt_number, policy)
                    shared.raise_if_interrupted()
                except Exception as error:
                    following = await next_attempt(shared, key, policy, attempt, error, self._may_wait)
                    if following is None:
                        raise
                    attempt = replace(following, error=str(error))
                else:
                    return result
                await shared.pause(attempt.wait_ms)

    async def _attempt_once(
        self, key: str, function: Callable[[], Awaitable[Any]], number: int, policy: RetryPolicy
    ) -> Any:
        bound = asyncio.timeout(None if policy.timeout_ms is None else policy.timeout_ms / 1000)
        try:
            async with bound:
                result = await self.sdk.run_interruptible(function())
            return decode_json(encode_result(result, self.longest_result))  # as a record would give it
        except StepFailedError as failure:
            failure.details["attempts"] = number
            raise
        except TimeoutError as error:
            if not bound.expired():
                raise
            raise DeadlineExceededError(f"{key}: attempt {number} took longer than {policy.timeout_ms} ms") from error

    async def sleep(self, key: str, duration_ms: int) -> None:
        with calls_of(self.sdk).under_way.operation():
            await calls_of(self.sdk).pause(duration_ms)

    async def handled_failure(self, key: str) -> StepFailedError | None:
        return None

    async def record_handled_failure(self, key: str, failure: StepFailedError) -> None:
        pass
