"""`gaugecast learn`: follows the ledger with an `advance` of its own, learns, and hands weights over to the loop.

It reads the ledger and the models, writes new weights files, and speaks to the loop through the control socket. If
it falls behind, crashes, or fills the disk, the loop does not notice. It never holds back retention: rows that are
gone before it has read them are skipped, from the newest checkpoint on.
"""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from gaugecast.config.schema import Settings
from gaugecast.errors import GaugecastError, ModelError, StorageError
from gaugecast.learn.ports import Ask, OpenHistory, Store
from gaugecast.learn.pupil import Pupil
from gaugecast.logs import get
from gaugecast.model import Model
from gaugecast.pipeline import Pipeline, events
from gaugecast.pipeline.lane import Lane
from gaugecast.records import Input, Kind

log = get("gaugecast.learn")

_POLL_S = 0.05
_REPORT_S = 1.0
#: The first update compiles for seconds; the budget is not paid back for that.
_REST_MAX_S = 0.25
_RESAMPLE_S = 300.0
#: Inputs a slice: so many may be stepped before the learner looks at what it can learn from them.
_SLICE = 16
#: While this far behind the ledger's end, steps are taken without learning from all of them.
_HURRY_INPUTS = 20_000


class LearnerProcess:
    """One learner for all fleets of a state directory. One thread.

    Args:
        settings: `learning` and `loop` tables are used.
        history: Opens the ledger for reading, with the state that a pipeline restores from.
        store: Weights by fleet and version.
        ask: Sends a command to the loop.
    """

    def __init__(self, settings: Settings, *, history: OpenHistory, store: Store, ask: Ask) -> None:
        self.settings = settings
        self.stopping = False
        self._history, self._store, self._ask = history, store, ask
        self._pupils: dict[str, Pupil] = {}
        self._private: dict[str, Model] = {}
        self._seq = 0
        self._newest_ns = 0
        self._report_at_s = self._resample_at_s = 0.0

    def run(self) -> None:
        """Learn until `stopping`."""
        self._begin()
        while not self.stopping:
            began = time.monotonic()
            worked = self._turn()
            self._hand_over()
            self._report()
            busy_s = time.monotonic() - began
            rest_s = busy_s * max(0.0, 1.0 / self.settings.learning.cpu - 1.0)
            time.sleep(min(rest_s, _REST_MAX_S) if worked else _POLL_S)

    # -- following the ledger

    def _begin(self) -> None:
        """Stand where the newest checkpoint stands."""
        self.pipeline = Pipeline(self.settings.loop, self._load, trace=True)
        self._reader, self._seq = self._history(self.pipeline)
        self._pupils.clear()
        for lane in self.pipeline.lanes.values():
            self._enrol(lane)
        log.info("following", seq=self._seq, behind=self._reader.last_seq - self._seq)

    def _turn(self) -> bool:
        """Take a slice of the ledger and learn from it; whether there was any."""
        if self._reader.first_seq > self._seq + 1:
            log.warning("behind retention", seq=self._seq, first=self._reader.first_seq)
            self._begin()
        hurry = self._reader.last_seq - self._seq > _HURRY_INPUTS
        most = _SLICE * (16 if hurry else 1)
        batch = next(iter(self._reader.replay(self._seq, most=most)), None)
        if batch is None:
            return False
        self._seq = batch.first_seq + len(batch.inputs) - 1
        self._newest_ns = batch.inputs[-1].received_at_ns
        self._advance([one for one in batch.inputs if self._wanted(one)])
        for pupil in self._pupils.values():
            while pupil.learn() and not hurry:
                pass
        return True

    def _wanted(self, one: Input) -> bool:
        if one.kind == Kind.READING:
            pupil = self._pupils.get(one.fleet)
            return pupil is not None and pupil.wants(one.stream)
        return one.kind != Kind.REJECT

    def _advance(self, inputs: list[Input]) -> None:
        """Take inputs; events that concern the models are looked at one by one."""
        begin = 0
        for i, one in enumerate(inputs):
            if one.kind == Kind.EVENT:
                self._step(inputs[begin:i])
                self._take_event(one)
                begin = i + 1
        self._step(inputs[begin:])

    def _step(self, inputs: list[Input]) -> None:
        if not inputs:
            return
        for fleet, trace in self.pipeline.advance(inputs).traces:
            self._pupils[fleet].student.take(trace, self.pipeline.lanes[fleet].table)

    def _take_event(self, one: Input) -> None:
        event = events.decode_event(one.detail)
        pupil = self._pupils.get(one.fleet)
        if isinstance(event, events.ModelInstalled) and event.role == "shadow":
            return  # ours, on trial: here it is in force already
        if isinstance(event, events.ShadowPromoted):
            if pupil is not None:
                pupil.forced = True
            return
        try:
            self.pipeline.advance([one])
        except ModelError as exc:  # weights that were deleted since: the next hand-over brings others
            log.warning("weights gone", fleet=one.fleet, why=str(exc))
            return
        lane = self.pipeline.lanes.get(one.fleet)
        if isinstance(event, events.FleetRetired):
            self._pupils.pop(one.fleet, None)
        elif isinstance(event, events.FleetConfigured) and lane is not None:
            self._enrol(lane)
        elif isinstance(event, events.ModelInstalled) and lane is not None:
            self._follow(lane, event)

    def _follow(self, lane: Lane, event: events.ModelInstalled) -> None:
        """Other weights are in force: ours, or a rollback, or a model that somebody imported."""
        pupil = self._pupils[lane.fleet.name]
        if lane.in_force is None or not pupil.student.fits(lane.in_force.model):
            self._enrol(lane)
        elif event.reason == events.ROLLBACK:
            pupil.take_back(lane.in_force.model)
        else:
            pupil.forced = True

    def _enrol(self, lane: Lane) -> None:
        """Begin to learn a fleet: from its model in force, its shadow, or nothing."""
        if lane.in_force is None and lane.shadow is not None:
            lane.promote()
            forced = False
        else:
            forced = lane.in_force is not None
        model = None if lane.in_force is None else lane.in_force.model
        pupil = Pupil(lane.fleet, model, self.settings.learning, forced=forced)
        self._pupils[lane.fleet.name] = pupil
        if model is None:
            self._install(lane.fleet.name, pupil.model)

    def _install(self, fleet: str, model: Model) -> None:
        """Put weights in force in our own pipeline, before the loop has them."""
        version = model.manifest.version
        self._private = {version: model}
        event = events.event_input(events.ModelInstalled("in_force", version), received_at_ns=0, fleet=fleet)
        self.pipeline.advance([event])

    def _load(self, fleet: str, version: str) -> Model:
        return self._private.get(version) or self._store.load(fleet, version)

    # -- telling the loop

    def _hand_over(self) -> None:
        now_s = time.monotonic()
        for fleet, pupil in self._pupils.items():
            if not pupil.ready(now_s):
                continue
            try:
                model = pupil.take_learned(now_s)
                version = self._store.add(fleet, model)
                role = "in_force" if pupil.forced else "shadow"
                self._ask({"command": "hand_over", "fleet": fleet, "version": version, "role": role})
                pupil.handovers_total += 1
                if not pupil.forced:
                    self._install(fleet, model)
            except (GaugecastError, OSError) as exc:
                pupil.failures_total += 1
                log.warning("hand-over failed", fleet=fleet, why=str(exc))

    def _report(self) -> None:
        now_s = time.monotonic()
        if now_s < self._report_at_s:
            return
        self._report_at_s = now_s + _REPORT_S
        lag_s = max(0.0, (self._reader.received_at_ns - self._newest_ns) / 1e9) if self._newest_ns else 0.0
        for fleet, pupil in self._pupils.items():
            facts = {
                "updates_total": pupil.updates_total,
                "failures_total": pupil.failures_total,
                "drift_total": pupil.rate.drifts_total,
                "handovers_total": pupil.handovers_total,
                "rate": pupil.rate.rate,
                "lag_s": lag_s,
            }
            try:
                self._ask({"command": "learner", "fleet": fleet, **facts})
            except GaugecastError:
                return  # the loop is down or busy; it will come back
        if now_s >= self._resample_at_s:
            self._resample_at_s = now_s + _RESAMPLE_S
            self._resample()

    def _resample(self) -> None:
        for fleet, pupil in self._pupils.items():
            table = self.pipeline.lanes[fleet].table
            slots = table.live_slots()
            error, last = table["square_error"][slots], table["square_last"][slots]
            with np.errstate(invalid="ignore", divide="ignore"):
                weight = np.nan_to_num(error / last).mean(axis=1)
            pupil.resample([table.names[s] or "" for s in slots.tolist()], weight)


def wait_for_ledger(directory: Path, stopping: object) -> None:
    """Wait until the daemon has made its ledger.

    Raises:
        StorageError: `stopping` was set meanwhile.
    """
    while not (directory / "ledger.sqlite").exists():
        if getattr(stopping, "stopping", False):
            raise StorageError(f"{directory}: asked to stop before a ledger was there")
        time.sleep(_POLL_S * 10)
