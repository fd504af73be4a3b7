"""What is published: the mixture of the experts that would have done best lately, gated towards persistence.

For each row and horizon the discounted moments of the experts' moves and of what came are kept: Σ m mᵀ, Σ m y. The
squared error of any mixture is a quadratic form in them, and its weights follow that form's gradient over the simplex
(exponentiated gradient: Kivinen & Warmuth 1997), some steps whenever an error comes due. A weight is a share, and
persistence is a move of zero, so the mixture never says more than the boldest expert. Rates of squared error are what
is asked for: an expert that is often a little better and rarely much worse, as persistence is on a sensor that mostly
sits still, is not what a mean square error asks for.

The gate compares what was published with persistence, prequentially. It opens when the mixture has proven itself and
shuts when it has lost that lead.
"""

from __future__ import annotations

import numpy as np

from gaugecast.forecast.horizons.statistic import starting_rate
from gaugecast.records import Bool, Float64

HALF_LIFE = 500.0  # of the moments, in due errors
GATE_HALF_LIFE = 200.0
PROVEN = 30  # due errors until the gate may open
OPEN_BELOW, SHUT_ABOVE = 0.99, 1.0  # squared error of the mixture over that of persistence
RIDGE = 0.02  # pull towards equal weights, as a share of the moves' mean square
RATE = 2.0  # of the exponentiated gradient
STEPS = 2
LEAST = 1e-4  # weight: none is lost for ever

_E = 3  # experts beside persistence, whose move is zero
_WEIGHTS, _CROSS, _GRAM = slice(0, _E + 1), slice(_E + 1, 2 * _E + 1), slice(2 * _E + 1, 2 * _E + 1 + _E * _E)
_SEEN, _LOSS, _LOSS_LAST, _OPEN = range(_GRAM.stop, _GRAM.stop + 4)
#: Floats a row and horizon: weights, moments, and the gate's.
SIZE = _GRAM.stop + 4
#: The state before anything has come due: equal weights, the gate shut.
BEGIN = np.concatenate([np.full(_E + 1, 1.0 / (_E + 1)), np.zeros(SIZE - _E - 1)])
_MOST = 1e75  # moves and targets enter as this much: their squares' sums are finite


def learn(state: Float64, moves: Float64, came: Float64, due: Bool) -> Float64:
    """The state (R, H, SIZE) after targets that have come.

    Args:
        state: Before.
        moves: What the experts had said (R, H, E), persistence first; in whatever unit, as long as it is the row's.
        came: The moves that came (R, H).
        due: Which there are (R, H).
    """
    moves = np.maximum(np.minimum(moves[..., 1:], _MOST), -_MOST)
    came = np.maximum(np.minimum(came, _MOST), -_MOST)
    out = state.copy()
    _gate(out, (state[..., 1 : _E + 1] * moves).sum(axis=-1), came, due)
    rate = starting_rate(out[..., _SEEN], HALF_LIFE) * due
    out[..., _CROSS] += rate[..., None] * (moves * came[..., None] - out[..., _CROSS])
    product = (moves[..., :, None] * moves[..., None, :]).reshape(*came.shape, _E * _E)
    out[..., _GRAM] += rate[..., None] * (product - out[..., _GRAM])
    out[..., _SEEN] += due
    _descend(out, due)
    return out


def weights(state: Float64) -> Float64:
    """Shares of the experts (R, H, E), persistence first; all its own where the gate is shut."""
    open_ = state[..., _OPEN, None] > 0.0
    alone = np.zeros(_E + 1)
    alone[0] = 1.0
    return np.where(open_, state[..., _WEIGHTS], alone)


def _gate(out: Float64, move: Float64, came: Float64, due: Bool) -> None:
    """Hold the mixture against persistence, whether it was published or not."""
    rate = starting_rate(out[..., _SEEN], GATE_HALF_LIFE) * due
    error = came - move
    out[..., _LOSS] += rate * (error * error - out[..., _LOSS])
    out[..., _LOSS_LAST] += rate * (came * came - out[..., _LOSS_LAST])
    proven = (out[..., _SEEN] >= PROVEN) & (out[..., _LOSS] < OPEN_BELOW * out[..., _LOSS_LAST])
    lost = out[..., _LOSS] >= SHUT_ABOVE * out[..., _LOSS_LAST]
    out[..., _OPEN] = np.where(due, np.where(lost, 0.0, np.where(proven, 1.0, out[..., _OPEN])), out[..., _OPEN])


def _descend(out: Float64, due: Bool) -> None:
    """Weights some steps down the squared error that they would have had."""
    gram = [out[..., _GRAM.start + k * _E : _GRAM.start + (k + 1) * _E] for k in range(_E)]
    size = gram[0][..., 0] + gram[1][..., 1] + gram[2][..., 2]
    step = np.divide(RATE, size, out=np.zeros_like(size), where=due & (size > 0.0))[..., None]
    pull = RIDGE * RATE * (step > 0.0)
    weight = out[..., _WEIGHTS].copy()
    slope = np.zeros_like(weight)
    for _ in range(STEPS):
        slope[..., 1:] = gram[0] * weight[..., 1:2] + gram[1] * weight[..., 2:3] + gram[2] * weight[..., 3:]
        slope[..., 1:] -= out[..., _CROSS]
        change = step * slope + pull * (weight - 1.0 / (_E + 1))
        np.minimum(np.maximum(change, -2.0, out=change), 2.0, out=change)
        weight *= np.exp(-change)
        weight /= weight.sum(axis=-1, keepdims=True)
        np.maximum(weight, LEAST, out=weight)
    weight /= weight.sum(axis=-1, keepdims=True)
    out[..., _WEIGHTS] = np.where(due[..., None], weight, out[..., _WEIGHTS])
