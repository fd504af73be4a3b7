"""The direct linear expert: for each horizon its own coefficients, learned by recursive least squares.

The target is the move over the horizon, in the row's scale. Horizons of a group share one inverse Hessian P, which at
each tick takes in the regressor of one of them, in turn: that costs little accuracy and is much cheaper. The last
coefficient is that of the network's own move. The expert without it needs no coefficients of its own: least squares
under the constraint that a coefficient is zero follow from those without (`restrict`), as if it had never been there.
Plackett 1950; forgetting as in `forecast/linear`.

Arrays have rows and horizons behind what is computed of each: loops over thousands of numbers, not over nine.
"""

from __future__ import annotations

import numpy as np

from gaugecast.forecast.horizons.layout import HorizonLayout
from gaugecast.forecast.horizons.statistic import dot
from gaugecast.records import Bool, Float64, Int64

FORGETTING = 0.9995
NO_P: Float64 = np.empty((0, 0, 0, 0))  # of rows that have none
START = 10.0  # P at first, a coefficient
MOST_TRACE = 1e3  # a coefficient
STILL = 1e-6  # a regressor whose largest part is below, in scales, excites nothing
CLIP = 12.0  # of targets and errors, in scales times the horizon's root


def both(theta: Float64, column: Float64, phi: Float64, layout: HorizonLayout) -> tuple[Float64, Float64]:
    """Moves (R, H) in scales of the expert without the network's move, and of the one with it; see `restrict`.

    Args:
        theta: Coefficients (D, R, H).
        column: The last of each inverse Hessian's (D, R, Q).
        phi: Regressors (D, R, H).
        layout: Of the horizons.
    """
    bound = CLIP * layout.root
    y = dot(theta, phi)
    stacked = _within(y, bound)
    if not theta[-1].any():
        return stacked, stacked
    for q, of in enumerate(layout.groups_of):
        own = column[:, :, q, None]
        y[:, of] -= dot(own, phi[:, :, of]) * (theta[-1][:, of] / own[-1])
    return _within(y, bound), stacked


def restrict(theta: Float64, column: Float64, layout: HorizonLayout) -> Float64:
    """Coefficients (D, R, H) of the expert that never saw the network's move; `column` as of `both`."""
    own = column[:, :, layout.group]
    return np.asarray(theta - own * (theta[-1] / own[-1]))


def detach(theta: Float64, p: Float64, layout: HorizonLayout) -> tuple[Float64, Float64]:
    """Coefficients and inverse Hessians (R, Q, D, D) of rows whose network has gone, as if it had never been there."""
    column = p[:, :, :, -1]
    last = column[:, :, -1]
    left = p - column[:, :, :, None] * (column / last[:, :, None])[:, :, None, :]
    left[:, :, -1, :] = left[:, :, :, -1] = 0.0
    left[:, :, -1, -1] = START
    alone = restrict(theta, column.transpose(2, 0, 1), layout)
    alone[-1] = 0.0
    return alone, left


def learn(
    theta: Float64, p: Float64, phi: Float64, target: Float64, due: Bool, *, tick: Int64, root: Float64,
    start: float | Float64 = START, own: bool = True,
) -> None:  # fmt: skip
    """Take in targets that have come, of the horizons of one group; in place.

    Args:
        theta: Coefficients (D, R, H).
        p: Inverse Hessians (R, D, D).
        phi: Regressors of the forecasts that are due (D, R, H).
        target: Moves that came, in scales (R, H).
        due: Which there are (R, H).
        tick: Now (R,): whose turn it is.
        root: Of the horizons (H,).
        start: P at first, a coefficient, or of each (D,).
        own: Whether the last coefficient is that of the network's move.
    """
    bound = CLIP * root
    error = np.where(due, _within(np.where(due, target, 0.0), bound) - _within(dot(theta, phi), bound), 0.0)
    turned = np.empty_like(phi)
    np.matmul(p, phi.swapaxes(0, 1), out=turned.swapaxes(0, 1))  # a product a row, always of the same shape
    spread = dot(phi, turned)
    theta += turned * (_within(error, bound) / (FORGETTING + spread))
    turn = _whose_turn(due, tick)
    if due.shape[1] == 1:
        there, new, spread, taken = due[:, 0], phi[:, :, 0], spread[:, 0], turned[:, :, 0]
    else:
        rows = np.arange(len(p))
        there, new, spread, taken = due[rows, turn], phi[:, rows, turn], spread[rows, turn], turned[:, rows, turn]
    _update(p, new, taken, spread, there)
    if own:
        alone = ~theta[-1].any(axis=1)  # without a network its place must not swell until the trace is full
        p[alone, -1, -1] = start
    broken = ~(np.isfinite(_trace(p)) & np.isfinite(np.add.reduce(theta, axis=(0, 2))))
    if broken.any():
        p[broken] = start * np.eye(p.shape[-1])
        theta[:, broken] = 0.0


def _update(p: Float64, phi: Float64, taken: Float64, spread: Float64, there: Bool) -> None:
    """Let inverse Hessians (R, D, D) take in a regressor each, phi (D, R), `taken` being their product with it."""
    size = p.shape[-1]
    excited = np.abs(phi[:-2]).max(axis=0) > STILL
    forgets = there & excited & (_trace(p) < MOST_TRACE * size)
    forgetting = np.where(forgets, FORGETTING, 1.0)
    # The root on either side of the outer product keeps P symmetric to the bit; where nothing is due it takes zero.
    root = np.sqrt(np.where(there, 1.0 / (forgetting + spread), 0.0))
    half = np.ascontiguousarray((taken * root).T)
    p -= half[:, :, None] * half[:, None, :]
    flat = p.reshape(len(p), -1)
    flat *= (1.0 / forgetting)[:, None]


def _trace(p: Float64) -> Float64:
    """(R, D, D) to (R,)."""
    size = p.shape[-1]
    total: Float64 = np.add.reduce(p.reshape(len(p), -1)[:, :: size + 1], axis=1)
    return total


def _within(y: Float64, bound: Float64) -> Float64:
    return np.maximum(np.minimum(y, bound), -bound)


def _whose_turn(due: Bool, tick: Int64) -> Int64:
    """Of the horizons that are due, one after the other (R,)."""
    if due.shape[1] == 1:
        return np.zeros(len(due), np.int64)
    count = due.sum(axis=1)
    nth = tick % np.maximum(count, 1)
    turn: Int64 = np.argmax(np.cumsum(due, axis=1) > nth[:, None], axis=1)
    return turn
