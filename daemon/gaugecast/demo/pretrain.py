"""Make the model that ships for the demo's tanks: `python -m gaugecast.demo.pretrain [DIRECTORY]`, about a minute.

Simulated readings go through the daemon's own `decode` and `advance`, so that the network is fed what it will be
fed; it is trained by the learner's own `warm_up`, and judged by `advance` again on tanks it has never seen.
The same seeds give the same readings; weights agree between machines as far as TensorFlow's sums do.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from gaugecast import __version__
from gaugecast.config.schema import Loop
from gaugecast.demo.tanks import FLEET, PERIOD_S, TIME_SCALE, demo_fleet
from gaugecast.forecast.scaling import InputLayout
from gaugecast.forecast.skill import skill
from gaugecast.learn.backtest.recorder import Recorder
from gaugecast.learn.fit.initial import initial_model, manifest_for
from gaugecast.learn.fit.targets import Lesson, Targets
from gaugecast.learn.fit.warm_up import warm_up
from gaugecast.model import Manifest, Model, Recipe, save_model, seal_model
from gaugecast.payloads import Decoder
from gaugecast.pipeline.fleet_pipeline import FleetPipeline
from gaugecast.pipeline.solo import SoloPipeline
from gaugecast.records import Message
from gaugecast_sim.publish import tank_samples
from gaugecast_sim.tanks import Plant

SHIPPED = Path(__file__).resolve().parent.parent / "shipped" / FLEET
UNITS = 32
WARMUP_STEPS = 4  # the training begins cold, too, so forecasts are good from the first steps on
TRAIN_SEED, JUDGE_SEED, WEIGHTS_SEED = 1001, 2002, 1
TRAIN_TANKS, TRAIN_STEPS = 64, 720
JUDGE_TANKS, JUDGE_STEPS = 12, 600
PASSES = 40
BEGIN_NS = 1_767_225_600 * 10**9  # 2026-01-01; the model is told no clock, so any instant would do
#: Plant time runs faster than the clock, so hour and weekday would mean nothing; statistics settle within minutes.
RECIPE = Recipe(half_life_steps=1200.0, clock=False)


def demo_manifest() -> Manifest:
    """The network's shape: one small LSTM layer, a row for each feature."""
    fleet = demo_fleet()
    layout = InputLayout.of(fleet.features, fleet.rows, RECIPE)
    begun = manifest_for(fleet, units=(UNITS,))
    return replace(begun, recipe=RECIPE, input_size=layout.input_size, warmup_steps=WARMUP_STEPS)


def run_tanks(model: Model, *, seed: int, tanks: int, steps: int) -> tuple[FleetPipeline, Recorder]:
    """Drive simulated readings through a pipeline in which `model` is in force; the fleet there, and what it fed."""
    fleet, limits = replace(demo_fleet(), horizons=(), intervals=(), thresholds=(), anomaly=None), Loop()
    solo, decoder = SoloPipeline([(fleet, model)], limits, trace=True), Decoder([fleet], limits)
    part, recorder = solo.part(fleet.name), Recorder(fleet, keep_traces=True)
    for number, messages in enumerate(_polls(seed, tanks, steps), 1):
        received_at_ns = BEGIN_NS + round(number * PERIOD_S * 1e9)
        recorder.take(solo.advance(decoder.decode(messages, received_at_ns).inputs), part.table.names)
    return part, recorder


def _polls(seed: int, tanks: int, steps: int) -> Iterator[list[Message]]:
    """The messages of all tanks, tick by tick."""
    plant = Plant(seed, tanks, PERIOD_S, time_scale=TIME_SCALE)
    poll: list[Message] = []
    for sample in tank_samples(plant, BEGIN_NS, steps=steps):
        poll.append(Message(sample.topic, sample.payload, qos=1, dup=False, retain=False, mid=1, epoch=1))
        if len(poll) == tanks:
            yield poll
            poll = []


def lessons_of(recorder: Recorder, manifest: Manifest) -> list[Lesson]:
    """What each tank's steps fed to the network, and the move that came after each; a fifth decides which pass is
    kept."""
    targets, traces = Targets(demo_fleet(), manifest), recorder.traces
    return [
        lesson
        for stream in sorted(traces)
        for lesson in targets.lessons(traces[stream], round(0.8 * (len(traces[stream]) - 1)) + 1)
    ]


def train(start: Model, recorder: Recorder) -> Model:
    """Passes over all tanks side by side, each from a cold start; the best on what is held out is kept."""
    trained = warm_up(start, lessons_of(recorder, start.manifest), passes=PASSES, lanes=TRAIN_TANKS, compiled=False)
    told = ", ".join(f"{error:.3f}" for error in trained.errors[:: max(1, PASSES // 5)])
    print(f"mean square error in squares of the scale, on what was held out: {told} … {min(trained.errors):.3f}")
    return seal_model(trained.model.manifest, trained.model.weights)


def judge(model: Model, *, seed: int, tanks: int = JUDGE_TANKS, steps: int = JUDGE_STEPS) -> dict[str, float]:
    """Skill over persistence by feature, on tanks of another seed, cold start included."""
    part, _ = run_tanks(model, seed=seed, tanks=tanks, steps=steps)
    table = part.table
    live = table.live_slots()
    values = skill(table["square_error"][live].sum(axis=0), table["square_last"][live].sum(axis=0))
    return {f.name: float(v) for f, v in zip(demo_fleet().features, values, strict=True)}


def main(directory: Path = SHIPPED) -> None:
    """Train, judge, say what came out, and write the model."""
    start = initial_model(demo_manifest(), seed=WEIGHTS_SEED)
    _, recorder = run_tanks(start, seed=TRAIN_SEED, tanks=TRAIN_TANKS, steps=TRAIN_STEPS)
    sealed = train(start, recorder)
    reached = judge(sealed, seed=JUDGE_SEED)
    provenance: dict[str, str | int | float] = {
        "made_by": "python -m gaugecast.demo.pretrain",
        "gaugecast": __version__,
        "source": f"gaugecast_sim.tanks, {TRAIN_TANKS} tanks, seed {TRAIN_SEED}",
        "steps": TRAIN_STEPS,
        "passes": PASSES,
        "weights_seed": WEIGHTS_SEED,
        "judged_on": f"{JUDGE_TANKS} tanks, seed {JUDGE_SEED}, {JUDGE_STEPS} steps, cold start included",
        **{f"skill_{name}": round(value, 4) for name, value in reached.items()},
    }
    path = save_model(Model(replace(sealed.manifest, provenance=provenance), sealed.weights), directory)
    print(f"skill on unseen tanks: {', '.join(f'{n} {v:.0%}' for n, v in reached.items())}\nwritten: {path}")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:2]))
