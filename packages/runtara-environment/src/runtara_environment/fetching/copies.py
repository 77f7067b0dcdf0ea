"""Where a new artifact is kept besides this host, so that the loss of one host strands nothing."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

from runtara_sdk.clock import Clock
from runtara_sdk.errors import RuntaraError

from runtara_environment.fetching.peer import OpenPeer
from runtara_environment.fetching.source import ArtifactSource, KeepingSource
from runtara_environment.hosts import Host, HostState, HostTable
from runtara_environment.registry import ArtifactStore

logger = logging.getLogger(__name__)

_SPREAD_SECONDS = 120.0


class ArtifactCopies:
    """Puts artifacts into the sources that keep them, and has them held on `copies` hosts in all."""

    def __init__(
        self,
        store: ArtifactStore,
        sources: Sequence[ArtifactSource],
        hosts: HostTable,
        own_host_id: str,
        open_peer: OpenPeer | None,
        clock: Clock,
        publish: Callable[[], Awaitable[None]],
        *,
        copies: int,
    ) -> None:
        """`publish` tells others at once that this host has the artifact."""
        self._store = store
        self._keeping = [source for source in sources if isinstance(source, KeepingSource)]
        self._hosts = hosts
        self._own_host_id = own_host_id
        self._open_peer = open_peer
        self._clock = clock
        self._publish = publish
        self._copies = copies

    async def spread(self, digest: str, size_bytes: int) -> str | None:
        """Keep an artifact of this host where it should be kept, too; returns a warning where that failed."""
        warnings: list[str] = []
        try:
            async with asyncio.timeout(_SPREAD_SECONDS):
                await self._publish()
                for source in self._keeping:
                    try:
                        await source.keep(digest, await self._store.open(digest))
                    except RuntaraError as error:
                        warnings.append(f"it is not kept in the {source.name}: {error.message}")
                if self._copies > 1:
                    warnings += await self._copy(digest, size_bytes)
        except TimeoutError:
            warnings.append(f"copies of it were not made within {_SPREAD_SECONDS:g} s")
        except RuntaraError as error:
            warnings.append(f"copies of it cannot be made: {error.message}")
        if not warnings:
            return None
        logger.warning("artifact %s: %s", digest[:12], "; ".join(warnings))
        return "; ".join(warnings)

    async def _copy(self, digest: str, size_bytes: int) -> list[str]:
        now_ms = self._clock.now_ms()
        holders = {host.host_id for host in await self._hosts.with_artifact(digest, limit=self._copies, now_ms=now_ms)}
        holders.add(self._own_host_id)
        candidates = [
            host
            for host in await self._hosts.list_hosts(now_ms=now_ms)
            if host.state is HostState.ACTIVE and host.address is not None and host.host_id not in holders
        ]
        failures: list[str] = []
        while candidates and len(holders) < self._copies:
            missing = self._copies - len(holders)
            asked, candidates = candidates[:missing], candidates[missing:]
            answers = await asyncio.gather(*(self._ask(host, digest, size_bytes) for host in asked))
            for host, failure in zip(asked, answers, strict=True):
                if failure is None:
                    holders.add(host.host_id)
                else:
                    failures.append(f"host {host.host_name}: {failure}")
        if len(holders) >= self._copies:
            return []
        told = f" ({'; '.join(failures)})" if failures else ""
        return [f"it is kept on {len(holders)} of {self._copies} hosts{told}"]

    async def _ask(self, host: Host, digest: str, size_bytes: int) -> str | None:
        if self._open_peer is None:
            return "this environment reaches no other hosts"
        try:
            async with self._open_peer(host.address or "") as peer:
                return await peer.hold_artifact(digest, size_bytes)
        except RuntaraError as error:
            return error.message
