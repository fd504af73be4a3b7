"""A stream's last steps out of the ledger: what was observed, and what had been expected of it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import msgspec
import numpy as np

from gaugecast.control import StreamRow
from gaugecast.known import all_known, known
from gaugecast.ledger.ports import PastReader
from gaugecast.ledger.rows import HistoryPage, PastForecasts
from gaugecast.service.opening import open_past


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
    with closing(open_past(directory)) as ledger:
        places = _places(ledger, fleet, [row.feature for row in rows])
        page = next(ledger.history(fleet, stream, most=steps), None)
    if page is None:
        return [Past(row.feature, [], [], []) for row in rows]
    return [
        _past(page, row.feature, place, g, len(rows)) for g, (row, place) in enumerate(zip(rows, places, strict=True))
    ]


def _places(ledger: PastReader, fleet: str, features: Sequence[str]) -> list[int]:
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
    readings, outputs = page.readings, page.outputs
    said = _expected(outputs, g, features)
    before = np.searchsorted(
        outputs.seqs[outputs.kinds == 0][::-1], readings.seqs[::-1]
    )  # how many outputs are older than each reading
    values = readings.values[::-1]
    observed = values[:, place] if place < values.shape[1] else np.full(len(readings), np.nan)
    return Past(
        feature,
        (readings.at_ns[::-1] / 1e9).tolist(),
        all_known(observed.tolist()),
        [said[count - 1] if count else None for count in before.tolist()],
    )


def _expected(outputs: PastForecasts, g: int, features: int) -> list[float | None]:
    """What each output expects of feature `g` next, oldest first; `None` of those of fewer features."""
    forecasts = outputs.forecasts[outputs.kinds == 0][::-1]
    if forecasts.shape[1] < features:
        return [None] * len(forecasts)
    whole = ~np.isnan(forecasts[:, features - 1])
    return [known(value) if there else None for value, there in zip(forecasts[:, g].tolist(), whole, strict=True)]
