"""The keys that are good now, in memory and read again every few seconds.

A call costs no query. A revoked key ends within `REFRESH_MS`; a key that is not known makes them be read again at most
once a second, so that a new one is good at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from runtara_sdk.clock import Clock
from runtara_sdk.errors import PermissionDeniedError, UnauthenticatedError

from runtara_core.security.api_keys import ApiKeyRecord, Principal, split_api_key
from runtara_core.security.credentials import CredentialStore

REFRESH_MS = 5_000
"""How long keys are used before they are read again."""

_SHORTEST_REFRESH_MS = 1_000


class KeyRing:
    """Tells whom a key stands for.

    Args:
        store: where the keys are.
        clock: ages what was read.
        always_required: a key is needed even while there is none, as for a port that other machines can reach.
    """

    def __init__(self, store: CredentialStore, clock: Clock, *, always_required: bool = False) -> None:
        self._store = store
        self._clock = clock
        self._always_required = always_required
        self._keys: Mapping[str, ApiKeyRecord] | None = None
        self._read_at_ms = 0
        self._reading = asyncio.Lock()

    async def is_required(self) -> bool:
        """Whether callers must present a key: as soon as one is good."""
        return self._always_required or bool(await self._read())

    async def authenticate(self, text: str | None) -> Principal | None:
        """Whom the key of a call stands for; None when no keys are required and the call is open to anybody.

        Raises `UnauthenticatedError` for a call without a valid key.
        """
        if not await self.is_required():
            return None
        if not text:
            raise UnauthenticatedError("this call needs an API key: set RUNTARA_API_KEY (see `runtara keys create`)")
        parts = split_api_key(text)
        record = None if parts is None else await self._find(parts[0])
        if parts is None or record is None or not record.accepts(parts[1]):
            raise UnauthenticatedError("the API key is not valid: it is unknown or revoked")
        return Principal(record.tenant_id)

    async def require_operator(self, text: str | None) -> None:
        """Raise unless the call may do what only the operator may."""
        principal = await self.authenticate(text)
        if principal is not None and not principal.is_operator:
            raise PermissionDeniedError("this call needs an operator key (see `runtara keys create --operator`)")

    async def _find(self, key_id: str) -> ApiKeyRecord | None:
        return (await self._read()).get(key_id) or (await self._read(_SHORTEST_REFRESH_MS)).get(key_id)

    async def _read(self, max_age_ms: int = REFRESH_MS) -> Mapping[str, ApiKeyRecord]:
        known = self._fresh(max_age_ms)
        if known is not None:
            return known
        async with self._reading:
            known = self._fresh(max_age_ms)  # read by whoever held the lock
            if known is None:
                now_ms = self._clock.now_ms()
                records = await self._store.list_api_keys(include_revoked=False)
                known = {record.key_id: record for record in records}
                self._keys, self._read_at_ms = known, now_ms
        return known

    def _fresh(self, max_age_ms: int) -> Mapping[str, ApiKeyRecord] | None:
        # A clock that was set back must not keep a revoked key alive.
        return self._keys if abs(self._clock.now_ms() - self._read_at_ms) < max_age_ms else None
