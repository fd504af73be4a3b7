"""What the pipeline feeds a model over the first rows of some history, and a model trained on that."""

from __future__ import annotations

from collections.abc import Sequence

from gaugecast.errors import ConfigError
from gaugecast.fleet import Fleet
from gaugecast.forecast.expert import Trace
from gaugecast.learn.backtest.lockstep import Lockstep
from gaugecast.learn.backtest.split import Split, most_rows, rows_by_stream
from gaugecast.learn.fit.initial import initial_model, manifest_for
from gaugecast.learn.fit.targets import Targets
from gaugecast.learn.fit.warm_up import warm_up, warm_up_for_good
from gaugecast.model import Model, seal_model
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
    train, begin, _ = split.borders(most_rows(batches))
    if train == 0:
        raise ConfigError("warm-up: train rows expected (--train-rows), got none")
    first = model or initial_model(manifest_for(fleet, units=units), seed=seed)
    taken = record(fleet, first_rows(batches, begin), first)
    targets = Targets(fleet, first.manifest)
    lessons = [lesson for name in sorted(taken) for lesson in targets.lessons(taken[name][:begin], train)]
    train_with = warm_up if goes_on else warm_up_for_good
    warmed = train_with(first, lessons, seed=seed, compiled=compiled)
    return seal_model(warmed.model.manifest, warmed.model.weights), train


def record(fleet: Fleet, batches: Sequence[list[Input]], model: Model) -> dict[str, list[Trace]]:
    """What `model` would be fed, step by step, by stream. Inputs rest on the readings alone, not on the weights,
    as long as nothing is absent."""
    return Lockstep(fleet, model=model, learning=False).record(batches, keep_traces=True).traces


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
    left = dict.fromkeys(rows_by_stream(batches), rows)
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
