"""What training begins with: the least rows, the manifest that the settings mean, and scaling as fitted."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from gaugecast.config.training import Train
from gaugecast.errors import ConfigError
from gaugecast.fleet import Fleet, Rows
from gaugecast.forecast.scaling import InputLayout, default_recipe
from gaugecast.learn.fit.batches import Span
from gaugecast.learn.fit.initial import manifest_for
from gaugecast.learn.history.recording import SLICE_ROWS, Recording
from gaugecast.model import Layer, Manifest, Recipe
from gaugecast.records import Float64

STATEFUL_WARMUP = 8


def spans_of(train: Train) -> tuple[Span, Span, Span]:
    """The training, validation and test part of each stream."""
    learned = 1.0 - train.validation - train.test
    return Span(0.0, learned), Span(learned, 1.0 - train.test), Span(1.0 - train.test, 1.0)


def least_rows(train: Train) -> int:
    """The least rows of a stream with which every part that is wanted has a target."""
    first = train.look_back - 1 if not train.carries_state else 0
    first += train.scaling == "difference"  # the first move has no scale to be measured in
    for total in range(1, 10_000_000):
        parts = [span.rows(total) for span in spans_of(train)]
        targets = [
            min(high, total) - train.decode_steps - max(low - 1, first) for low, high in parts if high > low or low == 0
        ]
        wanted = 1 + (train.validation > 0) + (train.test > 0)
        if len(targets) == wanted and min(targets) >= 1:
            return total
    raise ConfigError("no number of rows is enough for these shares of validation and test")


def check_rows(train: Train, recording: Recording) -> None:
    """Refuse what is too short to train on.

    Raises:
        ConfigError: With the least number needed, and what was found.
    """
    least = least_rows(train)
    longest = max(recording.rows(stream) for stream in recording.streams)
    if longest < least:
        window = f"windows of {train.look_back}, " if train.look_back else ""
        raise ConfigError(
            f"too few rows: expected at least {least} in the longest stream ({window}horizon {train.horizon}, "
            f"{train.validation:.0%} validation, {train.test:.0%} test), got {longest}; "
            "give it more rows, or hold out less with `validation` and `test`"
        )


def manifest_of(train: Train, fleet: Fleet, recipe: Recipe, *, configured: bool) -> Manifest:
    """The shape of the network that the settings mean.

    Raises:
        ConfigError: The head `none` where units are not the features.
    """
    rows: Rows = train.rows or (fleet.rows if configured or recipe.kind == "difference" else "joint")
    layout = InputLayout.of(fleet.features, rows, recipe)
    if train.head == "none" and train.units[-1] != layout.output_size:
        raise ConfigError(
            f"head none: expected the last of `units` to be the outputs a row, {layout.output_size} "
            f"({rows} rows), got {train.units[-1]}"
        )
    decoder = train.decoder_units or train.units[-1:]
    cells = tuple(Layer(u, train.activation, train.recurrent_activation, cell=train.cell) for u in decoder)
    return replace(
        manifest_for(fleet, rows=rows, recipe=recipe),
        layers=tuple(
            Layer(u, train.activation, train.recurrent_activation, train.layer_norm, train.cell) for u in train.units
        ),
        engine="numpy" if train.cell == "lstm" else "tensorflow",
        head=train.head,
        warmup_steps=STATEFUL_WARMUP if train.carries_state else train.look_back,
        look_back=0 if train.carries_state else train.look_back,
        decoder=cells if train.decoder == "repeat" else (),
        decode_steps=train.decode_steps,
    )


def recipe_of(train: Train, fleet: Fleet, recording: Recording, *, timed: bool) -> Recipe:
    """The input recipe, its scaling fitted on the training part of all streams."""
    begun = default_recipe(fleet.period_ns)
    moves = train.scaling == "difference"
    clock = timed and (moves if train.clock is None else train.clock)
    recipe = replace(begun, kind=train.scaling, clock=clock, squash=moves)
    if train.scaling not in ("standard", "minmax"):
        return recipe
    centre, spread = fit_scaling(recording, spans_of(train)[0], train.scaling)
    return replace(recipe, centre=tuple(centre.tolist()), spread=tuple(spread.tolist()))


def fit_scaling(recording: Recording, span: Span, kind: str) -> tuple[Float64, Float64]:
    """Mean and deviation, or least value and range, of each feature over a part (F,); a constant's spread is 1."""
    features = recording.features
    count, total, squares = np.zeros(features), np.zeros(features), np.zeros(features)
    low, high = np.full(features, math.inf), np.full(features, -math.inf)
    shift, shifted = np.zeros(features), False  # sums are taken about first values, so that no digits are lost
    for stream in recording.streams:
        first, stop = span.rows(recording.rows(stream))
        for start in range(first, stop, SLICE_ROWS):
            _, values = recording.read(stream, start, min(start + SLICE_ROWS, stop))
            known = ~np.isnan(values)
            if not shifted and len(values):
                shift, shifted = np.nan_to_num(values[known.argmax(axis=0), np.arange(features)]), True
            moved = np.where(known, values - shift, 0.0)
            count += known.sum(axis=0)
            total += moved.sum(axis=0)
            squares += np.square(moved).sum(axis=0)
            low = np.fmin(low, np.where(known, values, math.inf).min(axis=0, initial=math.inf))
            high = np.fmax(high, np.where(known, values, -math.inf).max(axis=0, initial=-math.inf))
    count = np.maximum(count, 1.0)
    if kind == "minmax":
        centre, spread = np.where(np.isfinite(low), low, 0.0), np.where(np.isfinite(low), high - low, 1.0)
    else:
        mean = total / count
        centre = mean + shift
        spread = np.sqrt(np.maximum(squares / count - np.square(mean), 0.0))
    return centre, np.where(spread > 1e-12 * np.maximum(np.abs(centre), 1.0), spread, 1.0)
