from __future__ import annotations

import pytest
from runtara_sdk import ConfigurationError, InvalidInputError, RetryPolicy, RetryStrategy
from runtara_sdk.agents import AgentError
from runtara_sdk.models import RetryAttempt

FIRST = RetryAttempt(1)
BUSY = OSError("busy")


def waits(policy: RetryPolicy, error: Exception = BUSY, *, seed: str = "i/key") -> list[int]:
    """The waits of a call that always fails."""
    result, attempt = [], FIRST
    while (attempt := policy.next_attempt(attempt, error, seed=seed)) is not None and len(result) < 1_000:
        result.append(attempt.wait_ms)
    return result


def limited(retry_after_ms: int | None, code: str = "RATE_LIMITED") -> AgentError:
    return AgentError.transient(code, "slow down", retry_after_ms=retry_after_ms)


def test_waits_double_up_to_the_cap() -> None:
    assert waits(RetryPolicy(4, 100)) == [100, 200, 400, 800]
    assert waits(RetryPolicy(4, 100, max_delay_ms=300)) == [100, 200, 300, 300]
    assert waits(RetryPolicy(3, 100, RetryStrategy.FIXED)) == [100, 100, 100]
    assert waits(RetryPolicy(200, 1))[-1] == 3_600_000
    assert waits(RetryPolicy(0)) == []


def test_jitter_adds_and_is_the_same_in_every_run() -> None:
    policy = RetryPolicy(20, 1_000, RetryStrategy.FIXED, jitter=0.5)
    spread = waits(policy)
    assert spread == waits(policy)
    assert spread != waits(policy, seed="i/other")
    assert all(1_000 <= wait <= 1_500 for wait in spread)
    assert len(set(spread)) > 10


def test_what_the_other_side_asks_for_is_the_least() -> None:
    assert waits(RetryPolicy(3, 1_000), AgentError.transient("BUSY", "later", retry_after_ms=1_500)) == [
        1500,
        2000,
        4000,
    ]


@pytest.mark.parametrize("code", ["RATE_LIMITED", "HTTP_RATE_LIMITED"])
def test_rate_limits_draw_on_their_budget_first(code: str) -> None:
    policy = RetryPolicy(1, 1_000, rate_limit_budget_ms=6_000)
    assert waits(policy, limited(2_000, code)) == [2_000, 2_000, 2_000, 2_000]
    attempt = policy.next_attempt(FIRST, limited(2_000), seed="")
    assert attempt == RetryAttempt(2, None, 2_000, 0, 2_000, max_attempts=3)


def test_attempts_tell_how_many_there_may_be() -> None:
    policy, attempt = RetryPolicy(2), FIRST
    told = []
    for error in (BUSY, limited(1_000), BUSY):
        following = policy.next_attempt(attempt, error, seed="")
        assert following is not None
        attempt = following
        told.append((attempt.attempt_number, attempt.max_attempts))
    assert told == [(2, 3), (3, 4), (4, 4)], "a rate limit uses up no retry"
    assert policy.next_attempt(attempt, BUSY, seed="") is None


def test_rate_limits_without_an_end_are_bounded() -> None:
    assert len(waits(RetryPolicy(0), limited(0))) == 600
    assert len(waits(RetryPolicy(0, 0), limited(None))) == 600


def test_a_wait_beyond_the_budget_is_a_retry() -> None:
    attempt = RetryPolicy(1).next_attempt(FIRST, limited(90_000), seed="")
    assert attempt == RetryAttempt(2, None, 90_000, 1, 0, max_attempts=2)


def test_errors_decide_unless_told_otherwise() -> None:
    permanent = InvalidInputError("no")
    assert waits(RetryPolicy(1), permanent) == []
    assert waits(RetryPolicy(1), limited(1_000).permanent("RATE_LIMITED", "never")) == []
    assert len(waits(RetryPolicy(1, retry_on=OSError))) == 1
    assert waits(RetryPolicy(1, retry_on=(KeyError, ValueError))) == []
    assert waits(RetryPolicy(1, retry_on=InvalidInputError), permanent) == []
    assert len(waits(RetryPolicy(1, retry_on=lambda error: error is permanent), permanent)) == 1
    assert waits(RetryPolicy(1, retry_on=OSError, non_retryable=(OSError,))) == []
    assert waits(RetryPolicy(1, non_retryable=ConnectionError), ConnectionResetError()) == []


@pytest.mark.parametrize(
    "wrong",
    [{"max_retries": -1}, {"delay_ms": -1}, {"max_delay_ms": -1}, {"jitter": 2.0}, {"timeout_ms": 0}],
    ids=lambda wrong: next(iter(wrong)),
)
def test_impossible_policies_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(wrong))):
        RetryPolicy(**wrong)  # type: ignore[arg-type]  # the names vary
