"""The calls of package `runtara.environment` that are about hosts."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from runtara_sdk.protocol import environment_pb2 as pb

from runtara_environment.fetching.exchange import ArtifactExchange
from runtara_environment.hosts import Host, HostState
from runtara_environment.hosts.host_service import HostService
from runtara_environment.registry import ArtifactUnavailableError

_STATES = {
    HostState.ACTIVE: pb.HOST_ACTIVE,
    HostState.DRAINING: pb.HOST_DRAINING,
    HostState.DRAINED: pb.HOST_DRAINED,
    HostState.STOPPED: pb.HOST_STOPPED,
    HostState.GONE: pb.HOST_GONE,
}


class HostHandler:
    """Decodes a call, asks the service, encodes the answer."""

    def __init__(self, hosts: HostService, exchange: ArtifactExchange) -> None:
        self._hosts = hosts
        self._exchange = exchange

    @property
    def verbs(self) -> Mapping[str, Callable[[pb.RpcRequest], Awaitable[pb.RpcResponse]]]:
        """The calls that are served here."""
        return {
            "list_hosts": self.list_hosts,
            "drain_host": self.drain_host,
            "read_artifact": self.read_artifact,
            "hold_artifact": self.hold_artifact,
        }

    async def list_hosts(self, request: pb.RpcRequest) -> pb.RpcResponse:
        """The hosts of the database."""
        hosts = await self._hosts.list_hosts()
        artifacts: dict[str, list[str]] = {}
        if request.list_hosts.with_artifacts:
            artifacts = {host.host_id: sorted(await self._hosts.artifacts_of(host.host_id)) for host in hosts}
        encoded = [_encode_host(host, artifacts.get(host.host_id, [])) for host in hosts]
        return pb.RpcResponse(list_hosts=pb.ListHostsResponse(hosts=encoded))

    async def drain_host(self, request: pb.RpcRequest) -> pb.RpcResponse:
        """Ask a host to drain, or take that back."""
        call = request.drain_host
        if call.undo:
            host = await self._hosts.undrain_host(call.host)
        else:
            host = await self._hosts.drain_host(call.host, suspend_seconds=call.suspend_seconds or None)
        return pb.RpcResponse(drain_host=pb.DrainHostResponse(host=_encode_host(host, [])))

    async def read_artifact(self, request: pb.RpcRequest) -> pb.RpcResponse:
        """A part of an artifact."""
        call = request.read_artifact
        part = await self._exchange.read(call.digest, call.offset)
        return pb.RpcResponse(
            read_artifact=pb.ReadArtifactResponse(found=part.found, size_bytes=part.size_bytes, content=part.content)
        )

    async def hold_artifact(self, request: pb.RpcRequest) -> pb.RpcResponse:
        """Fetch an artifact, to hold it from then on."""
        call = request.hold_artifact
        try:
            await self._exchange.hold(call.digest, call.size_bytes)
        except ArtifactUnavailableError as error:
            return pb.RpcResponse(hold_artifact=pb.HoldArtifactResponse(held=False, error=error.message))
        return pb.RpcResponse(hold_artifact=pb.HoldArtifactResponse(held=True))


def _encode_host(host: Host, digests: list[str]) -> pb.HostSummary:
    return pb.HostSummary(
        host_id=host.host_id,
        host_name=host.host_name,
        state=_STATES[host.state],
        address=host.address,
        version=host.version,
        runner_type=host.runner_type,
        isolation=host.isolation,
        live_launches=host.live_launches,
        max_launches=host.max_launches,
        artifact_count=host.artifact_count,
        started_at_ms=host.started_at_ms,
        last_seen_at_ms=host.last_seen_at_ms,
        drain_requested_at_ms=host.drain_requested_at_ms,
        artifact_digests=digests,
    )
