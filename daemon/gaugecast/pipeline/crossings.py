"""The thresholds of a fleet's streams: where `forecast/crossings` meets the pipeline's steps and messages."""

from __future__ import annotations

import numpy as np

from gaugecast.fleet import Fleet
from gaugecast.forecast.crossings import alarm
from gaugecast.forecast.crossings.extremes import Extremes
from gaugecast.forecast.crossings.instants import grid_of, instants
from gaugecast.forecast.crossings.message import CrossingWriter
from gaugecast.forecast.expert import Steps
from gaugecast.forecast.telling import END, EVENTS
from gaugecast.pipeline.batch_result import Closed, Outcome
from gaugecast.records import Float64, Int64, Output
from gaugecast.streams.columns import Columns
from gaugecast.streams.table import StreamTable
from gaugecast.topics import output_topic

#: Names of the tables of what is learned of running extremes, and of what is told.
EXTREMES, CROSSINGS = "extremes", "crossings"


class Crossings:
    """Steps the thresholds of one fleet, and tells of those that will be crossed. Owned by the loop's thread."""

    def __init__(self, fleet: Fleet, capacity: int) -> None:
        self._fleet = fleet
        marks = fleet.thresholds
        names = [feature.name for feature in fleet.forecast_features]
        self._feature = np.array([names.index(mark.feature) for mark in marks], np.int64)
        self._turn = np.array([1.0 if mark.above else -1.0 for mark in marks])
        self._level = self._turn * np.array([mark.value for mark in marks])
        self._within = np.array([mark.within for mark in marks], np.int64)
        grid = grid_of([mark.within for mark in marks], fleet.horizons)
        self._extremes = Extremes(fleet.period_ns, len(marks), grid, capacity=capacity)
        self._grid = self._extremes.layout.horizons
        self._reach = np.searchsorted(self._grid, self._within)
        self._listed = [
            [(h, int(np.searchsorted(self._grid, h))) for h in fleet.horizons if h <= mark.within] for mark in marks
        ]
        self.columns = Columns(alarm.spec_of(len(marks)), capacity)
        self._judged: tuple[alarm.Judged, Float64] | None = None

    def tables(self) -> dict[str, Columns]:
        """What is remembered of each stream, by table."""
        return {EXTREMES: self._extremes.columns, CROSSINGS: self.columns}

    def speak_for(self, fleet: Fleet) -> None:
        """The same thresholds go on under another configuration of the fleet."""
        self._fleet = fleet

    def step(self, steps: Steps, values: Float64, *, x: Float64, last: Float64, path: Float64 | None) -> None:
        """Learn, and judge what is to be told; `tell` then tells it.

        Args:
            steps: N of them.
            values: Forecast features as measured (N, G), NaN = absent.
            x: The same as fed (N, G).
            last: As measured one step earlier (N, G).
            path: The network's forecasts of the next ticks (N, depth, G), NaN or `None` = none.
        """
        f, turn = self._feature, self._turn
        measured, now = values[:, f] * turn, x[:, f] * turn
        likely = self._extremes.step(
            steps.slots, measured, x=now, last=last[:, f] * turn, gap=steps.gap, own=self._own(path, len(x)),
            level=self._level, reach=self._reach,
        )  # fmt: skip
        within = np.take_along_axis(likely, self._reach[None, :, None], axis=2)[..., 0]
        state = {name: array[steps.slots] for name, array in self.columns}
        judged = alarm.judge(
            state, within, instants(likely, self._grid, self._reach), crossed=now >= self._level, at=steps.at,
            tick=self._extremes.columns["ticks"][steps.slots, 0], reach=self._within,
        )  # fmt: skip
        for name, rows in state.items():
            self.columns[name][steps.slots] = rows
        self._judged = judged, likely

    def _own(self, path: Float64 | None, count: int) -> Float64:
        """The network's running maximum by horizon (N, K, H), turned; NaN beyond what it was asked for."""
        own = np.full((count, len(self._turn), len(self._grid)), np.nan)
        if path is not None:
            near = self._grid <= path.shape[1]
            farthest = np.maximum.accumulate(path[:, :, self._feature] * self._turn, axis=1)
            own[:, :, near] = farthest[:, self._grid[near] - 1].swapaxes(1, 2)
        return own

    def tell(self, closed: Closed, table: StreamTable, lineage: str, result: Outcome) -> None:
        """Put the messages of these steps, which `step` has taken, behind their forecasts."""
        if self._judged is None:
            return
        judged, likely = self._judged
        self._judged = None
        values = closed.values[:, self._fleet.forecast_places]
        for row, k, event in zip(*(column.tolist() for column in judged), strict=True):
            slot = int(closed.slots[row])
            crossed = self.columns["crossed"][slot, k]
            by = {} if crossed else {h: float(likely[row, k, place]) for h, place in self._listed[k]}
            result.tell(
                self._notice(slot, k, event, table=table, lineage=lineage, cause=int(closed.cause[row]),
                             observed=float(values[row, self._feature[k]]), by=by)
            )  # fmt: skip

    def end_all(self, table: StreamTable, slots: Int64, cause: int, lineage: str, result: Outcome) -> None:
        """End the open events of these streams, in this order; what comes of them later begins another."""
        for slot in slots.tolist():
            for k in np.flatnonzero(self.columns["open"][slot]).tolist():
                self.columns["open"][slot, k] = False
                result.tell(
                    self._notice(slot, k, END, table=table, lineage=lineage, cause=cause, observed=np.nan, by={})
                )

    def forget_told(self, slots: Int64) -> None:
        """What was judged of these streams has been told to nobody."""
        self.columns["open"][slots] = False

    def _notice(
        self, slot: int, k: int, event: int, *, table: StreamTable, lineage: str, cause: int, observed: float,
        by: dict[int, float],
    ) -> Output:  # fmt: skip
        fleet, mark, state = self._fleet, self._fleet.thresholds[k], self.columns
        stream, step = table.names[slot] or "", int(table["step"][slot])
        body = CrossingWriter(fleet, lineage).body(
            mark, stream, step=step, at_ns=int(table["at"][slot]), began_ns=int(state["began"][slot, k]),
            event=EVENTS[event], observed=observed, crossed=bool(state["crossed"][slot, k]),
            likely=float(state["likely"][slot, k]), by=by, instants=state["instants"][slot, k].tolist(),
        )  # fmt: skip
        topic = output_topic(fleet.notices_at, fleet.name, stream) + mark.suffix
        return Output(cause, fleet.name, stream, step, b"", topic, body, True, fleet.output_qos)
