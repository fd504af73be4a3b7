"""Files as streams of one fleet, step by step through `advance`: scores and events as the daemon has them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from gaugecast.config.schema import Loop
from gaugecast.errors import ConfigError
from gaugecast.fleet import Fleet
from gaugecast.history import FileColumns, fleet_of_file
from gaugecast.learn.autoencoder.rows import FileRows, read_rows
from gaugecast.learn.score.alarms import runs_of
from gaugecast.pipeline import Pipeline
from gaugecast.records import Bool, Float64, Input, Int64, Order
from gaugecast.watching import AnomalySettings


@dataclass(frozen=True, slots=True, eq=False)
class Watched:
    """What would have been told of one file.

    Attributes:
        at: Event times of its rows, ns (T,).
        score: Highest score at each row (T,), NaN = not judged.
        open: Whether an event was open (T,).
        labels: Whether something was wrong at each row (T,), or `None`.
    """

    name: str
    at: Int64
    score: Float64
    open: Bool
    labels: Bool | None

    @property
    def began(self) -> Int64:
        """Rows at which one began."""
        return runs_of(self.open)[:, 0]


def watch_files(
    files: Sequence[Path], columns: FileColumns, settings: AnomalySettings, *, label: str = "",
    ignore: Collection[str] = (),
) -> tuple[Fleet, list[Watched]]:  # fmt: skip
    """Step all files together, each a stream; the fleet that the first is of, and what would have been told.

    Args:
        files: CSV or Parquet.
        columns: Which of their columns mean what.
        settings: How anomalies are looked for.
        label: Column that is 1 where something was wrong; empty = none.
        ignore: Columns that are not fed.

    Raises:
        ConfigError: A file cannot be read, or has other features than the first.
    """
    rows = [read_rows(file, columns, ignore=ignore, label=label) for file in files]
    for one in rows:
        if one.features != rows[0].features:
            raise ConfigError(
                f"{one.name}: the columns of {rows[0].name} expected, {', '.join(rows[0].features)}; "
                f"got {', '.join(one.features)}"
            )
    fleets = [_fleet_of(file, one, columns, settings) for file, one in zip(files, rows, strict=True)]
    watched: dict[int, Watched] = {}
    for period_ns in dict.fromkeys(fleet.period_ns for fleet in fleets):  # files of one period are streams of one fleet
        places = [place for place, fleet in enumerate(fleets) if fleet.period_ns == period_ns]
        watched |= zip(places, _watch(fleets[places[0]], [rows[place] for place in places]), strict=True)
    return fleets[0], [watched[place] for place in range(len(files))]


def _fleet_of(file: Path, rows: FileRows, columns: FileColumns, settings: AnomalySettings) -> Fleet:
    found = fleet_of_file(file, columns)
    features = tuple(feature for feature in found.features if feature.name in rows.features)
    return replace(found, features=features, anomaly=settings)


def _no_model(_fleet: str, _version: str) -> None:
    """Files are forecast by persistence."""


def _watch(fleet: Fleet, rows: Sequence[FileRows]) -> list[Watched]:
    pipeline = Pipeline(Loop(new_streams_per_s=1e6), _no_model)
    received = max(int(one.at[-1]) for one in rows)
    pipeline.advance([Order.configuring(fleet).stamped(received)])
    part = pipeline.parts[fleet.name]
    watching = part.anomalies
    assert watching is not None
    part.writer.mute = True  # nobody reads the forecasts, and writing them takes a fifth of the time
    names = [f"{place}/{one.name}" for place, one in enumerate(rows)]  # files of several folders may be called alike
    packed = [np.ascontiguousarray(one.values, "<f8") for one in rows]
    score = [np.full(len(one.at), np.nan) for one in rows]
    is_open = [np.zeros(len(one.at), bool) for one in rows]
    for t in range(max(len(one.at) for one in rows)):
        live = [k for k, one in enumerate(rows) if t < len(one.at)]
        pipeline.advance(
            [Input.reading(fleet.name, names[k], int(rows[k].at[t]), received, packed[k][t].tobytes()) for k in live]
        )
        slots = np.array([part.table.slots[names[k]] for k in live], np.int64)
        scores, events = watching.scores(slots).max(axis=1), watching.events["open"][slots]
        for place, k in enumerate(live):
            score[k][t], is_open[k][t] = scores[place], events[place]
    return [Watched(one.name, one.at, score[k], is_open[k], one.labels) for k, one in enumerate(rows)]
