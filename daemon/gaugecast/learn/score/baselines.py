"""What a network must beat: the last value, the value a day ago, and a linear model that learns as it goes.

All take one stream's course and give the forecasts made at each step (T, H, G), each from what was measured up to
that step and nothing later.
"""

from __future__ import annotations

import numpy as np

from gaugecast.forecast import linear
from gaugecast.forecast.scaling import default_recipe, initial_stats, observe, scale
from gaugecast.learn.score.course import Course, last_measured
from gaugecast.records import Float64

_DAY_NS = 86_400 * 10**9


def persistence(course: Course, horizon: int) -> Float64:
    """The last measured value, at every horizon."""
    return np.repeat(last_measured(course.observed)[:, None], horizon, axis=1)


def season_of_day(period_ns: int) -> int | None:
    """Steps in a day; `None` where they are not whole, or fewer than two."""
    steps, rest = divmod(_DAY_NS, period_ns)
    return steps if rest == 0 and steps >= 2 else None


def seasonal(course: Course, horizon: int, season: int) -> Float64:
    """The value measured one season of `season` ticks before the target (for h > season: the last such); persistence
    where none was measured."""
    out = persistence(course, horizon)
    for h in range(1, horizon + 1):
        back = -(-h // season) * season - h  # ticks from the step back to the value
        wanted = course.tick - back
        rows = np.minimum(np.searchsorted(course.tick, wanted), len(course.tick) - 1)
        there = course.tick[rows] == wanted
        value = np.where(there[:, None], course.observed[rows], np.nan)
        out[:, h - 1] = np.where(np.isnan(value), out[:, h - 1], value)
    return out


def rls(course: Course, horizon: int, period_ns: int) -> Float64:
    """Recursive least squares on scaled differences, one set of coefficients a feature."""
    layout, recipe = linear.LinearLayout.of(period_ns), default_recipe(period_ns)
    steps, features = course.observed.shape
    state = linear.initial_state(features, layout)
    stats = initial_stats(1, features)
    out = np.empty((steps, horizon, features))
    last, x = np.full(features, np.nan), last_measured(course.observed)
    s, phi = np.zeros(features), np.zeros((features, layout.size))
    for t, (values, gap) in enumerate(zip(course.observed, course.gaps.tolist(), strict=True)):
        difference = values - last if gap == 0 else np.full(features, np.nan)
        known = np.isfinite(difference) & (s > 0.0)
        target = np.divide(difference, s, out=np.zeros(features), where=known)
        state = linear.learn(state, phi, target, known)
        past = state.past
        for _ in range(min(gap, layout.memory)):
            past = linear.remember(past, np.zeros(features))
        state = state._replace(past=linear.remember(past, difference))
        stats = observe(stats, last[None], values[None], np.array([gap == 0]), recipe)
        s, last = scale(stats, recipe)[0], values
        phi = linear.regressor(state.past, s, layout)
        out[t] = linear.forecast(state, x[t], s, layout, horizon).T
    return out
