"""A host: a data directory, and the environment that has it now or had it last."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

GONE_AFTER_MS = 15_000
"""How long a host that says nothing counts as there; it says something five times in that span."""


class HostState(StrEnum):
    """What a host does."""

    ACTIVE = "active"
    """Claims and launches."""
    DRAINING = "draining"
    """Claims nothing more; some of its launches have not ended yet."""
    DRAINED = "drained"
    """Claims nothing, and nothing runs; it serves calls."""
    STOPPED = "stopped"
    """Its environment ended in order."""
    GONE = "gone"
    """Nothing was heard of it for `GONE_AFTER_MS`."""


@dataclass(frozen=True, slots=True)
class Host:
    """One host.

    Attributes:
        host_id: random id, kept in the data directory.
        owner: the environment process that has the data directory, or had it last.
        host_name: for people.
        address: where its environment serves calls; None when it does not say.
        version: of its environment.
        runner_type: the runner of its launches.
        isolation: what that runner isolates, as a word for people.
        state: what it does now.
        live_launches: launches that it watches.
        max_launches: most launches at a time; None when it has no limit of its own.
        artifact_count: artifacts that it holds.
        started_at_ms: when its environment was started.
        last_seen_at_ms: when it was heard of last, by its own clock.
        drain_requested_at_ms: when it was asked to drain; None when it was not.
        drain_seconds: how long its launches may take to suspend.
    """

    host_id: str
    owner: str
    host_name: str
    address: str | None
    version: str
    runner_type: str
    isolation: str
    state: HostState
    live_launches: int
    max_launches: int | None
    artifact_count: int
    started_at_ms: int
    last_seen_at_ms: int
    drain_requested_at_ms: int | None
    drain_seconds: int | None

    @property
    def is_there(self) -> bool:
        """Whether its environment runs, as far as is known."""
        return self.state not in (HostState.STOPPED, HostState.GONE)
