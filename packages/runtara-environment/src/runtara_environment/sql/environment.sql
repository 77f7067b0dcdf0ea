-- Images and their versions.

-- fragment: image_columns
images.image_id, images.tenant_id, images.name, images.description, images.runner_type, images.metadata,
images.limits, images.runner,
images.created_at_ms, images.updated_at_ms, images.deleted_at_ms,
images.current_version, image_versions.version, image_versions.digest, image_versions.size_bytes, image_versions.kind,
image_versions.signature, image_versions.created_at_ms AS version_created_at_ms,
COALESCE(image_versions.last_used_at_ms, image_versions.created_at_ms) AS last_used_at_ms

-- name: insert_image
INSERT INTO images (image_id, tenant_id, name, runner_type, current_version, created_at_ms, updated_at_ms)
VALUES (:image_id, :tenant_id, :name, :runner_type, 0, :now_ms, :now_ms)
ON CONFLICT (tenant_id, name) DO NOTHING;

-- name: lock_image
SELECT image_id, last_version FROM images WHERE tenant_id = :tenant_id AND name = :name /*postgres FOR UPDATE*/;

-- name: find_image_version
SELECT version FROM image_versions WHERE image_id = :image_id AND digest = :digest;

-- name: insert_image_version
INSERT INTO image_versions (image_id, version, digest, size_bytes, kind, created_at_ms)
SELECT CAST(:image_id AS TEXT),
    CASE WHEN MAX(version) > CAST(:last_version AS BIGINT) THEN MAX(version) ELSE CAST(:last_version AS BIGINT) END + 1,
    CAST(:digest AS TEXT), CAST(:size_bytes AS BIGINT), CAST(:kind AS TEXT), CAST(:now_ms AS BIGINT)
FROM image_versions WHERE image_id = :image_id;

-- name: use_image_version
UPDATE image_versions SET last_used_at_ms = :now_ms WHERE image_id = :image_id AND version = :version;

-- name: sign_image_version
UPDATE image_versions SET signature = :signature WHERE image_id = :image_id AND version = :version;

-- name: set_input_schema
UPDATE image_versions SET input_schema = :input_schema
WHERE image_id = :image_id AND digest = :digest AND input_schema IS NULL;

-- name: load_input_schema
SELECT input_schema FROM image_versions WHERE image_id = :image_id AND digest = :digest;

-- name: set_scenario_id
UPDATE image_versions SET scenario_id = :scenario_id
WHERE image_id = :image_id AND digest = :digest AND scenario_id IS NULL;

-- name: load_scenario_id
SELECT scenario_id FROM image_versions WHERE image_id = :image_id AND digest = :digest;

-- name: point_image
UPDATE images
SET description = :description, runner_type = :runner_type, metadata = :metadata, limits = :limits, runner = :runner,
    current_version = :version,
    last_version = CASE WHEN last_version > :version THEN last_version ELSE :version END,
    updated_at_ms = :now_ms, deleted_at_ms = NULL
WHERE image_id = :image_id;

-- name: get_image
SELECT /*include image_columns*/
FROM images JOIN image_versions
    ON image_versions.image_id = images.image_id AND image_versions.version = images.current_version
WHERE images.image_id = :image_id AND images.tenant_id = :tenant_id;

-- name: get_image_version
SELECT /*include image_columns*/
FROM images JOIN image_versions ON image_versions.image_id = images.image_id
WHERE images.image_id = :image_id AND images.tenant_id = :tenant_id
    AND (CAST(:version AS BIGINT) IS NULL OR image_versions.version = :version)
    AND (CAST(:digest AS TEXT) IS NULL OR image_versions.digest = :digest)
ORDER BY image_versions.version DESC LIMIT 1;

-- name: find_image_version_by_digest
SELECT image_id FROM image_versions WHERE digest = :digest LIMIT 1;

-- name: list_old_image_versions
SELECT image_id, version, digest FROM image_versions
WHERE (image_id, version) > (CAST(:after_image_id AS TEXT), CAST(:after_version AS BIGINT))
    AND COALESCE(last_used_at_ms, created_at_ms) < :before_ms
ORDER BY image_id, version LIMIT :page_limit;

-- name: lock_image_by_id
SELECT image_id FROM images WHERE image_id = :image_id /*postgres FOR UPDATE*/;

-- name: delete_old_image_version
DELETE FROM image_versions
WHERE image_id = :image_id AND version = :version AND COALESCE(last_used_at_ms, created_at_ms) < :before_ms
    AND (
        NOT EXISTS (SELECT 1 FROM images WHERE images.image_id = :image_id AND images.current_version = :version)
        OR NOT EXISTS (
            SELECT 1 FROM image_versions AS other WHERE other.image_id = :image_id AND other.version <> :version));

-- name: delete_image_without_versions
DELETE FROM images
WHERE image_id = :image_id AND NOT EXISTS (SELECT 1 FROM image_versions WHERE image_versions.image_id = :image_id);

-- name: list_image_versions
SELECT /*include image_columns*/
FROM images JOIN image_versions ON image_versions.image_id = images.image_id
WHERE images.image_id = :image_id AND images.tenant_id = :tenant_id AND images.deleted_at_ms IS NULL
    AND image_versions.version < :before_version
ORDER BY image_versions.version DESC LIMIT :page_limit;

-- fragment: current_images
SELECT /*include image_columns*/
FROM images JOIN image_versions
    ON image_versions.image_id = images.image_id AND image_versions.version = images.current_version
WHERE images.deleted_at_ms IS NULL

-- fragment: newest_images
ORDER BY images.created_at_ms DESC, images.image_id DESC LIMIT :page_limit OFFSET :page_offset

-- fragment: behind_image
(images.created_at_ms, images.image_id) < (CAST(:after_created_at_ms AS BIGINT), CAST(:after_image_id AS TEXT))

-- name: list_images
/*include current_images*/ /*include newest_images*/;

-- name: list_images_after
/*include current_images*/ AND /*include behind_image*/ /*include newest_images*/;

-- name: list_tenant_images
/*include current_images*/ AND images.tenant_id = :tenant_id /*include newest_images*/;

-- name: list_tenant_images_after
/*include current_images*/ AND images.tenant_id = :tenant_id AND /*include behind_image*/ /*include newest_images*/;

-- name: count_images
SELECT COUNT(*) AS total FROM images WHERE deleted_at_ms IS NULL;

-- name: count_tenant_images
SELECT COUNT(*) AS total FROM images WHERE deleted_at_ms IS NULL AND tenant_id = :tenant_id;

-- name: delete_image
UPDATE images SET deleted_at_ms = :now_ms, updated_at_ms = :now_ms
WHERE image_id = :image_id AND tenant_id = :tenant_id AND deleted_at_ms IS NULL;

-- name: list_image_names
SELECT image_id, name FROM images
WHERE image_id /*sqlite IN (SELECT value FROM json_each(:image_ids))*/
    /*postgres = ANY (ARRAY(SELECT json_array_elements_text(CAST(:image_ids AS json))))*/;

-- name: list_image_updates
SELECT image_id, updated_at_ms FROM images
WHERE image_id /*sqlite IN (SELECT value FROM json_each(:image_ids))*/
    /*postgres = ANY (ARRAY(SELECT json_array_elements_text(CAST(:image_ids AS json))))*/;

-- A name of these characters begins with the prefix when it lies from the prefix on and before the bound.

-- fragment: name_begins
name /*postgres COLLATE "C"*/ >= :prefix AND name /*postgres COLLATE "C"*/ < :bound

-- name: list_image_ids_by_name_prefix
SELECT image_id FROM images WHERE /*include name_begins*/ ORDER BY name /*postgres COLLATE "C"*/ LIMIT :page_limit;

-- name: list_tenant_image_ids_by_name_prefix
SELECT image_id FROM images WHERE tenant_id = :tenant_id AND /*include name_begins*/
ORDER BY name /*postgres COLLATE "C"*/ LIMIT :page_limit;

-- Launches and their owners.

-- fragment: launch_columns
instance_id, epoch, owner, host_id, runner_type, run_directory, state, phase, deadline_ms, created_at_ms

-- name: newest_launch_epoch
SELECT MAX(epoch) AS epoch FROM launches WHERE instance_id = :instance_id;

-- name: insert_launch
INSERT INTO launches (/*include launch_columns*/)
VALUES (:instance_id, :epoch, :owner, :host_id, :runner_type, :run_directory, :state, 'intended', :deadline_ms,
    :created_at_ms)
ON CONFLICT (instance_id, epoch) DO NOTHING;

-- name: start_launch
UPDATE launches SET phase = 'started', state = :state WHERE instance_id = :instance_id AND epoch = :epoch;

-- name: list_launches_of_host
SELECT /*include launch_columns*/ FROM launches
WHERE host_id = :host_id AND (instance_id > :after_instance_id
    OR (instance_id = :after_instance_id AND epoch < :after_epoch))
ORDER BY instance_id, epoch DESC LIMIT :page_limit;

-- name: list_launches_of_owner
SELECT /*include launch_columns*/ FROM launches
WHERE owner = :owner AND (instance_id > :after_instance_id
    OR (instance_id = :after_instance_id AND epoch < :after_epoch))
ORDER BY instance_id, epoch DESC LIMIT :page_limit;

-- name: list_launches_of_instance
SELECT /*include launch_columns*/ FROM launches
WHERE instance_id = :instance_id ORDER BY epoch DESC LIMIT :page_limit;

-- name: take_over_launch
UPDATE launches SET owner = :new_owner
WHERE instance_id = :instance_id AND epoch = :epoch AND owner = :owner;

-- name: remove_launch
DELETE FROM launches WHERE instance_id = :instance_id AND epoch = :epoch;

-- name: announce_owner
INSERT INTO launch_owners (owner, host_id, announced_at_ms) VALUES (:owner, :host_id, :now_ms)
ON CONFLICT (owner) DO UPDATE SET host_id = EXCLUDED.host_id, announced_at_ms = EXCLUDED.announced_at_ms;

-- name: list_owners_of_host
SELECT owner FROM launch_owners WHERE host_id = :host_id ORDER BY announced_at_ms, owner;

-- name: forget_owner
DELETE FROM launch_owners WHERE owner = :owner;

-- name: insert_database_identity
INSERT INTO database_identity (only_row, database_id) VALUES (1, :database_id) ON CONFLICT (only_row) DO NOTHING;

-- name: load_database_identity
SELECT database_id FROM database_identity;

-- Hosts.

-- fragment: host_columns
hosts.host_id, hosts.owner, hosts.host_name, hosts.address, hosts.version, hosts.runner_type, hosts.isolation, hosts.state,
hosts.live_launches, hosts.max_launches, hosts.started_at_ms, hosts.last_seen_at_ms, hosts.drain_requested_at_ms,
hosts.drain_seconds,
(SELECT COUNT(*) FROM host_artifacts WHERE host_artifacts.host_id = hosts.host_id) AS artifact_count

-- name: announce_host
INSERT INTO hosts (host_id, owner, host_name, address, version, runner_type, isolation, state, live_launches, max_launches,
    started_at_ms, last_seen_at_ms)
VALUES (:host_id, :owner, :host_name, :address, :version, :runner_type, :isolation, 'active', 0, :max_launches, :now_ms,
    :now_ms)
ON CONFLICT (host_id) DO UPDATE SET owner = EXCLUDED.owner, host_name = EXCLUDED.host_name, address = EXCLUDED.address,
    version = EXCLUDED.version, runner_type = EXCLUDED.runner_type, isolation = EXCLUDED.isolation,
    state = EXCLUDED.state, live_launches = 0, max_launches = EXCLUDED.max_launches,
    started_at_ms = EXCLUDED.started_at_ms, last_seen_at_ms = EXCLUDED.last_seen_at_ms;

-- name: touch_host
UPDATE hosts SET state = :state, live_launches = :live_launches, last_seen_at_ms = :now_ms
WHERE host_id = :host_id AND owner = :owner;

-- name: get_host
SELECT /*include host_columns*/ FROM hosts WHERE host_id = :host_id;

-- name: list_hosts
SELECT /*include host_columns*/ FROM hosts ORDER BY hosts.last_seen_at_ms DESC, hosts.host_id LIMIT :page_limit;

-- name: list_hosts_with_artifact
SELECT /*include host_columns*/
FROM host_artifacts AS held JOIN hosts ON hosts.host_id = held.host_id
WHERE held.digest = :digest AND hosts.state <> 'stopped' AND hosts.last_seen_at_ms >= :seen_since_ms
ORDER BY hosts.last_seen_at_ms DESC, hosts.host_id LIMIT :page_limit;

-- name: request_drain
UPDATE hosts SET drain_requested_at_ms = :requested_at_ms, drain_seconds = :drain_seconds WHERE host_id = :host_id;

-- name: forget_hosts
DELETE FROM hosts WHERE last_seen_at_ms < :seen_before_ms;

-- name: list_held_artifacts
SELECT digest FROM host_artifacts WHERE host_id = :host_id AND digest > :after_digest ORDER BY digest LIMIT :page_limit;

-- name: add_held_artifacts
INSERT INTO host_artifacts (host_id, digest)
SELECT CAST(:host_id AS TEXT), value
FROM /*sqlite json_each(:digests)*/ /*postgres json_array_elements_text(CAST(:digests AS json)) AS given (value)*/
WHERE TRUE
ON CONFLICT (host_id, digest) DO NOTHING;

-- name: remove_held_artifacts
DELETE FROM host_artifacts WHERE host_id = :host_id AND digest /*sqlite IN (SELECT value FROM json_each(:digests))*/
    /*postgres = ANY (ARRAY(SELECT json_array_elements_text(CAST(:digests AS json))))*/;

-- Ends of launches, asked of one environment for what another one runs.

-- name: request_stop
INSERT INTO stop_requests (instance_id, epoch, grace_ms, requested_at_ms)
VALUES (:instance_id, :epoch, :grace_ms, :now_ms)
ON CONFLICT (instance_id, epoch) DO UPDATE SET grace_ms = EXCLUDED.grace_ms, requested_at_ms = EXCLUDED.requested_at_ms;

-- name: list_stop_requests
SELECT instance_id, epoch, grace_ms FROM stop_requests
WHERE instance_id /*sqlite IN (SELECT value FROM json_each(:instance_ids))*/
    /*postgres = ANY (ARRAY(SELECT json_array_elements_text(CAST(:instance_ids AS json))))*/;

-- name: forget_stop_requests
DELETE FROM stop_requests WHERE requested_at_ms < :requested_before_ms;

-- Artifacts that are kept in the database.

-- name: list_needed_artifacts
SELECT DISTINCT digest FROM image_versions
WHERE digest /*sqlite IN (SELECT value FROM json_each(:digests))*/
    /*postgres = ANY (ARRAY(SELECT json_array_elements_text(CAST(:digests AS json))))*/;

-- name: get_stored_artifact
SELECT size_bytes, changed_at_ms FROM stored_artifacts WHERE digest = :digest;

-- name: list_kept_artifacts
SELECT digest FROM stored_artifacts
WHERE size_bytes IS NOT NULL AND digest /*sqlite IN (SELECT value FROM json_each(:digests))*/
    /*postgres = ANY (ARRAY(SELECT json_array_elements_text(CAST(:digests AS json))))*/;

-- name: list_old_stored_artifacts
SELECT digest FROM stored_artifacts
WHERE digest > :after_digest AND changed_at_ms < :before_ms ORDER BY digest LIMIT :page_limit;

-- name: touch_stored_artifact
UPDATE stored_artifacts SET changed_at_ms = :now_ms WHERE digest = :digest AND size_bytes IS NOT NULL;

-- name: distrust_stored_artifact
UPDATE stored_artifacts SET size_bytes = NULL WHERE digest = :digest AND changed_at_ms = :changed_at_ms;

-- name: condemn_stored_artifact
UPDATE stored_artifacts SET size_bytes = NULL
WHERE digest = :digest AND changed_at_ms < :before_ms
    AND NOT EXISTS (SELECT 1 FROM image_versions WHERE image_versions.digest = :digest);

-- name: lock_condemned_artifact
SELECT digest FROM stored_artifacts
WHERE digest = :digest AND size_bytes IS NULL AND changed_at_ms < :before_ms /*postgres FOR UPDATE*/;

-- name: remove_artifact_chunks
DELETE FROM artifact_chunks
WHERE digest = :digest AND position IN (
    SELECT position FROM artifact_chunks WHERE digest = :digest ORDER BY position LIMIT :chunk_limit);

-- name: remove_stored_artifact
DELETE FROM stored_artifacts WHERE digest = :digest;

-- name: begin_stored_artifact
INSERT INTO stored_artifacts (digest, size_bytes, changed_at_ms) VALUES (:digest, NULL, :now_ms)
ON CONFLICT (digest) DO UPDATE SET changed_at_ms = EXCLUDED.changed_at_ms;

-- name: store_artifact_chunk
INSERT INTO artifact_chunks (digest, position, content) VALUES (:digest, :position, :content)
ON CONFLICT (digest, position) DO UPDATE SET content = EXCLUDED.content;

-- name: complete_stored_artifact
UPDATE stored_artifacts SET size_bytes = :size_bytes, changed_at_ms = :now_ms WHERE digest = :digest;

-- name: load_artifact_chunk
SELECT content FROM artifact_chunks WHERE digest = :digest AND position = :position;
