"""A lease: of several processes that could do a thing, the one that took the newest token of its name does it."""

from __future__ import annotations

from gaugecast.cluster.postgres import fence
from gaugecast.cluster.postgres.connection import PostgresConnection, translated
from gaugecast.cluster.postgres.place import Place
from gaugecast.cluster.postgres.schema import make_tables


class Lease:
    """Held until another takes the next one. One thread at a time.

    Attributes:
        token: Ours.
    """

    def __init__(self, place: Place, name: str, connection: PostgresConnection, token: int) -> None:
        self.place, self.name, self.token = place, name, token
        self._connection = connection

    @classmethod
    def acquire(cls, place: Place, name: str) -> Lease:
        """Take the next token of this name; the schema is made where there is none.

        Raises:
            StorageError: The database does not answer, or refuses.
        """
        with translated(place):
            connection = PostgresConnection(place, name=f"lease {name}")
            try:
                make_tables(connection, place)
                return cls(place, name, connection, fence.take(connection, name))
            except BaseException:
                connection.close()
                raise

    def holds(self) -> bool:
        """Whether nobody has taken the next one.

        Raises:
            StorageBusy: The database does not answer, so that nobody knows.
        """
        with translated(self.place):
            if self._connection.lost:
                self._connection = PostgresConnection(self.place, name=f"lease {self.name}")
            return fence.newest(self._connection, self.name) == self.token

    def close(self) -> None:
        """Ask no more; the token stays the newest."""
        self._connection.close()
