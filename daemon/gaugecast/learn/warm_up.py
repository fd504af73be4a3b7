"""Learning from what lies there already: passes of truncated BPTT over recorded streams, before a model serves."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from gaugecast.learn.clock_shift import shift_clock
from gaugecast.learn.descent import Descent
from gaugecast.learn.network import Network
from gaugecast.model import Manifest, Model
from gaugecast.records import Float32

# Chosen on ETTh1 and on the first 3,600 rows of ETTh2 (hourly, seven features, LSTM-64, 2,880 rows learned): mean
# square error over persistence's with weights frozen, of ETTh1's next 720 rows, of its 10,800 rows after those, and of
# ETTh2's next 720 rows. No blur, no decay: 0.65 1.13 0.74 (chunks in order instead of at random: 0.58 1.10). Noise 0.5
# alone: 0.68 0.99 0.73. Decay 2 alone: 0.70 1.02 0.72. Clock off by 3 h alone: 0.78 0.96 0.80. Decay 1 and 6 h: 0.84
# 0.88 0.81. Noise 0.3, decay 1 and 4 h: 0.82 0.89 0.77.
BPTT = 24
#: Adam's first rate; it falls to zero along half a cosine over all passes.
LEARNING_RATE = 3e-3
PASSES = 24
#: Passes without a better validation error after which training ends.
PATIENCE = 8
#: Chunks a step of descent.
BATCH = 8
#: Share of each weight that is lost a step, times the rate: what the network need not know it forgets.
WEIGHT_DECAY = 1.0
#: Deviation, in hours, by which each row's clock is set off while it is learned.
CLOCK_SHIFT_H = 4.0
#: Deviation of the noise that is added to every input while it is learned.
INPUT_NOISE = 0.3


@dataclass(frozen=True, slots=True)
class Trace:
    """One unbroken stretch of one stream: what the model was fed, and what it should have given.

    Attributes:
        x: Inputs (T, R, I).
        target: (T, R, O), NaN where there is none.
        learned: First steps whose targets are learned; those after them decide which pass was best.
    """

    x: Float32
    target: Float32
    learned: int


@dataclass(frozen=True, slots=True)
class WarmUp:
    """What came of training.

    Attributes:
        model: The weights with the least validation error; those begun with, if none was better. Not sealed.
        errors: Mean square validation error, in squared scales, before training and after each pass.
    """

    model: Model
    errors: tuple[float, ...]


class _Round(NamedTuple):
    """`BPTT` steps of one lane, or of all lanes side by side: the same shape always."""

    x: Float32  # (T, B, I)
    target: Float32  # (T, B, O), finite
    learned: Float32  # weight in training (T, B, O)
    held_out: Float32  # weight in validation (T, B, O)
    begins: Float32  # (B, 1), 1 where a trace begins: the state is the initial one


class _Chunk(NamedTuple):
    """`BPTT` steps of one stream, and the state before them."""

    x: Float32  # (T, R, I)
    target: Float32  # (T, R, O), finite
    weight: Float32  # (T, R, O)
    state: Float32  # (R, S)


def warm_up(
    model: Model,
    traces: Sequence[Trace],
    *,
    passes: int = PASSES,
    learning_rate: float = LEARNING_RATE,
    lanes: int = BATCH,
    seed: int = 0,
    compiled: bool = True,
) -> WarmUp:
    """Train `model` on `traces`, the state carried through each of them, and keep the best pass.

    Before a pass the weights as they stand step through everything: that gives the error on what is held out, and
    the state before each chunk. The pass then learns the chunks in random order, several at once, from those states:
    taken one after the other, the last weeks would count more than all before.

    Inputs are blurred while they are learned, the clock by a few hours, and weights decay. A network that is told the
    hour learns by heart when each variable moves; months later that pattern is another, and what was learned by heart
    is worse than nothing to a network that does not go on learning.

    Args:
        model: Shapes and first weights.
        traces: Recorded streams; all have R rows. Long ones are best; a reset begins a new trace.
        passes: Most passes over everything.
        learning_rate: Adam's first rate.
        lanes: Traces that are stepped side by side.
        seed: Of the order and of the clock's shifts.
        compiled: Use XLA.
    """
    network = Network(model)
    descent = Descent(network, learning_rate=learning_rate, weight_decay=WEIGHT_DECAY, compiled=compiled)
    rounds = _cut(traces, min(lanes, len(traces)))
    rows = traces[0].x.shape[1]
    random = np.random.default_rng(seed)
    error, chunks = _step_through(descent, rounds, model, rows)
    errors = [error]
    best, best_pass = network.to_model(), 0
    for done in range(passes):
        _learn(descent, chunks, random, _Cosine(learning_rate, done, passes))
        error, chunks = _step_through(descent, rounds, model, rows)
        errors.append(error)
        if errors[-1] < errors[best_pass]:
            best, best_pass = network.to_model(), done + 1
        elif done + 1 - best_pass >= PATIENCE:
            break
    return WarmUp(best, tuple(errors))


class _Cosine(NamedTuple):
    """The rate along one pass."""

    first: float
    done: int
    passes: int

    def at(self, share: float) -> float:
        return self.first * 0.5 * (1.0 + math.cos(math.pi * (self.done + share) / self.passes))


def _learn(descent: Descent, chunks: Sequence[_Chunk], random: np.random.Generator, rate: _Cosine) -> None:
    """One pass over the chunks that have something to learn, `BATCH` a step; some twice, so that the last is full."""
    if not chunks:
        return
    order = np.resize(random.permutation(len(chunks)), -(-len(chunks) // BATCH) * BATCH)
    for start in range(0, len(order), BATCH):
        chosen = [chunks[i] for i in order[start : start + BATCH]]
        x, target, weight = (np.concatenate([chunk[part] for chunk in chosen], axis=1) for part in range(3))
        state = np.concatenate([chunk.state for chunk in chosen])
        descent.learning_rate = rate.at(start / len(order))
        descent.step(_blurred(x, descent.network.manifest, random), state, target, weight)


def _blurred(x: Float32, manifest: Manifest, random: np.random.Generator) -> Float32:
    """Inputs as they might have been: at another hour, and measured less exactly."""
    hours = random.normal(0.0, CLOCK_SHIFT_H, size=(x.shape[1],))
    noise = INPUT_NOISE * random.standard_normal(x.shape, np.float32)
    return shift_clock(x, hours, manifest) + noise


def _step_through(descent: Descent, rounds: list[_Round], model: Model, rows: int) -> tuple[float, list[_Chunk]]:
    """Mean square error of what is held out, the states those of the weights as they stand; and what can be learned."""
    initial = _initial_state(model, rounds[0].x.shape[1])
    state, total, weight = initial, 0.0, 0.0
    chunks: list[_Chunk] = []
    for one in rounds:
        state = np.where(one.begins > 0.0, initial, state)
        chunks += _chunks_of(one, state, rows)
        error, state = descent.measure(one.x, state, one.target, one.held_out)
        held = one.held_out.sum(axis=(0, 2), dtype=np.float64)
        total += float(error @ held)
        weight += float(held.sum())
    return (total / weight if weight > 0.0 else math.nan), chunks


def _chunks_of(one: _Round, state: Float32, rows: int) -> Iterator[_Chunk]:
    """The chunks of one round that have something to learn."""
    for start in range(0, len(state), rows):
        lane = slice(start, start + rows)
        if one.learned[:, lane].any():
            yield _Chunk(one.x[:, lane], one.target[:, lane], one.learned[:, lane], state[lane])


def _initial_state(model: Model, rows: int) -> Float32:
    parts = [
        model.weights.get(f"initial{i}/{part}", np.zeros(layer.units, np.float32))
        for i, layer in enumerate(model.manifest.layers)
        for part in ("h", "c")
    ]
    return np.repeat(np.concatenate(parts)[np.newaxis], rows, axis=0)


def _cut(traces: Sequence[Trace], lanes: int) -> list[_Round]:
    """Lay the traces end to end in lanes of about the same length, and cut those into rounds."""
    queues: list[list[_Round]] = [[] for _ in range(lanes)]
    for trace in sorted(traces, key=lambda t: len(t.x), reverse=True):
        min(queues, key=len).extend(_pieces(trace))
    empty = _Round(*(np.zeros_like(part) for part in queues[0][0]))
    return [_side_by_side(row) for row in itertools.zip_longest(*queues, fillvalue=empty)]


def _pieces(trace: Trace) -> Iterator[_Round]:
    """One trace in pieces, the last padded without weight."""
    steps, rows = trace.x.shape[:2]
    for start in range(0, steps, BPTT):
        known = np.isfinite(_padded(trace.target[start : start + BPTT], np.nan))
        target = np.where(known, _padded(trace.target[start : start + BPTT], 0.0), np.float32(0.0))
        learned = (np.arange(start, start + BPTT) < trace.learned)[:, None, None]
        begins = np.full((rows, 1), 1.0 if start == 0 else 0.0, np.float32)
        weights = ((known & learned).astype(np.float32), (known & ~learned).astype(np.float32))
        yield _Round(_padded(trace.x[start : start + BPTT], 0.0), target, *weights, begins)


def _padded(steps: Float32, value: float) -> Float32:
    """Up to `BPTT` steps, made `BPTT` with `value`."""
    missing = BPTT - len(steps)
    return np.pad(steps, ((0, missing), (0, 0), (0, 0)), constant_values=value)


def _side_by_side(pieces: Sequence[_Round]) -> _Round:
    """Rows of all lanes in one batch; they are the second axis, but the only one of `begins`."""
    parts = list(zip(*pieces, strict=True))
    x, target, learned, held_out = (np.concatenate(part, axis=1) for part in parts[:-1])
    return _Round(x, target, learned, held_out, np.concatenate(parts[-1]))
