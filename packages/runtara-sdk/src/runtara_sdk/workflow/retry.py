"""Durable calls of a graph: a result is computed once, kept under its key, and found there by every later run.

What a call that failed does next is `runtara_sdk.durable_call`, the same for steps and for `@durable` functions.
"""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from runtara_sdk.durable_call import call_durably
from runtara_sdk.instance_calls import calls_of
from runtara_sdk.outcome import describe_error
from runtara_sdk.retry import RetryPolicy
from runtara_sdk.strict_json import MAX_NESTING, exceeds_nesting
from runtara_sdk.workflow.failures import PERMANENT, StepFailedError, wrapped
from runtara_sdk.workflow.json_text import decode_json, encode_json

if TYPE_CHECKING:
    from runtara_sdk.instance import RuntaraSdk
    from runtara_sdk.workflow.rate_limit_budget import RateLimitBudget


OUTCOME_UNKNOWN = "OUTCOME_UNKNOWN"
"""Of a call that may be made at most once and was cut off: it may have taken effect."""


RESULT_TOO_LARGE = "RESULT_TOO_LARGE"
"""Of a result that is larger than a checkpoint should be."""

LONGEST_RESULT_VARIABLE = "RUNTARA_MAX_RESULT_BYTES"
DEFAULT_LONGEST_RESULT = 16 * 1024 * 1024


class DurableCalls:
    """The durable calls of one instance, shared by all its graph runs.

    Attributes:
        sdk: the instance.
        rate_limits: what the run may wait for rate limits in all; None leaves it to the policy of each call.
        longest_result: bound of the JSON of one result, bytes.
    """

    keep_records: ClassVar[bool] = True

    def __init__(
        self,
        sdk: RuntaraSdk,
        rate_limits: RateLimitBudget | None = None,
        longest_result: int = DEFAULT_LONGEST_RESULT,
    ) -> None:
        self.sdk = sdk
        self.rate_limits = rate_limits
        self.longest_result = longest_result

    async def call(
        self,
        key: str,
        function: Callable[[], Awaitable[Any]],
        policy: RetryPolicy,
        *,
        interruptible: bool = True,
        at_most_once: bool = False,
    ) -> Any:
        """The JSON result stored under `key`, else that of `function`, which is then stored.

        Args:
            key: checkpoint id of the call.
            function: makes one attempt.
            policy: which failures are tried again.
            interruptible: whether `function` may take long enough for a cancel to come meanwhile.
            at_most_once: whether an attempt that began, and of whose end nothing is known, is not made again but a
                failure (OUTCOME_UNKNOWN).

        Raises:
            StepFailedError: `function` failed for good, or as often as the policy allows; it carries `attempts`.
            ProtocolError: what is stored under `key` is no result.
            InstanceInterrupted: a signal is pending, or the instance sleeps until the next attempt.
        """

        async def attempt(number: int) -> bytes:
            try:
                result = await (self._once(key, number, function) if at_most_once else function())
                return encode_result(result, self.longest_result)
            except StepFailedError as failure:
                failure.details["attempts"] = number
                raise

        return await call_durably(
            calls_of(self.sdk),
            key,
            attempt,
            policy=self._budgeted(policy),
            codec=_StepResultCodec(),
            describe=_failure_text,
            may_wait=self._may_wait,
            interruptible=interruptible,
        )

    def _budgeted(self, policy: RetryPolicy) -> RetryPolicy:
        budget = self.rate_limits
        if budget is None or budget.budget_ms == policy.rate_limit_budget_ms:
            return policy
        return replace(policy, rate_limit_budget_ms=budget.budget_ms)

    async def _may_wait(self, key: str, attempt: int, wait_ms: int) -> bool:
        budget = self.rate_limits
        return budget is None or await budget.draw(key, attempt, wait_ms, record=self.keep_records)

    async def _once(self, key: str, number: int, function: Callable[[], Awaitable[Any]]) -> Any:
        """The result of an attempt of which it is known afterwards whether it has ended, and with an answer."""
        begun = await self._begin(key, number)
        try:
            return await function()
        except StepFailedError as failure:
            if failure.code == "TIMEOUT":
                text = f"attempt {number} took too long, and nothing tells whether it took effect: {failure.message}"
                raise wrapped(failure, _unknown(text), code=OUTCOME_UNKNOWN, category=PERMANENT) from failure
            if failure.code != OUTCOME_UNKNOWN:
                await self.sdk.checkpoint(f"{begun}::answered", b"true")
            raise

    async def _begin(self, key: str, number: int) -> str:
        """Record that an attempt begins; raises `StepFailedError` when it has begun before and was cut off.

        Attempts are counted from 1 again when somebody retries the instance, or a step around this one. What had begun
        then has ended with an answer that is recorded, and is followed by a record of its own. Returns its key.
        """
        for place in itertools.count():
            name = f"{key}::begun::{number}" if not place else f"{key}::begun::{number}::{place}"
            begun = await self.sdk.checkpoint(name, b"true")
            if not begun.found:
                return name
            if await calls_of(self.sdk).state_of(f"{name}::answered") is None:
                break
        text = f"attempt {number} was cut off after it had begun, and nothing tells whether it took effect"
        raise StepFailedError(OUTCOME_UNKNOWN, _unknown(text))

    async def sleep(self, key: str, duration_ms: int) -> None:
        """Return once `duration_ms` have passed since the first sleep under `key`."""
        await self.sdk.durable_sleep(timedelta(milliseconds=duration_ms), key)

    async def handled_failure(self, key: str) -> StepFailedError | None:
        """The failure that an earlier run handed to a handler under `key`, if one did."""
        recorded = await calls_of(self.sdk).state_of(key)
        return None if recorded is None else StepFailedError.from_details(decode_json(recorded))

    async def record_handled_failure(self, key: str, failure: StepFailedError) -> None:
        """Record a failure that a handler takes over, so that no later run does the step again."""
        await self.sdk.checkpoint(key, failure.as_text().encode())


def _unknown(text: str) -> str:
    return f"{text}. A repetition may do it twice: look at the other side, and handle {OUTCOME_UNKNOWN} with onError"


class _StepResultCodec:
    """JSON as steps write it; attempts encode their results themselves, as a result without JSON is their failure."""

    name = "JSON"

    def encode(self, result: bytes) -> bytes:
        return result

    def decode(self, stored: bytes) -> Any:
        return decode_json(stored)


def _failure_text(error: Exception) -> str:
    return error.as_text() if isinstance(error, StepFailedError) else describe_error(error)


def encode_result(result: Any, longest: int) -> bytes:
    """A result as JSON; raises `StepFailedError` when it is none, nested too deeply or longer than `longest` bytes."""
    try:
        encoded = encode_json(result)
    except (TypeError, ValueError) as error:
        raise StepFailedError("OUTPUT_SERIALIZATION_ERROR", f"the result is not JSON: {error}") from error
    if len(encoded) > longest:
        raise StepFailedError(
            RESULT_TOO_LARGE,
            f"the result has {len(encoded)} bytes as JSON, and a step may record {longest}: keep it in a file of the "
            f"workspace and pass the reference on, read it in chunks, or raise {LONGEST_RESULT_VARIABLE}",
            attributes={"size": str(len(encoded)), "limit_bytes": str(longest)},
        )
    if encoded.count(b"{") + encoded.count(b"[") > MAX_NESTING and exceeds_nesting(decode_json(encoded)):
        raise StepFailedError("OUTPUT_SERIALIZATION_ERROR", f"the result is nested deeper than {MAX_NESTING} levels")
    return encoded
