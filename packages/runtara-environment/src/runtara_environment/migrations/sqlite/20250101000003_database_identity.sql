-- A random name of this database, by which its run directories are told from those of another database that uses the
-- same data directory.

CREATE TABLE database_identity (
    only_row INTEGER NOT NULL PRIMARY KEY CHECK (only_row = 1),
    database_id TEXT NOT NULL
);
