"""Keeps leases from being taken away while core may be to blame that they were not renewed.

Environments renew their leases through core and its database. While one of the two is away, nobody can. When they are
back, an environment that asks for launches must not be faster than one that comes to renew its leases. So for a while
no instance is handed out whose lease ran out by itself. A lease that was given up, by its owner or by the next
environment of the same host, is over at once.
"""

from __future__ import annotations

from runtara_sdk.clock import Clock


class LeaseGrace:
    """Knows since when leases could be renewed; `is_new` says that before now they could not."""

    def __init__(self, clock: Clock, *, is_new: bool = False) -> None:
        self._clock = clock
        self._back_at_ms = clock.now_ms() if is_new else None

    def note_outage(self) -> None:
        """Say that leases could not be renewed until now."""
        self._back_at_ms = self._clock.now_ms()

    def ended_by_ms(self, now_ms: int, lease_ms: int) -> int:
        """The end of a lease up to which it counts: `now_ms`, or 0, the end of those that were given up.

        The grace is half of `lease_ms`. An owner tries to renew several times in that span.
        """
        if self._back_at_ms is None:
            return now_ms
        if now_ms < self._back_at_ms:  # the clock was set back: the grace must not last until it has caught up
            self._back_at_ms = now_ms
        if now_ms - self._back_at_ms < lease_ms // 2:
            return 0
        self._back_at_ms = None
        return now_ms
