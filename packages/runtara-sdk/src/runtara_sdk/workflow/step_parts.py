"""Parts of one step, recorded under the key of the step: see `runtara_sdk.agents.durable`."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from runtara_sdk.agents.durable import DurableParts
from runtara_sdk.errors import InvalidInputError
from runtara_sdk.instance_calls import calls_of
from runtara_sdk.workflow.json_text import decode_json
from runtara_sdk.workflow.retry import encode_result

if TYPE_CHECKING:
    from runtara_sdk.workflow.run_context import RunContext

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


class UnrecordedParts(DurableParts):
    """The parts of a step that keeps no records, or that must not be begun a second time: all in this process."""

    def __init__(self, run: RunContext) -> None:
        super().__init__(run.clock)
        self._run = run

    async def sleep(self, name: str, duration_ms: int) -> None:
        with self._run.surroundings.waiting():
            await calls_of(self._run.sdk).pause(duration_ms)


class StepParts(DurableParts):
    """The parts of a step that is recorded.

    Args:
        run: the run of the graph.
        key: checkpoint id of the step's call.
    """

    def __init__(self, run: RunContext, key: str) -> None:
        super().__init__(run.clock)
        self._run = run
        self._key = key

    @property
    def is_recorded(self) -> bool:
        return True

    async def checkpoint(self, name: str, work: Callable[[], Awaitable[Any]]) -> Any:
        key, sdk = self._part(name), self._run.sdk
        recorded = await calls_of(sdk).state_of(key)
        if recorded is None:
            result = encode_result(await work(), self._run.calls.longest_result)
            answer = await sdk.checkpoint(key, result)
            recorded = answer.state if answer.found else result
        return decode_json(recorded)

    async def sleep(self, name: str, duration_ms: int) -> None:
        with self._run.surroundings.waiting():
            await self._run.sdk.durable_sleep(timedelta(milliseconds=duration_ms), self._part(name))

    def _part(self, name: str) -> str:
        if _NAME.fullmatch(name) is None:
            raise InvalidInputError(f"part {name[:100]!r}: use up to 100 letters, digits and . _ -")
        return f"{self._key}::part::{name}"
