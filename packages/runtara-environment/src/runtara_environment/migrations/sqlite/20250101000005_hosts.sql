-- Who serves: one row for each host, which is a data directory, with the environment that has it now or had it last.
-- A process of an earlier version announces itself in launch_owners alone and is not listed here.

CREATE TABLE hosts (
    host_id TEXT NOT NULL PRIMARY KEY,
    owner TEXT NOT NULL,
    host_name TEXT NOT NULL,
    address TEXT,
    version TEXT NOT NULL,
    runner_type TEXT NOT NULL,
    isolation TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('active', 'draining', 'drained', 'stopped')),
    live_launches BIGINT NOT NULL,
    max_launches BIGINT,
    started_at_ms BIGINT NOT NULL,
    last_seen_at_ms BIGINT NOT NULL,
    drain_requested_at_ms BIGINT,
    drain_seconds BIGINT
);

CREATE INDEX hosts_last_seen ON hosts (last_seen_at_ms);

-- Which artifacts each host holds, by SHA-256.
CREATE TABLE host_artifacts (
    host_id TEXT NOT NULL REFERENCES hosts (host_id) ON DELETE CASCADE,
    digest TEXT NOT NULL,
    PRIMARY KEY (host_id, digest)
);

CREATE INDEX host_artifacts_digest ON host_artifacts (digest);

-- How long a launch that was told to cancel may go on, when whoever asked for its end said so.
CREATE TABLE stop_requests (
    instance_id TEXT NOT NULL,
    epoch BIGINT NOT NULL,
    grace_ms BIGINT NOT NULL,
    requested_at_ms BIGINT NOT NULL,
    PRIMARY KEY (instance_id, epoch)
);

CREATE INDEX stop_requests_age ON stop_requests (requested_at_ms);

-- Artifacts that are kept in the database, too. `size_bytes` is there once all chunks are.
CREATE TABLE stored_artifacts (
    digest TEXT NOT NULL PRIMARY KEY,
    size_bytes BIGINT,
    changed_at_ms BIGINT NOT NULL
);

CREATE TABLE artifact_chunks (
    digest TEXT NOT NULL REFERENCES stored_artifacts (digest) ON DELETE CASCADE,
    position BIGINT NOT NULL,
    content BLOB NOT NULL,
    PRIMARY KEY (digest, position)
);
