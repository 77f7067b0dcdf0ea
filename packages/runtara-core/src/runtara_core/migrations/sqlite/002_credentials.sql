-- Times are milliseconds since the Unix epoch, UTC.

-- What instance tokens are signed with: the current secret, and the one before it until the next rotation.
CREATE TABLE token_secrets (
    role TEXT NOT NULL PRIMARY KEY CHECK (role IN ('current', 'previous')),
    secret_id TEXT NOT NULL UNIQUE CHECK (secret_id <> ''),
    created_at_ms BIGINT NOT NULL,
    secret BLOB NOT NULL
);

-- Of a key only the digest of its secret part is kept. A key without a tenant is the operator's.
CREATE TABLE api_keys (
    key_id TEXT NOT NULL PRIMARY KEY CHECK (key_id <> ''),
    tenant_id TEXT CHECK (tenant_id <> ''),
    name TEXT NOT NULL,
    created_at_ms BIGINT NOT NULL,
    revoked_at_ms BIGINT,
    secret_sha256 BLOB NOT NULL
);
