"""Connections that a program has fetched lately, in memory only.

An answer is used again for a minute (`RUNTARA_CONNECTION_TTL_MS`), by everything that asks for the same connection for
the same purpose; who asks meanwhile waits for the one fetch. What says how often the connection may be used is never
kept, and what an agent's other side did not accept is fetched again at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from runtara_sdk.clock import Clock
from runtara_sdk.workflow.connections import ConnectionRequest
from runtara_sdk.workflow.json_text import copy_json

DEFAULT_TTL_MS = 60_000
_MAXIMUM_ENTRIES = 256

_Key = tuple[str, str, str]


@dataclass(slots=True)
class _Entry:
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    answer: dict[str, Any] | None = None
    until_ms: int = 0
    was_reused: bool = False


class ConnectionCache:
    """The connections of one program.

    Args:
        fetch: asks the connection service.
        clock: source of time.
        ttl_ms: how long an answer is used, milliseconds; 0 keeps none.
    """

    def __init__(
        self, fetch: Callable[[ConnectionRequest], Awaitable[dict[str, Any]]], clock: Clock, *, ttl_ms: int
    ) -> None:
        self._fetch = fetch
        self._clock = clock
        self._ttl_ms = ttl_ms
        self._entries: dict[_Key, _Entry] = {}

    async def get(self, request: ConnectionRequest) -> dict[str, Any]:
        """What the service says of a connection, now or within the time; raises `StepFailedError`."""
        if self._ttl_ms == 0:
            return await self._fetch(request)
        key = _key(request)
        if key not in self._entries and len(self._entries) >= _MAXIMUM_ENTRIES:
            self._entries.pop(next(iter(self._entries)))
        entry = self._entries.setdefault(key, _Entry())
        async with entry.turn:
            if entry.answer is not None and self._clock.now_ms() < entry.until_ms:
                entry.was_reused = True
                return dict(copy_json(entry.answer))  # whoever gets it may change it
            entry.answer = None
            answer = await self._fetch(request)
            if "rate_limit" not in answer:
                entry.answer, entry.was_reused = copy_json(answer), False
                entry.until_ms = self._clock.now_ms() + self._ttl_ms
            return answer

    def forget(self, request: ConnectionRequest) -> bool:
        """Drop an answer whose credentials were refused; returns whether another fetch may give other ones."""
        entry = self._entries.pop(_key(request), None)
        return entry is not None and entry.was_reused


def _key(request: ConnectionRequest) -> _Key:
    return request.tenant_id, request.connection_id, request.tag
