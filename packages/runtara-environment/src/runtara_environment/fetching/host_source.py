"""The other hosts of the database as places of artifacts."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence

from runtara_sdk.clock import Clock

from runtara_environment.fetching.peer import OpenPeer
from runtara_environment.fetching.source import ArtifactPlace, ArtifactSource
from runtara_environment.hosts import Host, HostTable
from runtara_environment.registry import ArtifactUnavailableError

_MAX_HOSTS = 8
"""Most hosts that are asked for one artifact."""


class HostSource(ArtifactSource):
    """The hosts that are there and hold an artifact."""

    name = "hosts"

    def __init__(self, hosts: HostTable, own_host_id: str, open_peer: OpenPeer, clock: Clock) -> None:
        self._hosts = hosts
        self._own_host_id = own_host_id
        self._open_peer = open_peer
        self._clock = clock

    async def places(self, digest: str) -> Sequence[ArtifactPlace]:
        found = await self._hosts.with_artifact(digest, limit=_MAX_HOSTS, now_ms=self._clock.now_ms())
        places = [
            HostPlace(host, host.address, self._open_peer)
            for host in found
            if host.host_id != self._own_host_id and host.address is not None
        ]
        if not places:
            raise ArtifactUnavailableError("no host that is there has it")
        return places


class HostPlace(ArtifactPlace):
    """The artifacts of one other host."""

    def __init__(self, host: Host, address: str, open_peer: OpenPeer) -> None:
        self.name = f"host {host.host_name} at {address}"
        self._address = address
        self._open_peer = open_peer

    async def read(self, digest: str, size_bytes: int, offset: int) -> AsyncGenerator[bytes, None]:
        async with self._open_peer(self._address) as peer:
            while offset < size_bytes:
                part = await peer.read_artifact(digest, offset)
                if not part.found or part.size_bytes != size_bytes or not part.content:
                    raise ArtifactUnavailableError("it does not have it as it should be")
                offset += len(part.content)
                yield part.content
