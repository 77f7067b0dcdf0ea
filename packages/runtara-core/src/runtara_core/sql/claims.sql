-- Queries of claims when not all that is due can be claimed, for both databases: whose turn is it.

-- fragment: waiting
instances.status IN ('pending', 'suspended') AND instances.wake_at_ms IS NOT NULL AND instances.image_id IS NOT NULL

-- How many run, and how many are due, as far as it matters.

-- name: count_admission
SELECT (
    SELECT COUNT(*) FROM instances /*sqlite INDEXED BY instances_running*/ WHERE status = 'running'
) AS running, (
    SELECT COUNT(*) FROM (
        SELECT wake_at_ms FROM instances WHERE /*include waiting*/ AND wake_at_ms <= :now_ms
        ORDER BY wake_at_ms LIMIT :most_due
    ) AS some_due
) AS due;

-- name: count_running_by_tenant
SELECT tenant_id, COUNT(*) AS running FROM instances /*sqlite INDEXED BY instances_running*/
WHERE status = 'running' GROUP BY tenant_id;

-- name: count_running_of_tenant
SELECT COUNT(*) AS running FROM instances /*sqlite INDEXED BY instances_running*/
WHERE status = 'running' AND tenant_id = :tenant_id;

-- The earliest wake time of each tenant and image, in the order of the index: one step down it for each of them, however
-- many instances wait. (Compared with a row of another query, SQLite would walk the index by its first column alone.)

-- name: find_waiting_heads
WITH RECURSIVE heads (tenant_id, image_id, wake_at_ms, place) AS (
    SELECT tenant_id, image_id, wake_at_ms, place FROM (
        SELECT tenant_id, image_id, wake_at_ms, 1 AS place FROM instances
        WHERE /*include waiting*/ AND (tenant_id, image_id) > (:after_tenant_id, :after_image_id)
        ORDER BY tenant_id, image_id, wake_at_ms LIMIT 1
    ) AS first_head
    UNION ALL
    SELECT head.tenant_id, head.image_id, head.wake_at_ms, heads.place + 1
    FROM heads
    /*postgres CROSS JOIN LATERAL (
        SELECT instances.tenant_id, instances.image_id, instances.wake_at_ms FROM instances
        WHERE /*include waiting*/
          AND (instances.tenant_id, instances.image_id) > (heads.tenant_id, heads.image_id)
        ORDER BY instances.tenant_id, instances.image_id, instances.wake_at_ms LIMIT 1
    ) AS head*/
    /*sqlite CROSS JOIN instances AS head ON head.instance_id = COALESCE((
        SELECT instance_id FROM instances
        WHERE /*include waiting*/
          AND instances.tenant_id = heads.tenant_id AND instances.image_id > heads.image_id
        ORDER BY instances.image_id, instances.wake_at_ms LIMIT 1
    ), (
        SELECT instance_id FROM instances
        WHERE /*include waiting*/ AND instances.tenant_id > heads.tenant_id
        ORDER BY instances.tenant_id, instances.image_id, instances.wake_at_ms LIMIT 1
    ))*/
    WHERE heads.place < :most_heads
)
SELECT tenant_id, image_id, wake_at_ms FROM heads;

-- Each instance's place is the number of instances of its tenant that run or come before it.

-- name: find_due_by_turns
SELECT candidates.instance_id FROM (
    SELECT candidate.instance_id, candidate.wake_at_ms, turns.running + ROW_NUMBER() OVER (
        PARTITION BY turns.tenant_id ORDER BY candidate.wake_at_ms, candidate.instance_id
    ) AS place
    FROM /*postgres json_to_recordset(CAST(:turns AS JSON)) AS turns (tenant_id TEXT, image_id TEXT, running BIGINT)
    CROSS JOIN LATERAL (
        SELECT instances.instance_id, instances.wake_at_ms FROM instances
        WHERE instances.tenant_id = turns.tenant_id AND instances.image_id = turns.image_id
          AND /*include waiting*/ AND instances.wake_at_ms <= :now_ms
        ORDER BY instances.wake_at_ms LIMIT :limit
    ) AS candidate*/
    /*sqlite (
        SELECT json_extract(value, '$.tenant_id') AS tenant_id, json_extract(value, '$.image_id') AS image_id,
            json_extract(value, '$.running') AS running
        FROM json_each(:turns)
    ) AS turns
    CROSS JOIN instances AS candidate ON candidate.instance_id IN (
        SELECT instances.instance_id FROM instances
        WHERE instances.tenant_id = turns.tenant_id AND instances.image_id = turns.image_id
          AND /*include waiting*/ AND instances.wake_at_ms <= :now_ms
        ORDER BY instances.wake_at_ms LIMIT :limit
    )*/
) AS candidates
WHERE candidates.place <= :most_of_tenant
ORDER BY candidates.place, candidates.wake_at_ms, candidates.instance_id LIMIT :limit;
