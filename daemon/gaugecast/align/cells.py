"""Open ticks: the features of a step that have spoken so far, joined by aggregate."""

from __future__ import annotations

import numpy as np

from gaugecast.fleet import Feature, Fleet
from gaugecast.records import Bool, Float64, Int64
from gaugecast.streams.table import StreamTable


def merge(table: StreamTable, fleet: Fleet, slots: Int64, values: Float64, at: Int64) -> None:
    """Add readings to their streams' open cells. `values` (N, F), NaN = absent."""
    cell, count = table["cell"][slots], table["cell_n"][slots]
    for f, feature in enumerate(fleet.features):
        cell[:, f] = join(feature, cell[:, f], count[:, f], values[:, f])
    table["cell"][slots] = cell
    table["cell_n"][slots] = count + ~np.isnan(values)
    table["cell_at"][slots] = np.maximum(table["cell_at"][slots], at)
    table["held"][slots] += 1


def join(feature: Feature, cell: Float64, count: Int64, value: Float64) -> Float64:
    """One feature's cell after `value`; a mean is kept as its sum until the tick closes."""
    absent, first = np.isnan(value), count == 0
    joined: Float64
    if feature.aggregate in ("mean", "sum"):
        joined = cell + value
    elif feature.aggregate == "min":
        joined = np.minimum(cell, value)
    elif feature.aggregate == "max":
        joined = np.maximum(cell, value)
    else:
        joined = value
    return np.where(absent, cell, np.where(first, value, joined))


def complete(table: StreamTable, fleet: Fleet, slots: Int64, never: Bool) -> Bool:
    """Whether an open cell can close without waiting: every feature spoke that ever does, and none is aggregated.

    `never` (N, F): those that never do.
    """
    if fleet.aggregated:
        return np.zeros(len(slots), bool)
    return np.asarray(((table["cell_n"][slots] > 0) | never).all(axis=1))


def take(table: StreamTable, fleet: Fleet, slots: Int64) -> tuple[Float64, Int64, Int64, Int64]:
    """Close the cells of `slots`: values (N, F), event times, ticks, and how many readings each held.

    With aggregates a step's time is its tick's; else that of the newest reading.
    """
    values, count = table["cell"][slots], table["cell_n"][slots]
    tick, held = table["open_tick"][slots], table["held"][slots].astype(np.int64)
    at = table["cell_at"][slots]
    if fleet.aggregated:
        at = table["phase"][slots] + tick * fleet.period_ns
    values = closed(fleet, values, count)
    table["open"][slots] = False
    table["cell"][slots] = np.nan
    table["cell_n"][slots] = 0
    table["cell_at"][slots] = 0
    table["held"][slots] = 0
    return values, at, tick, held


def closed(fleet: Fleet, cell: Float64, count: Int64) -> Float64:
    """What cells (N, F), which so many readings (N, F) were joined to, are worth when their ticks close; new."""
    means = [feature.aggregate == "mean" for feature in fleet.features]
    return cell / np.where(means, np.maximum(count, 1), 1)
