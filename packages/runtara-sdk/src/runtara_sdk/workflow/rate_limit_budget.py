"""How long a run may wait for the rate limits of others, over all its calls and all its launches.

Time that several calls wait side by side counts once. Each wait is recorded before it begins, under a numbered key; a
later launch reads them when it meets its first rate limit. A wait that was recorded by a launch which died before the
attempt itself was recorded is found again, and not counted twice.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runtara_sdk.instance_calls import calls_of
from runtara_sdk.retry import DEFAULT_RATE_LIMIT_BUDGET_MS
from runtara_sdk.workflow.json_text import decode_json, encode_json

if TYPE_CHECKING:
    from runtara_sdk.clock import Clock
    from runtara_sdk.instance import RuntaraSdk


@dataclass(frozen=True, slots=True)
class _Wait:
    call: str
    attempt: int
    from_ms: int
    to_ms: int


class RateLimitBudget:
    """The waits of one run, shared by all its graph runs.

    Attributes:
        budget_ms: how long all of them may be together, milliseconds.
    """

    def __init__(self, sdk: RuntaraSdk, clock: Clock, *, base: str, budget_ms: int | None = None) -> None:
        self.budget_ms = DEFAULT_RATE_LIMIT_BUDGET_MS if budget_ms is None else budget_ms
        self._sdk = sdk
        self._clock = clock
        self._base = base
        self._waits: list[_Wait] = []
        self._recorded: int | None = None
        self._turn = asyncio.Lock()

    async def draw(self, call: str, attempt: int, wait_ms: int, *, record: bool) -> bool:
        """Whether the wait before an attempt of a call still fits; it is recorded then, when asked for."""
        async with self._turn:
            if record and self._recorded is None:
                await self._load()
            if any((wait.call, wait.attempt) == (call, attempt) for wait in self._waits):
                return True
            now_ms = self._clock.now_ms()
            wait = _Wait(call, attempt, now_ms, now_ms + wait_ms)
            if _length([*self._waits, wait]) > self.budget_ms:
                return False
            if record:
                await self._record(wait)
            self._waits.append(wait)
            return True

    def _key(self, number: int) -> str:
        return f"{self._base}::rate_limit::{number}"

    async def _load(self) -> None:
        number = 0
        while (stored := await calls_of(self._sdk).state_of(self._key(number))) is not None:
            found: dict[str, Any] = decode_json(stored)
            self._waits.append(_Wait(found["call"], found["attempt"], found["from_ms"], found["to_ms"]))
            number += 1
        self._recorded = number

    async def _record(self, wait: _Wait) -> None:
        number = self._recorded or 0
        state = {"call": wait.call, "attempt": wait.attempt, "from_ms": wait.from_ms, "to_ms": wait.to_ms}
        await self._sdk.checkpoint(self._key(number), encode_json(state))
        self._recorded = number + 1


def _length(waits: list[_Wait]) -> int:
    """How long all waits are together, what overlaps counted once; milliseconds."""
    total_ms = end_ms = 0
    for wait in sorted(waits, key=lambda wait: wait.from_ms):
        total_ms += max(0, wait.to_ms - max(wait.from_ms, end_ms))
        end_ms = max(end_ms, wait.to_ms)
    return total_ms
