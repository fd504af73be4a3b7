"""What the pipeline feeds a model over the first rows of some history, and a model trained on that."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from gaugecast.errors import ConfigError
from gaugecast.fleet import Fleet
from gaugecast.forecast.expert import Trace as Fed
from gaugecast.forecast.scaling import InputLayout, to_target
from gaugecast.learn.backtest.lockstep import Lockstep
from gaugecast.learn.backtest.recorder import Recorder
from gaugecast.learn.backtest.split import Split
from gaugecast.learn.initial import initial_model, manifest_for
from gaugecast.learn.warm_up import Trace, warm_up, warm_up_for_good
from gaugecast.model import Manifest, Model, seal_model
from gaugecast.records import Input, Kind


def trained_on(
    fleet: Fleet,
    batches: Sequence[list[Input]],
    split: Split,
    *,
    model: Model | None,
    units: tuple[int, ...],
    seed: int,
    goes_on: bool = True,
    compiled: bool = True,
) -> tuple[Model, int]:
    """A model trained on the train rows, stopped by the validation rows; and how many rows of a stream those were.

    A row is a step of one stream, as in `Split`: of each stream the first ones, however the streams' readings lie
    among each other. Weights that learning does not go on from (`goes_on`) are trained with caution: what they know
    must last.

    Raises:
        ConfigError: There are no train rows.
    """
    counts = Counter(one.stream for batch in batches for one in batch if one.kind == Kind.READING)
    train, begin, _ = split.borders(max(counts.values(), default=0))
    if train == 0:
        raise ConfigError("warm-up: train rows expected (--train-rows), got none")
    first = model or initial_model(manifest_for(fleet, units=units), seed=seed)
    taken = record(fleet, first_rows(batches, begin), first)
    traces = [trace for name in sorted(taken) for trace in unbroken(taken[name][:begin], first.manifest, fleet, train)]
    train_with = warm_up if goes_on else warm_up_for_good
    warmed = train_with(first, traces, seed=seed, compiled=compiled)
    return seal_model(warmed.model.manifest, warmed.model.weights), train


def record(fleet: Fleet, batches: Sequence[list[Input]], model: Model) -> dict[str, list[Fed]]:
    """What `model` would be fed, step by step, by stream. Inputs rest on the readings alone, not on the weights,
    as long as nothing is absent."""
    lockstep, recorder = Lockstep(fleet, model=model, learning=False), Recorder(fleet, keep_traces=True)
    names = lockstep.pipeline.parts[fleet.name].table.names
    for outcome in lockstep.outcomes(batches):
        recorder.take(outcome, names)
    return recorder.traces


def first_of(batches: Sequence[list[Input]], count: int) -> list[list[Input]]:
    """The first `count` inputs."""
    out = []
    for batch in batches:
        if count <= 0:
            break
        out.append(batch[:count])
        count -= len(batch)
    return out


def first_rows(batches: Sequence[list[Input]], rows: int) -> list[list[Input]]:
    """Inputs until each stream has spoken so often."""
    left = Counter({one.stream: rows for batch in batches for one in batch if one.kind == Kind.READING})
    out: list[list[Input]] = []
    waiting = len(left)
    for batch in batches:
        for i, one in enumerate(batch):
            if one.kind == Kind.READING:
                left[one.stream] -= 1
                waiting -= left[one.stream] == 0
                if not waiting:
                    return [*out, batch[: i + 1]]
        out.append(batch)
    return out


def unbroken(fed: list[Fed], manifest: Manifest, fleet: Fleet, learned: int) -> list[Trace]:
    """One stream's steps as stretches that follow each other, each step with the target that came after it.

    Targets up to step `learned` are to be learned, those after it are held out.
    """
    layout = InputLayout.of(fleet.features, manifest.rows, manifest.recipe)
    breaks = [i for i, step in enumerate(fed) if step.steps.fresh[0] or step.steps.gap[0] != 0]
    stretches = zip(breaks, [*breaks[1:], len(fed)], strict=True)
    out = []
    for begin, end in stretches:
        if end - begin < 2:
            continue
        stretch = fed[begin:end]
        x = np.concatenate([step.inputs for step in stretch[:-1]])
        values = np.concatenate([step.steps.values for step in stretch[1:]])
        last = np.concatenate([step.x for step in stretch[:-1]])
        scales = np.concatenate([step.scale for step in stretch[:-1]])
        out.append(Trace(x, to_target(values, last, scales, layout, manifest.recipe), max(0, learned - begin - 1)))
    return out
