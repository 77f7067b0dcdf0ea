-- What retention and the check of signatures need of a version. A process of an earlier version leaves the new columns
-- out: its versions count as used when they were made.

ALTER TABLE images ADD COLUMN last_version BIGINT NOT NULL DEFAULT 0;
ALTER TABLE image_versions ADD COLUMN last_used_at_ms BIGINT;
ALTER TABLE image_versions ADD COLUMN signature TEXT;

-- When they were really used is not known, so none is taken for old.
UPDATE image_versions SET last_used_at_ms = CAST(EXTRACT(EPOCH FROM now()) * 1000 AS BIGINT);
