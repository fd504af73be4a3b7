"""The anomalies of a fleet's streams: where `forecast/anomaly` meets the pipeline's steps and messages."""

from __future__ import annotations

import numpy as np

from gaugecast.events import AnomalyAcknowledged, ReferenceFrozen, StreamSilenced
from gaugecast.fleet import Fleet
from gaugecast.forecast.anomaly import alarm, detectors, modes
from gaugecast.forecast.anomaly import layout as at
from gaugecast.forecast.anomaly.autoencoder import AUTOENCODER
from gaugecast.forecast.anomaly.layout import Layout
from gaugecast.forecast.anomaly.message import AnomalyWriter, name_of
from gaugecast.forecast.anomaly.reason import Seen, blamed, sentence
from gaugecast.forecast.anomaly.statistics import Now
from gaugecast.forecast.expert import Steps
from gaugecast.forecast.telling import BEGIN, END, EVENTS, UPDATE
from gaugecast.pipeline import frozen
from gaugecast.pipeline.anomaly_rules import rules_of
from gaugecast.pipeline.batch_result import Closed, Outcome
from gaugecast.pipeline.rebuilding import REBUILT, Rebuilding
from gaugecast.records import Bool, Float64, Input, Int64, Order, Output
from gaugecast.streams.columns import Array, Columns
from gaugecast.streams.table import StreamTable
from gaugecast.topics import output_topic

#: Names of the tables of what detectors remember, and of the events.
ANOMALY, ANOMALY_EVENTS = "anomaly", "anomaly_events"
#: Places of those that expect a value; the autoencoder's is behind all others.
_EXPECTING = (*at.EXPECTING, len(at.DETECTORS))


class Anomalies:
    """Steps the detectors of one fleet, and tells of what is wrong. Owned by the loop's thread.

    Args:
        fleet: With `anomaly`.
        capacity: Rows to begin with.
        before: Those of the same fleet, with the same features, as it was configured before: all is taken over, but for
            what was learned where another feature says the machine's state.

    Attributes:
        rebuilding: The autoencoder in force; `None` = there is none.
    """

    def __init__(self, fleet: Fleet, capacity: int, before: Anomalies | None = None) -> None:
        assert fleet.anomaly is not None
        self._fleet, self._settings = fleet, fleet.anomaly
        self._layout = Layout.of(len(fleet.features))
        self._places = np.array(fleet.forecast_places, np.int64)
        self._rules = rules_of(fleet)
        self.columns = Columns(modes.spec_of(self._layout.spec(), bool(self._settings.mode)), capacity)
        if before is not None and before._settings.mode == self._settings.mode:
            self.columns = before.columns
        self._rows = modes.Rows(self._layout.spec(), self.columns)
        spec = alarm.spec_of(len(fleet.features))
        self.events: Columns = before.events if before is not None else Columns(spec, capacity)
        self.rebuilding: Rebuilding | None = None if before is None else before.rebuilding
        self._judged: tuple[alarm.Judged, Float64, Bool] | None = None
        self._frozen: list[tuple[int, ReferenceFrozen]] = []
        self._last: tuple[Int64, Float64] | None = None  # slots of the last steps, and by how much each was away

    def use(self, rebuilding: Rebuilding | None) -> None:
        """Let another autoencoder look, or none."""
        self.rebuilding, self._last = rebuilding, None

    def tables(self) -> dict[str, Columns]:
        """What is remembered of each stream, by table."""
        rebuilt = {} if self.rebuilding is None else {REBUILT: self.rebuilding.columns}
        return {ANOMALY: self.columns, ANOMALY_EVENTS: self.events, **rebuilt}

    @property
    def detectors(self) -> tuple[str, ...]:
        """Names of those at work, D of them."""
        return at.DETECTORS if self.rebuilding is None else (*at.DETECTORS, AUTOENCODER)

    def step(self, steps: Steps, x: Float64, predicted: Float64, *, received: Int64) -> Float64:
        """Score these steps (N, G), and judge what is to be told; `tell` then tells it. NaN = not judged, −∞ = off.

        Args:
            steps: As the models took them (N).
            x: Values as fed (N, F).
            predicted: What was said one step earlier of these values (N, G), NaN = nothing.
            received: When their streams' last readings arrived, ns (N,).
        """
        error = self._error(steps.values, predicted)
        slots, off, begins = steps.slots, detectors.off_of(x, self._rules), steps.fresh
        if self._settings.mode:
            begins = begins | self._rows.enter(slots, x[:, self._rules.mode], off)
        now = Now(steps.values, x, error, begins, begins | (steps.gap > 0))
        places = self._rows.places(slots)
        before = self._rows.take_all(places)
        state = dict(before)
        is_open = self.events["open"][slots]
        away, fitted = detectors.step(state, now, self._rules, self._layout, wrong=is_open, off=off)
        if fitted:
            self._note_frozen(state, slots)
        for name, row in state.items():
            if fitted or name in at.IN_PLACE or row is not before[name]:  # the others are as they were
                self._rows.put(name, places, row)
        settling = off | (state["settling"] > 0)
        score = state["score"]
        if self.rebuilding is not None:
            found, missed = self.rebuilding.step(slots, x, self._rules, parted=now.parted, quiet=settling)
            score = np.concatenate([score, found[:, None]], axis=1)
            away = np.concatenate([away, missed[None]])
        judged = self._judge(slots, score, off=off, settling=settling, at_ns=steps.at, received=received)
        self._judged, self._last = (judged, away, off), (slots, away)
        scores = self._scores(state, slots)
        if np.count_nonzero(off):
            scores[off] = -np.inf
        return scores

    def _error(self, values: Float64, predicted: Float64) -> Float64:
        """Measured less what had been forecast (N, F), NaN where nothing is."""
        if self._rules.all_scored:
            return values - predicted
        error = np.full(values.shape, np.nan)
        error[:, self._places] = values[:, self._places] - predicted
        return error

    def _note_frozen(self, state: dict[str, Array], slots: Int64) -> None:
        for row in frozen.newly_frozen(state, self._rows.take("stage", slots)).tolist():
            mode = float(self._rows.said(slots[[row]])[0]) if self._settings.mode else None
            self._frozen.append((int(slots[row]), frozen.reference_of(state, row, mode)))

    def _judge(
        self, slots: Int64, score: Float64, *, off: Bool, settling: Bool, at_ns: Int64, received: Int64
    ) -> alarm.Judged:
        """What is to be told of these slots; hardly ever is there more than nothing to look at."""
        opened, heat, weight = (self.events[name][slots] for name in ("open", "heat", "weight"))
        rows = alarm.concerned(opened, heat, weight, score)
        if not len(rows):
            return alarm.Judged(rows, rows)
        events = {name: array[slots[rows]] for name, array in self.events}
        events["blame"] = self._with_ours("blame", events["blame"], slots[rows])
        silenced = received[rows] < events["silenced"]
        judged = alarm.judge(
            events, score[rows], settling=settling[rows], off=off[rows], silenced=silenced, at=at_ns[rows],
            least=self._settings.hold,
        )  # fmt: skip
        if self.rebuilding is not None:
            self.rebuilding.columns["blame"][slots[rows]] = events["blame"][:, -1]
            events["blame"] = events["blame"][:, :-1]
        for name, row in events.items():
            self.events[name][slots[rows]] = row
        return alarm.Judged(rows[judged.row], judged.event)

    def scores(self, slots: Int64) -> Float64:
        """Scores of streams' forecast features (N, G), NaN = not judged now."""
        return self._scores({name: self._rows.take(name, slots) for name in ("limit", "settling", "score")}, slots)

    def _with_ours(self, name: str, of_others: Array, slots: Int64) -> Array:
        """What detectors say of streams (N, DETECTORS, F), and behind it the autoencoder's (N, D, F)."""
        if self.rebuilding is None:
            return of_others
        return np.concatenate([of_others, self.rebuilding.columns[name][slots][:, None]], axis=1)

    def score_of(self, slot: int) -> Array:
        """A stream's scores by detector and feature (D, F)."""
        slots = np.array([slot], np.int64)
        score: Array = self._with_ours("score", self._rows.take("score", slots), slots)[0]
        return score

    def blame_of(self, slot: int) -> Array:
        """What the scores above the limit of a stream's event were of (D, F)."""
        slots = np.array([slot], np.int64)
        blame: Array = self._with_ours("blame", self.events["blame"][slots], slots)[0]
        return blame

    def of(self, name: str, slot: int) -> Array:
        """What detectors remember of a stream under `name`, in the state that its machine is in."""
        row: Array = self._rows.take(name, np.array([slot], np.int64))[0]
        return row

    def _scores(self, state: dict[str, Array], slots: Int64) -> Float64:
        least, most = at.turned(state["limit"]).min(axis=0), at.turned(state["score"]).max(axis=0)
        if not self._rules.all_scored:
            least, most = least[:, self._places], most[:, self._places]
        unknown, judged = state["settling"] > 0, np.isfinite(least)
        if not judged.all():
            unknown |= ~judged.any(axis=1)
        scores: Float64 = most.astype(np.float64)
        scores[unknown] = np.nan
        if self.rebuilding is not None:
            knows = self.rebuilding.knows(slots) & (state["settling"] <= 0)
            ours = self.rebuilding.columns["score"][slots][:, self._places]
            scores = np.where(knows[:, None], np.fmax(scores, ours), scores)
        return scores

    def tell(self, closed: Closed, table: StreamTable, lineage: str, result: Outcome) -> int:
        """Put the messages of these steps, which `step` has taken, behind their forecasts; how many events begin."""
        if self._judged is None:
            return 0
        judged, away, off = self._judged
        self._judged = None
        result.orders += [Order(event, self._fleet.name, table.names[slot] or "") for slot, event in self._frozen]
        self._frozen.clear()
        for row, event in zip(*(column.tolist() for column in judged), strict=True):
            slot = int(closed.slots[row])
            seen = self._seen(slot, closed.values[row], away[:, row], self.blame_of(slot))
            self._say(
                slot, event, seen, table=table, lineage=lineage, cause=int(closed.cause[row]), result=result,
                off=bool(off[row]),
            )  # fmt: skip
        return int(np.count_nonzero(judged.event == BEGIN))

    def end_all(self, table: StreamTable, slots: Int64, cause: int, lineage: str, result: Outcome) -> None:
        """End the open events of these streams: nobody looks any more."""
        for slot in slots.tolist():
            if self.events["open"][slot]:
                self.events["open"][slot], self.events["heat"][slot] = False, 0
                self._say(slot, END, [], table=table, lineage=lineage, cause=cause, result=result)

    def obey(
        self, slot: int, one: Input, event: AnomalyAcknowledged | StreamSilenced, *, table: StreamTable, lineage: str,
        cause: int, result: Outcome,
    ) -> None:  # fmt: skip
        """Somebody knows of a stream's anomaly, or wants no noise of it: what is open is told anew, at once."""
        stream, events = one.stream, self.events
        before = self.severity(slot, table)
        if isinstance(event, StreamSilenced):
            events["silenced"][slot] = one.received_at_ns + event.for_ns if event.for_ns else 0
        elif name_of(self._fleet.name, stream, int(events["began"][slot])) == event.id:
            before = before if events["acknowledged"][slot] else ""
            events["acknowledged"][slot] = events["open"][slot]
        now = self.severity(slot, table)
        if events["open"][slot] and now != before:
            events["told_severity"][slot], events["since_told"][slot] = alarm.SEVERITIES.index(now), 0
            blame = self.blame_of(slot)  # what was last expected is no part of the state
            seen = self._seen(slot, table["x"][slot], np.full(blame.shape, np.nan), blame)
            self._say(slot, UPDATE, seen, table=table, lineage=lineage, cause=cause, result=result)

    def severity(self, slot: int, table: StreamTable) -> str:
        """Of what is open of a stream."""
        silenced = table["received"][slot] < self.events["silenced"][slot]
        return alarm.SEVERITIES[int(alarm.severity_of(self.events["peak"][slot], silenced))]

    def reason(self, slot: int, table: StreamTable) -> str:
        """What is strange about a stream's last step, in a sentence; empty where nothing is."""
        score, is_open = self.score_of(slot), bool(self.events["open"][slot])
        blame = self.blame_of(slot) if is_open else np.where(score >= 1.0, score, 0.0)
        seen = self._seen(slot, table["x"][slot], self._away(slot), blame)
        for_s = (int(table["at"][slot]) - int(self.events["began"][slot])) / 1e9 if is_open else 0.0
        return sentence(seen, [f.name for f in self._fleet.forecast_features], for_s) if seen else ""

    def _away(self, slot: int) -> Float64:
        """By how much each detector found the last step of a stream away (D, F); NaN = it has not been now."""
        slots, away = self._last if self._last is not None else (np.zeros(0, np.int64), np.zeros(0))
        (found,) = np.nonzero(slots == slot)
        nothing: Float64 = np.full((len(self.detectors), len(self._fleet.features)), np.nan)
        return away[:, found[0]] if len(found) else nothing

    def _seen(self, slot: int, values: Float64, away: Float64, blame: Float64) -> list[Seen]:
        """The features that have a share, the largest first."""
        score, period_s = self.score_of(slot), self._fleet.period_ns / 1e9
        seen, names = [], self.detectors
        for f, detector, share in blamed(blame):
            feature = self._fleet.features[f]
            value = float(values[f]) if values[f] == values[f] else None
            off = float(away[detector, f]) if detector in _EXPECTING else np.nan
            expected = value - off if value is not None and off == off else None
            still = float(self.of("runs", slot)[at.RUN, f]) * period_s
            seen.append(
                Seen(feature.name, feature.unit, names[detector], float(score[:, f].max()), share, value,
                     expected, still)
            )  # fmt: skip
        return seen

    def _say(
        self, slot: int, event: int, seen: list[Seen], *, table: StreamTable, lineage: str, cause: int, result: Outcome,
        off: bool = False,
    ) -> None:  # fmt: skip
        """One message; retained while the event is open, and behind the last an empty one that clears it."""
        fleet, events = self._fleet, self.events
        stream, step = table.names[slot] or "", int(table["step"][slot])
        ends = event == END
        events["told"][slot] = number = 1 if event == BEGIN else int(events["told"][slot]) + 1
        body = AnomalyWriter(fleet, lineage).body(
            stream, step=step, at_ns=int(table["at"][slot]), began_ns=int(events["began"][slot]),
            event=EVENTS[event], severity=self.severity(slot, table),
            score=float(self.score_of(slot).max()), peak=float(events["peak"][slot]), seen=seen,
            number=number, acknowledged=bool(events["acknowledged"][slot]), off=off,
        )  # fmt: skip
        topic = output_topic(fleet.notices_at, fleet.name, stream) + self._settings.suffix
        said = [(body, not ends), (b"", True)] if ends else [(body, True)]
        for text, retain in said:
            result.tell(Output(cause, fleet.name, stream, step, b"", topic, text, retain, fleet.output_qos))
