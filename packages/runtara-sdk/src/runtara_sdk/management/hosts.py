"""The environments that share a database: who is there, and how a host is emptied."""

from __future__ import annotations

from runtara_sdk.errors import InvalidInputError
from runtara_sdk.management.connection import EnvironmentConnection
from runtara_sdk.management.host_models import HostInfo, HostState
from runtara_sdk.protocol import environment_pb2 as pb

MAX_SUSPEND_SECONDS = 86_400

_STATES = {
    pb.HOST_ACTIVE: HostState.ACTIVE,
    pb.HOST_DRAINING: HostState.DRAINING,
    pb.HOST_DRAINED: HostState.DRAINED,
    pb.HOST_STOPPED: HostState.STOPPED,
    pb.HOST_GONE: HostState.GONE,
}


class HostVerbs(EnvironmentConnection):
    """The part of `ManagementSdk` that knows the hosts. Where there are API keys, it needs that of an operator."""

    async def list_hosts(self, *, with_artifacts: bool = False) -> tuple[HostInfo, ...]:
        """The hosts of the environment's database, those heard of last first, at most 1000.

        Args:
            with_artifacts: also the digests of the artifacts that each host holds.
        """
        message = pb.ListHostsRequest(with_artifacts=with_artifacts)
        response = await self._call(pb.RpcRequest(list_hosts=message), "list_hosts")
        return tuple(_decode_host(host) for host in response.list_hosts.hosts)

    async def drain_host(self, host: str, *, suspend_seconds: int | None = None) -> HostInfo:
        """Ask a host to launch nothing more, and to let what runs on it suspend; other hosts go on with that.

        It may be asked of any environment of the database. The answer comes at once; `list_hosts` tells when the host
        is drained. It stays so, through restarts, until `undrain_host`. A host that is gone drains when it comes back.

        Args:
            host: its id, the beginning of its id, or its name.
            suspend_seconds: how long a launch may take to suspend before it is ended; None is 60 s.

        Raises `InvalidInputError` when no host, or more than one, is meant.
        """
        if suspend_seconds is not None and not 1 <= suspend_seconds <= MAX_SUSPEND_SECONDS:
            raise InvalidInputError(f"suspend_seconds is {suspend_seconds}: give 1 to {MAX_SUSPEND_SECONDS} seconds")
        return await self._drain(pb.DrainHostRequest(host=host, suspend_seconds=suspend_seconds or 0))

    async def undrain_host(self, host: str) -> HostInfo:
        """Let a host launch instances again; the rest as in `drain_host`."""
        return await self._drain(pb.DrainHostRequest(host=host, undo=True))

    async def _drain(self, message: pb.DrainHostRequest) -> HostInfo:
        response = await self._call(pb.RpcRequest(drain_host=message), "drain_host")
        return _decode_host(response.drain_host.host)


def _decode_host(host: pb.HostSummary) -> HostInfo:
    return HostInfo(
        host_id=host.host_id,
        host_name=host.host_name,
        state=_STATES.get(host.state, HostState.UNKNOWN),
        address=host.address if host.HasField("address") else None,
        version=host.version,
        runner_type=host.runner_type,
        isolation=host.isolation,
        live_launches=host.live_launches,
        max_launches=host.max_launches if host.HasField("max_launches") else None,
        artifact_count=host.artifact_count,
        started_at_ms=host.started_at_ms,
        last_seen_at_ms=host.last_seen_at_ms,
        drain_requested_at_ms=host.drain_requested_at_ms if host.HasField("drain_requested_at_ms") else None,
        artifact_digests=tuple(host.artifact_digests),
    )
