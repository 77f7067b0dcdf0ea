-- The schema that inputs of a version must fit, JSON, as the manifest of its artifact tells it. Versions that were
-- registered before, or by a process of an earlier version, have none until they are registered again: their programs
-- check their inputs themselves.

ALTER TABLE image_versions ADD COLUMN input_schema TEXT;
