"""Inputs and targets on disk, made of a recording with the recipe that the daemon uses.

A stream with T rows becomes arrays of T steps: inputs (T, R, I), what the model is fed after each row, and targets
(T, R, D·O), what it should then give for the D rows that follow (NaN where one is missing). R is 1 for joint rows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gaugecast.fleet import Fleet
from gaugecast.forecast.running import observe_rows
from gaugecast.forecast.scaling import (
    STATS,
    InputLayout,
    build_inputs,
    initial_stats,
    meaning,
    to_target,
    widen,
)
from gaugecast.learn.history.recording import Recording, Stretch, hold
from gaugecast.model import Manifest, Recipe
from gaugecast.records import Bool, Float32, Float64, Int64

SLICE_ROWS = 8192


@dataclass(slots=True)
class _Carried:
    """What a slice leaves to the next: statistics, the row before, and values held where absent."""

    stats: Float64  # (F, STATS)
    measured: Float64  # (F,)
    held: Float64  # (F,)


class Prepared:
    """The arrays of all streams, written once and read in slices; one thread's. Files lie beside the recording's."""

    def __init__(self, recording: Recording, fleet: Fleet, manifest: Manifest) -> None:
        self.recording, self.fleet, self.manifest = recording, fleet, manifest
        self.recipe: Recipe = manifest.recipe
        self.layout = InputLayout.of(fleet.features, manifest.rows, self.recipe)
        self.input_shape = (self.layout.row_count, self.layout.input_size)
        self.target_shape = (self.layout.row_count, self.layout.output_size * manifest.decode_steps)
        self._places = {s: recording.directory / f"prepared-{i}" for i, s in enumerate(recording.streams)}

    def build(self, tick: Callable[[int], None] | None = None) -> None:
        """Write all arrays; `tick` is called with the number of rows done."""
        done = 0
        for stream in self.recording.streams:
            carried = _Carried(
                initial_stats(1, len(self.fleet.features))[0],
                np.full(len(self.fleet.features), np.nan),
                np.full(len(self.fleet.features), np.nan),
            )
            rows = self.recording.rows(stream)
            with self._inputs(stream).open("wb") as inputs, self._targets(stream).open("wb") as targets:
                for start in range(0, rows, SLICE_ROWS):
                    stop = min(start + SLICE_ROWS, rows)
                    x, y = self._slice(stream, start, stop, carried)
                    inputs.write(x.tobytes())
                    targets.write(y.tobytes())
                    done += stop - start
                    if tick is not None:
                        tick(done)

    def inputs(self, stream: str, start: int, stop: int) -> Float32:
        """Inputs of rows `start` to `stop`, (n, R, I)."""
        return _read(self._inputs(stream), self.input_shape, start, stop)

    def targets(self, stream: str, start: int, stop: int) -> Float32:
        """Targets of rows `start` to `stop`, (n, R, D·O); NaN = none."""
        return _read(self._targets(stream), self.target_shape, start, stop)

    def stretches(self) -> list[Stretch]:
        """All streams' rows between gaps."""
        return [stretch for stream in self.recording.streams for stretch in self.recording.stretches(stream)]

    def _inputs(self, stream: str) -> Path:
        return self._places[stream].with_suffix(".inputs")

    def _targets(self, stream: str) -> Path:
        return self._places[stream].with_suffix(".targets")

    def _slice(self, stream: str, start: int, stop: int, carried: _Carried) -> tuple[Float32, Float32]:
        ahead = self.manifest.decode_steps
        at, values = self.recording.read(stream, start, stop + ahead)
        n, period = stop - start, self.fleet.period_ns
        before = self.recording.read(stream, start - 1, start)[0] if start else np.array([at[0] - 2 * period])
        consecutive = np.diff(at[:n], prepend=before) == period
        stats = self._statistics(values[:n], consecutive, carried)
        held = hold(values[:n], carried.held)
        previous = np.concatenate([carried.held[None], held[:-1]])
        previous[~consecutive] = np.nan
        x = build_inputs(stats, held, previous, at[:n] + period, self.layout, self.recipe)
        y = self._following(at, values, held, stats)
        carried.measured, carried.held = values[n - 1], held[-1]
        return x, y

    def _statistics(self, values: Float64, consecutive: Bool, carried: _Carried) -> Float64:
        if self.recipe.kind in ("standard", "minmax"):  # fitted once: nothing runs along
            return np.zeros((len(values), values.shape[1], STATS))
        stats = observe_rows(carried.stats, carried.measured, values, consecutive, self.recipe)
        carried.stats = stats[-1]
        return stats

    def _following(self, at: Int64, values: Float64, held: Float64, stats: Float64) -> Float32:
        """Targets of the first n rows, of which those after them are the last of `values` (n + D, F)."""
        n, period = len(held), self.fleet.period_ns
        origin, s = meaning(stats, held, self.recipe)
        parts = []
        # From a bridged tick, whose value is an old one, nothing is to be learned.
        known: Bool = np.asarray(np.isfinite(values).any(axis=1), bool)
        for k in range(1, self.manifest.decode_steps + 1):
            following = np.full_like(held, np.nan)
            there = min(n, len(values) - k)
            rows = np.flatnonzero((at[k : k + there] - at[:there] == k * period) & known[:there])
            following[rows] = values[rows + k]
            parts.append(to_target(following, origin, s, self.layout, widen(self.recipe, k)))
        return np.concatenate(parts, axis=2)


def _read(path: Path, shape: tuple[int, int], start: int, stop: int) -> Float32:
    width = shape[0] * shape[1]
    flat = np.fromfile(path, np.float32, count=(stop - start) * width, offset=4 * width * start)
    return flat.reshape(-1, *shape)
