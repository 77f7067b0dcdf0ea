-- Queries of runtara_core.storages.sql.credentials, for both databases.

-- name: lock_credentials
SELECT 1 AS locked /*postgres FROM (SELECT pg_advisory_xact_lock(7267310843003)) AS credentials_lock*/;

-- name: load_token_secrets
SELECT role, secret_id, created_at_ms, secret FROM token_secrets ORDER BY role;

-- name: insert_token_secret
INSERT INTO token_secrets (role, secret_id, created_at_ms, secret)
VALUES ('current', :secret_id, :now_ms, :secret)
ON CONFLICT (role) DO NOTHING;

-- name: delete_previous_token_secret
DELETE FROM token_secrets WHERE role = 'previous';

-- name: retire_token_secret
UPDATE token_secrets SET role = 'previous' WHERE role = 'current';

-- name: count_active_api_keys
SELECT COUNT(*) AS active FROM api_keys WHERE revoked_at_ms IS NULL;

-- name: insert_api_key
INSERT INTO api_keys (key_id, tenant_id, name, created_at_ms, secret_sha256)
VALUES (:key_id, :tenant_id, :name, :created_at_ms, :secret_sha256);

-- name: list_active_api_keys
SELECT key_id, tenant_id, name, created_at_ms, revoked_at_ms, secret_sha256
FROM api_keys WHERE revoked_at_ms IS NULL ORDER BY created_at_ms DESC, key_id LIMIT :limit;

-- name: list_api_keys
SELECT key_id, tenant_id, name, created_at_ms, revoked_at_ms, secret_sha256
FROM api_keys ORDER BY created_at_ms DESC, key_id LIMIT :limit;

-- name: get_api_key
SELECT key_id, tenant_id, name, created_at_ms, revoked_at_ms, secret_sha256 FROM api_keys WHERE key_id = :key_id;

-- name: revoke_api_key
UPDATE api_keys SET revoked_at_ms = :now_ms WHERE key_id = :key_id AND revoked_at_ms IS NULL;
