"""The ledgers of all partitions of a cluster as one, for whoever shows the past of streams."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

from gaugecast.cluster.postgres.place import Place
from gaugecast.cluster.postgres.reader import PostgresReader, partitions_of
from gaugecast.cluster.routing import Routing
from gaugecast.events import Event
from gaugecast.ledger.ports import PastReader
from gaugecast.ledger.rows import HistoryPage, Quarantined, Told


def open_past(place: Place) -> PastReader:
    """The past of a daemon's schema, or of the partitions of a cluster that is named by it.

    Raises:
        StorageError: The database does not answer, or has no ledger there.
    """
    partitions = partitions_of(place)
    return JoinedReader(place, partitions) if partitions else PostgresReader(place)


class JoinedReader:
    """As a `PastReader`: a stream is asked for at its partition, a fleet at the first, all else at all of them.

    What was told gets numbers of its own, as it is read. One thread at a time.
    """

    def __init__(self, place: Place, partitions: int) -> None:
        with ExitStack() as stack:
            self._readers = [stack.enter_context(PostgresReader(place.part(number))) for number in range(partitions)]
            self._opened = stack.pop_all()
        self._routing = Routing(partitions)
        self._after, self._count = [0] * partitions, 0

    @property
    def last_seq(self) -> int:
        """How many inputs are durable in all of them; it only grows."""
        return sum(reader.last_seq for reader in self._readers)

    @property
    def size_bytes(self) -> int:
        """Of all of them."""
        return sum(reader.size_bytes for reader in self._readers)

    def stream_names(self) -> list[tuple[str, str]]:
        """(fleet, stream), in order."""
        return sorted({name for reader in self._readers for name in reader.stream_names()})

    def events(self, after_seq: int = 0) -> list[tuple[int, str, Event]]:
        """Those of the first: the fleets' configurations are in force in all alike."""
        return self._readers[0].events(after_seq)

    def history(
        self, fleet: str, stream: str, *, from_ns: int | None = None, to_ns: int | None = None, most: int = 2000
    ) -> Iterator[HistoryPage]:
        """Of a stream, from its partition."""
        reader = self._readers[self._routing.partition_of(fleet, stream)]
        return reader.history(fleet, stream, from_ns=from_ns, to_ns=to_ns, most=most)

    def quarantined(self, most: int, *, reason: str | None = None) -> list[Quarantined]:
        """The newest of all, newest first."""
        found = [row for reader in self._readers for row in reader.quarantined(most, reason=reason)]
        return sorted(found, key=lambda row: row.received_at_ns, reverse=True)[:most]

    def told(self, after: int = 0, most: int = 2000) -> list[Told]:
        """What follows on what was given before, oldest first; all of it again after 0."""
        if after == 0:
            self._after, self._count = [0] * len(self._readers), 0
        found: list[Told] = []
        for number, reader in enumerate(self._readers):
            rows = reader.told(self._after[number], most)
            self._after[number] = rows[-1].number if rows else self._after[number]
            found += rows
        found.sort(key=lambda row: row.received_at_ns)
        first, self._count = self._count + 1, self._count + len(found)
        return [row._replace(number=first + place) for place, row in enumerate(found)]

    def renew(self) -> bool:
        """Whether any is another ledger by now."""
        return [reader.renew() for reader in self._readers].count(True) > 0

    def close(self) -> None:
        """Close all of them."""
        self._opened.close()
