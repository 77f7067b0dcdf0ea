-- Where events come from, and one row for each step that a program in debug mode has traced: both are read from payloads
-- when an event is written, so that lists never have to. A process of an older version writes neither; its events are
-- listed all the same.

ALTER TABLE instance_events ADD COLUMN scope_id TEXT;
ALTER TABLE instance_events ADD COLUMN parent_scope_id TEXT;
ALTER TABLE instance_events ADD COLUMN is_nested BIGINT NOT NULL DEFAULT 0;
CREATE INDEX instance_events_scope ON instance_events (instance_id, scope_id, id) WHERE scope_id IS NOT NULL;

CREATE TABLE instance_steps (
    instance_id TEXT NOT NULL REFERENCES instances (instance_id) ON DELETE CASCADE,
    position BIGINT NOT NULL,
    step_key TEXT NOT NULL,
    step_id TEXT NOT NULL,
    step_type TEXT NOT NULL,
    scope_id TEXT,
    parent_scope_id TEXT,
    is_nested BIGINT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('running', 'completed', 'failed')),
    start_event_id BIGINT NOT NULL,
    started_at_ms BIGINT NOT NULL,
    end_event_id BIGINT,
    completed_at_ms BIGINT,
    duration_ms BIGINT,
    PRIMARY KEY (instance_id, position),
    UNIQUE (instance_id, step_key)
);

CREATE INDEX instance_steps_scope ON instance_steps (instance_id, scope_id, position) WHERE scope_id IS NOT NULL;

-- A filter of lists names the reason of an end, too, so the indexes of lists hold it.

DROP INDEX instances_tenant_listing;
DROP INDEX instances_listing;
CREATE INDEX instances_tenant_listing
    ON instances (tenant_id, created_at_ms, instance_id, status, image_id, finished_at_ms, termination_reason,
        out_of_memory_epoch, epoch);
CREATE INDEX instances_listing
    ON instances (created_at_ms, instance_id, status, image_id, finished_at_ms, termination_reason,
        out_of_memory_epoch, epoch);
