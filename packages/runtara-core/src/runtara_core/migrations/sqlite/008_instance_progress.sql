-- What each checkpoint changes leaves the row that the indexes of wakes, leases and lists are on: an update of it touches
-- no index but is paid for each of them.

CREATE TABLE instance_progress (
    instance_id TEXT NOT NULL PRIMARY KEY REFERENCES instances (instance_id) ON DELETE CASCADE,
    checkpoint_id TEXT,
    checkpoint_count BIGINT NOT NULL DEFAULT 0,
    recovery_attempts BIGINT NOT NULL DEFAULT 0,
    last_contact_at_ms BIGINT
);

INSERT INTO instance_progress (instance_id, checkpoint_id, checkpoint_count, recovery_attempts, last_contact_at_ms)
SELECT instance_id, checkpoint_id, checkpoint_count, recovery_attempts, last_contact_at_ms FROM instances;

ALTER TABLE instances DROP COLUMN checkpoint_id;
ALTER TABLE instances DROP COLUMN checkpoint_count;
ALTER TABLE instances DROP COLUMN recovery_attempts;
ALTER TABLE instances DROP COLUMN last_contact_at_ms;

-- Whoever inserts an instance, a process of an older version too: what has no progress is found by nobody.
CREATE TRIGGER add_instance_progress AFTER INSERT ON instances
BEGIN
    INSERT INTO instance_progress (instance_id) VALUES (NEW.instance_id);
END;
