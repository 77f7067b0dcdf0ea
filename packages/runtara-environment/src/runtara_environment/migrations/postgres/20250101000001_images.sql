-- Times are milliseconds since the Unix epoch, UTC. A name keeps its image_id for ever; a deleted image keeps its row and
-- its versions, so that what was started with them can still be resumed.

CREATE TABLE images (
    image_id TEXT NOT NULL PRIMARY KEY,
    tenant_id TEXT NOT NULL CHECK (tenant_id <> ''),
    name TEXT NOT NULL CHECK (name <> ''),
    description TEXT,
    runner_type TEXT NOT NULL,
    metadata TEXT,
    current_version BIGINT NOT NULL,
    created_at_ms BIGINT NOT NULL,
    updated_at_ms BIGINT NOT NULL,
    deleted_at_ms BIGINT,
    UNIQUE (tenant_id, name)
);

CREATE INDEX images_created ON images (created_at_ms, image_id) WHERE deleted_at_ms IS NULL;
CREATE INDEX images_tenant_created ON images (tenant_id, created_at_ms, image_id) WHERE deleted_at_ms IS NULL;

CREATE TABLE image_versions (
    image_id TEXT NOT NULL REFERENCES images (image_id),
    version BIGINT NOT NULL CHECK (version >= 1),
    digest TEXT NOT NULL,
    size_bytes BIGINT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('native', 'python', 'executable')),
    created_at_ms BIGINT NOT NULL,
    PRIMARY KEY (image_id, version),
    UNIQUE (image_id, digest)
);

CREATE INDEX image_versions_digest ON image_versions (digest);
