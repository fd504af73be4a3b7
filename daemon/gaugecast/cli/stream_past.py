"""A stream's last steps out of the ledger: what was observed, and what had been expected of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np

from gaugecast.control import StreamRow
from gaugecast.ledger.reader import LedgerReader
from gaugecast.ledger.rows import HistoryPage
from gaugecast.records import Float64


class Past(msgspec.Struct, frozen=True):
    """One feature, oldest first; null where nothing was observed, or nothing expected."""

    feature: str
    at_s: list[float]
    observed: list[float | None]
    expected: list[float | None]


def read_past(directory: Path, rows: Sequence[StreamRow], steps: int) -> list[Past]:
    """The last steps of each forecast feature of the stream that `rows` are of.

    Raises:
        StorageError: The ledger cannot be read.
    """
    fleet, stream = rows[0].fleet, rows[0].stream
    with LedgerReader(directory) as ledger:
        places = _places(ledger, fleet, [row.feature for row in rows])
        page = next(ledger.history(fleet, stream, most=steps), HistoryPage([], []))
    return [
        _past(page, row.feature, place, g, len(rows)) for g, (row, place) in enumerate(zip(rows, places, strict=True))
    ]


def _places(ledger: LedgerReader, fleet: str, features: Sequence[str]) -> list[int]:
    """Where each feature stands in a reading, as the fleet is configured last."""
    from gaugecast.events import FleetConfigured
    from gaugecast.fleet import Fleet

    specs = [e.spec for _, name, e in ledger.events() if name == fleet and isinstance(e, FleetConfigured)]
    if not specs:
        return list(range(len(features)))
    names = [feature.name for feature in Fleet.from_json(specs[-1]).features]
    return [names.index(feature) for feature in features]


def _past(page: HistoryPage, feature: str, place: int, g: int, features: int) -> Past:
    """Each reading, and the forecast that the output before it holds: that of the step before."""
    readings, outputs = page.readings[::-1], page.outputs[::-1]
    at_s, observed, expected = [], [], []
    said, i = None, 0
    for one in readings:
        values: Float64 = np.frombuffer(one.values, "<f8")
        while i < len(outputs) and outputs[i].seq < one.seq:
            said, i = _first(outputs[i].forecast, g, features), i + 1
        at_s.append(one.at_ns / 1e9)
        observed.append(_known(values[place]) if place < len(values) else None)
        expected.append(said)
    return Past(feature, at_s, observed, expected)


def _first(forecast: bytes, g: int, features: int) -> float | None:
    values: Float64 = np.frombuffer(forecast, "<f8")
    return _known(values[g]) if len(values) >= features else None


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
