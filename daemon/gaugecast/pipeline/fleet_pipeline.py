"""The streams of one fleet: readings become steps, steps become forecasts."""

from __future__ import annotations

import numpy as np

from gaugecast.align import cells, gates
from gaugecast.fleet import Fleet
from gaugecast.forecast.body import BRIDGED, PARTIAL
from gaugecast.forecast.expert import Expert, Steps, same_shape
from gaugecast.forecast.skill import LARGEST, add_terms, decay_of
from gaugecast.model.weights import Model
from gaugecast.pipeline.batch_result import Closed, Outcome, Totals
from gaugecast.pipeline.forecast_writer import ForecastWriter
from gaugecast.pipeline.look_ahead import LookAhead
from gaugecast.pipeline.meaning import goes_on
from gaugecast.pipeline.succession import take_over_names
from gaugecast.records import Bool, Float64, Int64, Verdict
from gaugecast.streams.columns import Columns
from gaugecast.streams.table import SCORES, StreamTable


class FleetPipeline:
    """A fleet's streams, its models at work (experts) and its totals. Owned by the loop's thread.

    Attributes:
        in_force: The model whose forecasts are published; `None` = the last value is repeated.
        shadow: A model that is stepped beside it and only scored.
        look_ahead: What forecasts the listed horizons; `None` where none is listed.
    """

    def __init__(self, fleet: Fleet, skill_half_life: float, *, trace: bool = False, lineage: str = "") -> None:
        self.fleet = fleet
        self.totals = Totals()
        self.in_force: Expert | None = None
        self.shadow: Expert | None = None
        self.table = StreamTable(len(fleet.features), len(fleet.forecast_places))
        self.look_ahead: LookAhead | None = None
        self._look(None)
        self.writer = ForecastWriter(fleet, self.table, self.totals, lineage=lineage)
        self._forecast = np.array(fleet.forecast_places, np.int64)
        self.set_half_life(skill_half_life)
        self._trace = trace

    def set_half_life(self, steps: float) -> None:
        """Over how many steps scores fade to a half."""
        self._decay = decay_of(steps)

    # -- experts

    def _look(self, before: LookAhead | None) -> None:
        """Give the table the columns of what is said beyond the next step; what means the same is taken over."""
        for columns in before.tables().values() if before is not None else ():
            self.table.detach(columns)
        capacity = self.table.columns.capacity
        self.look_ahead = LookAhead(self.fleet, capacity, before) if self.fleet.horizons else None
        for columns in self.look_ahead.tables().values() if self.look_ahead is not None else ():
            self.table.attach(columns)

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

    def reset(self, stream: str) -> None:
        """Begin the state of a stream (empty: of all) anew; statistics and step numbers stay."""
        slot = self.table.slots.get(stream)
        slots = self.table.live_slots() if stream == "" else np.array([] if slot is None else [slot], np.int64)
        # The next step then finds a gap too long to bridge, even if it falls into the tick of the last one.
        self.table["tick"][slots] -= self.fleet.unbridged_ticks
        self.totals.resets += len(slots)

    def shift_arrivals(self, step_ns: int, *, ticks: bool) -> None:
        """Move remembered arrival times by a step of the machine's clock; with `ticks` what they are dated by, too."""
        slots = self.table.live_slots()
        for name in ("received", "open_received", "late_received"):
            known = self.table[name][slots]
            self.table[name][slots] = np.where(known >= 0, np.maximum(known + step_ns, 0), known)
        if ticks and not self.fleet.timed:
            periods = (step_ns + self.fleet.period_ns // 2) // self.fleet.period_ns
            # Windows of aggregates stay on the clock: they move by whole periods.
            self.table["phase"][slots] += periods * self.fleet.period_ns if self.fleet.aggregated else step_ns

    def succeed(self, old: FleetPipeline, cause: int, result: Outcome) -> None:
        """Take over from the pipeline of the same fleet as it was configured before.

        Where features, period and keys are the same, everything is taken over. Else the open ticks of `old` are
        closed already, and three things are taken over: step numbers, since they name messages for ever; the keys of
        features that are still there, since what was taken may be delivered again; and since when a stream is silent.
        """
        self.totals = old.totals
        if goes_on(old.fleet, self.fleet):
            self.table, self.in_force, self.shadow = old.table, old.in_force, old.shadow
            for expert in self.experts.values():
                expert.fleet = self.fleet
            if old.look_ahead is not None and old.fleet.thresholds != self.fleet.thresholds:
                old.end_crossings(cause, result)
            self._look(old.look_ahead)
        else:
            take_over_names(self.table, self.fleet, old_table=old.table, old=old.fleet)
        self.writer = ForecastWriter(self.fleet, self.table, self.totals, lineage=old.writer.lineage)

    def by_name(self, slots: Int64) -> Int64:
        """The same slots in the order of their streams' ids: slot numbers must not bear on results."""
        return np.array(sorted(slots.tolist(), key=lambda slot: self.table.names[slot] or ""), np.int64)

    def tables(self) -> dict[str, Columns]:
        """All columns of the fleet's streams, by table."""
        ahead = {} if self.look_ahead is None else self.look_ahead.tables()
        return {"streams": self.table.columns, **{role: e.columns for role, e in self.experts.items()}, **ahead}

    # -- readings

    def take(self, r: gates.Round, result: Outcome) -> None:
        """One round of readings: refuse, hold, or step each."""
        judged = gates.judge(self.table, self.fleet, r)
        taken = judged.verdict == gates.ACCEPTED
        if np.count_nonzero(taken) < len(taken):
            self._refuse(r, judged, ~taken, result)
            r = gates.take_rows(r, taken)
            judged = gates.Judged(*(column[taken] for column in judged))
            if not len(r.slots):
                return
        present = ~np.isnan(judged.values)
        self._note(r, judged, present)
        is_open = self.table["open"][r.slots]
        if np.count_nonzero(is_open):
            ahead = is_open & (judged.tick > self.table["open_tick"][r.slots])
            if np.count_nonzero(ahead):
                self.close(r.slots[ahead], r.cause[ahead], result)
                is_open &= ~ahead
        whole = present.all(axis=1) & ~is_open
        whole &= not self.fleet.aggregated
        count = np.count_nonzero(whole)
        if count:
            self._step_whole(r, judged, whole, result)
        if count < len(whole):
            self._join(r, judged, ~whole, is_open, result)

    def _refuse(self, r: gates.Round, judged: gates.Judged, rows: Bool, result: Outcome) -> None:
        for index, verdict in zip(r.cause[rows].tolist(), judged.verdict[rows].tolist(), strict=True):
            result.verdicts[index] = verdict
        is_late = judged.verdict == Verdict.LATE
        late = int(is_late.sum())
        same_period = int((judged.verdict[rows] == Verdict.SAME_PERIOD).sum())
        self.totals.late += late
        self.totals.same_period += same_period
        self.totals.duplicate += int(rows.sum()) - late - same_period
        if late:  # summed as Python's integers: a thousand readings a year late do not fit into 64 bits
            self.totals.late_ns += sum(gates.lateness(self.table, self.fleet, r)[is_late].tolist())

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
            rows = Closed._make(column[whole] for column in rows)
        for index in rows.cause.tolist():
            result.verdicts[index] = Verdict.STEPPED
        self.totals.stepped += len(rows.cause)
        self._step(rows, result)

    def _join(self, r: gates.Round, judged: gates.Judged, rows: Bool, is_open: Bool, result: Outcome) -> None:
        table = self.table
        opens = rows & ~is_open
        table["open"][r.slots[opens]] = True
        table["open_tick"][r.slots[opens]] = judged.tick[opens]
        table["open_received"][r.slots[opens]] = r.received[opens]
        slots, index = r.slots[rows], r.cause[rows]
        cells.merge(table, self.fleet, slots, judged.values[rows], r.at[rows])
        self.totals.held += len(slots)
        done = cells.complete(table, self.fleet, slots)
        for i, finished in zip(index.tolist(), done.tolist(), strict=True):
            result.verdicts[i] = Verdict.STEPPED if finished else Verdict.HELD
        if done.any():
            self.close(slots[done], index[done], result)

    def close_all(self, cause: int, result: Outcome) -> None:
        """Close every open tick: what it holds cannot wait any longer."""
        live = self.table.live_slots()
        slots = self.by_name(live[self.table["open"][live]])
        if len(slots):
            self.close(slots, np.full(len(slots), cause), result)
        self.end_crossings(cause, result)

    def end_crossings(self, cause: int, result: Outcome) -> None:
        """End what is told of thresholds that are no more."""
        if self.look_ahead is not None and self.look_ahead.crossings is not None:
            slots = self.by_name(self.table.live_slots())
            self.look_ahead.crossings.end_all(self.table, slots, cause, self.writer.lineage, result)

    def close(self, slots: Int64, index: Int64, result: Outcome) -> None:
        """Close the open ticks of `slots`, complete or not."""
        values, at, tick, held = cells.take(self.table, self.fleet, slots)
        count = int(held.sum())
        self.totals.held -= count
        self.totals.stepped += count
        self._step(Closed(slots, index, values, at, tick), result)

    # -- steps

    def _step(self, closed: Closed, result: Outcome) -> None:
        table, slots = self.table, closed.slots
        started, last = table["started"][slots], table["x"][slots]
        gap = np.where(started, closed.tick - table["tick"][slots] - 1, 0)
        jumped, too_long, absent = gap > 0, gap > self.fleet.bridge, np.isnan(closed.values)
        fresh = ~started | too_long
        steps = Steps(slots, closed.values, last, table["seen"][slots], closed.at, table["at"][slots], gap, fresh)
        own = {role: e.columns["next"][slots] for role, e in self.experts.items()}
        predicted = np.where((fresh | jumped)[:, None], np.nan, table["published"][slots])
        x = self._run_experts(steps, result)
        self._score(steps, predicted, own)
        bridged, partial = jumped & ~fresh, absent.any(axis=1)
        self.totals.partial_steps += int(np.count_nonzero(partial))
        if np.count_nonzero(jumped):
            self.totals.gaps += int(np.count_nonzero(jumped))
            self.totals.bridged_steps += int(gap[bridged].sum())
            self.totals.resets += int(np.count_nonzero(too_long))
        table["started"][slots] = True
        table["tick"][slots] = closed.tick
        table["at"][slots] = closed.at
        table["x"][slots] = x
        table["seen"][slots] = ~absent
        quality = bridged * BRIDGED | partial * PARTIAL
        ahead = None if self.look_ahead is None else self.look_ahead.step(steps, x, self.in_force)
        self.writer.publish(
            closed, steps, self.in_force, x=x, predicted=predicted, quality=quality, ahead=ahead, result=result
        )
        if self.look_ahead is not None and self.look_ahead.crossings is not None:
            self.look_ahead.crossings.tell(closed, self.table, self.writer.lineage, result)

    def _run_experts(self, steps: Steps, result: Outcome) -> Float64:
        """Step every expert; the values as the model in force was fed them, (N, F)."""
        fed = steps.values if self.in_force else np.where(np.isnan(steps.values), steps.last, steps.values)
        for role, expert in self.experts.items():
            before = expert.broken_total
            x, trace = expert.step(steps)
            self.totals.broken_states += expert.broken_total - before
            if role == "in_force":
                fed = x
                if self._trace:
                    result.traces.append((self.fleet.name, trace))
        return fed

    def _score(self, steps: Steps, predicted: Float64, own: dict[str, Float64]) -> None:
        """Hold what was forecast for this tick, by us and by each expert, against what came."""
        table, g, slots = self.table, self._forecast, steps.slots
        values, measured = steps.values[:, g], steps.seen[:, g] & (~steps.fresh & (steps.gap == 0))[:, None]
        step, error = values - steps.last[:, g], values - predicted
        counts = measured & ~np.isnan(error) & ~np.isnan(step)
        terms = np.ones((len(slots), len(SCORES), len(g)))  # in the order of the columns
        np.minimum(error * error, LARGEST, out=terms[:, 0])
        np.minimum(step * step, LARGEST, out=terms[:, 1])
        np.minimum(np.abs(error), LARGEST, out=terms[:, 2])
        add_terms(table.columns.block("scores"), slots, terms, counts, self._decay)
        for role, expert in self.experts.items():
            ready = expert.columns["warm"][slots] > expert.model.manifest.warmup_steps
            expert.score(slots, np.where(ready[:, None] & counts, values - own[role], np.nan), step, self._decay)
