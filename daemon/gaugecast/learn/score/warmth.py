"""How many steps a model needs after a cold start before its forecasts are as good as they get."""

from __future__ import annotations

import numpy as np

from gaugecast.engine import engine_for
from gaugecast.fleet import Fleet
from gaugecast.learn.fit.batches import Span
from gaugecast.learn.history.recording import Recording
from gaugecast.learn.score.judging import walk
from gaugecast.model import Model
from gaugecast.records import Float64

#: Steps that are looked at; cold starts a stream; streams.
STEPS, STARTS, STREAMS = 128, 16, 4
#: Warm is an error, over some steps, at most so much above that of the second half.
NEAR, OVER_STEPS = 1.25, 8
#: Of noise that is fed in the place of rows: how much of a value is the one before.
INERTIA = 0.9
#: A beginning is forgotten where it accounts for no more of what is forecast: a share of the variance.
FORGOTTEN = 0.01


def warm_steps(model: Model, fleet: Fleet, recording: Recording, span: Span, *, deviation: Float64, least: int) -> int:
    """Steps after which forecasts at all the model's own horizons are near their best, from cold starts in a part.

    Args:
        model: Carries its state.
        fleet: What it forecasts.
        recording: The history.
        span: The part.
        deviation: Unit of each feature's errors (G,).
        least: The answer where the history is too short, and the least.
    """
    horizon = model.manifest.decode_steps
    totals, counts = np.zeros((STEPS, horizon)), np.zeros((STEPS, horizon))
    for stream in recording.streams[:STREAMS]:
        first, stop = span.rows(recording.rows(stream))
        if stop - first < 2 * STEPS:
            continue
        begins = np.linspace(first, stop - STEPS - horizon, STARTS).astype(int).tolist()
        pieces = [(begin, begin + STEPS + horizon) for begin in begins]
        for course, forecasts in walk(model, fleet, recording, stream, pieces, horizon=horizon):
            for h in range(1, horizon + 1):
                ahead, exists = course.ahead(h)
                error = (forecasts[:STEPS, h - 1] - course.observed[ahead[:STEPS]]) / deviation
                known = np.isfinite(error) & exists[:STEPS, None]
                totals[:, h - 1] += np.where(known, np.square(error), 0.0).sum(axis=1)
                counts[:, h - 1] += known.sum(axis=1)
    if not counts.sum():
        return least
    return max(least, *(_first_warm(totals[:, h], counts[:, h], least) for h in range(horizon)))


def steps_to_forget(model: Model, *, least: int) -> int:
    """Steps after which forecasts no longer tell when the state began, for weights that come without rows.

    A cold state is stepped beside one that has seen `STEPS` steps, over the same noise, at all horizons at once.

    Args:
        model: Carries its state; its inputs are about 1 in size, as scaled ones are.
        least: The least answer. The most is half of `STEPS`.
    """
    engine, rng = engine_for(model), np.random.default_rng(0)
    x = rng.standard_normal((2 * STEPS, STARTS, engine.input_size)).astype(np.float32)
    for t in range(1, len(x)):
        x[t] = INERTIA * x[t - 1] + np.float32(np.sqrt(1.0 - INERTIA**2)) * x[t]
    _, state = engine.sequence(x[:STEPS], engine.initial_state(STARTS))
    warm, _ = engine.sequence(x[STEPS:], state)
    cold, _ = engine.sequence(x[STEPS:], engine.initial_state(STARTS))
    apart = np.square(warm.astype(np.float64) - cold).mean(axis=1)  # (T, O)
    told = (apart > FORGOTTEN * warm.astype(np.float64).var(axis=(0, 1))).any(axis=1)
    return min(max(least, int(np.flatnonzero(told).max(initial=-1)) + 1), STEPS // 2)


def _first_warm(total: Float64, count: Float64, least: int) -> int:
    """The first step from which on, over some steps, the mean error is near that of the second half."""
    half = STEPS // 2
    best = total[half:].sum() / max(count[half:].sum(), 1.0)
    for step in range(least, half):
        over = slice(step, step + OVER_STEPS)
        if total[over].sum() <= NEAR * best * count[over].sum():
            return step
    return half
