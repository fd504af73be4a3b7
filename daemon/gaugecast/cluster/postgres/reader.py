"""The ledger in PostgreSQL for everybody but the loop: read-only, in short transactions."""

from __future__ import annotations

from gaugecast.cluster.postgres.connection import PostgresConnection, translated
from gaugecast.cluster.postgres.home import home_of
from gaugecast.cluster.postgres.place import Place
from gaugecast.cluster.postgres.schema import check_version, count_partitions
from gaugecast.ledger.reads import Reader


class PostgresReader(Reader):
    """A read-only view of a schema; as `ledger.reader.LedgerReader` of a file. One thread at a time.

    A session that was lost is replaced with the next question.

    Raises:
        StorageError: The database does not answer, or has no ledger there; from the calls too.
    """

    def __init__(self, place: Place) -> None:
        self.place = place
        self._session = _open(place)
        super().__init__(home_of(place), self._session)

    def _look(self) -> None:
        if self._session.lost:
            self._session = _open(self.place)
            self._attach(self._session)


def _open(place: Place) -> PostgresConnection:
    with translated(place):
        session = PostgresConnection(place, name="reader", reading=True)
        try:
            check_version(session, place)
        except BaseException:
            session.close()
            raise
    return session


def partitions_of(place: Place) -> int:
    """How many a cluster that is named by this schema has; 0 = it is a daemon's.

    Raises:
        StorageError: The database does not answer.
    """
    with translated(place):
        session = PostgresConnection(place, name="reader", reading=True)
        try:
            return count_partitions(session, place)
        finally:
            session.close()


def oldest_input(place: Place) -> int:
    """The first seq that a ledger keeps. Any thread, any process.

    Raises:
        StorageError: As `PostgresReader`.
    """
    with PostgresReader(place) as reader:
        return reader.first_seq
