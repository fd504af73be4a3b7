"""Counters of a fleet's streams: steps have totals, models see rates, and the messages say both."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from gaugecast.align.rates import Counted, rates_of
from gaugecast.fleet import Fleet
from gaugecast.records import Float64, Int64
from gaugecast.streams.columns import Column, Columns
from gaugecast.streams.table import NEVER


class Counters(NamedTuple):
    """Which of a fleet's features are counters, and what their rates are of."""

    places: Int64
    per_ns: Int64

    @classmethod
    def of(cls, fleet: Fleet) -> Counters:
        """Of the features of `kind = "counter"`, in their order."""
        found = [(i, feature.per_ns) for i, feature in enumerate(fleet.features) if feature.counter]
        return cls(np.array([i for i, _ in found], np.int64), np.array([per for _, per in found], np.int64))


class Rates:
    """What is remembered of a fleet's counters (C). Owned by the loop's thread.

    Columns: as `align.rates.Counted`, (C,) a stream.
    """

    def __init__(self, fleet: Fleet, capacity: int) -> None:
        self._counters = Counters.of(fleet)
        counters = (len(self._counters.places),)
        spec = (
            Column("total", "<f8", counters, np.nan),
            Column("total_at", "<i8", counters),
            Column("zero_at", "<i8", counters, NEVER),
        )
        self.columns = Columns(spec, capacity)

    def take(self, slots: Int64, at: Int64, values: Float64) -> tuple[Float64, Float64]:
        """Steps' values (N, F) with rates in place of the counters' totals, and those totals (N, C), NaN = absent."""
        columns, places = self.columns, self._counters.places
        before = Counted(columns["total"][slots], columns["total_at"][slots], columns["zero_at"][slots])
        totals: Float64 = values[:, places]
        rates, after = rates_of(totals, at[:, None], before, self._counters.per_ns)
        columns["total"][slots], columns["total_at"][slots], columns["zero_at"][slots] = after
        modelled = values.copy()
        modelled[:, places] = rates
        return modelled, totals
