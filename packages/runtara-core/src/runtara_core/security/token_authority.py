"""Issues and verifies instance tokens without asking the database for each.

The secrets are read again every few seconds, so that a rotation by another process is followed, and once more when a
token names a secret that is not known.
"""

from __future__ import annotations

import asyncio

from runtara_sdk.clock import Clock
from runtara_sdk.errors import UnauthenticatedError

from runtara_core.security.credentials import CredentialStore
from runtara_core.security.instance_tokens import InstanceToken, PresentedToken, TokenSecret, TokenSecrets

REFRESH_MS = 5_000
"""How long secrets are used before they are read again."""

_SHORTEST_REFRESH_MS = 1_000
_MAX_VERIFIED = 4_096


class TokenAuthority:
    """Signs with the current secret and accepts the current and the previous one."""

    def __init__(self, store: CredentialStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._secrets: TokenSecrets | None = None
        self._read_at_ms = 0
        self._reading = asyncio.Lock()
        # A process shows its token with every call; what `_verified_by` has signed is not taken apart again.
        self._verified: dict[str, InstanceToken] = {}
        self._verified_by: TokenSecrets | None = None

    async def signing_secret(self) -> TokenSecret:
        """The secret to sign with now; made when the database has none yet."""
        return (await self._read(REFRESH_MS)).current

    async def issue(self, token: InstanceToken) -> str:
        """The token as text."""
        return token.sign(await self.signing_secret())

    async def verify(self, text: str) -> InstanceToken:
        """What a token says; raises `UnauthenticatedError` unless a secret in force has signed it."""
        secrets = await self._read(REFRESH_MS)
        if secrets == self._verified_by and text in self._verified:
            return self._verified[text]
        presented = PresentedToken.parse(text)
        if presented is None:
            raise UnauthenticatedError("the instance token is not readable: pass on what the launch was given")
        secret = secrets.find(presented.secret_id)
        if secret is None:
            secrets = await self._read(_SHORTEST_REFRESH_MS)
            secret = secrets.find(presented.secret_id)
        if secret is None or not presented.is_signed_by(secret):
            raise UnauthenticatedError("the instance token is not valid, or its secret was rotated out since")
        if secrets != self._verified_by or len(self._verified) >= _MAX_VERIFIED:
            self._verified, self._verified_by = {}, secrets
        self._verified[text] = presented.token
        return presented.token

    async def _read(self, max_age_ms: int) -> TokenSecrets:
        known = self._fresh(max_age_ms)
        if known is not None:
            return known
        async with self._reading:
            known = self._fresh(max_age_ms)  # read by whoever held the lock
            if known is None:
                now_ms = self._clock.now_ms()
                known = await self._store.load_token_secrets(TokenSecret.generate(), now_ms=now_ms)
                self._secrets, self._read_at_ms = known, now_ms
        return known

    def _fresh(self, max_age_ms: int) -> TokenSecrets | None:
        # A clock that was set back must not keep old secrets alive.
        return self._secrets if abs(self._clock.now_ms() - self._read_at_ms) < max_age_ms else None
