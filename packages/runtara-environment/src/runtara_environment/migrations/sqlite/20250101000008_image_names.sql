-- Images are found by the beginning of their names, without reading all of them. The unique index by tenant and name has
-- the order of the database's language on PostgreSQL, in which a beginning cannot be looked up.

CREATE INDEX images_name ON images (name, image_id);
CREATE INDEX images_tenant_name ON images (tenant_id, name, image_id);
