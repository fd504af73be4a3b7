"""More than one machine: a ledger in PostgreSQL, and what is built on it. The only part that imports psycopg and Ray.

Both are of the extra `cluster`; a daemon with a ledger of its own imports nothing of this.
"""
