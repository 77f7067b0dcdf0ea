"""When a failed call is tried again: the one policy of `@durable`, of steps and of the agent calls of workflows.

The policy computes; it neither waits nor stores. What it has decided before is in the `RetryAttempt` that it is given,
which the store keeps, so a program that starts again continues the count instead of starting one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from runtara_sdk.errors import ConfigurationError
from runtara_sdk.models import RetryAttempt

LONGEST_DELAY_MS = 3_600_000
"""No wait between two attempts is longer than an hour, unless a program asks for it."""

DEFAULT_RATE_LIMIT_BUDGET_MS = 60_000
"""How long one call waits for rate limits in all, without using up its retries."""

# Keeps a peer that says "again in 0 ms" from being asked without end: the budget pays for so many attempts at most.
_SHORTEST_RATE_LIMIT_WAIT_MS = 100
_RATE_LIMITED = "RATE_LIMITED"
_MOST_DOUBLINGS = 40

ErrorTypes = type[Exception] | tuple[type[Exception], ...]
ErrorPredicate = Callable[[Exception], bool]


class RetryStrategy(StrEnum):
    """How the wait before an attempt grows."""

    EXPONENTIAL = "exponential"
    """`delay` before the second attempt, twice as long before each further one."""
    FIXED = "fixed"
    """`delay` before each attempt."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often a call is tried again, after what wait, and for which failures.

    Attributes:
        max_retries: further attempts after the first.
        delay_ms: wait before the second attempt, milliseconds.
        strategy: how the wait grows.
        max_delay_ms: cap of every wait, milliseconds.
        jitter: largest part of a wait that is added to it, 0 to 1. It follows from the key and the number of the
            attempt, so it is the same in every run.
        timeout_ms: bound of one attempt, milliseconds; None for no bound.
        rate_limit_budget_ms: sum of the waits for failures with code RATE_LIMITED (or ending in _RATE_LIMITED) that do
            not count as retries, milliseconds. Beyond it they are failures like any other.
        retry_on: only these types are tried again, or those for which a function says so, which then decides alone.
        non_retryable: these types never are.

    Without `retry_on` every failure is tried again, but for those whose attribute `retryable` is false.
    """

    max_retries: int = 3
    delay_ms: int = 1_000
    strategy: RetryStrategy = RetryStrategy.EXPONENTIAL
    max_delay_ms: int = LONGEST_DELAY_MS
    jitter: float = 0.0
    timeout_ms: int | None = None
    rate_limit_budget_ms: int = DEFAULT_RATE_LIMIT_BUDGET_MS
    retry_on: ErrorTypes | ErrorPredicate | None = None
    non_retryable: ErrorTypes = ()

    def __post_init__(self) -> None:
        for name in ("max_retries", "delay_ms", "max_delay_ms", "rate_limit_budget_ms"):
            if getattr(self, name) < 0:
                raise ConfigurationError(f"retries: {name}={getattr(self, name)} must not be negative")
        if not 0 <= self.jitter <= 1:
            raise ConfigurationError(f"retries: jitter={self.jitter} must lie between 0 and 1")
        if self.timeout_ms is not None and self.timeout_ms <= 0:
            raise ConfigurationError(f"retries: timeout_ms={self.timeout_ms} must be positive, or None")

    def next_attempt(
        self,
        last: RetryAttempt,
        error: Exception,
        *,
        seed: str,
        wait_for_rate_limits: bool = True,
        longest_delay_ms: int = LONGEST_DELAY_MS,
    ) -> RetryAttempt | None:
        """The attempt after `last`, which failed with `error`; None when the failure is final.

        Args:
            last: the attempt that failed; number 1 for the first.
            error: may carry `retryable`, `code` and `retry_after_ms`, the shortest wait that the other side asks for.
            seed: identifies the call; source of the jitter.
            wait_for_rate_limits: whether the budget for rate limits is used.
            longest_delay_ms: a further cap of the wait, milliseconds.
        """
        if not self._may_help(error):
            return None
        number = last.attempt_number + 1
        cap_ms = min(self.max_delay_ms, longest_delay_ms)
        asked_ms = _retry_after_ms(error)
        spread = 1 + self.jitter * _fraction(f"{seed}/{number}")
        if wait_for_rate_limits and _is_rate_limit(error):
            wait_ms = asked_ms if asked_ms is not None else self._backoff_ms(last.retries_used + 1)
            wait_ms = min(round(max(wait_ms, _SHORTEST_RATE_LIMIT_WAIT_MS) * spread), cap_ms)
            waited_ms = last.rate_limit_waited_ms + max(wait_ms, _SHORTEST_RATE_LIMIT_WAIT_MS)
            if waited_ms <= self.rate_limit_budget_ms:
                return self._attempt(number, wait_ms, last.retries_used, waited_ms)
        if last.retries_used >= self.max_retries:
            return None
        wait_ms = max(self._backoff_ms(last.retries_used + 1), asked_ms or 0)
        wait_ms = min(round(wait_ms * spread), cap_ms)
        return self._attempt(number, wait_ms, last.retries_used + 1, last.rate_limit_waited_ms)

    def _attempt(self, number: int, wait_ms: int, retries_used: int, rate_limit_waited_ms: int) -> RetryAttempt:
        max_attempts = number + max(0, self.max_retries - retries_used)
        return RetryAttempt(number, None, wait_ms, retries_used, rate_limit_waited_ms, max_attempts)

    def _may_help(self, error: Exception) -> bool:
        if isinstance(error, self.non_retryable):
            return False
        if self.retry_on is None:
            return bool(getattr(error, "retryable", True))
        if isinstance(self.retry_on, type | tuple):
            return isinstance(error, self.retry_on) and bool(getattr(error, "retryable", True))
        return self.retry_on(error)

    def _backoff_ms(self, retry: int) -> int:
        """The wait before retry 1, 2, ... as the strategy has it."""
        if self.strategy is RetryStrategy.FIXED:
            return self.delay_ms
        return self.delay_ms << min(retry - 1, _MOST_DOUBLINGS)


def _is_rate_limit(error: Exception) -> bool:
    code = getattr(error, "code", None)
    return isinstance(code, str) and (code == _RATE_LIMITED or code.endswith(f"_{_RATE_LIMITED}"))


def _retry_after_ms(error: Exception) -> int | None:
    asked = getattr(error, "retry_after_ms", None)
    return asked if type(asked) is int and asked >= 0 else None


def _fraction(seed: str) -> float:
    """A number from 0 to 1 that looks random and is the same for the same seed."""
    digest = hashlib.sha256(seed.encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
