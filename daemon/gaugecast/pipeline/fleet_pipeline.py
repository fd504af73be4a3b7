"""The streams of one fleet: readings become steps, steps become forecasts."""

from __future__ import annotations

import numpy as np

from gaugecast.align import cells, gates
from gaugecast.fleet import Fleet
from gaugecast.forecast.expert import Expert, same_shape
from gaugecast.forecast.skill import decay_of
from gaugecast.model.weights import Model
from gaugecast.pipeline import looking, reordering, stepping
from gaugecast.pipeline.ages import Ages
from gaugecast.pipeline.anomalies import Anomalies
from gaugecast.pipeline.batch_result import Closed, Outcome, Totals
from gaugecast.pipeline.beginnings import Beginnings
from gaugecast.pipeline.forecast_writer import ForecastWriter
from gaugecast.pipeline.holding import Holding
from gaugecast.pipeline.home import HOME, Announcements
from gaugecast.pipeline.look_ahead import LookAhead
from gaugecast.pipeline.rates import Rates
from gaugecast.pipeline.refusing import refuse
from gaugecast.pipeline.stragglers import Waiting
from gaugecast.records import Bool, Int64, Verdict
from gaugecast.streams.columns import Columns
from gaugecast.streams.table import StreamTable

#: Of the readings that wait for stragglers.
ROOM = "room"


class FleetPipeline:
    """A fleet's streams, its models at work (experts) and its totals. Owned by the loop's thread.

    Attributes:
        in_force: The model whose forecasts are published; `None` = the last value is repeated.
        shadow: A model that is stepped beside it and only scored.
        anomalies, look_ahead: What looks for them; what forecasts the listed horizons; or `None`.
        ages: Of the streams' states.
        holding, rates, room, beginnings: What a fleet with `hold`, counters, `lateness`, `begins` remembers, or `None`.
        home: Which streams Home Assistant knows, or `None`.
        decay: By how much scores fade, a step.
        traced, mute: What is fed to the models is kept; nothing is said, and no further looked than the next step.
    """

    def __init__(self, fleet: Fleet, skill_half_life: float, *, trace: bool = False, mute: bool = False) -> None:
        self.fleet, self.mute, self.totals = fleet, mute, Totals()
        self.in_force: Expert | None = None
        self.shadow: Expert | None = None
        self.table = StreamTable(len(fleet.features), len(fleet.forecast_places))
        self.look_ahead: LookAhead | None = None
        self.look_from(None)
        self.anomalies: Anomalies | None = None
        looking.watch(self, None)
        self.holding: Holding | None = None
        self.rates: Rates | None = None
        self.room: Waiting | None = None
        self.beginnings: Beginnings | None = None
        self.home: Announcements | None = None
        self._begin_aside()
        self.writer = ForecastWriter(fleet, self.table, self.totals, ages=self.ages, mute=mute)
        self.set_half_life(skill_half_life)
        self.traced = trace

    def set_half_life(self, steps: float) -> None:
        """Over how many steps scores fade to a half."""
        self.decay = decay_of(steps)

    def write_as(self, lineage: str, schema: int, *, is_new: bool = False) -> None:
        """From here on messages have this lineage and shape; with one that is new, ages begin for all alike: a replay
        from further back would know more than we do, who may have gone on from a checkpoint without any.
        """
        self.writer.write_as(lineage, schema)
        if is_new:
            self.ages.begin()

    # -- what is remembered beside the table

    def look_from(self, before: LookAhead | None) -> None:
        """Give the table the columns of what is said beyond the next step; what means the same is taken over."""
        for columns in before.tables().values() if before is not None else ():
            self.table.detach(columns)
        capacity = self.table.columns.capacity
        self.look_ahead = LookAhead(self.fleet, capacity, before) if self.fleet.horizons else None
        for columns in self.look_ahead.tables().values() if self.look_ahead is not None else ():
            self.table.attach(columns)

    def _begin_aside(self) -> None:
        fleet, capacity = self.fleet, self.table.columns.capacity
        self.ages = Ages(capacity)
        self.holding = Holding(fleet, capacity) if fleet.hold_ns else None
        self.rates = Rates(fleet, capacity) if any(feature.counter for feature in fleet.features) else None
        self.room = Waiting(fleet, capacity) if fleet.lateness_ns else None
        self.beginnings = Beginnings(capacity) if fleet.has_sequences else None
        self.home = Announcements(fleet, capacity) if fleet.home is not None else None
        for columns in self._aside().values():
            self.table.attach(columns)

    def take_aside_from(self, old: FleetPipeline) -> None:
        """Go on with what `old`, whose table is this one's now, remembered beside it; nobody waits there any more."""
        for columns in old._aside().values():
            self.table.detach(columns)
        self._begin_aside()
        before = old._aside()
        for name, columns in self._aside().items():
            if name in before and name != ROOM:
                columns.take_rows_of(before[name])

    def _aside(self) -> dict[str, Columns]:
        parts = {"hold": self.holding, "rates": self.rates, ROOM: self.room, "begins": self.beginnings, HOME: self.home}
        return {"ages": self.ages.columns, **{name: part.columns for name, part in parts.items() if part is not None}}

    def tables(self) -> dict[str, Columns]:
        """All columns of the fleet's streams, by table."""
        ahead = {} if self.look_ahead is None else self.look_ahead.tables()
        experts = {role: expert.columns for role, expert in self.experts.items()}
        watched = {} if self.anomalies is None else self.anomalies.tables()
        return {"streams": self.table.columns, **experts, **ahead, **watched, **self._aside()}

    # -- experts

    @property
    def experts(self) -> dict[str, Expert]:
        """The experts there are, by role."""
        pair = {"in_force": self.in_force, "shadow": self.shadow}
        return {role: expert for role, expert in pair.items() if expert is not None}

    def install(self, role: str, model: Model | None) -> bool:
        """Put a model in a role. Weights of the same shape take over the states; others begin cold.

        Returns whether all columns stayed as they were.
        """
        present = self.experts.get(role)
        if present is not None and model is not None and same_shape(present.model, model):
            present.use(model)
            return True
        if present is not None:
            self.table.detach(present.columns)
        expert = None if model is None else Expert(self.fleet, model, self.table.columns.capacity)
        if expert is not None:
            self.table.attach(expert.columns)
        setattr(self, role, expert)
        return False

    def promote(self) -> None:
        """The shadow, warm as it is, becomes the model in force; without a shadow nothing changes."""
        if self.shadow is None:
            return
        if self.in_force is not None:
            self.table.detach(self.in_force.columns)
        self.in_force, self.shadow = self.shadow, None

    # -- streams

    def reset(self, stream: str) -> None:
        """Begin the state of a stream (empty: of all) anew; statistics and step numbers stay."""
        slot = self.table.slots.get(stream)
        slots = self.table.live_slots() if stream == "" else np.array([] if slot is None else [slot], np.int64)
        self.totals.resets += len(slots)
        self.begin_anew(slots)

    def begin_anew(self, slots: Int64) -> None:
        """Let the next step of these streams find a gap too long to bridge, even in the tick of the last one."""
        self.table["tick"][slots] -= self.fleet.unbridged_ticks
        if self.holding is not None:
            self.holding.forget(slots)

    def by_name(self, slots: Int64) -> Int64:
        """The same slots in the order of their streams' ids: slot numbers must not bear on results."""
        return np.array(sorted(slots.tolist(), key=lambda slot: self.table.names[slot] or ""), np.int64)

    # -- readings

    def take(self, r: gates.Round, result: Outcome) -> None:
        """One round of readings: refuse, hold, or step each."""
        if self.room is None:
            self.take_now(r, result)
        else:
            reordering.take(self, r, result)

    def take_now(self, r: gates.Round, result: Outcome) -> None:
        """The same, whatever may still come before them."""
        judged = gates.judge(self.table, self.fleet, r)
        taken = judged.verdict == gates.ACCEPTED
        if np.count_nonzero(taken) < len(taken):
            refuse(self, r, judged, ~taken, result)
            r = gates.take_rows(r, taken)
            judged = gates.Judged(*(column[taken] for column in judged))
            if not len(r.slots):
                return
        if self.beginnings is not None and r.marks is not None:
            self._begin_sequences(r.slots, self.beginnings.take(r.slots, r.marks), r.cause, result)
        present = ~np.isnan(judged.values)
        self._note(r, judged, present)
        is_open = self.table["open"][r.slots]
        if np.count_nonzero(is_open):
            ahead = is_open & (judged.tick > self.table["open_tick"][r.slots])
            if np.count_nonzero(ahead):
                self.close(r.slots[ahead], r.cause[ahead], result)
                is_open &= ~ahead
        if self.holding is not None:
            self._hold_before(self.holding, r, judged, is_open, result)
        whole = present.all(axis=1) & ~is_open
        if np.count_nonzero(whole) < len(whole):
            whole = (present | stepping.not_waited_for(self, r.slots)).all(axis=1) & ~is_open
        whole &= not self.fleet.aggregated
        count = np.count_nonzero(whole)
        if count:
            self._step_whole(r, judged, whole, result)
        if count < len(whole):
            self._join(r, judged, ~whole, is_open, result)

    def _begin_sequences(self, slots: Int64, begins: Bool, cause: Int64, result: Outcome) -> None:
        """What belongs to the sequence before is stepped, and then forgotten, where another begins."""
        if np.count_nonzero(begins):
            is_open = begins & self.table["open"][slots]
            if np.count_nonzero(is_open):
                self.close(slots[is_open], cause[is_open], result)
            self.begin_anew(slots[begins])

    def _hold_before(
        self, holding: Holding, r: gates.Round, judged: gates.Judged, is_open: Bool, result: Outcome
    ) -> None:
        """Step the ticks between the last one and this reading's; from here on what it says is held."""
        slots = r.slots
        behind = self.table["started"][slots] & ~is_open & ~judged.reanchored
        behind &= judged.tick > self.table["tick"][slots] + 1
        if np.count_nonzero(behind):
            stepping.hold(self, slots[behind], judged.tick[behind] - 1, r.cause[behind], result)
        holding.note(r._replace(values=judged.values), judged.reanchored)

    def _note(self, r: gates.Round, judged: gates.Judged, present: Bool) -> None:
        table = self.table
        others = table["key"][r.slots]
        reanchored = int(np.count_nonzero(judged.reanchored))
        if reanchored:  # of a stream whose clock was set back no feature may wait until its own old time comes round
            others = np.where(judged.reanchored[:, None], np.minimum(others, r.key[:, None] - 1), others)
        table["key"][r.slots] = np.where(present, r.key[:, None], others)
        table["phase"][r.slots] = judged.phase
        table["received"][r.slots] = r.received
        table["stale"][r.slots] = False
        self.totals.reanchored += reanchored

    def _step_whole(self, r: gates.Round, judged: gates.Judged, whole: Bool, result: Outcome) -> None:
        """Readings that bring a whole step with them never touch a cell."""
        rows = Closed(r.slots, r.cause, judged.values, r.at, judged.tick)
        if np.count_nonzero(whole) < len(whole):
            rows = rows.cut(whole)
        for index in rows.cause.tolist():
            result.verdicts[index] = Verdict.STEPPED
        self.totals.stepped += len(rows.cause)
        stepping.step(self, rows, result)

    def _join(self, r: gates.Round, judged: gates.Judged, rows: Bool, is_open: Bool, result: Outcome) -> None:
        table = self.table
        opens = rows & ~is_open
        table["open"][r.slots[opens]] = True
        table["open_tick"][r.slots[opens]] = judged.tick[opens]
        table["open_received"][r.slots[opens]] = r.received[opens]
        slots, index = r.slots[rows], r.cause[rows]
        cells.merge(table, self.fleet, slots, judged.values[rows], r.at[rows])
        self.totals.held += len(slots)
        done = cells.complete(table, self.fleet, slots, stepping.not_waited_for(self, slots))
        for i, finished in zip(index.tolist(), done.tolist(), strict=True):
            result.verdicts[i] = Verdict.STEPPED if finished else Verdict.HELD
        if done.any():
            self.close(slots[done], index[done], result)

    def held_of(self, slot: int) -> int:
        """How many readings of a stream are held, in its open tick or behind a gap."""
        return int(self.table["held"][slot]) + (0 if self.room is None else int(self.room.columns["count"][slot]))

    # -- ticks

    def close_all(self, cause: int, result: Outcome) -> None:
        """Take what waits, and close every open tick: what they hold cannot wait any longer."""
        if self.room is not None:
            reordering.let_all_go(self, cause, result)
        live = self.table.live_slots()
        slots = self.by_name(live[self.table["open"][live]])
        if len(slots):
            self.close(slots, np.full(len(slots), cause), result)
        self.end_crossings(cause, result)
        looking.end_all(self, cause, result)

    def end_crossings(self, cause: int, result: Outcome, *, slots: Int64 | None = None) -> None:
        """End what is told of streams (default: all) that leave, or of thresholds that do: the broker retains it."""
        if self.look_ahead is not None and self.look_ahead.crossings is not None:
            slots = self.by_name(self.table.live_slots() if slots is None else slots)
            self.look_ahead.crossings.end_all(self.table, slots, cause, self.writer.lineage, result)

    def close(self, slots: Int64, index: Int64, result: Outcome) -> None:
        """Close the open ticks of `slots`, complete or not."""
        values, at, tick, held = cells.take(self.table, self.fleet, slots)
        count = int(held.sum())
        self.totals.held -= count
        self.totals.stepped += count
        stepping.step(self, Closed(slots, index, values, at, tick), result)
