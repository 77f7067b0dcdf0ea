-- Summaries of steps, and counts of what has ended.

-- fragment: step_columns
steps.position, steps.step_id, steps.step_type, steps.scope_id, steps.parent_scope_id, steps.is_nested, steps.status,
steps.start_event_id, steps.started_at_ms, steps.end_event_id, steps.completed_at_ms, steps.duration_ms

-- name: load_step
SELECT /*include step_columns*/ FROM instance_steps AS steps WHERE instance_id = :instance_id AND step_key = :step_key;

-- name: store_step
INSERT INTO instance_steps (
    instance_id, position, step_key, step_id, step_type, scope_id, parent_scope_id, is_nested, status, start_event_id,
    started_at_ms, end_event_id, completed_at_ms, duration_ms
)
VALUES (
    :instance_id, :position, :step_key, :step_id, :step_type, :scope_id, :parent_scope_id, :is_nested, :status,
    :start_event_id, :started_at_ms, :end_event_id, :completed_at_ms, :duration_ms
)
ON CONFLICT (instance_id, step_key) DO UPDATE SET
    status = excluded.status, start_event_id = excluded.start_event_id, started_at_ms = excluded.started_at_ms,
    end_event_id = excluded.end_event_id, completed_at_ms = excluded.completed_at_ms, duration_ms = excluded.duration_ms;

-- fragment: step_filter
WHERE instance_id = :instance_id
  AND (CAST(:status AS TEXT) IS NULL OR status = :status)
  AND (CAST(:step_type AS TEXT) IS NULL OR step_type = :step_type)
  AND (CAST(:parent_scope_id AS TEXT) IS NULL OR parent_scope_id = :parent_scope_id)
  AND is_nested <= :most_nested

-- fragment: in_scope
AND scope_id = :scope_id

-- Payloads are read for the rows of the page alone.

-- fragment: page_of_steps
SELECT /*include step_columns*/, started.payload AS start_payload, ended.payload AS end_payload
FROM (
    SELECT position FROM instance_steps /*include step_filter*/

-- fragment: ascending_page
    AND position > :after_position ORDER BY position LIMIT :limit OFFSET :offset

-- fragment: descending_page
    AND position < :after_position ORDER BY position DESC LIMIT :limit OFFSET :offset

-- fragment: of_page
) AS page
JOIN instance_steps AS steps ON steps.instance_id = :instance_id AND steps.position = page.position
LEFT JOIN instance_events AS started ON started.id = steps.start_event_id
LEFT JOIN instance_events AS ended ON ended.id = steps.end_event_id
ORDER BY steps.position

-- name: list_steps_ascending
/*include page_of_steps*/ /*include ascending_page*/ /*include of_page*/;

-- name: list_steps_descending
/*include page_of_steps*/ /*include descending_page*/ /*include of_page*/ DESC;

-- name: list_scope_steps_ascending
/*include page_of_steps*/ /*include in_scope*/ /*include ascending_page*/ /*include of_page*/;

-- name: list_scope_steps_descending
/*include page_of_steps*/ /*include in_scope*/ /*include descending_page*/ /*include of_page*/ DESC;

-- name: count_steps
SELECT COUNT(*) AS total FROM instance_steps /*include step_filter*/;

-- name: count_scope_steps
SELECT COUNT(*) AS total FROM instance_steps /*include step_filter*/ /*include in_scope*/;

-- name: first_step_of_scope
SELECT /*include step_columns*/, started.payload AS start_payload
FROM instance_steps AS steps LEFT JOIN instance_events AS started ON started.id = steps.start_event_id
WHERE steps.instance_id = :instance_id AND steps.scope_id = :scope_id ORDER BY steps.position LIMIT 1;

-- fragment: took_ms
CASE WHEN started_at_ms IS NULL THEN NULL WHEN finished_at_ms < started_at_ms THEN 0 ELSE finished_at_ms - started_at_ms END

-- name: count_ended
SELECT finished_at_ms / CAST(:width_ms AS BIGINT) AS bucket,
    COUNT(CASE WHEN status = 'completed' THEN 1 END) AS completed,
    COUNT(CASE WHEN status = 'failed' THEN 1 END) AS failed,
    COUNT(CASE WHEN status = 'cancelled' THEN 1 END) AS cancelled,
    COUNT(started_at_ms) AS timed,
    CAST(COALESCE(SUM(/*include took_ms*/), 0) AS BIGINT) AS duration_sum_ms,
    MIN(/*include took_ms*/) AS duration_min_ms,
    MAX(/*include took_ms*/) AS duration_max_ms,
    COUNT(memory_peak_bytes) AS measured,
    CAST(COALESCE(SUM(memory_peak_bytes), 0) AS BIGINT) AS memory_sum_bytes,
    MAX(memory_peak_bytes) AS memory_max_bytes
FROM instances
WHERE tenant_id = :tenant_id AND finished_at_ms >= :start_ms AND finished_at_ms < :end_ms
GROUP BY 1;
