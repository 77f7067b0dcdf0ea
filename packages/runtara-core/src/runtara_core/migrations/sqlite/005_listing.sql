-- Lists and their totals read these indexes alone: they hold the order of a page and all that a filter may name.

CREATE INDEX instances_tenant_listing
    ON instances (tenant_id, created_at_ms, instance_id, status, image_id, finished_at_ms);
CREATE INDEX instances_listing ON instances (created_at_ms, instance_id, status, image_id, finished_at_ms);
DROP INDEX instances_tenant_created;
DROP INDEX instances_created;
