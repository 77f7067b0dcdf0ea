"""Secrets and keys in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from runtara_core.security import MAX_ACTIVE_API_KEYS, ApiKeyRecord, CredentialStore, TokenSecret, TokenSecrets
from runtara_sdk.errors import InvalidStateError


class MemoryCredentialStore(CredentialStore):
    """Dictionaries."""

    def __init__(self) -> None:
        self._secrets: TokenSecrets | None = None
        self._keys: dict[str, ApiKeyRecord] = {}

    def forget(self) -> None:
        """Be empty again."""
        self._secrets = None
        self._keys.clear()

    async def load_token_secrets(self, candidate: TokenSecret, *, now_ms: int) -> TokenSecrets:
        self._secrets = self._secrets or TokenSecrets(candidate)
        return self._secrets

    async def rotate_token_secret(self, successor: TokenSecret, *, now_ms: int) -> TokenSecrets:
        self._secrets = TokenSecrets(successor, self._secrets.current if self._secrets else None)
        return self._secrets

    async def create_api_key(self, record: ApiKeyRecord) -> None:
        if len(await self.list_api_keys(include_revoked=False)) >= MAX_ACTIVE_API_KEYS:
            raise InvalidStateError("too many API keys are good already")
        self._keys[record.key_id] = record

    async def list_api_keys(self, *, include_revoked: bool) -> Sequence[ApiKeyRecord]:
        keys = [key for key in self._keys.values() if include_revoked or key.revoked_at_ms is None]
        return sorted(keys, key=lambda key: (-key.created_at_ms, key.key_id))[:MAX_ACTIVE_API_KEYS]

    async def revoke_api_key(self, key_id: str, *, now_ms: int) -> ApiKeyRecord | None:
        key = self._keys.get(key_id)
        if key is not None and key.revoked_at_ms is None:
            key = self._keys[key_id] = replace(key, revoked_at_ms=now_ms)
        return key
