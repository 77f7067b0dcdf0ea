"""Checkpoints that parts of one program make at the same time, gathered to one request.

While one request is under way, the calls that come meanwhile wait, and go together as the next one when its answer is
there. So a program that makes one checkpoint after the other pays nothing for this, nothing waits for a request to
fill, and sixteen parts side by side need one request where they needed sixteen. The store takes the calls in the order
in which they came, so that of two with one key the second finds the state of the first. Parts that have their answer
get a few turns of the event loop to come to their next checkpoint before a request is sent for those that waited;
otherwise the parts would fall into two halves that wait for each other's requests.

What was gathered stays apart. A caller that is cancelled takes no other along: a call that still waits is not sent,
and one that is under way is finished without it. When the store refuses a request for what one of its calls asked, or
for its size, each call is made again alone and has an answer of its own. What concerns all, as a store that is away,
all of them hear.

Nothing is kept here that the callers do not hold themselves, so the parts of the program that run side by side are the
bound of what waits.
"""

from __future__ import annotations

import asyncio
import copy
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from runtara_sdk.backend import InstanceBackend
from runtara_sdk.errors import (
    AnswerTooLargeError,
    InstanceNotFoundError,
    InvalidStateError,
    PermissionDeniedError,
    RuntaraError,
    StaleEpochError,
    UnauthenticatedError,
)
from runtara_sdk.models import MAX_CHECKPOINTS, CheckpointResult, NewCheckpoint

_MAX_GATHERED_BYTES = 4 * 1024 * 1024
"""Beyond so many bytes of states a request is not filled any further: its calls would wait for each other's bytes."""

_TURNS = 6
"""Turns of the event loop in which a part of a program that has its answer may come to its next checkpoint."""

_CONCERN_ALL = (
    StaleEpochError,
    InvalidStateError,
    InstanceNotFoundError,
    UnauthenticatedError,
    PermissionDeniedError,
)


@dataclass(slots=True, eq=False)
class _Call:
    new: Sequence[NewCheckpoint]
    answer: asyncio.Future[list[CheckpointResult]]


class GatheredCheckpoints:
    """The checkpoints of one instance in this process; used from one event loop.

    Args:
        store: gives the connected backend.
    """

    def __init__(self, store: Callable[[], InstanceBackend]) -> None:
        self._store = store
        self._waiting: deque[_Call] = deque()
        self._is_under_way = False
        self._sending: asyncio.Task[None] | None = None

    async def store(self, new: Sequence[NewCheckpoint]) -> list[CheckpointResult]:
        """The results of one call, in its order; its checkpoints are stored in one transaction.

        Raises what the store raises.
        """
        if self._is_under_way:
            answer: asyncio.Future[list[CheckpointResult]] = asyncio.get_running_loop().create_future()
            self._waiting.append(_Call(new, answer))
            return await answer
        self._is_under_way = True
        try:
            return await self._ask(new)
        finally:
            self._send_next()

    def close(self) -> None:
        """Give up what is under way: nobody is left to hear the answer."""
        if self._sending is not None:
            self._sending.cancel()
            self._give_up()  # not left to the task: one that has not begun hears nothing of its end

    def _give_up(self) -> None:
        for call in self._waiting:
            call.answer.cancel()
        self._end()

    def _end(self) -> None:
        self._waiting.clear()
        self._is_under_way = False
        self._sending = None

    def _send_next(self) -> None:
        if self._waiting:
            # A task of its own: a caller that is cancelled must not take the others of its request along.
            self._sending = asyncio.create_task(self._send(), name="gathered checkpoints")
        else:
            self._is_under_way = False

    def _take(self) -> list[_Call]:
        """The calls of the next request."""
        calls: list[_Call] = []
        count = size = 0
        while self._waiting:
            call = self._waiting[0]
            if not call.answer.done():  # else its caller was cancelled
                count += len(call.new)
                size += sum(len(each.state) for each in call.new)
                if calls and (count > MAX_CHECKPOINTS or size > _MAX_GATHERED_BYTES):
                    break
                calls.append(call)
            self._waiting.popleft()
        return calls

    async def _send(self) -> None:
        calls: list[_Call] = []
        answered = 1
        try:
            while True:
                await self._let_come_again(answered)
                if not (calls := self._take()):
                    return
                await self._answer(calls)
                answered = len(calls)
        except asyncio.CancelledError:
            for call in calls:
                call.answer.cancel()
            if self._sending is asyncio.current_task():
                self._give_up()
            raise
        except BaseException as error:  # nobody waits for ever, whatever has happened
            _fail([*calls, *self._waiting], error)
            raise
        finally:
            if self._sending is asyncio.current_task():
                self._end()

    async def _let_come_again(self, answered: int) -> None:
        """Let callers that have their answer make their next calls: else two halves of the program would take turns."""
        expected = len(self._waiting) + answered
        for _ in range(_TURNS):
            if len(self._waiting) >= expected:
                return
            await asyncio.sleep(0)

    async def _answer(self, calls: list[_Call]) -> None:
        try:
            results = await self._ask([each for call in calls for each in call.new])
        except Exception as error:  # noqa: BLE001 - each caller gets it
            if len(calls) == 1 or _concerns_all(error):
                _fail(calls, error)
            else:
                await self._answer_each(calls)
        else:
            given = iter(results)
            for call in calls:
                own = [next(given) for _ in call.new]
                if not call.answer.done():
                    call.answer.set_result(own)

    async def _answer_each(self, calls: list[_Call]) -> None:
        for position, call in enumerate(calls):
            try:
                results = await self._ask(call.new)
            except Exception as error:  # noqa: BLE001 - its caller gets it
                if _concerns_all(error):
                    _fail(calls[position:], error)
                    return
                _fail([call], error)
            else:
                if not call.answer.done():
                    call.answer.set_result(results)

    async def _ask(self, new: Sequence[NewCheckpoint]) -> list[CheckpointResult]:
        store = self._store()
        if len(new) == 1:
            alone = new[0]
            return [await store.checkpoint(alone.checkpoint_id, alone.state, call_key=alone.call_key)]
        try:
            return await store.checkpoints(new)
        except AnswerTooLargeError:
            # What was stored by this call is answered as stored by it, as the keys of its calls tell.
            return [await store.checkpoint(each.checkpoint_id, each.state, call_key=each.call_key) for each in new]


def _concerns_all(error: Exception) -> bool:
    """Whether each call of a request would be answered so: the error tells of the instance or the store."""
    return isinstance(error, RuntaraError) and (error.retryable or isinstance(error, _CONCERN_ALL))


def _fail(calls: Sequence[_Call], error: BaseException) -> None:
    for call in calls:
        if not call.answer.done():
            call.answer.set_exception(_own(error) if len(calls) > 1 else error)


def _own(error: BaseException) -> BaseException:
    """A copy for one caller: a raised error collects the traceback of whoever awaits it."""
    try:
        own = copy.copy(error)
    except Exception:  # noqa: BLE001 - a class with arguments of its own; that each caller hears it matters more
        return error
    own.__cause__ = error
    return own
