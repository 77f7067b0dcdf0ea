"""From the settings to the places of artifacts."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from runtara_core.database import Database
from runtara_sdk.clock import Clock

from runtara_environment.fetching.database_source import DatabaseSource
from runtara_environment.fetching.directory_source import DirectorySource
from runtara_environment.fetching.host_source import HostSource
from runtara_environment.fetching.needed import NeededArtifacts
from runtara_environment.fetching.peer import OpenPeer
from runtara_environment.fetching.source import ArtifactSource
from runtara_environment.hosts import HostTable


def artifact_sources(
    names: Iterable[str],
    *,
    database: Database,
    hosts: HostTable,
    own_host_id: str,
    open_peer: OpenPeer | None,
    clock: Clock,
) -> tuple[ArtifactSource, ...]:
    """The places of `ImageSettings.sources`, in order; without `open_peer` other hosts are none."""
    made: list[ArtifactSource] = []
    for name in names:
        if name == "database":
            made.append(DatabaseSource(database, clock))
        elif name != "hosts":
            made.append(DirectorySource(Path(name.partition(":")[2]), NeededArtifacts(database)))
        elif open_peer is not None:
            made.append(HostSource(hosts, own_host_id, open_peer, clock))
    return tuple(made)
