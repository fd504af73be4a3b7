"""Learning from what lies there already: passes of truncated BPTT over recorded streams, before a model serves."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from gaugecast.config.training import Train
from gaugecast.learn.fit.clock_shift import shift_clock
from gaugecast.learn.fit.descent import Descended, Descent, TrainingBatch
from gaugecast.learn.fit.fitting import Pace, run_pass
from gaugecast.learn.fit.network import TrainableNetwork
from gaugecast.learn.fit.targets import Lesson
from gaugecast.model import Manifest, Model
from gaugecast.records import Float32

BPTT = 24
#: Adam's first rate; it falls to zero along half a cosine over all passes.
LEARNING_RATE = 3e-3
PASSES = 12
#: Passes without a better validation error after which training ends.
PATIENCE = 4
#: Share of the careful weights' error below which those learned by heart are taken.
BY_HEART = 0.5


# `Caution` was chosen on ETTh1 and on the first 3,600 rows of ETTh2 (hourly, seven features, LSTM-64, 2,880 rows
# learned): mean square error over persistence's, weights frozen, of ETTh1's next 720 rows, of all its 10,800 rows after
# those, and of ETTh2's next 720. Without caution 0.58 1.10 –; with it 0.84 0.87 0.80; decay 3 instead of 1 0.89 0.87
# 0.85. With chunks drawn at random, eight a step: without 0.65 1.13 0.74; noise 0.5 alone 0.68 0.99 0.73; decay 2 alone
# 0.70 1.02 0.72; the clock off by 3 h alone 0.78 0.96 0.80. Going on to learn from cautious weights cost 3 % (ETTh1).
@dataclass(frozen=True, slots=True)
class Caution:
    """What keeps a network from learning by heart what will not last.

    A network that is told the hour learns by heart when each variable moves. Months later that pattern is another: who
    goes on learning has learned the new one, but frozen weights then forecast worse than the last value does.

    Attributes:
        noise: Deviation of what is added to every input while it is learned.
        clock_shift_h: Deviation, in hours, by which each row's clock is set off meanwhile.
        weight_decay: Share of each weight, times the rate, that is lost a step.
    """

    noise: float = 0.4
    clock_shift_h: float = 4.0
    weight_decay: float = 1.0


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
    begins: Float32  # (B, 1), 1 where a lesson begins: the state is the initial one

    @property
    def to_learn(self) -> TrainingBatch:
        """What weights are moved by."""
        return TrainingBatch(self.x, self.target, self.learned, self.begins)

    @property
    def to_judge(self) -> TrainingBatch:
        """What they are judged by."""
        return TrainingBatch(self.x, self.target, self.held_out, self.begins)


def warm_up(
    model: Model,
    lessons: Sequence[Lesson],
    *,
    caution: Caution | None = None,
    passes: int = PASSES,
    learning_rate: float = LEARNING_RATE,
    lanes: int = 8,
    seed: int = 0,
    compiled: bool = True,
) -> WarmUp:
    """Train `model` on `lessons`, the state carried through each of them, and keep the best pass.

    Args:
        model: Shapes and first weights.
        lessons: Recorded streams; all have R rows. Long ones are best; a reset begins a new one.
        caution: Of weights that will not be learned further: weights that will begin better without.
        passes: Most passes over everything.
        learning_rate: Adam's first rate.
        lanes: Lessons that are learned side by side, as one batch.
        seed: Of what caution draws.
        compiled: Use XLA.
    """
    network = TrainableNetwork(model)
    decay = 0.0 if caution is None else caution.weight_decay
    settings = Train(learning_rate=learning_rate, weight_decay=decay, epochs=passes, schedule="cosine", rate_floor=0.0)
    descent = Descent(network, settings, compiled=compiled)
    chunks = _cut(lessons, min(lanes, len(lessons)))
    pace, random = Pace(settings, len(chunks)), np.random.default_rng(seed)

    def learn(batch: TrainingBatch, state: Float32) -> Descended:
        descent.learning_rate = pace.next()
        return descent.step(batch, state)

    def judge() -> float:
        return run_pass(descent, (chunk.to_judge for chunk in chunks), descent.measure)

    errors = [judge()]
    best, best_pass = network.to_model(), 0
    for done in range(passes):
        fed = chunks if caution is None else [_blurred(chunk, model.manifest, caution, random) for chunk in chunks]
        run_pass(descent, (chunk.to_learn for chunk in fed), learn)
        errors.append(judge())
        if errors[-1] < errors[best_pass]:
            best, best_pass = network.to_model(), done + 1
        elif done + 1 - best_pass >= PATIENCE:
            break
    return WarmUp(best, tuple(errors))


def warm_up_for_good(model: Model, lessons: Sequence[Lesson], *, seed: int = 0, compiled: bool = True) -> WarmUp:
    """Train weights that will stay as they are: with caution, unless that costs more than half of what can be known.

    Weights learned by heart are taken where they have less than `BY_HEART` of the careful ones' error on what is
    held out: such a pattern is worth relying on. And those begun with stay, where what was learned is better by no
    more than chance may make it, one over the root of as many errors: few rows are soon forecast well by luck.
    """
    careful = warm_up(model, lessons, caution=Caution(), seed=seed, compiled=compiled)
    plain = warm_up(model, lessons, compiled=compiled)
    chosen = plain if min(plain.errors) < BY_HEART * min(careful.errors) else careful
    count = sum(int(np.isfinite(lesson.target[lesson.learned :]).sum()) for lesson in lessons)
    if min(chosen.errors) > chosen.errors[0] * (1.0 - 1.0 / math.sqrt(max(count, 1))):
        return WarmUp(model, chosen.errors)
    return chosen


def _blurred(chunk: _Chunk, manifest: Manifest, caution: Caution, random: np.random.Generator) -> _Chunk:
    """The chunk as it might have been: at another hour of each row's, and measured less exactly."""
    hours = random.normal(0.0, caution.clock_shift_h, size=(chunk.x.shape[1],))
    noise = caution.noise * random.standard_normal(chunk.x.shape, np.float32)
    return chunk._replace(x=shift_clock(chunk.x, hours, manifest) + noise)


def _cut(lessons: Sequence[Lesson], lanes: int) -> list[_Chunk]:
    """Lay the lessons end to end in lanes of about the same length, and cut those into chunks."""
    queues: list[list[_Chunk]] = [[] for _ in range(lanes)]
    for lesson in sorted(lessons, key=lambda t: len(t.x), reverse=True):
        min(queues, key=len).extend(_pieces(lesson))
    empty = _Chunk(*(np.zeros_like(part) for part in queues[0][0]))
    return [_side_by_side(row) for row in itertools.zip_longest(*queues, fillvalue=empty)]


def _pieces(lesson: Lesson) -> Iterator[_Chunk]:
    """One lesson in chunks, the last padded without weight."""
    steps, rows = lesson.x.shape[:2]
    for start in range(0, steps, BPTT):
        known = np.isfinite(_padded(lesson.target[start : start + BPTT], np.nan))
        target = np.where(known, _padded(lesson.target[start : start + BPTT], 0.0), np.float32(0.0))
        learned = (np.arange(start, start + BPTT) < lesson.learned)[:, None, None]
        begins = np.full((rows, 1), 1.0 if start == 0 else 0.0, np.float32)
        weights = ((known & learned).astype(np.float32), (known & ~learned).astype(np.float32))
        yield _Chunk(_padded(lesson.x[start : start + BPTT], 0.0), target, *weights, begins)


def _padded(steps: Float32, value: float) -> Float32:
    """Up to `BPTT` steps, made `BPTT` with `value`."""
    missing = BPTT - len(steps)
    return np.pad(steps, ((0, missing), (0, 0), (0, 0)), constant_values=value)


def _side_by_side(pieces: Sequence[_Chunk]) -> _Chunk:
    """Rows of all lanes in one batch; they are the second axis, but the only one of `begins`."""
    parts = list(zip(*pieces, strict=True))
    x, target, learned, held_out = (np.concatenate(part, axis=1) for part in parts[:-1])
    return _Chunk(x, target, learned, held_out, np.concatenate(parts[-1]))
