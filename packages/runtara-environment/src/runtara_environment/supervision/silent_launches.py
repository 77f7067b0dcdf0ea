"""Ends the processes of launches of which nothing has been heard for too long, and which do nothing either.

What counts as life is what core stamps as the last contact of a launch: its claim, a registration, checkpoint, event,
heartbeat or poll, and a poll that core holds (every half minute). The SDK keeps such a poll up, or sends heartbeats, as
long as the event loop of the program runs. A program whose loop is blocked gives no sign; when its processes use the
processor, it computes, and is left to the timeout of its launch. Only one that is silent and idle is taken for hung.

The time of silence is counted here, from when this environment first saw the last contact, while it can ask core and
its own clock goes on as it should. So neither a core that was away, nor a host that was suspended or whose clock was
set, ends a program.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from runtara_core.management import CoreManagement
from runtara_core.models import LeaseKey
from runtara_sdk.clock import Clock
from runtara_sdk.errors import RuntaraError

logger = logging.getLogger(__name__)

_PAGE = 500
_LONGEST_INTERVAL_SECONDS = 30.0
_LOOKS_IN_A_TIMEOUT = 4
_IDLE_SHARE = 0.01
"""Of one core: a program that uses less of it waits."""


@dataclass(slots=True)
class _Silence:
    """What has been seen of one launch since its last contact.

    Attributes:
        contact_at_ms: as core says.
        since_ms: when that was seen first, by the clock of this environment.
        measured_at_ms: when the processor time was read; None when it was not yet.
        cpu_usage_usec: what it was then; None when nobody can say.
    """

    contact_at_ms: int | None
    since_ms: int
    measured_at_ms: int | None = None
    cpu_usage_usec: int | None = None


class SilentLaunches:
    """Looks for launches that are silent for too long."""

    def __init__(
        self,
        core: CoreManagement,
        owner: str,
        clock: Clock,
        cpu_usage_usec: Callable[[LeaseKey], Awaitable[int | None]],
        end: Callable[[LeaseKey], Awaitable[bool]],
        *,
        timeout_ms: int,
    ) -> None:
        """The silent ones of an owner.

        Args:
            core: knows the signs of life.
            owner: whose launches are looked at.
            clock: source of the time of silence.
            cpu_usage_usec: tells the processor time that a launch has used; None when nobody can say.
            end: begins to kill a launch; answers False when that one does not run here.
            timeout_ms: the silence after which a launch is ended.
        """
        self._core = core
        self._owner = owner
        self._clock = clock
        self._cpu_usage_usec = cpu_usage_usec
        self._end = end
        self._timeout_ms = timeout_ms
        self._interval_seconds = min(_LONGEST_INTERVAL_SECONDS, timeout_ms / 1000 / _LOOKS_IN_A_TIMEOUT)
        self._seen: dict[LeaseKey, _Silence] = {}
        self._looked_at_ms = 0

    async def keep_looking(self) -> None:
        """Look until cancelled."""
        while True:
            await self._clock.sleep(self._interval_seconds)
            try:
                await self._look()
            except RuntaraError as error:
                self._seen.clear()  # nobody can say what was heard meanwhile
                logger.warning("cannot look for launches that are silent: %s", error)
            except Exception:
                self._seen.clear()
                logger.exception("looking for launches that are silent went wrong")

    async def _look(self) -> None:
        contacts = await self._contacts()
        now_ms = self._clock.now_ms()
        passed_ms, self._looked_at_ms = now_ms - self._looked_at_ms, now_ms
        if not 0 <= passed_ms <= self._interval_seconds * 3000:
            self._seen.clear()  # the clock was set, or the host slept
        self._seen = {key: seen for key, seen in self._seen.items() if key in contacts}
        for key, contact_at_ms in contacts.items():
            seen = self._seen.get(key)
            if seen is None or seen.contact_at_ms != contact_at_ms:
                self._seen[key] = _Silence(contact_at_ms, now_ms)
            elif await self._is_hung(key, seen, now_ms) and await self._end(key):
                logger.warning(
                    "instance %s was not heard of for %d s: its process is ended",
                    key.instance_id,
                    (now_ms - seen.since_ms) // 1000,
                )
                del self._seen[key]

    async def _contacts(self) -> dict[LeaseKey, int | None]:
        found: dict[LeaseKey, int | None] = {}
        after = ""
        while True:
            page = await self._core.last_contacts(self._owner, after_instance_id=after, limit=_PAGE)
            found |= {contact.key: contact.at_ms for contact in page}
            if len(page) < _PAGE:
                return found
            after = page[-1].instance_id

    async def _is_hung(self, key: LeaseKey, seen: _Silence, now_ms: int) -> bool:
        """Whether it was silent for the whole timeout, and idle in the later half of it."""
        if now_ms - seen.since_ms < self._timeout_ms // 2:
            return False
        if seen.measured_at_ms is None:
            seen.measured_at_ms, seen.cpu_usage_usec = now_ms, await self._cpu_usage_usec(key)
            return False
        if now_ms - seen.since_ms < self._timeout_ms or now_ms - seen.measured_at_ms < self._timeout_ms // 2:
            return False
        before, used = seen.cpu_usage_usec, await self._cpu_usage_usec(key)
        if before is None or used is None or used - before < (now_ms - seen.measured_at_ms) * 1000 * _IDLE_SHARE:
            return True
        seen.measured_at_ms, seen.cpu_usage_usec = now_ms, used
        return False
