"""The contract of what keeps secrets and keys; part of every storage (`Storage.credentials`)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from runtara_core.security.api_keys import ApiKeyRecord
from runtara_core.security.instance_tokens import TokenSecret, TokenSecrets

MAX_ACTIVE_API_KEYS = 10_000
"""Most keys that are good at a time: servers hold them all in memory."""


class CredentialStore(ABC):
    """Durable secrets and keys. Every method is one transaction and may raise `StorageError`."""

    @abstractmethod
    async def load_token_secrets(self, candidate: TokenSecret, *, now_ms: int) -> TokenSecrets:
        """The secrets in force; `candidate` becomes the current one when there is none yet.

        Of concurrent first calls all get the same secret.
        """

    @abstractmethod
    async def rotate_token_secret(self, successor: TokenSecret, *, now_ms: int) -> TokenSecrets:
        """Make `successor` current and the current one previous; the one before that is forgotten."""

    @abstractmethod
    async def create_api_key(self, record: ApiKeyRecord) -> None:
        """Keep a new key. `InvalidStateError` when `MAX_ACTIVE_API_KEYS` are good already."""

    @abstractmethod
    async def list_api_keys(self, *, include_revoked: bool) -> Sequence[ApiKeyRecord]:
        """Keys, newest first, at most `MAX_ACTIVE_API_KEYS` of them."""

    @abstractmethod
    async def revoke_api_key(self, key_id: str, *, now_ms: int) -> ApiKeyRecord | None:
        """Revoke a key and return its record; one that was revoked before keeps its time. None when unknown."""
