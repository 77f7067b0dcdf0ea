-- What waits for a launch, by tenant and image: a claim walks from one tenant to the next without reading all that waits
-- for each, and passes over the instances of an image that it cannot launch in one step.

CREATE INDEX instances_turns ON instances (tenant_id, image_id, wake_at_ms)
    WHERE status IN ('pending', 'suspended') AND wake_at_ms IS NOT NULL AND image_id IS NOT NULL;
