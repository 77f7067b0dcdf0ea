-- What each checkpoint changes leaves the row that the indexes of wakes, leases and lists are on: an update of it touches
-- no index but is paid for each of them.

-- At once what the last statements need: with less at first, whoever holds a row meanwhile and writes it would deadlock.
LOCK TABLE instances IN ACCESS EXCLUSIVE MODE;

CREATE TABLE instance_progress (
    instance_id TEXT NOT NULL PRIMARY KEY REFERENCES instances (instance_id) ON DELETE CASCADE,
    checkpoint_id TEXT,
    checkpoint_count BIGINT NOT NULL DEFAULT 0,
    recovery_attempts BIGINT NOT NULL DEFAULT 0,
    last_contact_at_ms BIGINT
) WITH (fillfactor = 50); -- room on the page for the next version of each row

INSERT INTO instance_progress (instance_id, checkpoint_id, checkpoint_count, recovery_attempts, last_contact_at_ms)
SELECT instance_id, checkpoint_id, checkpoint_count, recovery_attempts, last_contact_at_ms FROM instances;

ALTER TABLE instances DROP COLUMN checkpoint_id;
ALTER TABLE instances DROP COLUMN checkpoint_count;
ALTER TABLE instances DROP COLUMN recovery_attempts;
ALTER TABLE instances DROP COLUMN last_contact_at_ms;

-- Whoever inserts an instance, a process of an older version too: what has no progress is found by nobody.
CREATE FUNCTION add_instance_progress() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO instance_progress (instance_id) VALUES (NEW.instance_id);
    RETURN NULL;
END
$$;

CREATE TRIGGER add_instance_progress AFTER INSERT ON instances
FOR EACH ROW EXECUTE FUNCTION add_instance_progress();
