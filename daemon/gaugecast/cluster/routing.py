"""Which partition a stream belongs to. Pure, and the same in every process for ever: ledgers are cut by it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple
from zlib import crc32

from gaugecast.batch import Inputs
from gaugecast.errors import ConfigError
from gaugecast.payloads import Decoded
from gaugecast.records import Refused

#: Streams are dealt into so many slots; a partition holds a range of them.
SLOTS = 4096
#: Streams whose partition is remembered; beyond this the memory begins anew.
_CACHED = 250_000


class Piece(NamedTuple):
    """What one partition gets of what was decoded.

    Attributes:
        inputs: In the order in which they came.
        refused: For the quarantine.
    """

    inputs: Inputs
    refused: list[Refused]


def slot_of(fleet: str, stream: str) -> int:
    """0…4095."""
    return crc32(f"{fleet}/{stream}".encode(errors="surrogatepass")) % SLOTS


def slots_of(partition: int, partitions: int) -> range:
    """The slots of one of `partitions`; of all of them together each slot once.

    Raises:
        ConfigError: There can be no such partition.
    """
    if not 0 <= partition < partitions <= SLOTS:
        raise ConfigError(f"expected a partition of 1 to {SLOTS}, got {partition} of {partitions}")
    return range(partition * SLOTS // partitions, (partition + 1) * SLOTS // partitions)


class Routing:
    """Deals what was decoded out to partitions. Owned by its ingest; remembers streams that it has seen, bounded."""

    def __init__(self, partitions: int) -> None:
        self.partitions = partitions
        self._of_slot = [p for p in range(partitions) for _ in slots_of(p, partitions)]
        self._known: dict[tuple[str, str], int] = {}

    def partition_of(self, fleet: str, stream: str) -> int:
        """Where a stream is forecast; rejects that name no stream go by their fleet."""
        found = self._known.get((fleet, stream))
        if found is None:
            if len(self._known) >= _CACHED:
                self._known.clear()
            found = self._known[fleet, stream] = self._of_slot[slot_of(fleet, stream)]
        return found

    def split(self, decoded: Decoded) -> dict[int, Piece]:
        """A piece for each partition that has anything of it; rows of one stream stay in their order."""
        inputs = decoded.inputs
        places: defaultdict[int, list[int]] = defaultdict(list)
        for place, (fleet, stream) in enumerate(zip(inputs.fleet, inputs.stream, strict=True)):
            places[self.partition_of(fleet, stream)].append(place)
        rows: defaultdict[int, list[Refused]] = defaultdict(list)
        for row in decoded.refused:
            rows[self.partition_of(row.fleet, row.stream)].append(row)
        return {
            partition: Piece(_taken(inputs, places.get(partition, ())), rows.get(partition, []))
            for partition in sorted(places.keys() | rows.keys())
        }


def _taken(inputs: Inputs, places: Sequence[int]) -> Inputs:
    return inputs if len(places) == len(inputs) else inputs.reordered(places)
