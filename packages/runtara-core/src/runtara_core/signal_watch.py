"""Polls that are held until there is news of their instance, at next to no cost while there is none.

A held poll enters first and looks then, so nothing falls between the two. Afterwards it sleeps on a bell, which rings

* at once for what this process writes: the services ring for every instance that they signal, launch or end;
* within a second for what others write (another core on the database, retention, an operator with psql): one
  `Storage.find_news` over all held polls each second, and none when no poll is held.

What the last look found is kept in memory while polls come again and again, so a poll that follows the one before costs
no query either. A ring makes it be forgotten. Both are hints: only the storage answers a poll, and a ring or a row of
`find_news` too many costs one look.

Waiting counts as contact: all who wait are stamped together, every half minute.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from dataclasses import dataclass, field

from runtara_sdk.clock import Clock
from runtara_sdk.errors import RuntaraError
from runtara_sdk.models import SignalPoll

from runtara_core.models import LeaseKey, WatchedInstance
from runtara_core.storage import MAX_WATCHED, Storage

logger = logging.getLogger(__name__)

MAX_WAIT_MS = 30_000
"""Longest time that one poll is held."""

DEFAULT_MAX_HELD = 5_000
"""Polls held at a time, unless told otherwise; further ones are answered at once."""

MAX_HELD_PER_INSTANCE = 32
"""Polls of one instance held at a time; further ones are answered at once."""

_LOOK_SECONDS = 1.0
_KEEP_MS = 5_000
_CONTACT_INTERVAL_MS = 30_000


@dataclass(slots=True, eq=False)
class _Watched:
    """What is known for the polls of one launch for one custom signal, or for none.

    Attributes:
        signal_id: of the most urgent signal; None when the storage has to be asked.
        rings: counts the reasons to ask again.
    """

    instance_id: str
    epoch: int
    checkpoint_id: str | None
    rung: asyncio.Future[None]
    signal_id: int | None = None
    rings: int = 0
    held: int = 0
    left_at_ms: int = 0

    def ring(self) -> None:
        self.rings += 1
        self.signal_id = None
        self.wake()

    def wake(self) -> None:
        self.rung.set_result(None)
        self.rung = self.rung.get_loop().create_future()


@dataclass(slots=True)
class _WatchedLaunches:
    """All of one instance."""

    entries: dict[tuple[int, str | None], _Watched] = field(default_factory=dict)

    @property
    def held(self) -> int:
        return sum(entry.held for entry in self.entries.values())


class SignalWatch:
    """Holds the polls of one core, or of one program in the embedded mode.

    Args:
        storage: answers polls.
        clock: source of the waits.
        max_held: polls held at a time; further ones are answered at once.
    """

    def __init__(self, storage: Storage, clock: Clock, *, max_held: int = DEFAULT_MAX_HELD) -> None:
        self._storage = storage
        self._clock = clock
        self._max_held = min(max_held, MAX_WATCHED)
        self._instances: defaultdict[str, _WatchedLaunches] = defaultdict(_WatchedLaunches)
        self._entries = 0
        self._held = 0
        self._closed = False
        self._looking: asyncio.Task[None] | None = None
        self._contacts_at_ms = clock.now_ms()

    @property
    def held(self) -> int:
        """Number of polls that are held now."""
        return self._held

    @property
    def waiting(self) -> int:
        """Number of polls that have looked and wait for news."""
        return sum(entry.held for entry in self._all() if entry.signal_id is not None)

    @property
    def is_idle(self) -> bool:
        """Whether nothing is watched, so that the database is not asked."""
        return not self._entries and (self._looking is None or self._looking.done())

    def ring(self, instance_id: str) -> None:
        """Say that something of an instance may have changed."""
        launches = self._instances.get(instance_id)
        if launches is not None:
            for entry in launches.entries.values():
                entry.ring()

    async def close(self) -> None:
        """Answer all held polls now, and hold no more."""
        self._closed = True
        for launches in self._instances.values():
            for entry in launches.entries.values():
                entry.wake()
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.wait({self._looking})

    async def poll(
        self, instance_id: str, epoch: int, checkpoint_id: str | None, *, wait_ms: int, known_signal_id: int
    ) -> SignalPoll:
        """What is waiting for an instance, as soon as it is something new, after `wait_ms` at the latest.

        New is another most urgent signal than `known_signal_id` (0: none), the custom signal, a terminal status; an
        epoch of the past and an instance that is gone raise as `Storage.poll_signals` does.
        """
        entry = self._enter(instance_id, epoch, checkpoint_id)
        if entry is None:
            return await self._ask(instance_id, epoch, checkpoint_id)
        timer = asyncio.ensure_future(self._clock.sleep(min(wait_ms, MAX_WAIT_MS) / 1000))
        try:
            while True:
                # Taken before the look: what rings from now on makes another one.
                rung = entry.rung
                if entry.signal_id != known_signal_id:
                    poll = await self._look(entry)
                    if _is_news(poll, known_signal_id):
                        return poll
                if timer.done() or self._closed:
                    if known_signal_id:
                        return await self._look(entry)
                    return SignalPoll()
                await asyncio.wait({rung, timer}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            timer.cancel()
            self._leave(entry)

    async def _ask(self, instance_id: str, epoch: int, checkpoint_id: str | None) -> SignalPoll:
        return await self._storage.poll_signals(instance_id, epoch, checkpoint_id, now_ms=self._clock.now_ms())

    async def _look(self, entry: _Watched) -> SignalPoll:
        rings = entry.rings
        poll = await self._ask(entry.instance_id, entry.epoch, entry.checkpoint_id)
        if entry.rings == rings:
            signal_id = poll.signal.signal_id if poll.signal else 0
            entry.signal_id = None if _has_arrived(poll) else signal_id
        return poll

    # Who is watched

    def _enter(self, instance_id: str, epoch: int, checkpoint_id: str | None) -> _Watched | None:
        if self._closed or self._held >= self._max_held:
            return None
        launches = self._instances[instance_id]
        if launches.held >= MAX_HELD_PER_INSTANCE:
            return None
        entry = launches.entries.get((epoch, checkpoint_id))
        if entry is None:
            entry = _Watched(instance_id, epoch, checkpoint_id, asyncio.get_running_loop().create_future())
            launches.entries[epoch, checkpoint_id] = entry
            self._entries += 1
        entry.held += 1
        self._held += 1
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look_on(), name="look for news of waiting instances")
        return entry

    def _leave(self, entry: _Watched) -> None:
        entry.held -= 1
        self._held -= 1
        entry.left_at_ms = self._clock.now_ms()
        if not entry.held and (entry.signal_id is None or self._entries > 2 * self._max_held):
            self._forget(entry)

    def _forget(self, entry: _Watched) -> None:
        launches = self._instances[entry.instance_id]
        del launches.entries[entry.epoch, entry.checkpoint_id]
        self._entries -= 1
        if not launches.entries:
            del self._instances[entry.instance_id]

    # What others write

    async def _look_on(self) -> None:
        while self._instances:
            await self._clock.sleep(_LOOK_SECONDS)
            self._forget_old()
            try:
                await self._look_for_news()
                await self._record_contacts()
            except RuntaraError as error:
                # The polls themselves meet the same trouble, and tell their callers.
                logger.warning("cannot look for signals of waiting instances: %s", error.message)

    def _forget_old(self) -> None:
        now_ms = self._clock.now_ms()
        for entry in self._all():
            if not entry.held and not 0 <= now_ms - entry.left_at_ms < _KEEP_MS:
                self._forget(entry)

    async def _look_for_news(self) -> None:
        watched = {
            WatchedInstance(entry.instance_id, entry.epoch, entry.signal_id, entry.checkpoint_id): entry
            for entry in self._all()
            if entry.held and entry.signal_id is not None
        }
        if watched:
            for changed in await self._storage.find_news(list(watched)):
                watched[changed].ring()

    async def _record_contacts(self) -> None:
        now_ms = self._clock.now_ms()
        if 0 <= now_ms - self._contacts_at_ms < _CONTACT_INTERVAL_MS:
            return
        self._contacts_at_ms = now_ms
        waiting = {LeaseKey(entry.instance_id, entry.epoch) for entry in self._all() if entry.held}
        if waiting:
            await self._storage.record_contacts(list(waiting), now_ms=now_ms)

    def _all(self) -> list[_Watched]:
        return [entry for launches in self._instances.values() for entry in launches.entries.values()]


def _is_news(poll: SignalPoll, known_signal_id: int) -> bool:
    return _has_arrived(poll) or (poll.signal.signal_id if poll.signal else 0) != known_signal_id


def _has_arrived(poll: SignalPoll) -> bool:
    """Whether the poll found what no poll is held for any longer."""
    return poll.custom_signal is not None or (poll.status is not None and poll.status.is_terminal)
