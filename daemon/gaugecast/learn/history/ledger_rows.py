"""Readings of the daemon's own ledger: what it stepped and held, with the features that the fleet has now."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from gaugecast import events
from gaugecast.fleet import Fleet
from gaugecast.history import StreamRows
from gaugecast.ledger.reader import LedgerReader
from gaugecast.pipeline import past
from gaugecast.records import Input, Kind, Verdict

SLICE_ROWS = 20_000
_TAKEN = (Verdict.STEPPED, Verdict.HELD)


def ledger_slices(directory: Path, fleet: Fleet) -> Iterator[StreamRows]:
    """Readings by stream, those of one stream in their order; other fleets' are left out.

    Features are found by name: of a time when the fleet had others they are absent.

    Raises:
        StorageError: There is no ledger.
    """
    waiting: dict[str, list[tuple[int, bytes]]] = defaultdict(list)
    names = [feature.name for feature in fleet.features]
    places = list(range(len(names)))
    with LedgerReader(directory) as ledger:
        for batch in ledger.replay(0):
            for one, verdict in zip(batch.inputs, batch.verdicts, strict=True):
                if isinstance(one.event, events.HistoryLoaded) and one.fleet == fleet.name:
                    yield from _past(one, one.event, names)
                elif one.kind == Kind.EVENT:
                    then = _names(one, fleet)
                    if then is not None:  # what waits has the places of before
                        yield from _ripe(waiting, places, 1)
                        places = [then.index(name) if name in then else -1 for name in names]
                elif one.kind == Kind.READING and one.fleet == fleet.name and verdict in _TAKEN:
                    waiting[one.stream].append((one.at_ns, one.values))
            yield from _ripe(waiting, places, SLICE_ROWS)
    yield from _ripe(waiting, places, 1)


def _past(one: Input, event: events.HistoryLoaded, names: list[str]) -> Iterator[StreamRows]:
    """The rows of history that was loaded: the oldest of their stream."""
    at_ns, values = past.unpack(one.values, len(event.features))
    values = np.concatenate([values, np.full((len(values), 1), np.nan)], axis=1)
    found = [event.features.index(name) if name in event.features else -1 for name in names]
    yield StreamRows(one.stream, at_ns, values[:, found])


def _names(one: Input, fleet: Fleet) -> list[str] | None:
    """The features that the fleet has from here on, if the event says so."""
    event = one.event
    if not isinstance(event, events.FleetConfigured) or one.fleet != fleet.name:
        return None
    return [feature.name for feature in Fleet.from_json(event.spec).features]


def _ripe(waiting: dict[str, list[tuple[int, bytes]]], places: list[int], least: int) -> Iterator[StreamRows]:
    """Streams of which so many readings wait; `places` says where each feature is in them, −1 = nowhere."""
    for stream, readings in waiting.items():
        if len(readings) < least:
            continue
        packed = np.frombuffer(b"".join(values for _, values in readings), "<f8").reshape(len(readings), -1)
        width = packed.shape[1]
        values = np.concatenate([packed, np.full((len(readings), 1), np.nan)], axis=1)
        found = values[:, [place if place < width else -1 for place in places]]
        yield StreamRows(stream, np.array([at_ns for at_ns, _ in readings], np.int64), found)
        readings.clear()
