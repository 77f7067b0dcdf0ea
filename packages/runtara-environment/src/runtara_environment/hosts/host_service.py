"""The verbs about hosts: listed, drained, given back."""

from __future__ import annotations

from runtara_sdk.clock import Clock

from runtara_environment.hosts.host_table import HostTable
from runtara_environment.hosts.models import Host
from runtara_environment.hosts.presence import DEFAULT_DRAIN_SECONDS, HostPresence


class HostService:
    """Serves operators, whichever environment of the database they ask. `own` is the presence of this one."""

    def __init__(self, hosts: HostTable, own: HostPresence | None, clock: Clock) -> None:
        self._hosts = hosts
        self._own = own
        self._clock = clock

    async def list_hosts(self) -> list[Host]:
        """The hosts of the database, those heard of last first."""
        return await self._hosts.list_hosts(now_ms=self._clock.now_ms())

    async def artifacts_of(self, host_id: str) -> set[str]:
        """Digests of the artifacts that a host holds."""
        return await self._hosts.artifacts_of(host_id)

    async def drain_host(self, host: str, *, suspend_seconds: int | None) -> Host:
        """Ask a host to drain; its row says when it is. Raises `InvalidInputError` when no one host is meant."""
        return await self._request(host, self._clock.now_ms(), suspend_seconds or DEFAULT_DRAIN_SECONDS)

    async def undrain_host(self, host: str) -> Host:
        """Let a host claim launches again. Raises `InvalidInputError` when no one host is meant."""
        return await self._request(host, None, None)

    async def _request(self, text: str, requested_at_ms: int | None, seconds: int | None) -> Host:
        host = await self._hosts.find(text, now_ms=self._clock.now_ms())
        if (host.drain_requested_at_ms is None) != (requested_at_ms is None):  # one that is asked for stays as it is
            await self._hosts.request_drain(host.host_id, requested_at_ms=requested_at_ms, drain_seconds=seconds)
        if self._own is not None and host.host_id == self._own.host_id:
            self._own.ring()
        return await self._hosts.find(host.host_id, now_ms=self._clock.now_ms())
