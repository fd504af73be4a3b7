"""The direct linear expert: for each horizon its own coefficients, learned by recursive least squares.

The target is the move over the horizon, in the row's scale. Horizons of a group share one inverse Hessian P, which at
each tick takes in the regressor of one of them, in turn: that costs little accuracy and is much cheaper. The last
coefficient is that of the network's own move. The expert without it needs no coefficients of its own: least squares
under the constraint that a coefficient is zero follow from those without (`restrict`), as if it had never been there.
Plackett 1950; forgetting as in `forecast/linear`.
"""

from __future__ import annotations

import numpy as np

from gaugecast.forecast.horizons.layout import HorizonLayout
from gaugecast.records import Bool, Float64, Int64

FORGETTING = 0.9995
START = 10.0  # P at first, a coefficient
MOST_TRACE = 1e3  # a coefficient
STILL = 1e-6  # a regressor whose largest part is below, in scales, excites nothing
CLIP = 12.0  # of targets and errors, in scales times the horizon's root


def moves(theta: Float64, phi: Float64, layout: HorizonLayout) -> Float64:
    """Moves (R, H) in scales."""
    bound = CLIP * np.sqrt(layout.horizons)
    y: Float64 = (theta * phi).sum(axis=2)
    return np.maximum(np.minimum(y, bound), -bound)


def both(theta: Float64, p: Float64, phi: Float64, layout: HorizonLayout) -> tuple[Float64, Float64]:
    """Moves (R, H) in scales of the expert without the network's move, and of the one with it; see `restrict`."""
    bound = CLIP * np.sqrt(layout.horizons)
    y: Float64 = (theta * phi).sum(axis=2)
    alone = y.copy()
    for q, of in enumerate(layout.groups_of):
        part = np.matmul(phi[:, of], p[:, q, :, -1:])[:, :, 0]
        alone[:, of] -= part * (theta[:, of, -1] / p[:, q, -1, -1:])
    return np.maximum(np.minimum(alone, bound), -bound), np.maximum(np.minimum(y, bound), -bound)


def restrict(theta: Float64, p: Float64, layout: HorizonLayout) -> Float64:
    """Coefficients (R, H, D) of the expert that never saw the network's move."""
    column = p[:, :, :, -1][:, layout.group]
    return theta - column * (theta[:, :, -1] / column[:, :, -1])[:, :, None]


def detach(theta: Float64, p: Float64, layout: HorizonLayout) -> tuple[Float64, Float64]:
    """Coefficients and inverse Hessians of rows whose network has gone, as if it had never been there."""
    column = p[:, :, :, -1]
    last = column[:, :, -1]
    left = p - column[:, :, :, None] * (column / last[:, :, None])[:, :, None, :]
    left[:, :, -1, :] = left[:, :, :, -1] = 0.0
    left[:, :, -1, -1] = START
    alone = restrict(theta, p, layout)
    alone[:, :, -1] = 0.0
    return alone, left


def learn(
    theta: Float64, p: Float64, phi: Float64, target: Float64, due: Bool, *, tick: Int64, layout: HorizonLayout
) -> None:
    """Take in targets that have come; in place.

    Args:
        theta: Coefficients (R, H, D).
        p: Inverse Hessians (R, Q, D, D).
        phi: Regressors of the forecasts that are due (R, H, D).
        target: Moves that came, in scales (R, H).
        due: Which there are (R, H).
        tick: Now (R,): whose turn it is.
        layout: Of the horizons.
    """
    bound = CLIP * np.sqrt(layout.horizons)
    error = np.where(due, np.clip(np.where(due, target, 0.0), -bound, bound) - moves(theta, phi, layout), 0.0)
    error = np.clip(error, -bound, bound)
    for q, of in enumerate(layout.groups_of):
        _learn_group(theta[:, of], p[:, q], phi[:, of], error[:, of], due=due[:, of], tick=tick)


def _learn_group(theta: Float64, p: Float64, phi: Float64, error: Float64, *, due: Bool, tick: Int64) -> None:
    turned = np.matmul(phi, p)  # P is symmetric; a product a row, always of the same shape
    spread = (phi * turned).sum(axis=2)
    theta += turned * (error / (FORGETTING + spread))[:, :, None]
    rows = np.arange(len(p))
    turn = _whose_turn(due, tick)
    there, bounded = due[rows, turn], p.trace(axis1=1, axis2=2) < MOST_TRACE * p.shape[-1]
    excited = np.abs(phi[rows, turn, :-2]).max(axis=1) > STILL
    forgetting = np.where(bounded & excited, FORGETTING, 1.0)
    # The root on either side of the outer product keeps P symmetric to the bit; where nothing is due it takes zero.
    root = np.sqrt(np.where(there, 1.0 / (forgetting + spread[rows, turn]), 0.0))
    taken = turned[rows, turn] * root[:, None]
    p -= taken[:, :, None] * taken[:, None, :]
    p *= np.where(there, 1.0 / forgetting, 1.0)[:, None, None]
    alone = (theta[:, :, -1] == 0.0).all(axis=1)  # without a network its place must not swell until the trace is full
    p[:, -1, -1] = np.where(alone, START, p[:, -1, -1])
    broken = ~np.isfinite(p.trace(axis1=1, axis2=2)) | ~np.isfinite(theta).all(axis=(1, 2))
    if broken.any():
        p[broken] = START * np.eye(p.shape[-1])
        theta[broken] = 0.0


def _whose_turn(due: Bool, tick: Int64) -> Int64:
    """Of the horizons that are due, one after the other (R,)."""
    if due.shape[1] == 1:
        return np.zeros(len(due), np.int64)
    count = due.sum(axis=1)
    nth = tick % np.maximum(count, 1)
    turn: Int64 = np.argmax(np.cumsum(due, axis=1) > nth[:, None], axis=1)
    return turn
