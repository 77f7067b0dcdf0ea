"""The other hosts of the database as a place of artifacts."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from runtara_sdk.clock import Clock
from runtara_sdk.errors import RuntaraError, StorageError

from runtara_environment.fetching.peer import OpenPeer
from runtara_environment.fetching.source import ArtifactSource
from runtara_environment.hosts import HostTable
from runtara_environment.registry import ArtifactUnavailableError

_MAX_HOSTS = 8
"""Most hosts that are asked for one artifact."""


class HostSource(ArtifactSource):
    """The artifacts of hosts that are there. When one fails on the way, the next goes on behind what has come."""

    name = "hosts"

    def __init__(self, hosts: HostTable, own_host_id: str, open_peer: OpenPeer, clock: Clock) -> None:
        self._hosts = hosts
        self._own_host_id = own_host_id
        self._open_peer = open_peer
        self._clock = clock

    async def read(self, digest: str, size_bytes: int) -> AsyncGenerator[bytes, None]:
        received = 0
        failures: list[str] = []
        for host in await self._hosts.with_artifact(digest, limit=_MAX_HOSTS, now_ms=self._clock.now_ms()):
            if host.host_id == self._own_host_id or host.address is None:
                continue
            try:
                async with self._open_peer(host.address) as peer:
                    while received < size_bytes:
                        part = await peer.read_artifact(digest, received)
                        if not part.found or part.size_bytes != size_bytes or not part.content:
                            raise ArtifactUnavailableError("it does not have it as it should be")
                        received += len(part.content)
                        yield part.content
                return
            except RuntaraError as error:
                failures.append(f"host {host.host_name} at {host.address}: {error.message}")
        if failures:
            raise StorageError("; ".join(failures))
        raise ArtifactUnavailableError("no host that is there has it")
