-- Times are milliseconds since the Unix epoch, UTC.

CREATE TABLE instances (
    instance_id TEXT NOT NULL PRIMARY KEY CHECK (instance_id <> ''),
    tenant_id TEXT NOT NULL CHECK (tenant_id <> ''),
    image_id TEXT,
    status TEXT NOT NULL CHECK (status IN ('pending', 'running', 'suspended', 'completed', 'failed', 'cancelled')),
    termination_reason TEXT CHECK (termination_reason IN (
        'completed', 'application_error', 'crashed', 'timeout', 'heartbeat_timeout', 'cancelled', 'paused', 'sleeping',
        'suspended', 'orphaned', 'launch_failed', 'shutdown_requested', 'environment_restart', 'waiting_signal'
    )),
    epoch BIGINT NOT NULL CHECK (epoch >= 0),
    checkpoint_id TEXT,
    checkpoint_count BIGINT NOT NULL DEFAULT 0,
    attempt BIGINT NOT NULL DEFAULT 1,
    max_attempts BIGINT NOT NULL DEFAULT 3,
    recovery_attempts BIGINT NOT NULL DEFAULT 0,
    failed_launches BIGINT NOT NULL DEFAULT 0,
    created_at_ms BIGINT NOT NULL,
    started_at_ms BIGINT,
    finished_at_ms BIGINT,
    wake_at_ms BIGINT,
    last_contact_at_ms BIGINT,
    lease_owner TEXT,
    lease_until_ms BIGINT,
    exit_code BIGINT,
    memory_peak_bytes BIGINT,
    cpu_usage_usec BIGINT,
    error TEXT,
    output BYTEA,
    stderr TEXT,
    CHECK ((status IN ('completed', 'failed', 'cancelled')) = (finished_at_ms IS NOT NULL)),
    CHECK (status IN ('pending', 'running') OR termination_reason IS NOT NULL),
    CHECK (wake_at_ms IS NULL OR status IN ('pending', 'suspended'))
) WITH (fillfactor = 80); -- room on the page for the updates that each checkpoint makes

CREATE INDEX instances_wake ON instances (wake_at_ms)
    WHERE status IN ('pending', 'suspended') AND wake_at_ms IS NOT NULL AND image_id IS NOT NULL;
CREATE INDEX instances_lease ON instances (lease_until_ms) WHERE status = 'running' AND image_id IS NOT NULL;
CREATE INDEX instances_running ON instances (instance_id) WHERE status = 'running';
CREATE INDEX instances_tenant_created ON instances (tenant_id, created_at_ms);
CREATE INDEX instances_created ON instances (created_at_ms);
CREATE INDEX instances_tenant_finished ON instances (tenant_id, finished_at_ms) WHERE finished_at_ms IS NOT NULL;

-- Written once and possibly large: kept apart so that changing an instance's state never rewrites it.
CREATE TABLE instance_inputs (
    instance_id TEXT NOT NULL PRIMARY KEY REFERENCES instances (instance_id) ON DELETE CASCADE,
    input BYTEA NOT NULL,
    launch_options BYTEA NOT NULL
);

CREATE TABLE checkpoints (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    instance_id TEXT NOT NULL REFERENCES instances (instance_id) ON DELETE CASCADE,
    checkpoint_id TEXT NOT NULL CHECK (checkpoint_id <> ''),
    created_at_ms BIGINT NOT NULL,
    state BYTEA NOT NULL,
    UNIQUE (instance_id, checkpoint_id)
);

CREATE INDEX checkpoints_order ON checkpoints (instance_id, id);

CREATE TABLE sleeps (
    instance_id TEXT NOT NULL REFERENCES instances (instance_id) ON DELETE CASCADE,
    checkpoint_id TEXT NOT NULL,
    wake_at_ms BIGINT NOT NULL,
    done_at_ms BIGINT,
    PRIMARY KEY (instance_id, checkpoint_id)
);

CREATE TABLE instance_events (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    instance_id TEXT NOT NULL REFERENCES instances (instance_id) ON DELETE CASCADE,
    epoch BIGINT NOT NULL,
    event_type TEXT NOT NULL CHECK (event_type IN ('started', 'heartbeat', 'completed', 'failed', 'suspended', 'custom')),
    subtype TEXT,
    checkpoint_id TEXT,
    event_key TEXT,
    created_at_ms BIGINT NOT NULL,
    payload BYTEA
);

CREATE INDEX instance_events_order ON instance_events (instance_id, id);
CREATE UNIQUE INDEX instance_events_key ON instance_events (instance_id, event_key) WHERE event_key IS NOT NULL;

CREATE TABLE pending_signals (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    instance_id TEXT NOT NULL REFERENCES instances (instance_id) ON DELETE CASCADE,
    signal_type TEXT NOT NULL CHECK (signal_type IN ('cancel', 'pause', 'resume')),
    created_at_ms BIGINT NOT NULL,
    acknowledged_at_ms BIGINT,
    payload BYTEA NOT NULL,
    UNIQUE (instance_id, signal_type)
);

CREATE TABLE custom_signals (
    instance_id TEXT NOT NULL REFERENCES instances (instance_id) ON DELETE CASCADE,
    checkpoint_id TEXT NOT NULL CHECK (checkpoint_id <> ''),
    created_at_ms BIGINT NOT NULL,
    payload BYTEA NOT NULL,
    PRIMARY KEY (instance_id, checkpoint_id)
);

CREATE TABLE retry_attempts (
    instance_id TEXT NOT NULL REFERENCES instances (instance_id) ON DELETE CASCADE,
    checkpoint_id TEXT NOT NULL CHECK (checkpoint_id <> ''),
    attempt_number BIGINT NOT NULL,
    error TEXT,
    created_at_ms BIGINT NOT NULL,
    PRIMARY KEY (instance_id, checkpoint_id, attempt_number)
);
