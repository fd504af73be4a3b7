"""`Pipeline.advance`: the one function that turns inputs into forecasts.

The daemon calls it, and so do recovery, `replay`, `backtest`, the learner and the simulation tests. It has no
clock, no I/O but the model loader it is given, no thread and no randomness: what comes out depends only on the
inputs since the beginning, not on how they were cut into batches.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from gaugecast import events
from gaugecast.batch import Inputs
from gaugecast.config.schema import Loop
from gaugecast.errors import Defect
from gaugecast.fleet import Fleet
from gaugecast.forecast.message import SCHEMA
from gaugecast.model.weights import Model
from gaugecast.pipeline import arrivals, home, looking, meaning, memories, parking, past, reordering, waiting
from gaugecast.pipeline.batch_result import Outcome, Totals
from gaugecast.pipeline.births import BURST_S, Births
from gaugecast.pipeline.fleet_pipeline import FleetPipeline
from gaugecast.pipeline.forecast_writer import write_outputs
from gaugecast.pipeline.intake import Deliveries, at_places, gather, places_by_fleet, places_of, points_of, rounds_of
from gaugecast.pipeline.shaping import Batches, Cut
from gaugecast.pipeline.step_memory import StepMemory
from gaugecast.pipeline.succession import succeed
from gaugecast.records import Input, Int64, Kind, Refused, Verdict
from gaugecast.streams.snapshot import Snapshot

#: Loads the weights (fleet, version) that an event names; an edge provides it. `None`: lost, and the role stays empty.
ModelLoader = Callable[[str, str], Model | None]


class Pipeline:
    """All fleets. Owned by the thread that calls it.

    Args:
        limits: `max_streams`, `new_streams_per_s`, `skill_half_life`, until an event (`LimitsSet`) says otherwise.
        models: Loads the weights that events name.
        trace: Keep what is fed to the models, for the learner.
        mute: Say nothing, and look no further than the next step: for whoever wants steps and states alone.

    Attributes:
        retired: By name, what fleets had counted that left while this process ran. No checkpoint has it.
        lineage: Named in each message; empty until an event says one.
        schema: Of messages; of an old ledger the first, until an event says more.
        steps: Numbers after which streams go on that come back.
        clock_ahead_ns: How far the machine's clock was set forward and may be taken back; for the next process.
    """

    def __init__(self, limits: Loop, models: ModelLoader, *, trace: bool = False, mute: bool = False) -> None:
        self.limits = events.limits_of(limits)
        self.limits_told = False  # by an event, so that a replay has them too
        self.parts: dict[str, FleetPipeline] = {}
        self.retired: dict[str, Totals] = {}
        self.rejects: Counter[tuple[str, str]] = Counter()
        self.deliveries = Deliveries()
        self.steps, self.clock_ahead_ns = StepMemory(), 0
        self.lineage, self.schema = "", SCHEMA
        self.snapshot: Snapshot | None = None
        self.births = Births(limits.new_streams_per_s)
        self.load_model = models
        self._trace, self._mute, self._batches = trace, mute, Batches()
        self._due_ns: int | None = None  # nothing is due before; may be early, never late

    # -- asked by the loop

    def totals(self) -> dict[str, Totals]:
        """What each fleet has counted, by name: copies, with what it had counted before it left and came back.

        Also of fleets that have left. While a process runs, no count but `held` goes down.
        """
        told = {name: counted.copy() for name, counted in self.retired.items()}
        for name, part in self.parts.items():
            told.setdefault(name, Totals()).add(part.totals)
        return told

    @property
    def streams(self) -> int:
        """Active streams of all fleets."""
        return sum(len(part.table) for part in self.parts.values())

    def knows(self, fleet: str, stream: str) -> bool:
        """Whether a stream is active: one that is not may be parked in the ledger."""
        part = self.parts.get(fleet)
        return part is not None and stream in part.table.slots

    @property
    def look_again_ns(self) -> int:
        """Arrival time before which `due` need not be asked again; may be early, never late."""
        return self._due_ns or 0

    def due(self, now_ns: int, *, listening: bool = True) -> bool:
        """Whether a timer input at `now_ns` would have an effect; `listening` as `Input.timer` has it."""
        if self._due_ns is not None and now_ns < self._due_ns:
            return False
        due = [waiting.next_due_ns(part, listening=listening) for part in self.parts.values()]
        earliest = min((d for d in due if d is not None), default=None)
        self._due_ns = waiting.look_again_ns(self.parts.values(), now_ns, earliest, listening=listening)
        return earliest is not None and now_ns >= earliest

    # -- the verb

    def advance(self, inputs: Sequence[Input]) -> Outcome:
        """Take inputs in order; the results of a stream do not depend on what travels with it."""
        rows = Inputs.of(inputs)
        result = Outcome([Verdict.NONE] * len(rows))
        begin = 0
        with np.errstate(all="ignore"):  # overflow of hostile values is met by checks, not by warnings
            for i in points_of(rows):
                self._take_readings(rows, begin, i, result)
                begin = i + 1
                if rows.kind[i] == Kind.TIMER:
                    self._take_timer(rows[i], i, result)
                elif rows.kind[i] == Kind.CUT:
                    result.cuts.append(Cut(i, rows.key[i], self.lineage))
                else:
                    self._take_event(rows[i], i, result)
            self._take_readings(rows, begin, len(rows), result)
            write_outputs(result, self._batches)
        self.rejects.update((refused.fleet, refused.reason) for refused in result.refused)
        return result

    # -- readings

    def _take_readings(self, rows: Inputs, begin: int, end: int, result: Outcome) -> None:
        """All readings and rejects between two points."""
        if begin == end:
            return
        for i in places_of(rows.kind, Kind.REJECT, begin, end):
            self._reject(rows.fleet[i], rows.reason[i], i, result)
        by_fleet = places_by_fleet(rows, begin, end)
        slots = self._slots(rows, by_fleet, result)
        again = self.deliveries.seen_again(rows, begin, end, result.verdicts)
        for name, places in by_fleet.items():
            part = self.parts[name]
            whole = gather(rows, places, slots[name], again, part.fleet)
            self._touch(name, whole.slots)
            for turn in rounds_of(whole):
                part.take(turn, result)

    def _slots(self, rows: Inputs, by_fleet: dict[str, Sequence[int]], result: Outcome) -> dict[str, list[int | None]]:
        """Each reading's slot; new streams come into being in the order of the inputs, `None` where one may not."""
        slots: dict[str, list[int | None]] = {}
        new: list[tuple[int, str, int]] = []
        for name, places in by_fleet.items():
            part = self.parts.get(name)
            if part is None:
                raise Defect(f"a reading of a configured fleet expected, got one of {name!r}")
            streams = at_places(rows.stream, places)
            slots[name] = found = list(map(part.table.slots.get, streams))
            if None in found:
                new += [(place, name, i) for i, place in enumerate(places) if found[i] is None]
        for place, name, i in sorted(new):
            slots[name][i] = self._newcomer(self.parts[name], rows[place], place, result)
        return slots

    def _newcomer(self, part: FleetPipeline, one: Input, cause: int, result: Outcome) -> int | None:
        """The slot of a stream that was not there when the batch began; `None` if it may not come into being."""
        slot = part.table.slots.get(one.stream)
        if slot is not None:  # by now it is
            return slot
        refusal = self._refusal(one)
        if refusal:
            result.verdicts[cause] = Verdict.REJECTED
            result.refused.append(Refused(one.received_at_ns, one.fleet, one.stream, "", refusal, "", b""))
            return None
        self._touch(one.fleet, np.array([part.table.next_slot], np.int64))
        slot = part.table.add(one.stream)  # the columns may grow
        part.table["step"][slot] = self.steps.come_back(one.fleet, one.stream)
        return slot

    def _reject(self, fleet: str, reason: str, cause: int, result: Outcome) -> None:
        result.verdicts[cause] = Verdict.REJECTED
        self.rejects[fleet, reason] += 1

    def _refusal(self, one: Input) -> str:
        """Why no stream may come into being now; empty if one may."""
        if self.streams >= self.limits.max_streams:
            return "too_many_streams"
        return "" if self.births.allow(one.received_at_ns, self.limits.new_streams_per_s) else "stream_rate"

    def _touch(self, fleet: str, slots: Int64) -> None:
        """Rows are about to change: a snapshot in the making must have them as they are."""
        if self.snapshot is not None:
            self.snapshot.preserve(fleet, slots)

    # -- timers and events

    def _take_timer(self, timer: Input, cause: int, result: Outcome) -> None:
        for name, part in self.parts.items():
            due = waiting.overdue(part, timer.received_at_ns, listening=timer.listening)
            for slots in due:
                self._touch(name, slots)
            waiting.take_due(part, due, timer.received_at_ns, cause, result)
            parking.park_idle(part, due.idle, self.steps, cause=cause, result=result)
        self._due_ns = None

    def _take_event(self, one: Input, cause: int, result: Outcome) -> None:
        event = one.event
        if event is None:
            raise Defect(f"an event row with an event expected, got {one}")
        self._due_ns = None
        if not isinstance(event, meaning.KEEPS_A_SNAPSHOT):
            self.snapshot = None  # whole columns may change; whoever made the snapshot begins another
        match event:
            case events.SessionLost():
                self.deliveries.clear()
            case events.LimitsSet():
                self.set_limits(event)
            case events.LineageBegun():
                self.begin_lineage(event.lineage, event.schema)
            case events.ClockStepped():
                self.clock_ahead_ns = max(0, self.clock_ahead_ns + event.step_ns)
                for each in self.parts.values():
                    arrivals.shift_arrivals(each, event.step_ns, ticks=event.ticks)
            case events.FleetConfigured():
                self._configure(Fleet.from_json(event.spec), cause, result)
            case _ if one.fleet in self.parts and not isinstance(event, events.FleetForgotten):  # else it has left
                self._take_fleet_event(self.parts[one.fleet], one, event, cause, result)

    def _take_fleet_event(
        self, part: FleetPipeline, one: Input, event: events.FleetEvent, cause: int, result: Outcome
    ) -> None:
        match event:
            case events.FleetRetired():
                home.leave(part, cause, result)
                if event.steps_kept:
                    parking.note_steps(part, part.table.live_slots(), self.steps)
                self._retire(part)
            case events.ModelInstalled():
                self._install(part, event)
            case events.ShadowPromoted():
                part.promote()
            case events.ShadowWarmed():
                memories.warm(part, one.values, lambda slots: self._touch(one.fleet, slots))
            case events.StreamsReset():
                part.reset(one.stream)
            case events.HistoryLoaded():
                room = self.streams < self.limits.max_streams
                past.load(part, one, event, self.steps, lambda slots: self._touch(one.fleet, slots), result, room=room)
            case _:  # of streams
                self._touch(one.fleet, np.array([part.table.next_slot], np.int64))
                parking.follow(part, one, event, self.steps, cause=cause, result=result)

    def _retire(self, part: FleetPipeline) -> None:
        """Forget a fleet's streams; what it has counted is kept for as long as this process runs."""
        del self.parts[part.fleet.name]
        self.retired.setdefault(part.fleet.name, Totals()).add(part.totals)

    def _install(self, part: FleetPipeline, event: events.ModelInstalled) -> None:
        """Put weights in a role. A learner may send new ones every second: those alone do not end a snapshot."""
        model = self.load_model(part.fleet.name, event.version) if event.version else None
        columns_stay = looking.install(part, event.role, model)
        expert = part.experts.get(event.role)
        if event.reason != events.LEARNED and expert is not None:
            expert.forget_scores()
            columns_stay = False
        if not columns_stay:
            self.snapshot = None

    def set_limits(self, limits: events.LimitsSet) -> None:
        """Put the settings of an event or a checkpoint in force."""
        if not self.limits_told:
            self.births.tokens = limits.new_streams_per_s * BURST_S
        self.limits, self.limits_told = limits, True
        for part in self.parts.values():
            part.set_half_life(limits.skill_half_life)

    def begin_lineage(self, lineage: str, schema: int) -> None:
        """Let messages name it from here on, in this shape where theirs is not a later one."""
        is_new, self.lineage, self.schema = schema > self.schema, lineage, max(schema, self.schema)
        for part in self.parts.values():
            part.write_as(lineage, self.schema, is_new=is_new)

    def new_part(self, fleet: Fleet) -> FleetPipeline:
        """An empty part under this pipeline's limits."""
        part = FleetPipeline(fleet, self.limits.skill_half_life, trace=self._trace, mute=self._mute)
        part.write_as(self.lineage, self.schema)
        return part

    def _configure(self, fleet: Fleet, cause: int, result: Outcome) -> None:
        old = self.parts.get(fleet.name)
        part = self.new_part(fleet)
        if old is not None:
            if not meaning.goes_on(old.fleet, fleet):
                old.close_all(cause, result)
            elif old.room is not None:
                reordering.let_all_go(old, cause, result)
            succeed(part, old, cause, result)
        self.parts[fleet.name] = part
