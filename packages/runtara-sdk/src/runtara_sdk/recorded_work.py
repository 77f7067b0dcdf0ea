"""Work that is recorded under a name of the program's own, and knows the name: the body of `@durable` and of `step`.

`runtara_sdk.durability` tells what that guarantees.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any

from runtara_sdk.codecs import ResultCodec, codec_for
from runtara_sdk.durable_call import call_durably
from runtara_sdk.instance_calls import InstanceCalls
from runtara_sdk.retry import RetryPolicy

_NO_RETRIES = RetryPolicy(max_retries=0, rate_limit_budget_ms=0)

_checkpoint_id: ContextVar[str | None] = ContextVar("runtara_checkpoint_id", default=None)


async def record_work(
    calls: InstanceCalls,
    checkpoint_id: str,
    work: Callable[[], Awaitable[Any]],
    *,
    policy: RetryPolicy,
    codec: ResultCodec,
) -> Any:
    """The result recorded under `checkpoint_id`, else that of `work`, which is then recorded.

    Args:
        calls: those of a registered instance.
        checkpoint_id: names the work, also to `current_checkpoint_id` while an attempt is made.
        work: makes one attempt.
        policy: which failures are tried again.
        codec: of the result.

    Raises what `runtara_sdk.durable_call.call_durably` raises.
    """

    async def attempt(_: int) -> Any:
        _checkpoint_id.set(checkpoint_id)  # each attempt is a task, with a context of its own
        return await work()

    return await call_durably(calls, checkpoint_id, attempt, policy=policy, codec=codec)


async def record_step(
    calls: InstanceCalls,
    name: str,
    function: Callable[[], Awaitable[Any]],
    *,
    retry: RetryPolicy | None = None,
    codec: Any = None,
) -> Any:
    """The body of `RuntaraSdk.step`; its checkpoint id is `step::<name>`."""
    return await record_work(calls, f"step::{name}", function, policy=retry or _NO_RETRIES, codec=codec_for(codec))


def current_checkpoint_id() -> str | None:
    """The name of the recorded work of which an attempt is being made here; None outside of any."""
    return _checkpoint_id.get()
