"""What tests of storages share: the conformance suite that all pass, and a PostgreSQL server to run it on."""
