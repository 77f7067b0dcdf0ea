-- Queries of runtara-core, for both databases.

-- Running out of memory is a crash to processes of an earlier version, which read the column.

-- fragment: state_columns
instances.instance_id, instances.tenant_id, instances.image_id, instances.status,
CASE WHEN instances.termination_reason = 'crashed' AND instances.out_of_memory_epoch = instances.epoch
     THEN 'out_of_memory' ELSE instances.termination_reason END AS termination_reason,
instances.epoch, progress.checkpoint_id, progress.checkpoint_count, progress.recovery_attempts,
instances.failed_launches, instances.created_at_ms, instances.started_at_ms, instances.finished_at_ms,
instances.wake_at_ms, progress.last_contact_at_ms, instances.lease_owner, instances.lease_until_ms

-- fragment: summary_columns
/*include state_columns*/, instances.attempt, instances.max_attempts, instances.error, instances.exit_code,
instances.memory_peak_bytes, instances.cpu_usage_usec

-- What each checkpoint changes lies in a table of its own, which has no index but its key. Whoever changes it holds the
-- lock of the instance's row. A trigger adds it with the instance.

-- fragment: progress_of_instances
JOIN instance_progress AS progress ON progress.instance_id = instances.instance_id

-- name: check_health
SELECT 1 AS healthy;

-- name: lock_admission
SELECT 1 AS locked /*postgres FROM (SELECT pg_advisory_xact_lock(7267310843002)) AS admission_lock*/;

-- name: lock_instance
SELECT /*include state_columns*/ FROM instances /*include progress_of_instances*/
WHERE instances.instance_id = :instance_id /*postgres FOR UPDATE*/;

-- name: read_instance_state
SELECT /*include state_columns*/ FROM instances /*include progress_of_instances*/
WHERE instances.instance_id = :instance_id;

-- name: get_instance
SELECT /*include summary_columns*/, instances.output, instances.stderr, instance_inputs.launch_options,
    length(instance_inputs.input) AS input_bytes,
    CASE WHEN length(instance_inputs.input) <= :max_input_bytes THEN instance_inputs.input END AS input
FROM instances /*include progress_of_instances*/
LEFT JOIN instance_inputs ON instance_inputs.instance_id = instances.instance_id
WHERE instances.instance_id = :instance_id;

-- SQLite, which knows nothing of how many rows have which status, would count through the wider index of the lists.
-- name: count_running
SELECT COUNT(*) AS running FROM instances /*sqlite INDEXED BY instances_running*/ WHERE status = 'running';

-- name: insert_instance
INSERT INTO instances (instance_id, tenant_id, image_id, status, epoch, created_at_ms, wake_at_ms)
VALUES (:instance_id, :tenant_id, :image_id, 'pending', :epoch, :now_ms, :wake_at_ms)
ON CONFLICT (instance_id) DO NOTHING;

-- name: insert_instance_input
INSERT INTO instance_inputs (instance_id, input, launch_options) VALUES (:instance_id, :input, :launch_options);

-- name: stamp_contact
UPDATE instance_progress SET last_contact_at_ms = :now_ms WHERE instance_id = :instance_id;

-- name: set_progress
UPDATE instance_progress SET last_contact_at_ms = :last_contact_at_ms, recovery_attempts = :recovery_attempts
WHERE instance_id = :instance_id;

-- Changes of state. Each names the epoch and the status that it leaves, so it changes no row when either has moved on.

-- name: enter_running
UPDATE instances
SET status = 'running', epoch = :new_epoch, started_at_ms = :now_ms, failed_launches = 0,
    finished_at_ms = NULL, wake_at_ms = NULL, termination_reason = NULL, error = NULL, lease_until_ms = :lease_until_ms
WHERE instance_id = :instance_id AND epoch = :epoch AND status = :from_status;

-- name: enter_launch
UPDATE instances
SET status = 'running', epoch = :new_epoch,
    finished_at_ms = NULL, wake_at_ms = NULL, termination_reason = NULL, error = NULL,
    lease_owner = :lease_owner, lease_until_ms = :lease_until_ms
WHERE instance_id = :instance_id AND epoch = :epoch AND status = :from_status;

-- name: enter_state
UPDATE instances
SET status = :status, termination_reason = :termination_reason, wake_at_ms = :wake_at_ms,
    finished_at_ms = :finished_at_ms, output = :output, error = :error,
    failed_launches = :failed_launches, lease_owner = NULL, lease_until_ms = NULL
WHERE instance_id = :instance_id AND epoch = :epoch AND status = :from_status;

-- name: reschedule
UPDATE instances SET wake_at_ms = :wake_at_ms
WHERE instance_id = :instance_id AND status IN ('pending', 'suspended');

-- Checkpoints and sleeps

-- name: insert_checkpoint
INSERT INTO checkpoints (instance_id, checkpoint_id, created_at_ms, state, call_key)
VALUES (:instance_id, :checkpoint_id, :now_ms, :state, :call_key)
ON CONFLICT (instance_id, checkpoint_id) DO NOTHING;

-- name: load_checkpoint
SELECT checkpoint_id, instance_id, created_at_ms, state FROM checkpoints
WHERE instance_id = :instance_id AND checkpoint_id = :checkpoint_id;

-- name: load_call_key
SELECT call_key FROM checkpoints WHERE instance_id = :instance_id AND checkpoint_id = :checkpoint_id;

-- name: has_checkpoint
SELECT 1 AS found FROM checkpoints WHERE instance_id = :instance_id AND checkpoint_id = :checkpoint_id;

-- name: advance_checkpoint
UPDATE instance_progress
SET checkpoint_id = :checkpoint_id, checkpoint_count = checkpoint_count + :stored, recovery_attempts = 0,
    last_contact_at_ms = :now_ms
WHERE instance_id = :instance_id;

-- name: load_checkpoint_position
SELECT id FROM checkpoints WHERE instance_id = :instance_id AND checkpoint_id = :checkpoint_id;

-- fragment: checkpoint_filter
WHERE instance_id = :instance_id
  AND (CAST(:created_after_ms AS BIGINT) IS NULL OR created_at_ms >= :created_after_ms)
  AND (CAST(:created_before_ms AS BIGINT) IS NULL OR created_at_ms < :created_before_ms)
  AND id > :after_id AND id < :before_id

-- name: list_checkpoints
SELECT checkpoint_id, instance_id, created_at_ms, length(state) AS data_size_bytes FROM checkpoints
/*include checkpoint_filter*/ ORDER BY id DESC LIMIT :limit OFFSET :offset;

-- name: count_checkpoints
SELECT COUNT(*) AS total FROM checkpoints /*include checkpoint_filter*/;

-- name: load_sleep
SELECT wake_at_ms, done_at_ms FROM sleeps WHERE instance_id = :instance_id AND checkpoint_id = :checkpoint_id;

-- name: insert_sleep
INSERT INTO sleeps (instance_id, checkpoint_id, wake_at_ms, done_at_ms)
VALUES (:instance_id, :checkpoint_id, :wake_at_ms, NULL)
ON CONFLICT (instance_id, checkpoint_id) DO NOTHING;

-- name: finish_sleep
UPDATE sleeps SET done_at_ms = :now_ms
WHERE instance_id = :instance_id AND checkpoint_id = :checkpoint_id AND done_at_ms IS NULL;

-- name: insert_retry_attempt
INSERT INTO retry_attempts (
    instance_id, checkpoint_id, attempt_number, error, created_at_ms, next_attempt_at_ms, retries_used,
    rate_limit_waited_ms
)
VALUES (
    :instance_id, :checkpoint_id, :attempt_number, :error, :now_ms, :next_attempt_at_ms, :retries_used,
    :rate_limit_waited_ms
)
ON CONFLICT (instance_id, checkpoint_id, attempt_number) DO NOTHING;

-- name: load_retry_attempt
SELECT next_attempt_at_ms FROM retry_attempts
WHERE instance_id = :instance_id AND checkpoint_id = :checkpoint_id AND attempt_number = :attempt_number;

-- name: load_last_retry_attempt
SELECT attempt_number, error, next_attempt_at_ms, retries_used, rate_limit_waited_ms FROM retry_attempts
WHERE instance_id = :instance_id AND checkpoint_id = :checkpoint_id ORDER BY attempt_number DESC LIMIT 1;

-- Events

-- fragment: once_for_its_key
ON CONFLICT (instance_id, event_key) WHERE event_key IS NOT NULL DO NOTHING

-- name: insert_event
INSERT INTO instance_events (instance_id, epoch, event_type, subtype, checkpoint_id, event_key, created_at_ms, payload)
VALUES (:instance_id, :epoch, :event_type, :subtype, :checkpoint_id, :event_key, :now_ms, :payload)
/*include once_for_its_key*/;

-- name: insert_event_of_scope
INSERT INTO instance_events (
    instance_id, epoch, event_type, subtype, checkpoint_id, event_key, created_at_ms, payload, scope_id, parent_scope_id,
    is_nested
)
VALUES (
    :instance_id, :epoch, :event_type, :subtype, :checkpoint_id, :event_key, :now_ms, :payload, :scope_id,
    :parent_scope_id, :is_nested
)
/*include once_for_its_key*/ RETURNING id;

-- name: has_event_key
SELECT 1 AS found FROM instance_events WHERE instance_id = :instance_id AND event_key = :event_key;

-- name: load_event_epoch
SELECT epoch FROM instance_events WHERE instance_id = :instance_id AND event_key = :event_key;

-- fragment: event_filter
WHERE instance_id = :instance_id
  AND (CAST(:event_type AS TEXT) IS NULL OR event_type = :event_type)
  AND (CAST(:subtype AS TEXT) IS NULL OR subtype = :subtype)
  AND (CAST(:created_after_ms AS BIGINT) IS NULL OR created_at_ms >= :created_after_ms)
  AND (CAST(:created_before_ms AS BIGINT) IS NULL OR created_at_ms < :created_before_ms)
  AND (CAST(:parent_scope_id AS TEXT) IS NULL OR parent_scope_id = :parent_scope_id)
  AND is_nested <= :most_nested
  AND id > :after_event_id AND id < :before_event_id

-- fragment: in_scope
AND scope_id = :scope_id

-- fragment: event_columns
-- The output of a completed instance is kept with the instance alone; its event shows it from there.
id, instance_id, event_type, subtype, checkpoint_id, created_at_ms,
CASE WHEN event_type = 'completed' AND payload IS NULL
     THEN (SELECT output FROM instances WHERE instances.instance_id = instance_events.instance_id)
     ELSE payload END AS payload

-- fragment: list_events
SELECT /*include event_columns*/ FROM instance_events /*include event_filter*/

-- fragment: newest_events
ORDER BY id DESC LIMIT :limit OFFSET :offset

-- fragment: oldest_events
ORDER BY id LIMIT :limit OFFSET :offset

-- name: list_events_descending
/*include list_events*/ /*include newest_events*/;

-- name: list_events_ascending
/*include list_events*/ /*include oldest_events*/;

-- name: list_scope_events_descending
/*include list_events*/ /*include in_scope*/ /*include newest_events*/;

-- name: list_scope_events_ascending
/*include list_events*/ /*include in_scope*/ /*include oldest_events*/;

-- name: count_events
SELECT COUNT(*) AS total FROM instance_events /*include event_filter*/;

-- name: count_scope_events
SELECT COUNT(*) AS total FROM instance_events /*include event_filter*/ /*include in_scope*/;

-- What a search for a text looks at: the beginning of each payload.

-- fragment: searched_events
SELECT id, substr(payload, 1, :searched_bytes) AS payload
FROM (SELECT /*include event_columns*/ FROM instance_events /*include event_filter*/

-- name: search_events_descending
/*include searched_events*/ ORDER BY id DESC LIMIT :limit) AS found ORDER BY id DESC;

-- name: search_events_ascending
/*include searched_events*/ ORDER BY id LIMIT :limit) AS found ORDER BY id;

-- name: search_scope_events_descending
/*include searched_events*/ /*include in_scope*/ ORDER BY id DESC LIMIT :limit) AS found ORDER BY id DESC;

-- name: search_scope_events_ascending
/*include searched_events*/ /*include in_scope*/ ORDER BY id LIMIT :limit) AS found ORDER BY id;

-- name: load_event
SELECT /*include event_columns*/ FROM instance_events WHERE id = :event_id;

-- Signals

-- name: load_waiting_signals
SELECT id, signal_type, payload FROM pending_signals
WHERE instance_id = :instance_id AND acknowledged_at_ms IS NULL;

-- name: load_signal
SELECT id, acknowledged_at_ms FROM pending_signals WHERE instance_id = :instance_id AND signal_type = :signal_type;

-- The time of the first one stays: the grace of a cancel counts from it.
-- name: replace_waiting_signal
UPDATE pending_signals SET payload = :payload
WHERE instance_id = :instance_id AND signal_type = :signal_type AND acknowledged_at_ms IS NULL;

-- name: delete_signal
DELETE FROM pending_signals WHERE instance_id = :instance_id AND signal_type = :signal_type;

-- name: insert_signal
INSERT INTO pending_signals (instance_id, signal_type, payload, created_at_ms)
VALUES (:instance_id, :signal_type, :payload, :now_ms);

-- name: acknowledge_signal
UPDATE pending_signals SET acknowledged_at_ms = :now_ms
WHERE instance_id = :instance_id AND signal_type = :signal_type AND acknowledged_at_ms IS NULL;

-- name: acknowledge_waiting_signals
UPDATE pending_signals SET acknowledged_at_ms = :now_ms
WHERE instance_id = :instance_id AND acknowledged_at_ms IS NULL;

-- name: load_custom_signal
SELECT payload FROM custom_signals WHERE instance_id = :instance_id AND checkpoint_id = :checkpoint_id;

-- name: load_custom_signals
SELECT checkpoint_id, payload FROM custom_signals
WHERE instance_id = :instance_id AND checkpoint_id IN (
    SELECT value FROM /*sqlite json_each(:checkpoint_ids)*/ /*postgres json_array_elements_text(CAST(:checkpoint_ids AS json))*/
);

-- fragment: watched
/*postgres json_to_recordset(CAST(:watched AS JSON))
    AS watched (position BIGINT, instance_id TEXT, epoch BIGINT, signal_id BIGINT, checkpoint_id TEXT)*/
/*sqlite (
    SELECT json_extract(value, '$.position') AS position, json_extract(value, '$.instance_id') AS instance_id,
        json_extract(value, '$.epoch') AS epoch, json_extract(value, '$.signal_id') AS signal_id,
        json_extract(value, '$.checkpoint_id') AS checkpoint_id
    FROM json_each(:watched)
) AS watched*/

-- Scalar subqueries, so that each is a walk down an index however many instances there are. The types of signals sort in
-- the order of their precedence (a resume never waits).

-- name: find_news
SELECT watched.position FROM /*include watched*/
WHERE watched.epoch <> COALESCE((
    SELECT CASE WHEN status IN ('completed', 'failed', 'cancelled') THEN -1 ELSE epoch END
    FROM instances WHERE instances.instance_id = watched.instance_id
  ), -1)
  OR watched.signal_id <> COALESCE((
    SELECT id FROM pending_signals
    WHERE pending_signals.instance_id = watched.instance_id AND acknowledged_at_ms IS NULL
    ORDER BY signal_type LIMIT 1
  ), 0)
  OR 0 < (
    SELECT COUNT(*) FROM custom_signals
    WHERE custom_signals.instance_id = watched.instance_id AND custom_signals.checkpoint_id = watched.checkpoint_id
  );

-- name: record_contacts
UPDATE instance_progress SET last_contact_at_ms = :now_ms
WHERE instance_id /*postgres = ANY (ARRAY*/ /*sqlite IN*/ (
    SELECT running.instance_id FROM /*include watched*/
    /*postgres CROSS JOIN LATERAL (
        SELECT instance_id FROM instances
        WHERE instances.instance_id = watched.instance_id AND instances.epoch = watched.epoch
          AND instances.status = 'running'
        LIMIT 1 FOR UPDATE SKIP LOCKED
    ) AS running*/
    /*sqlite CROSS JOIN instances AS running
    WHERE running.instance_id = watched.instance_id AND running.epoch = watched.epoch AND running.status = 'running'*/
)/*postgres )*/;

-- name: upsert_custom_signal
INSERT INTO custom_signals (instance_id, checkpoint_id, payload, created_at_ms)
VALUES (:instance_id, :checkpoint_id, :payload, :now_ms)
ON CONFLICT (instance_id, checkpoint_id)
DO UPDATE SET payload = excluded.payload, created_at_ms = excluded.created_at_ms;

-- Launches

-- fragment: due_wakes
SELECT /*include state_columns*/ FROM instances /*include progress_of_instances*/
WHERE status IN ('pending', 'suspended') AND wake_at_ms IS NOT NULL AND image_id IS NOT NULL AND wake_at_ms <= :now_ms

-- fragment: expired_leases
SELECT /*include state_columns*/ FROM instances /*include progress_of_instances*/
WHERE status = 'running' AND image_id IS NOT NULL AND lease_until_ms <= :leases_ended_by_ms

-- fragment: of_other_images
AND image_id NOT IN (
    SELECT value FROM /*sqlite json_each(:images)*/ /*postgres json_array_elements_text(CAST(:images AS json))*/)

-- name: lock_due_wakes
/*include due_wakes*/
ORDER BY wake_at_ms LIMIT :limit /*postgres FOR UPDATE SKIP LOCKED*/;

-- name: lock_due_wake
/*include due_wakes*/ AND instances.instance_id = :instance_id
LIMIT 1 /*postgres FOR UPDATE SKIP LOCKED*/;

-- name: lock_expired_leases
/*include expired_leases*/
ORDER BY lease_until_ms LIMIT :limit /*postgres FOR UPDATE SKIP LOCKED*/;

-- name: lock_expired_leases_elsewhere
/*include expired_leases*/ /*include of_other_images*/
ORDER BY lease_until_ms LIMIT :limit /*postgres FOR UPDATE SKIP LOCKED*/;

-- name: load_instance_input
SELECT length(input) AS input_bytes, CASE WHEN length(input) <= :max_input_bytes THEN input END AS input, launch_options
FROM instance_inputs WHERE instance_id = :instance_id;

-- name: read_input
SELECT length(input) AS input_bytes, substr(input, :start, :count) AS part
FROM instance_inputs WHERE instance_id = :instance_id;

-- name: renew_lease
UPDATE instances SET lease_owner = :owner, lease_until_ms = :lease_until_ms
WHERE instance_id = :instance_id AND epoch = :epoch AND status = 'running' AND image_id IS NOT NULL;

-- name: pending_cancels
SELECT instances.instance_id, instances.epoch, pending_signals.created_at_ms
FROM instances
JOIN pending_signals ON pending_signals.instance_id = instances.instance_id
WHERE instances.status = 'running' AND instances.image_id IS NOT NULL AND instances.lease_owner = :owner
  AND pending_signals.signal_type = 'cancel' AND pending_signals.acknowledged_at_ms IS NULL
ORDER BY pending_signals.created_at_ms LIMIT :limit;

-- name: last_contacts
SELECT instances.instance_id, instances.epoch, progress.last_contact_at_ms
FROM instances /*sqlite INDEXED BY instances_running*/ /*include progress_of_instances*/
WHERE instances.status = 'running' AND instances.image_id IS NOT NULL AND instances.lease_owner = :owner
  AND instances.instance_id > :after_instance_id
ORDER BY instances.instance_id LIMIT :limit;

-- name: expire_leases
UPDATE instances SET lease_until_ms = 0
WHERE status = 'running' AND image_id IS NOT NULL AND lease_owner = :owner AND lease_until_ms > 0;

-- name: store_exit
UPDATE instances
SET exit_code = COALESCE(:exit_code, exit_code), stderr = COALESCE(:stderr, stderr)
WHERE instance_id = :instance_id;

-- name: insert_launch_usage
INSERT INTO launch_usage (instance_id, epoch, memory_peak_bytes, cpu_usage_usec)
VALUES (:instance_id, :epoch, :memory_peak_bytes, :cpu_usage_usec)
ON CONFLICT (instance_id, epoch) DO NOTHING;

-- name: add_usage
UPDATE instances
SET memory_peak_bytes = /*postgres GREATEST*/ /*sqlite MAX*/(
        COALESCE(memory_peak_bytes, :memory_peak_bytes), COALESCE(:memory_peak_bytes, memory_peak_bytes)),
    cpu_usage_usec = COALESCE(cpu_usage_usec + :cpu_usage_usec, cpu_usage_usec, :cpu_usage_usec)
WHERE instance_id = :instance_id;

-- name: mark_out_of_memory
UPDATE instances SET out_of_memory_epoch = epoch WHERE instance_id = :instance_id;

-- name: next_wake
SELECT MIN(due_at_ms) AS due_at_ms FROM (
    SELECT MIN(wake_at_ms) AS due_at_ms FROM instances
    WHERE status IN ('pending', 'suspended') AND wake_at_ms IS NOT NULL AND image_id IS NOT NULL
    UNION ALL
    SELECT MIN(lease_until_ms) FROM instances WHERE status = 'running' AND image_id IS NOT NULL
) AS due;

-- name: next_lease_elsewhere
SELECT MIN(lease_until_ms) AS due_at_ms FROM instances
WHERE status = 'running' AND image_id IS NOT NULL /*include of_other_images*/;

-- Retention

-- name: read_first_epoch
SELECT epoch FROM first_epochs WHERE id = 1 /*postgres FOR SHARE*/;

-- name: lock_first_epoch
SELECT epoch FROM first_epochs WHERE id = 1 /*postgres FOR UPDATE*/;

-- name: raise_first_epoch
UPDATE first_epochs SET epoch = :epoch WHERE id = 1 AND epoch < :epoch;

-- name: lock_finished
SELECT instance_id, epoch FROM instances
WHERE finished_at_ms IS NOT NULL AND finished_at_ms < :finished_before_ms
  AND status IN ('completed', 'failed', 'cancelled')
ORDER BY finished_at_ms LIMIT :limit /*postgres FOR UPDATE SKIP LOCKED*/;

-- name: delete_finished_instance
DELETE FROM instances
WHERE instance_id = :instance_id AND finished_at_ms < :finished_before_ms
  AND status IN ('completed', 'failed', 'cancelled');

-- name: count_free_pages
/*sqlite PRAGMA freelist_count*/ /*postgres SELECT 0 AS freelist_count*/;

-- name: reclaim_page
/*sqlite PRAGMA incremental_vacuum(1)*/ /*postgres SELECT 0 AS reclaimed*/;

-- Listing. A tenant's list and everybody's are queries of their own, so that each walks its index. All that a filter
-- may name is in that index: whole rows are read for those of the page alone, and for the total not at all.

-- fragment: instance_filter
  AND (CAST(:statuses AS TEXT) IS NULL OR status IN (
      SELECT value FROM /*sqlite json_each(:statuses)*/ /*postgres json_array_elements_text(CAST(:statuses AS json))*/))
  AND (CAST(:reasons AS TEXT) IS NULL
      OR CASE WHEN termination_reason = 'crashed' AND out_of_memory_epoch = epoch
              THEN 'out_of_memory' ELSE termination_reason END IN (
      SELECT value FROM /*sqlite json_each(:reasons)*/ /*postgres json_array_elements_text(CAST(:reasons AS json))*/))
  AND (CAST(:image_ids AS TEXT) IS NULL OR image_id IN (
      SELECT value FROM /*sqlite json_each(:image_ids)*/ /*postgres json_array_elements_text(CAST(:image_ids AS json))*/))
  AND (CAST(:created_after_ms AS BIGINT) IS NULL OR created_at_ms >= :created_after_ms)
  AND (CAST(:created_before_ms AS BIGINT) IS NULL OR created_at_ms < :created_before_ms)
  AND (CAST(:finished_after_ms AS BIGINT) IS NULL OR finished_at_ms >= :finished_after_ms)
  AND (CAST(:finished_before_ms AS BIGINT) IS NULL OR finished_at_ms < :finished_before_ms)

-- fragment: instances_of
SELECT /*include summary_columns*/ FROM instances /*include progress_of_instances*/
JOIN (SELECT instance_id FROM instances

-- fragment: all_instances
/*include instances_of*/ WHERE 1 = 1 /*include instance_filter*/

-- fragment: tenant_instances
/*include instances_of*/ WHERE tenant_id = :tenant_id /*include instance_filter*/

-- fragment: page
LIMIT :limit OFFSET :offset) AS page ON page.instance_id = instances.instance_id

-- fragment: created_at_desc
ORDER BY instances.created_at_ms DESC, instances.instance_id DESC

-- fragment: created_at_asc
ORDER BY instances.created_at_ms, instances.instance_id

-- fragment: finished_at_desc
ORDER BY instances.finished_at_ms DESC NULLS LAST, instances.instance_id DESC

-- fragment: finished_at_asc
ORDER BY instances.finished_at_ms NULLS LAST, instances.instance_id

-- Pages behind an instance. Where nothing has a time, its place is behind all others.

-- fragment: after_created_at_desc
  AND (created_at_ms, instance_id) < (CAST(:after_time_ms AS BIGINT), CAST(:after_instance_id AS TEXT))

-- fragment: after_created_at_asc
  AND (created_at_ms, instance_id) > (CAST(:after_time_ms AS BIGINT), CAST(:after_instance_id AS TEXT))

-- fragment: after_finished_at_desc
  AND (COALESCE(finished_at_ms, -1), instance_id)
    < (COALESCE(CAST(:after_time_ms AS BIGINT), -1), CAST(:after_instance_id AS TEXT))

-- fragment: after_finished_at_asc
  AND (COALESCE(finished_at_ms, 9223372036854775807), instance_id)
    > (COALESCE(CAST(:after_time_ms AS BIGINT), 9223372036854775807), CAST(:after_instance_id AS TEXT))

-- name: list_instances_created_at_desc
/*include all_instances*/ /*include created_at_desc*/ /*include page*/ /*include created_at_desc*/;

-- name: list_instances_created_at_asc
/*include all_instances*/ /*include created_at_asc*/ /*include page*/ /*include created_at_asc*/;

-- name: list_instances_finished_at_desc
/*include all_instances*/ /*include finished_at_desc*/ /*include page*/ /*include finished_at_desc*/;

-- name: list_instances_finished_at_asc
/*include all_instances*/ /*include finished_at_asc*/ /*include page*/ /*include finished_at_asc*/;

-- name: list_instances_created_at_desc_after
/*include all_instances*/ /*include after_created_at_desc*/ /*include created_at_desc*/ /*include page*/ /*include created_at_desc*/;

-- name: list_instances_created_at_asc_after
/*include all_instances*/ /*include after_created_at_asc*/ /*include created_at_asc*/ /*include page*/ /*include created_at_asc*/;

-- name: list_instances_finished_at_desc_after
/*include all_instances*/ /*include after_finished_at_desc*/ /*include finished_at_desc*/ /*include page*/ /*include finished_at_desc*/;

-- name: list_instances_finished_at_asc_after
/*include all_instances*/ /*include after_finished_at_asc*/ /*include finished_at_asc*/ /*include page*/ /*include finished_at_asc*/;

-- name: list_tenant_instances_created_at_desc_after
/*include tenant_instances*/ /*include after_created_at_desc*/ /*include created_at_desc*/ /*include page*/ /*include created_at_desc*/;

-- name: list_tenant_instances_created_at_asc_after
/*include tenant_instances*/ /*include after_created_at_asc*/ /*include created_at_asc*/ /*include page*/ /*include created_at_asc*/;

-- name: list_tenant_instances_finished_at_desc_after
/*include tenant_instances*/ /*include after_finished_at_desc*/ /*include finished_at_desc*/ /*include page*/ /*include finished_at_desc*/;

-- name: list_tenant_instances_finished_at_asc_after
/*include tenant_instances*/ /*include after_finished_at_asc*/ /*include finished_at_asc*/ /*include page*/ /*include finished_at_asc*/;

-- name: count_instances
SELECT COUNT(*) AS total FROM instances WHERE 1 = 1 /*include instance_filter*/;

-- name: list_tenant_instances_created_at_desc
/*include tenant_instances*/ /*include created_at_desc*/ /*include page*/ /*include created_at_desc*/;

-- name: list_tenant_instances_created_at_asc
/*include tenant_instances*/ /*include created_at_asc*/ /*include page*/ /*include created_at_asc*/;

-- name: list_tenant_instances_finished_at_desc
/*include tenant_instances*/ /*include finished_at_desc*/ /*include page*/ /*include finished_at_desc*/;

-- name: list_tenant_instances_finished_at_asc
/*include tenant_instances*/ /*include finished_at_asc*/ /*include page*/ /*include finished_at_asc*/;

-- name: count_tenant_instances
SELECT COUNT(*) AS total FROM instances WHERE tenant_id = :tenant_id /*include instance_filter*/;

-- name: count_all_instances
SELECT COUNT(*) AS total FROM instances;

-- name: count_all_tenant_instances
SELECT COUNT(*) AS total FROM instances WHERE tenant_id = :tenant_id;
