"""What the learner costs where streams are many: processor time a second of plant time, lag, memory."""

from __future__ import annotations

import multiprocessing
import resource
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bench import handover
from bench.results import Bound, Result
from bench.scale import Scale
from gaugecast import events
from gaugecast.config.schema import Learning, Settings, Storage
from gaugecast.fleet import Feature, Fleet
from gaugecast.learn.fit.initial import initial_model, manifest_for
from gaugecast.learn.online.process import LearnerProcess
from gaugecast.ledger import Ledger, LedgerReader
from gaugecast.records import Commit, Input, Order, Verdict
from gaugecast.storage.models import ModelStore

SECOND = 10**9
START_NS = 1_767_225_600 * SECOND
#: Streams, and how often each speaks, s.
FLEETS = ((64, 1), (1_000, 1), (10_000, 5))
UNITS, SAMPLED, CPU = 64, 64, 0.5
#: Steps of each stream: the first to compile and to fill what is remembered.
WARM_STEPS, HOLD_STEPS = 20, 20


def measure(scale: Scale) -> list[Result]:
    """One figure a fleet, each in a process of its own; a hand-over and an update."""
    hold_steps = scale.count(HOLD_STEPS)
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        fleets = pool.starmap(measure_fleet, [(*fleet, hold_steps) for fleet in FLEETS], chunksize=1)
    return [*fleets, handover.measure_handover(), handover.measure_update()]


def measure_fleet(streams: int, period_s: int, hold_steps: int) -> Result:
    """Cores that the learner takes to keep up with so many streams, as it does in the daemon."""
    with tempfile.TemporaryDirectory() as name:
        plant = Plant(Path(name), streams, period_s)
        for _ in range(WARM_STEPS * period_s):
            plant.second()
        before_cpu_s, before_updates = plant.cpu_s, plant.updates
        hold_s = hold_steps * period_s
        for _ in range(hold_s):
            plant.second()
        share = (plant.cpu_s - before_cpu_s) / hold_s
        updates = (plant.updates - before_updates) / hold_s
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    lag = "keeps up" if share <= CPU else f"falls behind by {1 - CPU / share:.1f} s a second"
    note = f"{streams:,} streams, a reading each {period_s} s, {SAMPLED} sampled; {updates:.1f} updates/s"
    note += f"; {lag} at cpu = {CPU}; peak {peak_mb:.0f} MB"
    return Result(f"learner_{streams}_streams", "cores", [share], bound=Bound("≤", CPU), note=note)


class Plant:
    """A ledger that grows by a second at a time, and the learner at its end."""

    def __init__(self, directory: Path, streams: int, period_s: int) -> None:
        self._period_s, self._names = period_s, [f"s{i}" for i in range(streams)]
        fleet = _fleet(period_s)
        self._store, self._ledger = ModelStore(directory), Ledger.open(directory, Storage(directory=directory))
        model = initial_model(manifest_for(fleet, units=(UNITS,)), seed=0)
        version = self._store.add(fleet.name, model)
        installed = events.ModelInstalled("in_force", version)
        self._commit(
            [
                Order.configuring(fleet).stamped(START_NS),
                Order(installed, fleet.name).stamped(START_NS),
            ]
        )
        table = {"subscribe": ["load/{stream}"], "period": f"{period_s}s", "features": {"a": {}, "b": {}}}
        settings = Settings(
            learning=Learning(mode="unit", cpu=CPU, streams=SAMPLED),
            fleet={"load": table},  # type: ignore[dict-item]
        )
        self._now_s, self.cpu_s = 0, 0.0
        self._learner = LearnerProcess(
            settings,
            reader=LedgerReader(directory),
            restore=lambda new: (new(), 0),
            store=self._store,
            ask=self._ask,
            seconds=lambda: float(self._now_s),
        )
        self._learner.follower.begin()

    @property
    def updates(self) -> int:
        """Made so far."""
        return sum(fleet_learner.updates_total for fleet_learner in self._learner.follower.learners.values())

    def second(self) -> None:
        """What comes in one second, and what the learner makes of it."""
        at_ns = START_NS + self._now_s * SECOND
        phase = 2 * np.pi * self._now_s / 40
        self._commit(
            [
                _reading(name, at_ns, np.sin([phase + i, phase / 2 + i]))
                for i, name in enumerate(self._names)
                if i % self._period_s == self._now_s % self._period_s
            ]
        )
        self._now_s += 1
        began = time.process_time()
        while self._learner.follower.seq < self._ledger.last_seq:
            self._learner.turn()
        self.cpu_s += time.process_time() - began

    def _commit(self, inputs: list[Input]) -> None:
        self._ledger.commit(Commit(inputs, [Verdict.NONE] * len(inputs), []))

    def _ask(self, _request: Mapping[str, Any]) -> Mapping[str, Any]:
        return {}


def _reading(stream: str, at_ns: int, values: Any) -> Input:
    return Input.reading("load", stream, at_ns, at_ns, values.tobytes())


def _fleet(period_s: int) -> Fleet:
    return Fleet(
        name="load",
        subscribe=("load/{stream}",),
        stream="{stream}",
        features=(Feature("a"), Feature("b")),
        period_ns=period_s * SECOND,
        time_path=("t",),
        stale_after_ns=10**18,
        park_after_ns=10**18,
    )
