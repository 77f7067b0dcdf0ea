-- Bookkeeping of migrations; used by runtara_core.migrations on any database.

-- name: lock_migrations
SELECT 1 AS locked /*postgres FROM (SELECT pg_advisory_xact_lock(7267310843001)) AS migration_lock*/;

-- name: create_migrations_table
CREATE TABLE IF NOT EXISTS runtara_migrations (
    version BIGINT NOT NULL PRIMARY KEY,
    migration_set TEXT NOT NULL,
    name TEXT NOT NULL,
    checksum TEXT NOT NULL,
    applied_at_ms BIGINT NOT NULL
);

-- name: list_applied_migrations
SELECT version, migration_set, name, checksum, applied_at_ms FROM runtara_migrations ORDER BY version;

-- name: insert_migration
INSERT INTO runtara_migrations (version, migration_set, name, checksum, applied_at_ms)
VALUES (:version, :migration_set, :name, :checksum, :applied_at_ms);
