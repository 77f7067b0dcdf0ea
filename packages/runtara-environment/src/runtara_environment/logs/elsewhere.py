"""Output that is on other hosts: their environments are asked for it.

An environment that is asked by another one answers for its own host alone, so a question never goes round. It is asked
with the key of an operator, about an instance of which the asker knows that the caller may read it.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

from runtara_sdk.clock import Clock
from runtara_sdk.errors import LogsNotFoundError, LogsOnOtherHostError, RuntaraError

from runtara_environment.fetching.peer import OpenPeer
from runtara_environment.hosts import Host, HostTable
from runtara_environment.logs.models import LogPiece, LogRequest

_MAX_HOSTS = 32
"""Most hosts that are asked for one launch, those heard of last."""


class LogsElsewhere:
    """The other hosts of the database; without `open_peer` none of them can be asked."""

    def __init__(self, hosts: HostTable, own_host_id: str, open_peer: OpenPeer | None, clock: Clock) -> None:
        self._hosts = hosts
        self._own_host_id = own_host_id
        self._open_peer = open_peer
        self._clock = clock

    async def of_host(self, request: LogRequest, host_id: str, *, wait_ms: int) -> LogPiece | None:
        """What a host has of a launch; None when it has nothing, or its environment is not there.

        Raises `LogsOnOtherHostError` when it cannot be asked.
        """
        host = next((host for host in await self._there() if host.host_id == host_id), None)
        try:
            return None if host is None else await self._ask(host, replace(request, wait_ms=wait_ms))
        except LogsNotFoundError as error:
            if error.retryable:
                raise
            return None

    async def of_any(self, request: LogRequest) -> LogPiece | None:
        """What any host has of a launch, or of the newest one that is somewhere; None when no host has anything.

        Raises `LogsOnOtherHostError` when there may be something on a host that cannot be asked.
        """
        hosts = (await self._there())[:_MAX_HOSTS]
        answers = await asyncio.gather(
            *(self._ask(host, replace(request, wait_ms=0)) for host in hosts), return_exceptions=True
        )
        pieces = [answer for answer in answers if isinstance(answer, LogPiece)]
        if pieces:
            return max(pieces, key=lambda piece: piece.epoch)
        for answer in answers:
            is_known = isinstance(answer, LogsNotFoundError) and not answer.retryable
            if isinstance(answer, BaseException) and not is_known:
                raise answer
        return None

    async def _there(self) -> list[Host]:
        if self._open_peer is None:
            return []
        hosts = await self._hosts.list_hosts(now_ms=self._clock.now_ms())
        return [host for host in hosts if host.is_there and host.address and host.host_id != self._own_host_id]

    async def _ask(self, host: Host, request: LogRequest) -> LogPiece:
        if self._open_peer is None or host.address is None:
            raise AssertionError("only hosts that can be reached are asked")
        try:
            async with self._open_peer(host.address) as peer:
                answer = await peer.read_logs(
                    request.instance_id,
                    request.stream,
                    tenant_id=request.tenant_id,
                    epoch=request.epoch,
                    offset=request.offset,
                    tail_lines=request.tail_lines,
                    limit_bytes=request.limit_bytes,
                    wait_ms=request.wait_ms,
                    follows=request.follows,
                )
        except LogsNotFoundError:
            raise
        except RuntaraError as error:
            raise LogsOnOtherHostError(
                f"the host {host.host_name} at {host.address} may have output of instance {request.instance_id}, and "
                f"cannot be asked: {error.message}",
                host_id=host.host_id,
                retryable=True,  # it may come back, or turn out to be gone
            ) from error
        return LogPiece(
            epoch=answer.epoch,
            offset=answer.offset,
            data=answer.data,
            dropped=answer.dropped,
            ended=answer.ended,
            next_epoch=answer.next_epoch,
            status=answer.status,
        )
