"""The anomalies of a fleet's streams: where `forecast/anomaly` meets the pipeline's steps and messages."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gaugecast.fleet import Fleet
from gaugecast.forecast.anomaly import alarm, detectors
from gaugecast.forecast.anomaly import layout as at
from gaugecast.forecast.anomaly.layout import Layout
from gaugecast.forecast.anomaly.message import AnomalyWriter
from gaugecast.forecast.anomaly.reason import Seen, blamed
from gaugecast.forecast.anomaly.statistics import Now
from gaugecast.forecast.expert import Steps
from gaugecast.forecast.telling import BEGIN, END, EVENTS
from gaugecast.pipeline.batch_result import Closed, Outcome
from gaugecast.records import Float64, Int64, Output
from gaugecast.streams.columns import Array, Columns
from gaugecast.streams.table import StreamTable
from gaugecast.topics import output_topic

if TYPE_CHECKING:
    from gaugecast.pipeline.fleet_pipeline import FleetPipeline

#: Names of the tables of what detectors remember, and of the events.
ANOMALY, ANOMALY_EVENTS = "anomaly", "anomaly_events"


class Anomalies:
    """Steps the detectors of one fleet, and tells of what is wrong. Owned by the loop's thread.

    Args:
        fleet: With `anomaly`.
        capacity: Rows to begin with.
        before: Those of the same fleet, with the same features, as it was configured before: all is taken over.
    """

    def __init__(self, fleet: Fleet, capacity: int, before: Anomalies | None = None) -> None:
        assert fleet.anomaly is not None
        self._fleet, self._settings = fleet, fleet.anomaly
        self._layout = Layout.of(len(fleet.features))
        self._places = np.array(fleet.forecast_places, np.int64)
        self._rules = rules_of(fleet)
        self.columns: Columns = before.columns if before is not None else Columns(self._layout.spec(), capacity)
        spec = alarm.spec_of(len(fleet.features))
        self.events: Columns = before.events if before is not None else Columns(spec, capacity)
        self._judged: tuple[alarm.Judged, Float64] | None = None

    def tables(self) -> dict[str, Columns]:
        """What is remembered of each stream, by table."""
        return {ANOMALY: self.columns, ANOMALY_EVENTS: self.events}

    def step(self, steps: Steps, x: Float64, predicted: Float64) -> Float64:
        """Score these steps (N, G), NaN = not judged, and judge what is to be told; `tell` then tells it.

        Args:
            steps: As the models took them (N).
            x: Values as fed (N, F).
            predicted: What was said one step earlier of these values (N, G), NaN = nothing.
        """
        error = np.full(x.shape, np.nan)
        error[:, self._places] = steps.values[:, self._places] - predicted
        slots = steps.slots
        state = {name: array[slots] for name, array in self.columns}
        events = {name: array[slots] for name, array in self.events}
        now = Now(steps.values, x, error, steps.fresh, steps.fresh | (steps.gap > 0))
        off = detectors.off_of(x, self._rules)
        away, fitted = detectors.step(state, now, self._rules, self._layout, wrong=events["open"], off=off)
        judged = alarm.judge(
            events, state["score"], settling=off | (state["settling"] > 0), off=off, at=steps.at,
            least=self._settings.hold,
        )  # fmt: skip
        for columns, rows in ((self.columns, state), (self.events, events)):
            for name, row in rows.items():
                if fitted or name not in at.FITTED:
                    columns[name][slots] = row
        self._judged = judged, away
        return self._scores(state)

    def scores(self, slots: Int64) -> Float64:
        """Scores of streams' forecast features (N, G), NaN = not judged now."""
        return self._scores({name: self.columns[name][slots] for name in ("limit", "settling", "score")})

    def _scores(self, state: dict[str, Array]) -> Float64:
        judged = (state["limit"][:, :, self._places] < np.inf).any(axis=(1, 2)) & (state["settling"] == 0)
        highest = state["score"].max(axis=1)[:, self._places]
        scores: Float64 = np.where(judged[:, None], highest, np.nan)
        return scores

    def tell(self, closed: Closed, table: StreamTable, lineage: str, result: Outcome) -> int:
        """Put the messages of these steps, which `step` has taken, behind their forecasts; how many events begin."""
        if self._judged is None:
            return 0
        judged, away = self._judged
        self._judged = None
        for row, event in zip(*(column.tolist() for column in judged), strict=True):
            slot = int(closed.slots[row])
            seen = self._seen(slot, closed.values[row], away[:, row])
            self._say(slot, event, seen, table=table, lineage=lineage, cause=int(closed.cause[row]), result=result)
        return int(np.count_nonzero(judged.event == BEGIN))

    def end_all(self, table: StreamTable, slots: Int64, cause: int, lineage: str, result: Outcome) -> None:
        """End the open events of these streams: nobody looks any more."""
        for slot in slots.tolist():
            if self.events["open"][slot]:
                self.events["open"][slot], self.events["heat"][slot] = False, 0
                self._say(slot, END, [], table=table, lineage=lineage, cause=cause, result=result)

    def _seen(self, slot: int, values: Float64, away: Float64) -> list[Seen]:
        """The features that have a share, the largest first."""
        score, period_s = self.columns["score"][slot], self._fleet.period_ns / 1e9
        seen = []
        for f, detector, share in blamed(self.events["blame"][slot]):
            feature = self._fleet.features[f]
            value = float(values[f]) if values[f] == values[f] else None
            expected = value - float(away[detector, f]) if value is not None and detector in at.EXPECTING else None
            still = float(self.columns["runs"][slot, at.RUN, f]) * period_s
            seen.append(
                Seen(feature.name, feature.unit, at.DETECTORS[detector], float(score[:, f].max()), share, value,
                     expected, still)
            )  # fmt: skip
        return seen

    def _say(
        self, slot: int, event: int, seen: list[Seen], *, table: StreamTable, lineage: str, cause: int, result: Outcome
    ) -> None:
        """One message; retained while the event is open, and behind the last an empty one that clears it."""
        fleet, events = self._fleet, self.events
        stream, step = table.names[slot] or "", int(table["step"][slot])
        ends = event == END
        peak = float(events["peak"][slot])
        body = AnomalyWriter(fleet, lineage).body(
            stream, step=step, at_ns=int(table["at"][slot]), began_ns=int(events["began"][slot]),
            event=EVENTS[event], severity=alarm.SEVERITIES[peak >= alarm.CRITICAL],
            score=float(self.columns["score"][slot].max()), peak=peak, seen=seen,
        )  # fmt: skip
        topic = output_topic(fleet.notices_at, fleet.name, stream) + self._settings.suffix
        said = [(body, not ends), (b"", True)] if ends else [(body, True)]
        for text, retain in said:
            result.tell(Output(cause, fleet.name, stream, step, b"", topic, text, retain, fleet.output_qos))


def watch(part: FleetPipeline, before: Anomalies | None) -> None:
    """Let a fleet look for anomalies as it is configured; what is remembered of the same features is taken over."""
    for columns in before.tables().values() if before is not None else ():
        part.table.detach(columns)
    capacity = part.table.columns.capacity
    part.anomalies = Anomalies(part.fleet, capacity, before) if part.fleet.anomaly is not None else None
    for columns in part.anomalies.tables().values() if part.anomalies is not None else ():
        part.table.attach(columns)


def end_all(part: FleetPipeline, cause: int, result: Outcome, *, slots: Int64 | None = None) -> None:
    """End what is told of anomalies of streams (default: all): they leave, or nobody looks for them any more."""
    if part.anomalies is not None:
        slots = part.by_name(part.table.live_slots() if slots is None else slots)
        part.anomalies.end_all(part.table, slots, cause, part.writer.lineage, result)


def rules_of(fleet: Fleet) -> detectors.Rules:
    """What the fleet's configuration asks of the detectors."""
    settings = fleet.anomaly
    assert settings is not None
    count = len(fleet.features)
    scored = np.zeros(count, bool)
    scored[list(fleet.forecast_places)] = True
    judges = np.repeat(scored[None], len(at.DETECTORS), axis=0)
    if fleet.hold_ns:  # a sensor that reports on change stands still, and is absent, in between
        judges[[at.STUCK, at.DROPOUT]] = False
    names = [feature.name for feature in fleet.features]
    mode = names.index(settings.mode) if settings.mode else -1
    least, sides = np.zeros((2, count))
    for name, value in settings.least:
        least[names.index(name)] = value
    for name, side in settings.sides:
        sides[names.index(name)] = 1.0 if side == "above" else -1.0
    return detectors.Rules(
        scored, settings.healthy, settings.settle, settings.tolerance, judges, mode, settings.off, least, sides
    )
