"""From a stream's history to a curve: what had been expected of each reading, and no more points than a screen has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from gaugecast.fleet import Fleet
from gaugecast.records import Bool, Float64, Int64, Verdict

#: Further apart than that, in periods, and the line is broken.
_GAP_TICKS = 2.5
#: A forecast is of an instant that lies so near, in periods.
_NEAR_TICKS = 0.5


class Readings(NamedTuple):
    """Of one stream, oldest first: (n,), `values` (n, F), or (n,) where only one feature is wanted."""

    seqs: Int64
    at_ns: Int64
    values: Float64
    verdicts: Int64


class Made(NamedTuple):
    """Forecasts of one stream, oldest first: (m,), `forecasts` (m, H·G), horizon-major, or (m,) of one of them."""

    seqs: Int64
    forecasts: Float64


@dataclass(frozen=True, slots=True)
class Curve:
    """One feature, oldest first; NaN = nothing. `made_ns` is when the forecast was made, 0 where there is none."""

    at_ns: Int64
    observed: Float64
    expected: Float64
    made_ns: Int64

    def taken(self, places: Int64) -> Curve:
        """Some of its points."""
        return Curve(self.at_ns[places], self.observed[places], self.expected[places], self.made_ns[places])


def curve_of(readings: Readings, made: Made, fleet: Fleet, *, place: int, horizon: int) -> Curve:
    """The readings that counted, and the forecast that had been made for the instant of each.

    Args:
        place: Of the feature among all of the fleet's; it is one that is forecast.
        horizon: Place among `fleet.ahead`.
    """
    counted = (readings.verdicts == Verdict.STEPPED) | (readings.verdicts == Verdict.HELD)
    values = _column(readings.values, place)
    if fleet.joined:
        counted &= ~np.isnan(values)
    keep = np.flatnonzero(counted)
    keep = keep[np.argsort(readings.at_ns[keep], kind="stable")]
    at_ns, observed = readings.at_ns[keep], values[keep]
    feature = fleet.features[place]
    if feature.counter:
        observed = _rates(at_ns, observed, feature.per_ns)
    said = _column(made.forecasts, column_of(fleet, place=place, horizon=horizon))
    made_at = _made_at(readings, made)
    if horizon == 0:
        found = np.searchsorted(made.seqs, readings.seqs[keep]) - 1
        near = _steady(at_ns, fleet)
    else:
        due = made_at + fleet.ahead[horizon] * fleet.period_ns
        found, near = _nearest(due, at_ns, int(_NEAR_TICKS * fleet.period_ns))
    found = np.where(near & (found >= 0), found, -1)
    expected = np.where(found >= 0, said[found], np.nan) if len(said) else np.full(len(at_ns), np.nan)
    made_ns = np.where(found >= 0, made_at[found], 0) if len(said) else np.zeros(len(at_ns), np.int64)
    return Curve(at_ns, observed, expected, made_ns)


def column_of(fleet: Fleet, *, place: int, horizon: int) -> int:
    """Which column of its forecasts is of a feature at a horizon."""
    return horizon * len(fleet.forecast_places) + fleet.forecast_places.index(place)


def _column(rows: Float64, place: int) -> Float64:
    """NaN where a row is of a time when there were fewer."""
    if rows.ndim == 1:
        return rows
    return rows[:, place] if rows.ndim == 2 and place < rows.shape[1] else np.full(len(rows), np.nan)


def _rates(at_ns: Int64, totals: Float64, per_ns: int) -> Float64:
    """Of a counter, from reading to reading; nothing where it begins again."""
    out = np.full(len(totals), np.nan)
    if len(totals) > 1:
        moved, passed = np.diff(totals), np.diff(at_ns)
        good = (moved >= 0) & (passed > 0)
        out[1:][good] = moved[good] * (per_ns / passed[good])
    return out


def _steady(at_ns: Int64, fleet: Fleet) -> Bool:
    """Whether the forecast before each reading was of its instant: there is no gap before it."""
    steady = np.ones(len(at_ns), bool)
    if fleet.timed or fleet.on_arrival:
        steady[1:] = np.diff(at_ns) <= 1.5 * fleet.period_ns
    return steady


def _made_at(readings: Readings, made: Made) -> Int64:
    """Event time of the reading that made each forecast, or of the last before it."""
    if not len(readings.seqs):
        return np.zeros(len(made.seqs), np.int64)
    before = np.searchsorted(readings.seqs, made.seqs, side="right") - 1
    return readings.at_ns[np.maximum(before, 0)]


def _nearest(due: Int64, at_ns: Int64, most_ns: int) -> tuple[Int64, Bool]:
    """Of each instant the place of the forecast that is due nearest, and whether that is near enough."""
    if not len(due):
        return np.full(len(at_ns), -1), np.zeros(len(at_ns), bool)
    order = np.argsort(due, kind="stable")
    sorted_due = due[order]
    after = np.clip(np.searchsorted(sorted_due, at_ns), 0, len(due) - 1)
    before = np.maximum(after - 1, 0)
    nearer = np.abs(sorted_due[before] - at_ns) <= np.abs(sorted_due[after] - at_ns)
    place = np.where(nearer, before, after)
    return order[place], np.abs(sorted_due[place] - at_ns) <= most_ns


# -- no more points than there is room for


def gaps_before(at_ns: Int64, period_ns: int) -> Bool:
    """Whether each point comes after a gap."""
    gaps = np.zeros(len(at_ns), bool)
    gaps[1:] = np.diff(at_ns) > _GAP_TICKS * period_ns
    return gaps


def thinned(curve: Curve, points: int) -> Int64:
    """Places of at most `points` points: of each bucket the first, the least, the greatest, the worst forecast."""
    count = len(curve.at_ns)
    if count <= points:
        return np.arange(count)
    buckets = max(1, points // 4)
    size = -(-count // buckets)
    starts = np.arange(0, count, size)
    residual = np.abs(curve.observed - curve.expected)
    rows = [starts]
    for column, sign in ((curve.observed, 1.0), (curve.observed, -1.0), (residual, 1.0)):
        padded = np.full(len(starts) * size, -np.inf)
        padded[:count] = np.where(np.isnan(column), -np.inf, sign * column)
        rows.append(starts + np.argmax(padded.reshape(-1, size), axis=1))
    kept: Int64 = np.unique(np.concatenate(rows))
    return kept[kept < count]
