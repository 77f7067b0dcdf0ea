"""Ends the processes of launches that have not obeyed a cancel within the grace of their start."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence

from runtara_core.due import wait_until_rung
from runtara_core.management import CoreManagement
from runtara_core.models import LeaseKey, PendingCancel
from runtara_sdk.clock import Clock
from runtara_sdk.errors import InvalidInputError, RuntaraError

from runtara_environment.launch_options import DEFAULT_CANCEL_GRACE_SECONDS, LaunchOptions

logger = logging.getLogger(__name__)

_PAGE = 500
_SHORTEST_WAIT_SECONDS = 0.05
_LONGER_AFTER_FAILURE = 10


class OverdueCancels:
    """Looks for cancels that wait, now and then and whenever it is told of one.

    A program that does not return to the SDK never hears of its cancel: it hangs, or computes. It does not matter who
    sent the cancel, nor whether an earlier environment launched the program: core knows them all.
    """

    def __init__(
        self,
        core: CoreManagement,
        owner: str,
        clock: Clock,
        end: Callable[[LeaseKey], Awaitable[bool]],
        requested_stops: Callable[[Sequence[str]], Awaitable[Mapping[LeaseKey, int]]],
        *,
        is_needed: Callable[[], bool],
        interval_seconds: float,
    ) -> None:
        """Prepare to look.

        Args:
            core: where cancels are.
            owner: whose launches.
            clock: the time.
            end: begins to kill a launch; it answers False when that one does not run here (yet).
            requested_stops: graces in milliseconds that another environment was given for launches of instances.
            is_needed: whether anything runs here that could be told to cancel.
            interval_seconds: how often to look.
        """
        self._core = core
        self._owner = owner
        self._clock = clock
        self._end = end
        self._requested_stops = requested_stops
        self._is_needed = is_needed
        self._interval_seconds = interval_seconds
        self._bell = asyncio.Event()
        self._due_at_ms: dict[LeaseKey, int] = {}
        self._ended: set[LeaseKey] = set()
        self._requested: set[LeaseKey] = set()
        self._has_failed = False
        self._seen_ms = clock.now_ms()

    def ring(self) -> None:
        """Say that a cancel was sent just now."""
        self._bell.set()

    async def keep_looking(self) -> None:
        """Look until cancelled."""
        while True:
            await wait_until_rung(self._bell, self._clock, self._seconds_to_next())
            self._bell.clear()
            if not self._is_needed():
                self._due_at_ms.clear()  # nothing is waited for any more
                continue
            self._has_failed = True
            try:
                await self._look()
                self._has_failed = False
            except RuntaraError as error:
                logger.warning("cannot look for cancels that were not obeyed: %s", error)
            except Exception:
                logger.exception("looking for cancels went wrong")

    def _seconds_to_next(self) -> float:
        if self._has_failed:
            return self._interval_seconds * _LONGER_AFTER_FAILURE
        now_ms = self._now_ms()
        waiting = [due_at_ms - now_ms for key, due_at_ms in self._due_at_ms.items() if key not in self._ended]
        soonest = min(waiting, default=None)
        if soonest is None:
            return self._interval_seconds
        return min(max(soonest / 1000, _SHORTEST_WAIT_SECONDS), self._interval_seconds)

    def _now_ms(self) -> int:
        """The time; where the clock was set back since the last look, what is due moves with it."""
        now_ms = self._clock.now_ms()
        back_ms = self._seen_ms - now_ms
        if back_ms > 0:
            self._due_at_ms = {key: due_at_ms - back_ms for key, due_at_ms in self._due_at_ms.items()}
        self._seen_ms = now_ms
        return now_ms

    async def _look(self) -> None:
        pending = {cancel.key: cancel for cancel in await self._core.pending_cancels(self._owner, limit=_PAGE)}
        self._due_at_ms = {key: due_at_ms for key, due_at_ms in self._due_at_ms.items() if key in pending}
        self._ended &= pending.keys()
        self._requested &= pending.keys()
        requested = await self._requested_stops([key.instance_id for key in pending])
        for key, cancel in pending.items():
            if key not in self._due_at_ms:
                grace_ms = await self._grace_seconds(cancel) * 1000
                self._due_at_ms[key] = self._now_ms() + max(0, grace_ms - cancel.age_ms)
            if key in requested and key not in self._requested:
                self._requested.add(key)
                # The request came since the last look.
                passed_ms = min(cancel.age_ms, round(self._interval_seconds * 1000))
                due_at_ms = self._now_ms() + max(0, requested[key] - passed_ms)
                self._due_at_ms[key] = min(self._due_at_ms[key], due_at_ms)
            if key in self._ended or self._due_at_ms[key] > self._now_ms():
                continue
            if await self._end(key):
                logger.warning("instance %s has not obeyed its cancel in time: its process is ended", key.instance_id)
                self._ended.add(key)
            else:
                self._due_at_ms[key] = self._now_ms() + round(self._interval_seconds * 1000)

    async def _grace_seconds(self, cancel: PendingCancel) -> int:
        instance = await self._core.get_instance(cancel.instance_id)
        try:
            options = None if instance is None else LaunchOptions.decode(instance.launch_options)
        except InvalidInputError:
            options = None
        given = None if options is None else options.cancel_grace_seconds
        return DEFAULT_CANCEL_GRACE_SECONDS if given is None else given
