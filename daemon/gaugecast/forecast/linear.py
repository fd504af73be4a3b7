"""A linear forecaster that learns with every step: recursive least squares on a feature's last differences.

The target is the next difference over its running scale, as for the network; the regressor holds the last
`ORDER` differences, and those around the same time a day and a week ago where the period allows. Each row is one
feature of one stream and stands for itself. Plackett 1950; forgetting after Ljung & Söderström 1983, § 2.6.

Forgetting with a regressor that says nothing multiplies P by 1/λ a step: a sensor that lies flat for 140,000 steps
takes its trace to 10³⁰. So a row forgets only where its regressor moves and its trace is below `MOST_TRACE`; an
update without forgetting never raises the trace, so it stays below `MOST_TRACE` / λ.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from gaugecast.records import Bool, Float64, Int64

ORDER = 6
FORGETTING = 0.9995  # λ: half of the weight lies on the last 1,400 steps
START_TRACE = 0.01  # of P, a coefficient: about as sure of persistence as 100 steps of unit noise would make it
MOST_TRACE = 1e3  # a coefficient
CLIP = 8.0  # of regressors and targets, in scales
_AROUND = (-1, 0, 1)
_STILL = 1e-6  # a regressor whose largest difference is below, in scales, excites nothing

_DAY_NS = 86_400 * 10**9
_MOST_LAG = 4096


def seasonal_lags(period_ns: int) -> tuple[int, ...]:
    """Steps in a day and in a week, those that are whole, at least twice `ORDER`, and near enough to remember."""
    spans = (_DAY_NS, 7 * _DAY_NS)
    return tuple(s // period_ns for s in spans if s % period_ns == 0 and 2 * ORDER <= s // period_ns <= _MOST_LAG)


@dataclass(frozen=True, slots=True)
class LinearLayout:
    """Which past differences a regressor holds.

    Attributes:
        ages: Their ages (D − 1,), in steps before the target: 1 is the newest difference.
        memory: L, how many differences must be remembered.
    """

    ages: Int64
    memory: int

    @classmethod
    def of(cls, period_ns: int) -> LinearLayout:
        """For streams of this period."""
        ages = [*range(1, ORDER + 1)]
        ages += [lag + around for lag in seasonal_lags(period_ns) for around in _AROUND]
        return cls(np.array(ages, np.int64), max(ages))

    @property
    def size(self) -> int:
        """D: a coefficient for each difference, and one for a constant."""
        return len(self.ages) + 1


class LinearState(NamedTuple):
    """What is known of N rows. Functions give new ones; none is written to.

    Attributes:
        past: Last differences, newest first, in the sensor's unit (N, L); 0 where none was measured.
        theta: Coefficients (N, D).
        p: Inverse of the regressors' weighted squares (N, D, D), symmetric.
    """

    past: Float64
    theta: Float64
    p: Float64


def initial_state(rows: int, layout: LinearLayout) -> LinearState:
    """Rows that forecast persistence."""
    p = np.broadcast_to(START_TRACE * np.eye(layout.size), (rows, layout.size, layout.size)).copy()
    return LinearState(np.zeros((rows, layout.memory)), np.zeros((rows, layout.size)), p)


def regressor(past: Float64, s: Float64, layout: LinearLayout) -> Float64:
    """(N, D) from differences (N, L) and scales (N,); zero throughout, but for the constant, where nothing moves."""
    out = np.ones((len(past), layout.size))
    chosen = past[:, layout.ages - 1]
    moving = np.broadcast_to(s[:, None] > 0.0, chosen.shape)
    scaled = np.divide(chosen, s[:, None], out=np.zeros_like(chosen), where=moving)
    out[:, :-1] = np.clip(scaled, -CLIP, CLIP)
    return out


def learn(state: LinearState, phi: Float64, target: Float64, known: Bool) -> LinearState:
    """Coefficients and P after seeing what came; rows that break begin again as persistence.

    Args:
        state: Before.
        phi: Regressors (N, D) that the forecast was made of.
        target: The difference that came, over the scale that the forecast had (N,).
        known: Whether it was measured, and the scale was not 0 (N,).
    """
    theta, p = state.theta, state.p
    target = np.clip(np.where(known, target, 0.0), -CLIP, CLIP)
    excited = np.abs(phi[:, :-1]).max(axis=1) > _STILL
    bounded = np.trace(p, axis1=1, axis2=2) < MOST_TRACE * phi.shape[1]
    forgetting = np.where(excited & bounded, FORGETTING, 1.0)
    turned = np.einsum("nij,nj->ni", p, phi)
    gain = turned / (forgetting + np.einsum("ni,ni->n", phi, turned))[:, None]
    error = target - np.einsum("ni,ni->n", phi, theta)
    after = (p - gain[:, :, None] * turned[:, None, :]) / forgetting[:, None, None]
    after = 0.5 * (after + after.transpose(0, 2, 1))
    moved = theta + gain * error[:, None]
    sound = np.isfinite(after).all(axis=(1, 2)) & np.isfinite(moved).all(axis=1)
    begun = initial_state(1, LinearLayout(np.zeros(phi.shape[1] - 1, np.int64), 0))
    moved = np.where(sound[:, None], moved, begun.theta)
    after = np.where(sound[:, None, None], after, begun.p)
    return state._replace(theta=np.where(known[:, None], moved, theta), p=np.where(known[:, None, None], after, p))


def remember(past: Float64, difference: Float64) -> Float64:
    """Differences (N, L) after one more (N,), NaN = not measured."""
    after = np.empty_like(past)
    after[:, 1:] = past[:, :-1]
    after[:, 0] = np.nan_to_num(difference, nan=0.0, posinf=0.0, neginf=0.0)
    return after


def forecast(state: LinearState, x: Float64, s: Float64, layout: LinearLayout, horizon: int) -> Float64:
    """Values (N, horizon) expected after `x` (N,), in closed loop, the scale (N,) as it is now."""
    out = np.empty((len(x), horizon))
    past, value = state.past, x
    for h in range(horizon):
        move = s * np.clip(np.einsum("ni,ni->n", regressor(past, s, layout), state.theta), -CLIP, CLIP)
        value = value + move
        out[:, h] = value
        if h + 1 < horizon:
            past = remember(past, move)
    return out
