"""The ledger in PostgreSQL: the same rows, batches and segments as in SQLite, a schema each, one writer at a time."""
