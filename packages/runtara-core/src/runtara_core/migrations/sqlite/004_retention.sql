-- Finished instances are removed after a while, the oldest first.

CREATE INDEX instances_finished ON instances (finished_at_ms) WHERE finished_at_ms IS NOT NULL;

-- One row: the epoch that new instances begin with, above that of every instance removed so far. So no process or token
-- of a removed instance fits another that is created under its id.
CREATE TABLE first_epochs (
    id BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
    epoch BIGINT NOT NULL CHECK (epoch >= 0)
);
INSERT INTO first_epochs (id, epoch) VALUES (1, 0);
