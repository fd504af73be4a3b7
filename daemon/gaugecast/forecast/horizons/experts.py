"""All that forecasts the listed horizons of one fleet's streams: experts, their mixture and intervals.

One call a round of steps. Nothing here knows of readings, models or messages: values and the network's own forecasts
come in as arrays, forecasts and bounds go out as arrays.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from gaugecast.forecast.horizons import audit, clocked, intervals, mixture, season, settled
from gaugecast.forecast.horizons.layout import HorizonLayout
from gaugecast.forecast.horizons.rows import EXPERTS, LONG, SEEN, Rows, Said
from gaugecast.forecast.horizons.standing import Standing, standing
from gaugecast.forecast.scaling import STATS, default_recipe
from gaugecast.records import Bool, Float64, Int64
from gaugecast.streams.columns import Array, Column, Columns

#: Rows are stepped by so many that the regressors of all horizons stay within a processor's cache.
_CACHED_BYTES = 1 << 20
#: Columns that are copied for a step.
_CARRIED = ("ticks", "stats", "theta", "level", "range", "turning", "shock", "mix", "errors", "covered", "profile")


class Ahead(NamedTuple):
    """What is said of N streams at H horizons, in the sensors' units.

    Attributes:
        forecast: What is to be published (N, H, G); NaN of a feature never seen.
        lower, upper: Bounds by level (N, H, G, L); NaN while `warming`.
        warming: Whether too few errors have come due to tell bounds (N, H, G).
        leads: The expert with the most weight, as a place in `LEADS` (N, H, G).
        experts: What each says (N, H, G, E); NaN of a network that is not there.
    """

    forecast: Float64
    lower: Float64
    upper: Float64
    warming: Bool
    leads: Int64
    experts: Float64


class HorizonExperts:
    """Columns with what is remembered of each stream, and the step that uses them. Owned by the loop's thread.

    Args:
        period_ns: Distance of two ticks.
        features: G, forecast features.
        horizons: In ticks; 1 is always among them.
        levels: Of the intervals, rising, such as 0.8 and 0.95; empty = none.
        capacity: Rows to begin with.
        seasons: Look at day and week, where the period allows.
        clocked_far: Far horizons have experts that know the time of day; of old they had not.
    """

    def __init__(
        self,
        period_ns: int,
        features: int,
        horizons: Sequence[int],
        *,
        levels: Sequence[float] = (0.8, 0.95),
        capacity: int = 64,
        seasons: bool = True,
        clocked_far: bool = True,
    ) -> None:
        self.layout = HorizonLayout.of(horizons, period_ns, seasons=seasons, clocked=clocked_far)
        self.levels = np.array(levels, np.float64)
        self._recipe = default_recipe(period_ns)
        self._features = features
        self.columns = Columns(self._spec(), capacity)

    def _spec(self) -> list[Column]:
        lay, g = self.layout, self._features
        horizons, size = lay.count, lay.size
        errors = Column("errors", "<f8", (g, intervals.SIZE + 2 * len(self.levels), horizons))
        covered = Column("covered", "<f8", (g, 1 + len(self.levels), horizons))
        far = lay.count - lay.far
        turning = [
            Column("level", "<f8", (g, clocked.LEVEL)),
            Column("range", "<f8", (g, settled.SIZE), np.nan),
            Column("turning", "<f8", (g, clocked.SIZE, clocked.TURNS * far)),
            Column("turning_p", "<f8", (g, clocked.TURNS * lay.far_groups, clocked.SIZE, clocked.SIZE)),
        ]
        profile = [Column("profile", "<f8", (g, bins), 1.0) for bins in (season.bins_of(lay),) if bins]
        return [
            Column("ticks", "<i8", (g,)),
            Column("stats", "<f8", (g, STATS)),
            Column("points", "<f8", (g, lay.points), np.nan),
            Column("theta", "<f8", (g, size, horizons)),
            Column("p", "<f8", (g, lay.groups, size, size)),
            Column("base", "<f8", (g, lay.waits), np.nan),
            Column("said", "<f4", (g, lay.waits, len(EXPERTS) + 1 + 2 * len(self.levels)), np.nan),
            Column("shock", "<i8", (g,)),  # tick of the last one; 0 = none yet
            Column("mix", "<f8", (g, mixture.SIZE, horizons)),
            Column("ahead", "<f8", (g, horizons), np.nan),
            *([errors, covered, *profile] if len(self.levels) else []),
            *(turning if far else []),
        ]

    def go_on_from(self, before: HorizonExperts) -> None:
        """Take over what was learned at the same horizons without experts for far ones; those begin beside it."""
        rows = min(before.columns.capacity, self.columns.capacity)
        known = dict(before.columns)
        for name, array in self.columns:
            if name in known and known[name].shape[1:] == array.shape[1:]:
                array[:rows] = known[name][:rows]
        if self.layout.has_far:
            columns, far = self.columns, self.layout.far
            columns["level"][:] = columns["stats"][..., SEEN : SEEN + clocked.LEVEL]
            columns["turning_p"][columns["ticks"] > 0] = clocked.begin(self.layout)
            columns["mix"][columns["ticks"] > 0, :, far:] = mixture.BEGIN_FAR[:, None]

    def step(self, slots: Int64, values: Float64, *, x: Float64, last: Float64, gap: Int64, own: Float64) -> Ahead:
        """Learn from what has come due, and forecast from here.

        Args:
            slots: Streams (N,), each once.
            values: Forecast features as measured (N, G), NaN = absent.
            x: What the forecasts move from (N, G): the values, or what stands in for absent ones; NaN = never seen.
            last: As measured one step earlier (N, G), NaN = absent.
            gap: Ticks without a step before this one (N,).
            own: The network's forecasts (N, H, G), NaN where there are none.
        """
        most = max(1, _CACHED_BYTES // (8 * self._features * self.layout.count * self.layout.size))
        parts = [
            self._step(slots[at], values[at], x=x[at], last=last[at], gap=gap[at], own=own[at])
            for at in (slice(begin, begin + most) for begin in range(0, max(1, len(slots)), most))
        ]
        return parts[0] if len(parts) == 1 else Ahead(*(np.concatenate(column) for column in zip(*parts, strict=True)))

    def _step(self, slots: Int64, values: Float64, *, x: Float64, last: Float64, gap: Int64, own: Float64) -> Ahead:
        places = (slots[:, None] * self._features + np.arange(self._features)).ravel()
        by_row = {name: array.reshape(-1, *array.shape[2:]) for name, array in self.columns}
        state = {name: gathered(by_row[name], places) for name in _CARRIED if name in by_row}
        rows = Rows(
            state,
            {name: by_row[name] for name in LONG if name in by_row},
            places,
            layout=self.layout,
            levels=self.levels,
        )
        with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is neither learned from nor told
            rows.take(values.ravel(), last.ravel(), np.repeat(gap, self._features), self._recipe)
            said = rows.say(x.ravel(), own.transpose(0, 2, 1).reshape(len(places), -1) - x.reshape(-1, 1))
        ahead = self._in_units(x, said, rows)
        for name, rows_of in rows.state.items():
            scatter(by_row[name], places, rows_of)
        self.columns["ahead"][slots] = ahead.forecast.swapaxes(1, 2)
        return ahead

    def bands(self, slots: Int64) -> tuple[Float64, Float64]:
        """What was said last (N, G, H), and the bounds of its intervals (N, G, H, L, 2), NaN while warming."""
        said = self.columns["ahead"][slots]
        if not len(self.levels):
            return said, np.empty((*said.shape, 0, 2))
        lay, columns = self.layout, dict(self.columns)
        errors = columns["errors"][slots].reshape(-1, *columns["errors"].shape[2:]).swapaxes(0, 1)
        tick = columns["ticks"][slots].reshape(-1, 1) + lay.horizons
        profile = season.NOTHING
        if "profile" in columns:
            profile = columns["profile"][slots].reshape(len(tick), season.bins_of(lay))
        size = intervals.size_of(errors, season.shape_at(profile, tick, lay))
        reach = intervals.bounds(errors, size, len(self.levels))
        reach[:, :, errors[0] < intervals.WARM] = np.nan
        return said, said[..., None, None] + reach.transpose(2, 3, 0, 1).reshape(*said.shape, len(self.levels), 2)

    def coverage(self, slots: Int64) -> Float64:
        """Share of intervals that held over these streams (G, L, H); NaN where too few came due."""
        covered = self.columns["covered"][slots].swapaxes(0, 2)
        return np.stack([audit.observed(covered[:, g]) for g in range(self._features)])

    def standing(self, slots: Int64) -> list[Standing]:
        """By feature, how the experts stand over these streams."""
        mix = self.columns["mix"][slots]
        return [standing(mix[:, g], self.layout.waiting) for g in range(self._features)]

    def _in_units(self, x: Float64, said: Said, rows: Rows) -> Ahead:
        forecast = x[:, None, :] + self._by_stream(said.move)
        experts = x[:, None, :, None] + self._by_stream(said.moves)
        leads = self._by_stream(said.leads)
        if not len(self.levels):
            empty = np.empty((*forecast.shape, 0))
            return Ahead(forecast, empty, empty, np.ones(forecast.shape, bool), leads, experts)
        reach, warming = rows.bounds
        reach[:, :, warming] = np.nan
        lower, upper = (forecast[..., None] + self._by_stream(reach[:, side]) for side in range(2))
        return Ahead(forecast, lower, upper, self._by_stream(warming), leads, experts)

    def _by_stream(self, rows: np.ndarray) -> np.ndarray:
        """(…, R, H) as (N, H, G, …)."""
        whole = rows.reshape(*rows.shape[:-2], -1, self._features, rows.shape[-1])
        return whole.transpose(whole.ndim - 3, whole.ndim - 1, whole.ndim - 2, *range(whole.ndim - 3))


def gathered(column: Array, places: Int64) -> Array:
    """Rows of a column, its own axes but the last in front of the rows: (R, K, H) as (K, R, H)."""
    rows = column[places]
    return np.ascontiguousarray(rows.swapaxes(0, 1)) if rows.ndim == 3 else rows


def scatter(column: Array, places: Int64, rows: Array) -> None:
    """The inverse of `gathered`."""
    column[places] = rows.swapaxes(0, 1) if rows.ndim == 3 else rows
