"""Learning from what lies there already: passes of truncated BPTT over recorded streams, before a model serves."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from gaugecast.learn.descent import Descent
from gaugecast.learn.network import Network
from gaugecast.model import Model
from gaugecast.records import Float32

BPTT = 24
#: Adam's first rate; it falls to zero along half a cosine over all passes.
LEARNING_RATE = 3e-3
PASSES = 12
#: Passes without a better validation error after which training ends.
PATIENCE = 4


@dataclass(frozen=True, slots=True)
class Trace:
    """One unbroken stretch of one stream: what the model was fed, and what it should have given.

    Attributes:
        x: Inputs (T, R, I).
        target: (T, R, O), NaN where there is none.
    """

    x: Float32
    target: Float32


@dataclass(frozen=True, slots=True)
class WarmUp:
    """What came of training.

    Attributes:
        model: The weights with the least validation error; those begun with, if none was better. Not sealed.
        errors: Mean square validation error, in squared scales, before training and after each pass.
    """

    model: Model
    errors: tuple[float, ...]


class _Chunk(NamedTuple):
    """`BPTT` steps of one lane, or of all lanes side by side: one batch, the same shape always."""

    x: Float32  # (T, B, I)
    target: Float32  # (T, B, O), finite
    learned: Float32  # weight in training (T, B, O)
    held_out: Float32  # weight in validation (T, B, O)
    begins: Float32  # (B, 1), 1 where a trace begins: the state is the initial one


def warm_up(
    model: Model,
    traces: Sequence[Trace],
    *,
    held_out: float = 0.2,
    passes: int = PASSES,
    learning_rate: float = LEARNING_RATE,
    lanes: int = 8,
    compiled: bool = True,
) -> WarmUp:
    """Train `model` on `traces`, the state carried through each of them, and keep the best pass.

    Args:
        model: Shapes and first weights.
        traces: Recorded streams; all have R rows. Long ones are best; a reset begins a new trace.
        held_out: Share at the end of each trace that is not learned, but decides which pass was best.
        passes: Most passes over everything.
        learning_rate: Adam's first rate.
        lanes: Traces that are learned side by side, as one batch.
        compiled: Use XLA.
    """
    network = Network(model)
    descent = Descent(network, learning_rate=learning_rate, compiled=compiled)
    chunks = _cut(traces, min(lanes, len(traces)), held_out)
    initial = _initial_state(model, chunks[0].x.shape[1])
    errors = [_validate(descent, chunks, initial)]
    best, best_pass = network.to_model(), 0
    for done in range(passes):
        _train(descent, chunks, initial, learning_rate, (done, passes))
        errors.append(_validate(descent, chunks, initial))
        if errors[-1] < errors[best_pass]:
            best, best_pass = network.to_model(), done + 1
        elif done + 1 - best_pass >= PATIENCE:
            break
    return WarmUp(best, tuple(errors))


def _train(descent: Descent, chunks: list[_Chunk], initial: Float32, rate: float, progress: tuple[int, int]) -> None:
    """One pass, learning; `progress` is (passes done, passes in all), for the cosine."""
    done, passes = progress
    state = initial
    for n, chunk in enumerate(chunks):
        state = np.where(chunk.begins > 0.0, initial, state)
        share = (done + n / len(chunks)) / passes
        descent.learning_rate = rate * 0.5 * (1.0 + math.cos(math.pi * share))
        _, state = descent.step(chunk.x, state, chunk.target, chunk.learned)


def _validate(descent: Descent, chunks: list[_Chunk], initial: Float32) -> float:
    """Mean square error of what is held out, the states those of the weights as they stand."""
    state, total, weight = initial, 0.0, 0.0
    for chunk in chunks:
        state = np.where(chunk.begins > 0.0, initial, state)
        error, state = descent.measure(chunk.x, state, chunk.target, chunk.held_out)
        rows = chunk.held_out.sum(axis=(0, 2), dtype=np.float64)
        total += float(error @ rows)
        weight += float(rows.sum())
    return total / weight if weight > 0.0 else math.nan


def _initial_state(model: Model, rows: int) -> Float32:
    parts = [
        model.weights.get(f"initial{i}/{part}", np.zeros(layer.units, np.float32))
        for i, layer in enumerate(model.manifest.layers)
        for part in ("h", "c")
    ]
    return np.repeat(np.concatenate(parts)[np.newaxis], rows, axis=0)


def _cut(traces: Sequence[Trace], lanes: int, held_out: float) -> list[_Chunk]:
    """Lay the traces end to end in lanes of about the same length, and cut those into chunks."""
    queues: list[list[_Chunk]] = [[] for _ in range(lanes)]
    for trace in sorted(traces, key=lambda t: len(t.x), reverse=True):
        min(queues, key=len).extend(_pieces(trace, held_out))
    empty = _Chunk(*(np.zeros_like(part) for part in queues[0][0]))
    return [_side_by_side(row) for row in itertools.zip_longest(*queues, fillvalue=empty)]


def _pieces(trace: Trace, held_out: float) -> Iterator[_Chunk]:
    """One trace in chunks, the last padded without weight; the steps held out are those at the end."""
    steps, rows = trace.x.shape[:2]
    learned_until = round(steps * (1.0 - held_out))
    for start in range(0, steps, BPTT):
        known = np.isfinite(_padded(trace.target[start : start + BPTT], np.nan))
        target = np.where(known, _padded(trace.target[start : start + BPTT], 0.0), np.float32(0.0))
        learned = (np.arange(start, start + BPTT) < learned_until)[:, None, None]
        begins = np.full((rows, 1), 1.0 if start == 0 else 0.0, np.float32)
        weights = ((known & learned).astype(np.float32), (known & ~learned).astype(np.float32))
        yield _Chunk(_padded(trace.x[start : start + BPTT], 0.0), target, *weights, begins)


def _padded(steps: Float32, value: float) -> Float32:
    """Up to `BPTT` steps, made `BPTT` with `value`."""
    missing = BPTT - len(steps)
    return np.pad(steps, ((0, missing), (0, 0), (0, 0)), constant_values=value)


def _side_by_side(pieces: Sequence[_Chunk]) -> _Chunk:
    """Rows of all lanes in one batch; they are the second axis, but the only one of `begins`."""
    parts = list(zip(*pieces, strict=True))
    x, target, learned, held_out = (np.concatenate(part, axis=1) for part in parts[:-1])
    return _Chunk(x, target, learned, held_out, np.concatenate(parts[-1]))
