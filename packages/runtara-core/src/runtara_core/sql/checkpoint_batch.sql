-- The batch of runtara_core.storages.postgres_batches; PostgreSQL only. The types of
-- signals sort in the order of their precedence.

-- name: checkpoint_batch
-- Stores what can be stored at once and answers for that alone. A row that another transaction holds is skipped, so a
-- batch waits for nobody. The locked rows are the newest versions, whenever this statement's snapshot was taken; what
-- the snapshot does not show of the checkpoints, the insert's conflict finds.
WITH request AS MATERIALIZED (
    SELECT request.*
    FROM unnest(
        CAST(:instance_ids AS TEXT[]), CAST(:epochs AS BIGINT[]), CAST(:checkpoint_ids AS TEXT[]),
        CAST(:states AS BYTEA[]), CAST(:times_ms AS BIGINT[]), CAST(:call_keys AS BYTEA[])
    ) WITH ORDINALITY AS request (instance_id, epoch, checkpoint_id, state, now_ms, call_key, position)
), locked AS MATERIALIZED (
    SELECT current.instance_id, current.epoch, current.image_id, current.status
    FROM (SELECT DISTINCT instance_id FROM request) AS wanted
    CROSS JOIN LATERAL (
        SELECT instance_id, epoch, image_id, status FROM instances
        WHERE instances.instance_id = wanted.instance_id FOR UPDATE SKIP LOCKED
    ) AS current
), accepted AS MATERIALIZED (
    SELECT request.* FROM request JOIN locked ON locked.instance_id = request.instance_id
    WHERE locked.status = 'running'
      AND CASE WHEN request.epoch IS NULL THEN locked.image_id IS NULL ELSE request.epoch = locked.epoch END
), inserted AS (
    INSERT INTO checkpoints (instance_id, checkpoint_id, created_at_ms, state, call_key)
    SELECT instance_id, checkpoint_id, now_ms, state, call_key FROM accepted ORDER BY position
    ON CONFLICT (instance_id, checkpoint_id) DO NOTHING
    RETURNING instance_id, checkpoint_id
), stored AS MATERIALIZED (
    SELECT accepted.position, accepted.instance_id, accepted.checkpoint_id, accepted.now_ms
    FROM accepted JOIN inserted USING (instance_id, checkpoint_id)
), advanced AS (
    UPDATE instance_progress
    SET checkpoint_id = last.checkpoint_id, checkpoint_count = checkpoint_count + last.stored, recovery_attempts = 0,
        last_contact_at_ms = last.now_ms
    FROM (
        SELECT instance_id, (array_agg(checkpoint_id ORDER BY position DESC))[1] AS checkpoint_id,
               (array_agg(now_ms ORDER BY position DESC))[1] AS now_ms, COUNT(*) AS stored
        FROM stored GROUP BY instance_id
    ) AS last
    WHERE instance_progress.instance_id = last.instance_id
)
SELECT stored.position, signal.id AS signal_id, signal.signal_type, signal.payload AS signal_payload,
       custom.payload AS custom_payload
FROM stored
LEFT JOIN LATERAL (
    SELECT id, signal_type, payload FROM pending_signals
    WHERE pending_signals.instance_id = stored.instance_id AND acknowledged_at_ms IS NULL
    ORDER BY signal_type LIMIT 1
) AS signal ON TRUE
LEFT JOIN LATERAL (
    SELECT payload FROM custom_signals
    WHERE custom_signals.instance_id = stored.instance_id AND custom_signals.checkpoint_id = stored.checkpoint_id
    LIMIT 1
) AS custom ON TRUE;

-- name: checkpoint_alone
-- The same for a batch of one.
WITH locked AS MATERIALIZED (
    SELECT instance_id FROM instances
    WHERE instance_id = :instance_id AND status = 'running'
      AND CASE WHEN CAST(:epoch AS BIGINT) IS NULL THEN image_id IS NULL ELSE epoch = CAST(:epoch AS BIGINT) END
    FOR UPDATE SKIP LOCKED
), inserted AS (
    INSERT INTO checkpoints (instance_id, checkpoint_id, created_at_ms, state, call_key)
    SELECT instance_id, CAST(:checkpoint_id AS TEXT), CAST(:now_ms AS BIGINT), CAST(:state AS BYTEA),
           CAST(:call_key AS BYTEA)
    FROM locked
    ON CONFLICT (instance_id, checkpoint_id) DO NOTHING
    RETURNING instance_id
), advanced AS (
    UPDATE instance_progress
    SET checkpoint_id = :checkpoint_id, checkpoint_count = checkpoint_count + 1, recovery_attempts = 0,
        last_contact_at_ms = :now_ms
    FROM inserted WHERE instance_progress.instance_id = inserted.instance_id
)
SELECT 1 AS position, signal.id AS signal_id, signal.signal_type, signal.payload AS signal_payload,
       (SELECT payload FROM custom_signals WHERE instance_id = :instance_id AND checkpoint_id = :checkpoint_id)
           AS custom_payload
FROM inserted
LEFT JOIN LATERAL (
    SELECT id, signal_type, payload FROM pending_signals
    WHERE pending_signals.instance_id = inserted.instance_id AND acknowledged_at_ms IS NULL
    ORDER BY signal_type LIMIT 1
) AS signal ON TRUE;
