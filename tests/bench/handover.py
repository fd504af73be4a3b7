"""What a hand-over of weights costs the loop, and an update the learner."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np

from bench.results import Bound, Result
from gaugecast import events
from gaugecast.config.schema import Learning, Loop
from gaugecast.fleet import Feature, Fleet
from gaugecast.learn.fit.initial import initial_model, manifest_for
from gaugecast.learn.online.fleet_learner import FleetLearner
from gaugecast.loop.engines import EngineLoader
from gaugecast.loop.model_roles import ModelRoles
from gaugecast.model import Model, seal_model
from gaugecast.pipeline import Pipeline
from gaugecast.records import Input, Order
from gaugecast.storage.models import ModelStore

UNITS = 64
HANDOVERS, HANDOVER_STREAMS = 40, 1000
UPDATES = 200


def measure_handover() -> Result:
    """Reading, checking and installing weights of LSTM(64), as the loop does it between two batches."""
    fleet = _fleet(2)
    with tempfile.TemporaryDirectory() as name:
        store = ModelStore(Path(name))
        pipeline = Pipeline(Loop(new_streams_per_s=1e6), store.load)
        pipeline.advance([Order.configuring(fleet).stamped(1)])
        versions = [store.add(fleet.name, model) for model in _models(fleet)]
        keeper = ModelRoles(pipeline, store, Learning(), pending=lambda _: False, engines=EngineLoader())
        first = events.ModelInstalled("in_force", versions[0])
        pipeline.advance([Order(first, fleet.name).stamped(1)])
        pipeline.advance(_readings(fleet, HANDOVER_STREAMS))
        pauses_ms = []
        for version in versions[1:]:
            began = time.perf_counter()
            orders = keeper.hand_over(fleet.name, version, "in_force", events.LEARNED)
            pipeline.advance([order.stamped(1) for order in orders])
            pauses_ms.append(1e3 * (time.perf_counter() - began))
    note = f"{len(pauses_ms)} of them, {HANDOVER_STREAMS:,} streams; nine of ten {np.percentile(pauses_ms, 90):.2f}"
    return Result("handover_pause_ms", "ms", pauses_ms, bound=Bound("≤", 5.0), note=note)


def _models(fleet: Fleet) -> list[Model]:
    model = initial_model(manifest_for(fleet, units=(UNITS,)), seed=0)
    made = []
    for k in range(HANDOVERS + 1):
        weights = {name: (array + np.float32(1e-4 * k)).astype(np.float32) for name, array in model.weights.items()}
        made.append(seal_model(model.manifest, weights))
    return made


def measure_update() -> Result:
    """One update for a station of seven variables, compiled, as the learner's process makes it."""
    fleet = _fleet(7)
    learner = FleetLearner(fleet, None, Learning(streams=1), forced=True)
    rows, inputs = 7, learner.model.manifest.input_size
    state = np.zeros((rows, 2 * UNITS), np.float32)
    rng = np.random.default_rng(0)
    took_ms = []
    for step in range(2 * UPDATES + 60):
        x, target = rng.standard_normal((rows, inputs)), rng.standard_normal((rows, 1))
        learner.feeder.trainer.observe(x.astype(np.float32), state, target.astype(np.float32), fresh=step == 0)
        began = time.process_time()  # CPU: the learner is nice, so a busy machine makes it wait as long as it likes
        if learner.learn() and step >= 60:
            took_ms.append(1e3 * (time.process_time() - began))
    note = f"{len(took_ms)}, LSTM({UNITS}), 12 steps, seven rows; nine of ten {np.percentile(took_ms, 90):.2f}"
    return Result("update_ms", "ms", took_ms, bound=Bound("≤", 3.0), note=f"processor time of {note}")


def _fleet(features: int) -> Fleet:
    return Fleet(
        name="load",
        subscribe=("load/{stream}",),
        stream="{stream}",
        features=tuple(Feature(f"f{i}") for i in range(features)),
        period_ns=10**9,
        time_path=("t",),
        stale_after_ns=10**18,
        park_after_ns=10**18,
    )


def _readings(fleet: Fleet, streams: int) -> list[Input]:
    values = np.zeros(len(fleet.features)).tobytes()
    at_ns = 10**9
    return [Input.reading(fleet.name, f"s{i}", at_ns, at_ns, values) for i in range(streams)]
