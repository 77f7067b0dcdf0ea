"""Says that this host is there, what it does and which artifacts it holds; does what it is asked to: drain, or not.

Requests are rows, so they may be made through any environment of the database, and outlive this process.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import replace
from typing import Any

from runtara_core.due import wait_until_rung
from runtara_sdk.clock import Clock
from runtara_sdk.errors import RuntaraError

from runtara_environment.hosts.host_table import HostIdentity, HostTable
from runtara_environment.hosts.models import GONE_AFTER_MS, Host, HostState
from runtara_environment.supervision.supervisor import Supervisor

logger = logging.getLogger(__name__)

_INTERVAL_SECONDS = GONE_AFTER_MS / 5_000
DEFAULT_DRAIN_SECONDS = 60
_DRAIN_AGAIN_SECONDS = 10.0


class HostPresence:
    """One host, from `start` to `close`. `held` tells the digests of the artifacts that it has."""

    def __init__(
        self,
        hosts: HostTable,
        identity: HostIdentity,
        supervisor: Supervisor,
        clock: Clock,
        held: Callable[[], Awaitable[frozenset[str]]],
    ) -> None:
        self._hosts = hosts
        self._identity = identity
        self._supervisor = supervisor
        self._clock = clock
        self._held = held
        self._published: set[str] | None = None
        self._publishing = asyncio.Lock()
        self._bell = asyncio.Event()
        self._drain: asyncio.Task[int] | None = None
        self._drain_of_ms: int | None = None
        self._is_stopping = False
        self._beating: asyncio.Task[None] | None = None

    @property
    def host_id(self) -> str:
        """Whose presence this is."""
        return self._identity.host_id

    @property
    def state(self) -> HostState:
        """What this host does now."""
        if self._drain is None:
            return HostState.ACTIVE
        is_drained = self._supervisor.is_drained and self._supervisor.live_count == 0 and self._drain.done()
        return HostState.DRAINED if is_drained else HostState.DRAINING

    def ring(self) -> None:
        """Say that something has changed that others should know, or that a request was made."""
        self._bell.set()

    async def start(self, address: str | None) -> None:
        """Announce the host, then the supervisor begins; one that was asked to drain claims nothing from the start.

        `address` is where the environment serves, told to others for want of one in the identity.
        """
        if self._identity.address is None:
            self._identity = replace(self._identity, address=address)
        host = await self._hosts.announce(self._identity, now_ms=self._clock.now_ms())
        await self._supervisor.start(claims=host.drain_requested_at_ms is None)
        self._follow(host)
        self._beating = asyncio.create_task(self._keep_beating(), name="say that the host is there")

    async def drain(self, seconds: float) -> int:
        """Empty this host because its environment stops; returns how many launches have not ended even so."""
        self._is_stopping = True
        if self._drain is not None:
            self._drain.cancel()
            await asyncio.gather(self._drain, return_exceptions=True)
        draining = self._begin_drain(self._supervisor.drain(seconds))
        self.ring()
        return await draining

    async def close(self) -> None:
        """Say that the environment ends in order."""
        tasks = [task for task in (self._beating, self._drain) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        with contextlib.suppress(RuntaraError):  # it is taken for gone then
            await self._touch(HostState.STOPPED)

    async def publish_artifacts(self) -> None:
        """Tell others which artifacts this host holds, when that has changed."""
        async with self._publishing:
            if self._published is None:
                self._published = await self._hosts.artifacts_of(self.host_id)
            held = await self._held()
            added, removed = held - self._published, self._published - held
            if added or removed:
                await self._hosts.change_artifacts(self.host_id, added=added, removed=removed)
                self._published = set(held)

    async def _keep_beating(self) -> None:
        while True:
            try:
                await self.publish_artifacts()
            except RuntaraError as error:
                logger.warning("cannot say which artifacts this host holds: %s", error)
            except Exception:
                logger.exception("saying which artifacts this host holds went wrong")
            try:
                host = await self._touch(self.state)
                if host is None:
                    logger.error(
                        "another environment has announced itself with the host id %s of this data directory: give a "
                        "copied data directory a host id of its own by removing its file host-id",
                        self.host_id,
                    )
                else:
                    self._follow(host)
            except RuntaraError as error:
                logger.warning("cannot say that this host is there: %s", error)
            except Exception:
                logger.exception("saying that this host is there went wrong")
            await wait_until_rung(self._bell, self._clock, _INTERVAL_SECONDS)
            self._bell.clear()

    async def _touch(self, state: HostState) -> Host | None:
        return await self._hosts.touch(
            self.host_id,
            self._identity.owner,
            state=state,
            live_launches=self._supervisor.live_count,
            now_ms=self._clock.now_ms(),
        )

    def _follow(self, host: Host) -> None:
        """Do what the row asks for."""
        if self._is_stopping or host.drain_requested_at_ms == self._drain_of_ms:
            return
        self._drain_of_ms = host.drain_requested_at_ms
        if self._drain is not None:
            self._drain.cancel()
            self._drain = None
        if host.drain_requested_at_ms is None:
            logger.info("this host is not drained any more: it claims launches again")
            self._supervisor.claim_again()
        else:
            seconds = DEFAULT_DRAIN_SECONDS if host.drain_seconds is None else host.drain_seconds
            logger.info("this host is drained: it claims no launches any more")
            self._begin_drain(self._drain_until_empty(seconds))
        self.ring()

    async def _drain_until_empty(self, seconds: float) -> int:
        """Drain again while something is left, or while it is not known what dead environments have left here."""
        while True:
            left = await self._supervisor.drain(seconds)
            if self._supervisor.is_drained:
                return left
            await self._clock.sleep(_DRAIN_AGAIN_SECONDS)

    def _begin_drain(self, work: Coroutine[Any, Any, int]) -> asyncio.Task[int]:
        draining = asyncio.create_task(work, name="drain")
        draining.add_done_callback(lambda _: self.ring())
        self._drain = draining
        return draining
