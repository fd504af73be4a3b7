"""Autoencoders for tests: none was trained, and what their decoders say is near the centre; so a shift is missed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np

from gaugecast import events
from gaugecast.fleet import Fleet
from gaugecast.model import Detection, Layer, Manifest, Model, Recipe, seal_model
from gaugecast.pipeline import Pipeline, state
from gaugecast.pipeline.anomalies import Anomalies
from gaugecast.pipeline.rebuilding import Rebuilding
from gaugecast.records import Float32, Input, Order, Output
from gaugecast.streams.snapshot import Slice
from gaugecast.testing import T0, fleet_of, model_for, pipeline_of, reading
from gaugecast.testing.models import draw_weights
from gaugecast.watching import AnomalySettings

WINDOW, HOLD = 6, 3
#: Nobody else judges before the autoencoder does, within the steps of a test.
FLEET = fleet_of("pq", anomaly=AnomalySettings(settle=0))
TOPIC = "gaugecast/tanks/a/anomaly"
#: From here on the first feature lies 8 higher, for so many steps.
BREAKS, LASTS = 40, 30


def autoencoder_for(
    fleet: Fleet = FLEET, *, fed: Sequence[str] = "pq", units: Sequence[int] = (7, 5), seed: int = 0,
    gain: float = 0.05, window: int = WINDOW, **detection: Any,
) -> Model:  # fmt: skip
    """One that is fed these features, of which it thinks that they lie about 10 and 50; 1.5 deviations are too many."""
    roles = {feature.name: feature.role for feature in fleet.features}
    usual = {"p": (10.0, 1.0), "q": (50.0, 2.0)}
    centre, spread = zip(*(usual[name] for name in fed), strict=True)
    manifest = Manifest(
        fleet=fleet.name, features=tuple((name, roles[name]) for name in fed), period_s=fleet.period_ns / 1e9,
        rows="joint", recipe=Recipe(half_life_steps=1.0, kind="standard", centre=centre, spread=spread),
        layers=tuple(map(Layer, units)), input_size=len(fed), output_size=len(fed), decoder=(Layer(7),),
        decode_steps=window, detection=Detection(**{"threshold": 1.5, "hold": HOLD, **detection}),
        provenance={"made_by": "tests"},
    )  # fmt: skip
    return seal_model(manifest, draw_weights(manifest, seed=seed, gain=gain, learned_initial=False))


def promoted(model: Model) -> Input:
    """The event that puts an autoencoder in force."""
    return Order(events.ModelInstalled("detector", model.manifest.version), model.manifest.fleet).stamped(T0)


def taken_away(fleet: Fleet = FLEET) -> Input:
    """The event after which none looks."""
    return Order(events.ModelInstalled("detector", ""), fleet.name).stamped(T0)


def watching(fleet: Fleet = FLEET, *models: Model, in_force: bool = True) -> Pipeline:
    """With a forecaster, and the first of these autoencoders in force; all can be loaded."""
    forecaster = model_for(fleet)
    known = [forecaster, *(models or [autoencoder_for(fleet)])]
    by_version = {one.manifest.version: one for one in known}
    pipeline = pipeline_of(fleet, models=[forecaster], max_streams=500)
    pipeline.load_model = lambda _fleet, version: by_version[version]
    if in_force:
        pipeline.advance([promoted(known[1])])
    return pipeline


def looks(pipeline: Pipeline, fleet: str = "tanks") -> Anomalies:
    """What looks for a fleet's anomalies."""
    found = pipeline.parts[fleet].anomalies
    assert found is not None
    return found


def at_work(pipeline: Pipeline) -> Rebuilding:
    """The autoencoder in force."""
    found = looks(pipeline).rebuilding
    assert found is not None
    return found


def scores(pipeline: Pipeline, stream: str = "a") -> Float32:
    """Of the last step, by feature."""
    slot = pipeline.parts["tanks"].table.slots[stream]
    found: Float32 = at_work(pipeline).columns["score"][slot]
    return found


def usual(count: int, seed: int = 0) -> list[tuple[float, float]]:
    """Noise about 10 and 50."""
    rng = np.random.default_rng(seed)
    return [(float(p), float(q)) for p, q in rng.normal((10.0, 50.0), (0.5, 1.0), (count, 2))]


def with_stride(model: Model, stride: int) -> Model:
    """The same weights, looking less often."""
    assert model.manifest.detection is not None
    detection = replace(model.manifest.detection, stride=stride)
    return seal_model(replace(model.manifest, detection=detection), dict(model.weights))


def saw(count: int = 100, *, stream: str = "a", seed: int = 0, begin: int = 0, breaks: int = BREAKS) -> list[Input]:
    """Readings of ticks from `begin` to `count`, a shift among them."""
    values = usual(count, seed)
    return [
        reading(i, p + 8.0 * (breaks <= i < breaks + LASTS), q, stream=stream)
        for i, (p, q) in enumerate(values)
        if i >= begin
    ]


def company() -> list[Input]:
    """More streams than go into one block of rows, tick by tick."""
    streams = [saw(stream=name, seed=seed) for seed, name in enumerate("abcdefghi")]
    return [one for tick in zip(*streams, strict=True) for one in tick]


def keys(outputs: Sequence[Output], stream: str = "a") -> list[tuple[int, str, bytes]]:
    """What names and makes each output of a stream."""
    return [(one.step, one.topic, one.body) for one in outputs if one.stream == stream]


def told(outputs: Sequence[Output]) -> list[dict[str, object]]:
    """Messages of the anomalies of stream `a`."""
    return [msgspec.json.decode(one.body) for one in outputs if one.topic == TOPIC and one.body]


def checkpointed(pipeline: Pipeline, fresh: Pipeline, *, lost: str = "\0") -> Pipeline:
    """What a checkpoint of it leads to, but for slices with `lost` in their names."""
    header, slices = state.begin_snapshot(pipeline)
    while pipeline.snapshot is not None:
        slices += list(state.take_slices(pipeline, 3000))
    loader = fresh.load_model
    empty = pipeline_of(max_streams=500)
    empty.load_model = loader
    state.restore(empty, header, [Slice(name, start, rows.copy()) for name, start, rows in slices if lost not in name])
    return empty
