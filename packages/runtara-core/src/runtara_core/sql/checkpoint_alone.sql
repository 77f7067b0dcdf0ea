-- The plain checkpoint of runtara_core.storages.sqlite_storage; SQLite only. The types of
-- signals sort in the order of their precedence.

-- name: advance_plain_checkpoint
UPDATE instance_progress
SET checkpoint_id = :checkpoint_id, checkpoint_count = checkpoint_count + 1, recovery_attempts = 0,
    last_contact_at_ms = :now_ms
WHERE instance_id = :instance_id
  AND EXISTS (
      SELECT 1 FROM instances WHERE instances.instance_id = :instance_id AND status = 'running'
        AND CASE WHEN :epoch IS NULL THEN image_id IS NULL ELSE epoch = :epoch END
  )
  AND NOT EXISTS (
      SELECT 1 FROM checkpoints WHERE checkpoints.instance_id = :instance_id AND checkpoints.checkpoint_id = :checkpoint_id
  );

-- name: load_signals_at_checkpoint
SELECT signal.id AS signal_id, signal.signal_type, signal.payload AS signal_payload,
       (SELECT payload FROM custom_signals WHERE instance_id = :instance_id AND checkpoint_id = :checkpoint_id)
           AS custom_payload
FROM (SELECT 1) LEFT JOIN (
    SELECT id, signal_type, payload FROM pending_signals
    WHERE instance_id = :instance_id AND acknowledged_at_ms IS NULL
    ORDER BY signal_type LIMIT 1
) AS signal ON TRUE;
