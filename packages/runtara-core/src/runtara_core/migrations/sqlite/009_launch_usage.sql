-- What each launch has used, counted once however often its exit is reported, and whichever launch runs by then.

CREATE TABLE launch_usage (
    instance_id TEXT NOT NULL REFERENCES instances (instance_id) ON DELETE CASCADE,
    epoch BIGINT NOT NULL,
    memory_peak_bytes BIGINT,
    cpu_usage_usec BIGINT,
    PRIMARY KEY (instance_id, epoch)
);

-- The launch that ran out of memory. Its termination_reason is 'crashed', which a process of an earlier version knows; a
-- later launch, of such a process too, is another epoch.
ALTER TABLE instances ADD COLUMN out_of_memory_epoch BIGINT;
