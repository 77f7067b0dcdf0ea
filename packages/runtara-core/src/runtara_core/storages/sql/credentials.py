"""Secrets and keys in a SQL database."""

from __future__ import annotations

from collections.abc import Sequence

from runtara_sdk.errors import InvalidStateError

from runtara_core.database import Database, QuerySet, Row, Transaction
from runtara_core.security.api_keys import ApiKeyRecord
from runtara_core.security.credentials import MAX_ACTIVE_API_KEYS, CredentialStore
from runtara_core.security.instance_tokens import TokenSecret, TokenSecrets
from runtara_core.storages.sql.limits import require_tenant_id

CREDENTIAL_QUERIES = QuerySet.load("runtara_core", "sql/credentials.sql")
"""The queries that a `Database` for `SqlCredentialStore` must carry."""


class SqlCredentialStore(CredentialStore):
    """Secrets and keys in the tables of core's schema. `database` carries `CREDENTIAL_QUERIES`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def load_token_secrets(self, candidate: TokenSecret, *, now_ms: int) -> TokenSecrets:
        known = await self._database.run(_load_secrets, operation="load_token_secrets", read_only=True)
        if known is not None:
            return known

        async def insert(transaction: Transaction) -> TokenSecrets:
            await _insert_secret(transaction, candidate, now_ms)
            return await _require_secrets(transaction)

        return await self._database.run(insert, operation="load_token_secrets")

    async def rotate_token_secret(self, successor: TokenSecret, *, now_ms: int) -> TokenSecrets:
        async def rotate(transaction: Transaction) -> TokenSecrets:
            await transaction.fetch_one("lock_credentials")
            await transaction.execute("delete_previous_token_secret")
            await transaction.execute("retire_token_secret")
            await _insert_secret(transaction, successor, now_ms)
            return await _require_secrets(transaction)

        return await self._database.run(rotate, operation="rotate_token_secret")

    async def create_api_key(self, record: ApiKeyRecord) -> None:
        if record.tenant_id is not None:
            require_tenant_id(record.tenant_id)

        async def create(transaction: Transaction) -> None:
            await transaction.fetch_one("lock_credentials")
            row = await transaction.fetch_one("count_active_api_keys")
            if row is not None and row["active"] >= MAX_ACTIVE_API_KEYS:
                raise InvalidStateError(f"{MAX_ACTIVE_API_KEYS} API keys are good already: revoke unused ones first")
            await transaction.execute(
                "insert_api_key",
                key_id=record.key_id,
                tenant_id=record.tenant_id,
                name=record.name,
                created_at_ms=record.created_at_ms,
                secret_sha256=record.secret_sha256,
            )

        await self._database.run(create, operation="create_api_key")

    async def list_api_keys(self, *, include_revoked: bool) -> Sequence[ApiKeyRecord]:
        async def read(transaction: Transaction) -> Sequence[ApiKeyRecord]:
            query = "list_api_keys" if include_revoked else "list_active_api_keys"
            return [_record(row) for row in await transaction.fetch_all(query, limit=MAX_ACTIVE_API_KEYS)]

        return await self._database.run(read, operation="list_api_keys", read_only=True)

    async def revoke_api_key(self, key_id: str, *, now_ms: int) -> ApiKeyRecord | None:
        async def revoke(transaction: Transaction) -> ApiKeyRecord | None:
            await transaction.execute("revoke_api_key", key_id=key_id, now_ms=now_ms)
            row = await transaction.fetch_one("get_api_key", key_id=key_id)
            return None if row is None else _record(row)

        return await self._database.run(revoke, operation="revoke_api_key")


async def _insert_secret(transaction: Transaction, secret: TokenSecret, now_ms: int) -> None:
    await transaction.execute("insert_token_secret", secret_id=secret.secret_id, secret=secret.secret, now_ms=now_ms)


async def _load_secrets(transaction: Transaction) -> TokenSecrets | None:
    rows = {row["role"]: row for row in await transaction.fetch_all("load_token_secrets")}
    if "current" not in rows:
        return None
    previous = rows.get("previous")
    return TokenSecrets(_secret(rows["current"]), None if previous is None else _secret(previous))


async def _require_secrets(transaction: Transaction) -> TokenSecrets:
    known = await _load_secrets(transaction)
    if known is None:
        raise AssertionError("the secret that was just stored is not there")
    return known


def _secret(row: Row) -> TokenSecret:
    return TokenSecret(row["secret_id"], bytes(row["secret"]))


def _record(row: Row) -> ApiKeyRecord:
    return ApiKeyRecord(
        key_id=row["key_id"],
        tenant_id=row["tenant_id"],
        name=row["name"],
        created_at_ms=row["created_at_ms"],
        revoked_at_ms=row["revoked_at_ms"],
        secret_sha256=bytes(row["secret_sha256"]),
    )
