"""Experts of far horizons whose coefficients turn with the time of day, once and twice or twice and four times.

A plant's cycle is faster where more is drawn, at the same hours every day: what the last minutes say of the next hour
then depends on the time of day, and coefficients that stay the same average that away. Each coefficient is a sum of
cosines and sines of the time of day, learned by recursive least squares as those of `direct`.

All is about a long-run mean, in long-run deviations, and the first belief is that mean: it needs no learning, and where
nothing can be known of an hour ahead it is what is left. The belief is firm, for an hour ahead few targets a day say
something new; firmer about what turns once a day, which within the first day looks like a drift, and about what turns
four times, of which little is expected.
"""

from __future__ import annotations

import numpy as np

from gaugecast.forecast.horizons import direct
from gaugecast.forecast.horizons.layout import HorizonLayout
from gaugecast.forecast.horizons.past import Past
from gaugecast.forecast.horizons.statistic import dot, rate_of
from gaugecast.records import Bool, Float64, Int64

#: How often a day the coefficients of each expert turn.
_TURNING = ((1, 2), (2, 4))
#: Experts.
TURNS = len(_TURNING)
#: Floats a row of the long run: values seen, their mean and variance.
LEVEL = 3
LONG_RUN = 10.0  # half-life of mean and variance, in those of the recipe
_AGES = (2, 4)  # blocks before the origin, whose means are looked at beside the last value
_CORE = 1 + len(_AGES)
#: D, coefficients of an expert and horizon: each in five parts, and a constant.
SIZE = 5 * _CORE + 1
#: P at first, a coefficient, in deviations, as after some hundred targets: of what stays, and of what turns.
_FIXED, _TURNS = 0.004, {1: 0.0005, 2: 0.004, 4: 0.002}
#: The same by expert (TURNS, D).
START = np.array(
    [[_FIXED] * _CORE + [_TURNS[k] for k in turns for _ in range(2 * _CORE)] + [_FIXED] for turns in _TURNING]
)
_CONSTANT = 0.3
_BOUND = 12.0  # deviations that targets and forecasts are cut at
_OUTLIER = 8.0  # deviations that a value counts as, in mean and variance
_BINS = 288  # parts of a day, in each of which it is one time
_ANGLES = 2.0 * np.pi * np.arange(_BINS) / _BINS
#: √2 cos and √2 sin of each expert's turns (TURNS, 4, bins); a table: no row hangs on its company.
_CLOCK = np.sqrt(2.0) * np.array([[f(k * _ANGLES) for k in turns for f in (np.cos, np.sin)] for turns in _TURNING])


def observe(level: Float64, values: Float64, half_life: float) -> None:
    """Take values (R,), NaN = absent, into mean and variance of the long run (R, LEVEL); in place."""
    count, mean, variance = level[:, 0], level[:, 1], level[:, 2]
    seen = np.isfinite(values)
    count += seen
    rate = np.maximum(1.0 / np.maximum(count, 1.0), rate_of(half_life)) * seen
    limit = np.where(variance > 0.0, _OUTLIER * np.sqrt(variance), np.inf)
    off = np.where(seen, values, mean) - mean
    np.maximum(np.minimum(off, limit), -limit, out=off)
    mean += rate * off
    variance += rate * off * off * (1.0 - rate) - rate * variance


def learn(
    theta: Float64, p: Float64, past: Past, *, base: Float64, origin: Int64, came: Float64, due: Bool, level: Float64,
    tick: Int64, layout: HorizonLayout,
) -> None:  # fmt: skip
    """Take in moves that have come of the Hf far horizons; in place.

    Args:
        theta: Coefficients (D, R, TURNS·Hf), by expert.
        p: Inverse Hessians of all rows there are (C, TURNS·Qf, D, D).
        past: Where the R rows are, and their rings.
        base: Values that the forecasts were made from (R, Hf).
        origin: Ticks of them (R, Hf).
        came: Moves since then (R, Hf).
        due: Which there are (R, Hf).
        level: Of `observe` (R, LEVEL).
        tick: Now (R,).
        layout: Of all horizons.
    """
    some = np.flatnonzero(due.any(axis=1) & (level[:, 2] > 0.0))
    if not len(some):
        return
    here, base, due = Past(past.points, past.rows[some]), base[some], due[some]
    level, tick = level[some], tick[some]
    phi = _regressors(here, base, origin[some], level, layout)
    target = np.where(due, (base + came[some] - level[:, 1:2]) / np.sqrt(level[:, 2:]), 0.0)
    for k, (expert, of, far) in enumerate(_groups(layout)):
        if due[:, far].any():
            coefficients, inverse = theta[:, some, of], p[here.rows, k]
            direct.learn(
                coefficients, inverse, phi[:, :, of], target[:, far], due[:, far], tick=tick,
                root=np.full(far.stop - far.start, _BOUND / direct.CLIP), start=START[expert], own=False,
            )  # fmt: skip
            theta[:, some, of], p[here.rows, k] = coefficients, inverse


def moves(
    theta: Float64, past: Past, *, base: Float64, origin: Int64, level: Float64, layout: HorizonLayout
) -> Float64:
    """What the experts say (TURNS, R, Hf), in the row's unit; arguments as of `learn`."""
    y = dot(theta, _regressors(past, base, origin, level, layout))
    np.maximum(np.minimum(y, _BOUND), -_BOUND, out=y)
    deviation, mean = np.sqrt(level[:, 2:]), level[:, 1:2]
    far = base.shape[1]
    made = np.empty((TURNS, *base.shape))
    for k in range(TURNS):
        made[k] = np.where(deviation > 0.0, mean + deviation * y[:, k * far : (k + 1) * far] - base, 0.0)
    return made


def _regressors(past: Past, base: Float64, origin: Int64, level: Float64, layout: HorizonLayout) -> Float64:
    """(D, R, TURNS·Hf), in deviations; zero where unknown."""
    far = base.shape[1]
    core = np.empty((_CORE, *base.shape))
    core[0] = base
    for k, age in enumerate(_AGES, 1):
        core[k] = _mean_before(past, origin, age, layout)
    core -= level[:, 1:2]
    deviation = np.sqrt(level[:, 2:])
    core *= np.divide(1.0, deviation, out=np.zeros_like(deviation), where=deviation > 0.0)
    np.copyto(core, 0.0, where=np.isnan(core))
    np.maximum(np.minimum(core, _BOUND), -_BOUND, out=core)
    out = np.empty((SIZE, len(base), TURNS * far))
    bins = origin % layout.turn * _BINS // layout.turn
    for k in range(TURNS):
        of = slice(k * far, (k + 1) * far)
        out[:_CORE, :, of] = core
        for part, clock in enumerate(_CLOCK[k], 1):
            np.multiply(core, clock[bins], out=out[part * _CORE : (part + 1) * _CORE, :, of])
    out[-1] = _CONSTANT
    return out


def _mean_before(past: Past, origin: Int64, age: int, layout: HorizonLayout) -> Float64:
    """Mean over a block of ticks that ended `age` blocks before the origin (R, Hf): a share of each of two blocks."""
    offset, length, _ = layout.past[:, layout.far :]
    block = layout.block[layout.far :]
    newest = -(-origin // block)
    open_part = (newest * block - origin) / block
    later, earlier = (past.at(offset + (newest - age - k) % length) for k in range(2))
    mixed: Float64 = np.where(open_part > 0.0, (1.0 - open_part) * later + open_part * earlier, later)
    return mixed


def begin(layout: HorizonLayout) -> Float64:
    """Inverse Hessians of a row that has learned nothing (TURNS·Qf, D, D)."""
    return np.array([np.diag(START[expert]) for expert, _, _ in _groups(layout)])


def _groups(layout: HorizonLayout) -> list[tuple[int, slice, slice]]:
    """By inverse Hessian, its expert, its places among coefficients, and among the far horizons."""
    far = layout.count - layout.far
    groups = [
        slice(one.start - layout.far, one.stop - layout.far) for one in layout.groups_of if one.start >= layout.far
    ]
    return [(k, slice(k * far + one.start, k * far + one.stop), one) for k in range(TURNS) for one in groups]
