-- The scenario that a version is compiled of, as the manifest of its artifact tells it: its records begin with this id.
-- Programs that are written by hand have none, nor have versions that were registered before, or by a process of an
-- earlier version, until they are registered again.

ALTER TABLE image_versions ADD COLUMN scenario_id TEXT;
