-- Retries and forks.

-- name: load_end
SELECT error, finished_at_ms FROM instances WHERE instance_id = :instance_id;

-- A new epoch already: whatever the process of the ended launch may still send is refused.
-- name: enter_retry
UPDATE instances
SET status = 'pending', epoch = :new_epoch, attempt = attempt + 1, termination_reason = NULL,
    wake_at_ms = :wake_at_ms, finished_at_ms = NULL, output = NULL, error = NULL, failed_launches = 0,
    lease_owner = NULL, lease_until_ms = NULL
WHERE instance_id = :instance_id AND epoch = :epoch AND status = :from_status;

-- name: forget_signals
DELETE FROM pending_signals WHERE instance_id = :instance_id;

-- Attempts behind a result are history; the others would leave the call no attempt.
-- name: forget_failed_attempts
DELETE FROM retry_attempts
WHERE instance_id = :instance_id AND NOT EXISTS (
    SELECT 1 FROM checkpoints
    WHERE checkpoints.instance_id = retry_attempts.instance_id
      AND checkpoints.checkpoint_id = retry_attempts.checkpoint_id
);

-- name: recorded_checkpoints
SELECT checkpoint_id, created_at_ms FROM checkpoints WHERE instance_id = :instance_id ORDER BY id LIMIT :limit;

-- name: first_attempts
SELECT checkpoint_id, MIN(created_at_ms) AS created_at_ms FROM retry_attempts
WHERE instance_id = :instance_id GROUP BY checkpoint_id;

-- name: load_event_payload
SELECT payload FROM instance_events WHERE instance_id = :instance_id AND event_key = :event_key;

-- name: copy_input
INSERT INTO instance_inputs (instance_id, input, launch_options)
SELECT CAST(:instance_id AS TEXT), input, COALESCE(CAST(:launch_options AS /*postgres BYTEA*/ /*sqlite BLOB*/), launch_options)
FROM instance_inputs WHERE instance_inputs.instance_id = :origin_id;

-- name: set_copied_progress
UPDATE instance_progress SET checkpoint_id = :checkpoint_id, checkpoint_count = :checkpoint_count
WHERE instance_id = :instance_id;

-- fragment: copied
/*postgres json_to_recordset(CAST(:copied AS JSON)) AS copied (old_id TEXT, new_id TEXT)*/
/*sqlite (
    SELECT json_extract(value, '$.old_id') AS old_id, json_extract(value, '$.new_id') AS new_id FROM json_each(:copied)
) AS copied*/

-- name: copy_checkpoints
INSERT INTO checkpoints (instance_id, checkpoint_id, created_at_ms, state)
SELECT CAST(:instance_id AS TEXT), copied.new_id, origin.created_at_ms, origin.state
FROM /*include copied*/
/*postgres JOIN*/ /*sqlite CROSS JOIN*/ checkpoints AS origin
  ON origin.instance_id = :origin_id AND origin.checkpoint_id = copied.old_id
ORDER BY origin.id;

-- name: copy_sleeps
INSERT INTO sleeps (instance_id, checkpoint_id, wake_at_ms, done_at_ms)
SELECT CAST(:instance_id AS TEXT), copied.new_id, origin.wake_at_ms, origin.done_at_ms
FROM /*include copied*/
/*postgres JOIN*/ /*sqlite CROSS JOIN*/ sleeps AS origin
  ON origin.instance_id = :origin_id AND origin.checkpoint_id = copied.old_id;

-- name: copy_retry_attempts
INSERT INTO retry_attempts (
    instance_id, checkpoint_id, attempt_number, error, created_at_ms, next_attempt_at_ms, retries_used,
    rate_limit_waited_ms
)
SELECT CAST(:instance_id AS TEXT), copied.new_id, origin.attempt_number, origin.error, origin.created_at_ms,
    origin.next_attempt_at_ms, origin.retries_used, origin.rate_limit_waited_ms
FROM /*include copied*/
/*postgres JOIN*/ /*sqlite CROSS JOIN*/ retry_attempts AS origin
  ON origin.instance_id = :origin_id AND origin.checkpoint_id = copied.old_id;
