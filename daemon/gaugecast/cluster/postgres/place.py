"""Where a ledger lies in PostgreSQL: a database, and a schema that holds nothing else."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from psycopg.conninfo import conninfo_to_dict

from gaugecast.config.schema import Storage


@dataclass(frozen=True, slots=True)
class Place:
    """One ledger: its tables, checkpoints and weights. A schema each, so that `pg_dump -n` takes all of it.

    Attributes:
        url: As libpq has it; never shown. A password is in the file that PGPASSFILE or `passfile=` names.
        schema: Lower case letters, digits and `_`.
    """

    url: str = field(repr=False)
    schema: str = "gaugecast"

    @classmethod
    def of(cls, storage: Storage) -> Place:
        """The one that the configuration names."""
        return cls(storage.postgres, storage.postgres_schema)

    def part(self, number: int) -> Place:
        """That of one partition."""
        return replace(self, schema=f"{self.schema}_p{number:04d}")

    def __str__(self) -> str:
        known = conninfo_to_dict(self.url)
        host, port = known.get("host") or "the local socket", known.get("port") or 5432
        return f"PostgreSQL at {host}:{port}, database {known.get('dbname') or '(default)'}, schema {self.schema}"
