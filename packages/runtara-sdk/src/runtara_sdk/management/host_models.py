"""Hosts, as the management SDK tells them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class HostState(StrEnum):
    """What a host does."""

    UNKNOWN = "unknown"
    ACTIVE = "active"
    """It launches instances."""
    DRAINING = "draining"
    """It launches nothing more; some of its launches have not ended yet."""
    DRAINED = "drained"
    """It launches nothing, and nothing runs there; it answers calls."""
    STOPPED = "stopped"
    """Its environment ended in order."""
    GONE = "gone"
    """Nothing was heard of its environment for 15 s."""


@dataclass(frozen=True, slots=True)
class HostInfo:
    """A host: a data directory, and the environment that has it now or had it last.

    Attributes:
        host_id: random id that is kept in the data directory.
        host_name: name of the machine, or the one that its environment was given.
        state: what it does now.
        address: where its environment answers calls; None when it does not say.
        version: of its environment.
        runner_type: what runs its launches.
        isolation: what that runner isolates.
        live_launches: launches that it watches.
        max_launches: most of them at a time; None when only the limit of core counts.
        artifact_count: artifacts of images that it holds.
        started_at_ms: when its environment was started.
        last_seen_at_ms: when it was heard of last.
        drain_requested_at_ms: when it was asked to drain; None when it was not.
        artifact_digests: SHA-256 of the artifacts, when they were asked for.
    """

    host_id: str
    host_name: str
    state: HostState
    address: str | None
    version: str
    runner_type: str
    isolation: str
    live_launches: int
    max_launches: int | None
    artifact_count: int
    started_at_ms: int
    last_seen_at_ms: int
    drain_requested_at_ms: int | None = None
    artifact_digests: tuple[str, ...] = ()
