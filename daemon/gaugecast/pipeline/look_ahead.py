"""The listed horizons of a fleet's streams: where `forecast/horizons` meets the pipeline's steps and models.

A fleet without `horizons` has none of this.
"""

from __future__ import annotations

import numpy as np

from gaugecast.fleet import Fleet
from gaugecast.forecast.expert import Expert, Steps
from gaugecast.forecast.horizons.experts import Ahead, HorizonExperts
from gaugecast.records import Float64, Int64
from gaugecast.streams.columns import Columns

#: Ticks that the network's closed loop is asked for at most. Each costs a step of the network, a reading; beyond, a
#: linear expert does better without it.
CLOSED_LOOP_STEPS = 48


class LookAhead:
    """Steps the horizon experts of one fleet. Owned by the loop's thread."""

    def __init__(self, fleet: Fleet, capacity: int) -> None:
        self._places = np.array(fleet.forecast_places, np.int64)
        self._experts = HorizonExperts(
            fleet.period_ns, len(self._places), fleet.horizons, levels=fleet.intervals, capacity=capacity
        )
        horizons = self._experts.layout.horizons
        self._near = np.flatnonzero(horizons <= CLOSED_LOOP_STEPS)
        self._depth = int(horizons[self._near[-1]])

    @property
    def columns(self) -> Columns:
        """What is remembered of each stream."""
        return self._experts.columns

    def step(self, steps: Steps, x: Float64, expert: Expert | None) -> Ahead:
        """What is said at these steps.

        Args:
            steps: As the models took them (N).
            x: Values as fed (N, F).
            expert: The model in force, stepped already.
        """
        g = self._places
        last = np.where(steps.seen, steps.last, np.nan)[:, g]
        return self._experts.step(
            steps.slots, steps.values[:, g], x=x[:, g], last=last, gap=steps.gap, own=self._own(steps, x, expert)
        )

    def _own(self, steps: Steps, x: Float64, expert: Expert | None) -> Float64:
        """The network's own forecasts (N, H, G), NaN where it has none."""
        own = np.full((len(steps.slots), self._experts.layout.count, len(self._places)), np.nan)
        ready = np.zeros(len(steps.slots), bool) if expert is None else expert.ready(steps.slots, x)
        if expert is None or not ready.any():
            return own
        last = np.where(steps.fresh[:, None], np.nan, steps.last)
        slots: Int64 = steps.slots[ready]
        seen = expert.peek(slots, x[ready], last[ready], steps.at[ready], self._depth)
        own[np.ix_(ready, self._near)] = seen[:, self._experts.layout.horizons[self._near] - 1]
        return own
