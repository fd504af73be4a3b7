"""What is said beyond the next step: where `forecast/horizons` and `forecast/crossings` meet the pipeline's steps.

A fleet without `horizons` has none of this.
"""

from __future__ import annotations

import numpy as np

from gaugecast.config.duration import duration_text
from gaugecast.fleet import Fleet
from gaugecast.forecast.expert import Expert, Steps
from gaugecast.forecast.horizons.experts import Ahead, HorizonExperts
from gaugecast.forecast.horizons.rows import EXPERTS, LEADS, LINEAR
from gaugecast.forecast.horizons.standing import Standing
from gaugecast.forecast.message import Lead
from gaugecast.pipeline.crossings import CROSSINGS, EXTREMES, Crossings
from gaugecast.records import Float64, Int64
from gaugecast.streams.columns import Columns

#: Ticks that the network's closed loop is asked for at most. Each costs a step of the network, a reading; beyond, a
#: linear expert does better without it.
CLOSED_LOOP_STEPS = 48

#: Name of the table of what forecasts the listed horizons.
HORIZONS = "horizons"

#: The tables of what is learned beyond the next step.
LEARNED_AHEAD = (HORIZONS, EXTREMES, CROSSINGS)


class LookAhead:
    """Steps the horizon experts of one fleet, and its thresholds. Owned by the loop's thread.

    Args:
        fleet: As it is configured.
        capacity: Rows to begin with.
        before: That of the same fleet as it was configured before: what means the same is taken over.

    Attributes:
        crossings: The thresholds; `None` where none is configured.
    """

    def __init__(self, fleet: Fleet, capacity: int, before: LookAhead | None = None) -> None:
        self.fleet = fleet
        self._places = np.array(fleet.forecast_places, np.int64)
        self._experts: HorizonExperts
        if before is not None and _horizons_of(before.fleet) == _horizons_of(fleet):
            self._experts = before._experts
            if before.fleet.clocked != fleet.clocked:
                self._experts = self._new_experts(capacity)
                self._experts.go_on_from(before._experts)
        else:
            self._experts = self._new_experts(capacity)
        self.crossings: Crossings | None = None
        if before is not None and meaning_of_ahead(before.fleet) == meaning_of_ahead(fleet):
            self.crossings = before.crossings
            if self.crossings is not None:
                self.crossings.speak_for(fleet)
        elif fleet.thresholds:
            self.crossings = Crossings(fleet, capacity)
        horizons = self._experts.layout.horizons
        self._near = np.flatnonzero(horizons <= CLOSED_LOOP_STEPS)
        self._depth = int(horizons[self._near[-1]])

    def _new_experts(self, capacity: int) -> HorizonExperts:
        fleet = self.fleet
        return HorizonExperts(
            fleet.period_ns, len(self._places), fleet.horizons, levels=fleet.intervals, capacity=capacity,
            clocked_far=fleet.clocked,
        )  # fmt: skip

    def tables(self) -> dict[str, Columns]:
        """What is remembered of each stream, by table."""
        more = {} if self.crossings is None else self.crossings.tables()
        return {HORIZONS: self._experts.columns, **more}

    def step(self, steps: Steps, x: Float64, expert: Expert | None) -> Ahead:
        """What is said at these steps.

        Args:
            steps: As the models took them (N).
            x: Values as fed (N, F).
            expert: The model in force, stepped already.
        """
        g = self._places
        last = np.where(steps.seen, steps.last, np.nan)[:, g]
        path = self._path(steps, x, expert)
        own = np.full((len(x), self._experts.layout.count, len(g)), np.nan)
        if path is not None:
            own[:, self._near] = path[:, self._experts.layout.horizons[self._near] - 1]
        values = steps.values[:, g]
        if self.crossings is not None:
            self.crossings.step(steps, values, x=x[:, g], last=last, path=path)
        return self._experts.step(steps.slots, values, x=x[:, g], last=last, gap=steps.gap, own=own)

    def bands(self, slots: Int64) -> tuple[Float64, Float64]:
        """What was said last of streams (N, G, H), and the bounds of its intervals (N, G, H, L, 2), NaN = not known."""
        return self._experts.bands(slots)

    def coverage(self, slots: Int64) -> list[dict[str, dict[str, float]]]:
        """By feature, horizon and level, the share of intervals that held; without those of which too few came due."""
        if not self.fleet.intervals:
            return [{} for _ in self._places]
        spans = [duration_text(h * self.fleet.period_ns) for h in self.fleet.horizons]
        levels = [f"{level:g}" for level in self.fleet.intervals]
        return [
            {
                span: {level: share for level, share in zip(levels, shares, strict=True) if share == share}
                for span, shares in zip(spans, by_level.T.tolist(), strict=True)
                if shares[0] == shares[0]
            }
            for by_level in self._experts.coverage(slots)
        ]

    def standing(self, slots: Int64) -> list[Standing]:
        """By forecast feature, how the experts stand over these streams."""
        return self._experts.standing(slots)

    def speakers(self, *, network: bool) -> list[tuple[Lead, ...]]:
        """By listed horizon, who speaks there."""
        lay = self._experts.layout
        near = LEADS[: len(EXPERTS)] if network else LEADS[: LINEAR + 1]
        return [near] * lay.far + [LEADS[: LINEAR + 1] + LEADS[len(EXPERTS) :]] * (lay.count - lay.far)

    def _path(self, steps: Steps, x: Float64, expert: Expert | None) -> Float64 | None:
        """The network's own forecasts of the next ticks (N, depth, G), NaN of streams where it has none."""
        ready = np.zeros(len(steps.slots), bool) if expert is None else expert.ready(steps.slots, x)
        if expert is None or not ready.any():
            return None
        last = np.where(steps.fresh[:, None], np.nan, steps.last)
        slots: Int64 = steps.slots[ready]
        path = np.full((len(x), self._depth, len(self._places)), np.nan)
        path[ready] = expert.peek(slots, x[ready], last[ready], steps.at[ready], self._depth)
        return path


def _horizons_of(fleet: Fleet) -> tuple[object, ...]:
    return fleet.horizons, fleet.intervals


def meaning_of_ahead(fleet: Fleet, table: str = EXTREMES) -> tuple[object, ...]:
    """What rows of a table mean: under other horizons or thresholds they begin anew."""
    thresholds = fleet.thresholds if table in (EXTREMES, CROSSINGS) else ()
    return (*_horizons_of(fleet), *thresholds)
