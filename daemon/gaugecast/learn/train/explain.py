"""What a training is about to do, in words: its rows, its network, and what each number of the array is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from gaugecast.config.training import Train
from gaugecast.errors import ConfigError
from gaugecast.fleet import Fleet
from gaugecast.forecast.scaling import InputLayout
from gaugecast.history import FileColumns, left_out
from gaugecast.learn.history.recording import Recording
from gaugecast.model import Manifest

_CLOCK = ("sine of the hour", "cosine of the hour", "sine of the half day", "cosine of the half day",
          "sine of the week", "cosine of the week")  # fmt: skip


def explain_rows(sources: Sequence[Path], fleet: Fleet, columns: FileColumns, recording: Recording) -> list[str]:
    """How many rows there are, and whatever was left out or put in."""
    features = ", ".join(feature.name for feature in fleet.features)
    measured = recording.total_rows - recording.bridged
    lines = [f"{measured:,} rows of {_count(len(recording.streams), 'stream')}, features {features}"]
    if recording.bridged:
        lines.append(f"{_count(recording.bridged, 'missing tick')} in short gaps bridged: steps that teach nothing")
    labels, words = _left_out(sources, fleet, columns)
    if recording.dropped:
        read = recording.dropped + measured
        hint = (
            "" if columns.stream or not words else f"; if `{words[0]}` tells streams apart: --stream-column {words[0]}"
        )
        lines.append(f"{recording.dropped:,} of {read:,} rows left out: late, or a time that came before{hint}")
    if labels:
        lines.append(f"not forecast, for they look like labels: {', '.join(labels)} (--features names what is)")
    return lines


def _left_out(sources: Sequence[Path], fleet: Fleet, columns: FileColumns) -> tuple[list[str], list[str]]:
    try:
        return ([], []) if sources[0].is_dir() else left_out(sources[0], fleet, columns)
    except ConfigError:  # it was read once, so this is a ledger's file or a pipe
        return [], []


def explain_array(train: Train, recording: Recording, manifest: Manifest, fleet: Fleet) -> list[str]:
    """Which network is built, which array it is fed, and where streams are cut for it."""
    per = "one for each feature" if manifest.rows == "per_feature" else "one a stream"
    layout = InputLayout.of(fleet.features, manifest.rows, manifest.recipe)
    rows = train.batch * layout.row_count
    kind = "segment" if train.carries_state else "window"
    cut = (
        f"each stream is cut into {kind}s of {train.window} steps, in order; the state goes on from one to the next "
        "and begins anew at each stream's start and after a long gap"
        if train.carries_state
        else f"windows of {train.look_back} rows, each {train.stride} after the one before, from the initial state"
    )
    target = {
        ("sequence", 1): "the series itself, one step later, at every step",
        ("last", 1): "the row after the last step",
    }.get(("last" if train.last_only else "sequence", manifest.decode_steps), f"the next {train.horizon} rows at once")
    lines = [
        f"network: {describe(manifest)}, {manifest.rows} rows ({per}), scaling {manifest.recipe.kind}",
        f"array (streams, steps, features) = ({rows}, {train.window}, {manifest.input_size}): {cut}; target: {target}",
        f"its {manifest.input_size} features: {', '.join(input_names(fleet, manifest))}",
    ]
    stretches = sum(len(recording.stretches(stream)) for stream in recording.streams)
    if train.carries_state and train.batch > stretches:
        lines.append(
            f"batch size {train.batch}, but {_count(stretches, 'stretch')} without a gap: the longest are cut until "
            f"there are {train.batch} side by side, and each piece begins from the initial state; "
            f"--batch-size {stretches} keeps them whole"
        )
    return lines


def input_names(fleet: Fleet, manifest: Manifest) -> list[str]:
    """What each number of a row of inputs is, in their order."""
    recipe, layout = manifest.recipe, InputLayout.of(fleet.features, manifest.rows, manifest.recipe)
    level, move = "level", "move from the step before"
    parts = [move] if recipe.kind == "difference" else [level]
    parts = [level, *parts] if recipe.kind == "difference" and recipe.level else parts
    own = parts if layout.per_feature else []
    fed = [f"{part} of {fleet.features[i].name}" for part in parts for i in layout.fed]
    one_hot = recipe.identity and layout.per_feature
    identity = [f"1 for {fleet.features[i].name}" for i in layout.forecast] if one_hot else []
    return [*own, *(_CLOCK if recipe.clock else ()), *fed, *identity]


class Stacked(NamedTuple):
    """One layer: what people call it, under which name its weights go, and how many floats come out of it."""

    name: str
    weights: str
    units: int


def stack_of(manifest: Manifest) -> list[Stacked]:
    """The layers in their order, first to last."""
    stack = []
    for i, layer in enumerate(manifest.layers):
        stack.append(Stacked(f"{layer.cell.upper()} {layer.units}", f"{layer.cell}{i}", layer.units))
        if layer.layer_norm:
            stack.append(Stacked("norm", f"norm{i}", layer.units))
    if manifest.decoder:
        stack.append(Stacked(f"repeat {manifest.decode_steps}", "", manifest.layers[-1].units))
    for i, layer in enumerate(manifest.decoder):
        stack.append(Stacked(f"{layer.cell.upper()} {layer.units}", f"decoder{i}", layer.units))
    if manifest.head == "dense":
        stack.append(Stacked(f"Dense {manifest.output_size}", "dense", manifest.output_size))
    return stack


def describe(manifest: Manifest) -> str:
    """The stack in a line: `LSTM 64 → norm → LSTM 32 → Dense 7`."""
    return " → ".join(layer.name for layer in stack_of(manifest))


def layer_table(manifest: Manifest, rows: int, steps: int) -> list[tuple[str, str, str]]:
    """Each layer's name, the shape (rows, steps, features) of what comes out of it, and how many parameters it has."""
    shapes = manifest.weight_shapes()
    lines = [("inputs", str((rows, steps, manifest.input_size)), "0")]
    for layer in stack_of(manifest):
        steps = steps if layer.weights else manifest.decode_steps  # from where the vector is repeated
        size = sum(math.prod(shape) for key, shape in shapes.items() if key.startswith(f"{layer.weights}/"))
        lines.append((layer.name, str((rows, steps, layer.units)), f"{size:,}"))
    return lines


def _count(number: int, noun: str) -> str:
    plural = f"{noun}es" if noun.endswith("ch") else f"{noun}s"
    return f"{number:,} {noun if number == 1 else plural}"
