-- One row for each launch that may have a process. Epochs of one instance are separate rows: a newer launch never
-- forgets an older process.

CREATE TABLE launches (
    instance_id TEXT NOT NULL,
    epoch BIGINT NOT NULL,
    owner TEXT NOT NULL,
    host_id TEXT NOT NULL,
    runner_type TEXT NOT NULL,
    run_directory TEXT NOT NULL,
    state TEXT NOT NULL,
    phase TEXT NOT NULL CHECK (phase IN ('intended', 'started')),
    deadline_ms BIGINT,
    created_at_ms BIGINT NOT NULL,
    PRIMARY KEY (instance_id, epoch)
);

CREATE INDEX launches_host ON launches (host_id, instance_id, epoch);
CREATE INDEX launches_owner ON launches (owner, instance_id, epoch);

-- Environments that may hold claims without a launch, so that a successor can free them.
CREATE TABLE launch_owners (
    owner TEXT NOT NULL PRIMARY KEY,
    host_id TEXT NOT NULL,
    announced_at_ms BIGINT NOT NULL
);

CREATE INDEX launch_owners_host ON launch_owners (host_id);
