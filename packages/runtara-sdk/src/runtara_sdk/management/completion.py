"""Waiting for the end of an instance by asking for its status, through restarts of environment and core."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from runtara_sdk.clock import Clock
from runtara_sdk.errors import DeadlineExceededError, RuntaraError
from runtara_sdk.management.models import InstanceInfo

AWAY_AT_MOST_MS = 120_000
"""How long there may be no status before the wait ends with its error."""


async def await_end(
    ask: Callable[[], Awaitable[InstanceInfo]],
    instance_id: str,
    *,
    clock: Clock,
    interval_ms: int,
    timeout_ms: int | None,
) -> InstanceInfo:
    """The terminal status; raises `DeadlineExceededError` after `timeout_ms`, None waits for ever."""
    deadline_ms = None if timeout_ms is None else clock.now_ms() + timeout_ms
    heard_at_ms = clock.now_ms()
    status = "unknown"
    while True:
        try:
            info = await ask()
        except RuntaraError as error:  # also of an environment that is there and cannot reach core
            if not error.retryable or clock.now_ms() - heard_at_ms > AWAY_AT_MOST_MS:
                raise
        else:
            if info.status.is_terminal:
                return info
            heard_at_ms, status = clock.now_ms(), info.status.value
        wait_ms = max(interval_ms, 1)
        if deadline_ms is not None:
            left_ms = deadline_ms - clock.now_ms()
            if left_ms <= 0:
                raise DeadlineExceededError(f"instance {instance_id} has not ended in time: it is {status}")
            wait_ms = min(wait_ms, left_ms)
        await clock.sleep(wait_ms / 1000)
