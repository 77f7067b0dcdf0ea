-- A signal more: the process ends, and the next launch goes on at once. A CHECK changes with its table alone.

ALTER TABLE pending_signals RENAME TO earlier_signals;
CREATE TABLE pending_signals (
    -- Acknowledgements name it, so it is never used again.
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    instance_id TEXT NOT NULL REFERENCES instances (instance_id) ON DELETE CASCADE,
    signal_type TEXT NOT NULL CHECK (signal_type IN ('cancel', 'pause', 'shutdown', 'resume')),
    created_at_ms BIGINT NOT NULL,
    acknowledged_at_ms BIGINT,
    payload BLOB NOT NULL,
    UNIQUE (instance_id, signal_type)
);
INSERT INTO pending_signals (id, instance_id, signal_type, created_at_ms, acknowledged_at_ms, payload)
SELECT id, instance_id, signal_type, created_at_ms, acknowledged_at_ms, payload FROM earlier_signals;
-- Ids of signals that are gone by now stay used up.
DELETE FROM sqlite_sequence WHERE name = 'pending_signals';
INSERT INTO sqlite_sequence (name, seq)
SELECT 'pending_signals', seq FROM sqlite_sequence WHERE name = 'earlier_signals';
DROP TABLE earlier_signals;
