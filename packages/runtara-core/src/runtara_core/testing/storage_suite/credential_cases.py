"""Token secrets and API keys."""

from __future__ import annotations

import asyncio

from runtara_core.security import TokenSecret, issue_api_key
from runtara_core.storage import Storage
from runtara_core.testing.storage_suite.scenario import START_MS


class CredentialCases:
    """What is kept of secrets and keys."""

    async def test_first_calls_agree_on_one_secret(self, storage: Storage) -> None:
        """Insert-if-absent: the secret that is stored wins, also over concurrent calls."""
        found = await asyncio.gather(
            *(storage.credentials.load_token_secrets(TokenSecret.generate(), now_ms=START_MS) for _ in range(8))
        )
        assert len({secrets.current for secrets in found}) == 1
        assert found[0].previous is None
        assert len(found[0].current.secret) == 32

    async def test_rotation_keeps_one_secret_back(self, storage: Storage) -> None:
        """The current secret becomes previous, the one before that is forgotten."""
        first = (await storage.credentials.load_token_secrets(TokenSecret.generate(), now_ms=START_MS)).current
        second, third = TokenSecret.generate(), TokenSecret.generate()
        rotated = await storage.credentials.rotate_token_secret(second, now_ms=START_MS)
        assert (rotated.current, rotated.previous) == (second, first)
        rotated = await storage.credentials.rotate_token_secret(third, now_ms=START_MS)
        assert (rotated.current, rotated.previous) == (third, second)
        assert rotated.find(first.secret_id) is None
        assert await storage.credentials.load_token_secrets(TokenSecret.generate(), now_ms=START_MS) == rotated

    async def test_rotation_before_any_secret(self, storage: Storage) -> None:
        """A rotation may come before the first start."""
        secret = TokenSecret.generate()
        rotated = await storage.credentials.rotate_token_secret(secret, now_ms=START_MS)
        assert (rotated.current, rotated.previous) == (secret, None)

    async def test_concurrent_rotations_take_turns(self, storage: Storage) -> None:
        """Two of the new secrets remain, whatever the order."""
        made = [TokenSecret.generate() for _ in range(4)]
        await asyncio.gather(*(storage.credentials.rotate_token_secret(each, now_ms=START_MS) for each in made))
        left = await storage.credentials.load_token_secrets(TokenSecret.generate(), now_ms=START_MS)
        assert {left.current, left.previous} <= set(made)

    async def test_keys_are_listed_as_they_were_made(self, storage: Storage) -> None:
        """Newest first, with everything but the key itself."""
        operator = issue_api_key(tenant_id=None, name="operator", now_ms=START_MS).record
        tenant = issue_api_key(tenant_id="tenant-1", name="billing", now_ms=START_MS + 1).record
        for record in (operator, tenant):
            await storage.credentials.create_api_key(record)
        assert list(await storage.credentials.list_api_keys(include_revoked=False)) == [tenant, operator]

    async def test_revoked_key_leaves_the_active_ones(self, storage: Storage) -> None:
        """A key is revoked once and for good; an unknown one is told."""
        kept = issue_api_key(tenant_id="tenant-1", name="kept", now_ms=START_MS).record
        gone = issue_api_key(tenant_id="tenant-1", name="gone", now_ms=START_MS + 1).record
        for record in (kept, gone):
            await storage.credentials.create_api_key(record)
        for now_ms in (START_MS + 5, START_MS + 9):
            revoked = await storage.credentials.revoke_api_key(gone.key_id, now_ms=now_ms)
            assert revoked is not None
            assert revoked.revoked_at_ms == START_MS + 5
        assert list(await storage.credentials.list_api_keys(include_revoked=False)) == [kept]
        assert [each.key_id for each in await storage.credentials.list_api_keys(include_revoked=True)] == [
            gone.key_id,
            kept.key_id,
        ]
        assert await storage.credentials.revoke_api_key("0" * 16, now_ms=START_MS) is None
