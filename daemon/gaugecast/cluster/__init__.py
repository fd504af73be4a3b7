"""More than one machine: a ledger in PostgreSQL, and what is built on it. The only part that imports psycopg and Ray.

Of the extras `postgres` and `cluster`; a daemon with a ledger of its own imports nothing of this.
"""
