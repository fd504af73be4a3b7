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
from gaugecast.records import Bool, Float64, Int64

HALF_LIFE = 500.0  # of the moments, in due errors
GATE_HALF_LIFE = 200.0
PROVEN = 30  # due errors until the gate may open
OPEN_BELOW, SHUT_ABOVE = 0.99, 1.0  # squared error of the mixture over that of persistence
RIDGE = 0.02  # pull towards equal weights, as a share of the moves' mean square
RATE = 2.0  # of the exponentiated gradient
STEPS = 2
LEAST = 1e-4  # weight: none is lost for ever

_E = 3  # experts beside persistence, whose move is zero
_PAIRS = [(i, j) for i in range(_E) for j in range(i, _E)]
_CROSS, _GRAM = _E + 1, 2 * _E + 1
_SEEN, _LOSS, _LOSS_LAST, _OPEN = range(_GRAM + len(_PAIRS), _GRAM + len(_PAIRS) + 4)
#: Floats a row and horizon: weights, moments, and the gate's.
SIZE = _OPEN + 1
#: The state before anything has come due (SIZE,): equal weights, the gate shut.
BEGIN = np.concatenate([np.full(_E + 1, 1.0 / (_E + 1)), np.zeros(SIZE - _E - 1)])
_MOST = 1e75  # moves and targets enter as this much: their squares' sums are finite


def learn(state: Float64, moves: Float64, came: Float64, due: Bool, overlap: Int64) -> None:
    """Take in targets that have come; in place.

    Args:
        state: (R, SIZE, H).
        moves: What the experts had said (R, H, E), persistence first; in whatever unit, as long as it is the row's.
        came: The moves that came (R, H).
        due: Which there are (R, H).
        overlap: How many forecasts of a horizon wait at a time (H,): errors of overlapping spans say less each, so
            that memory and proof are longer.
    """
    longer = 0.75 + 0.25 * overlap
    said = [np.maximum(np.minimum(moves[:, :, k + 1], _MOST), -_MOST) for k in range(_E)]
    came = np.maximum(np.minimum(came, _MOST), -_MOST)
    move = sum((state[:, k + 1] * said[k] for k in range(1, _E)), state[:, 1] * said[0])
    _gate(state, move, came, due=due, longer=longer)
    rate = starting_rate(state[:, _SEEN], HALF_LIFE * longer) * due
    for k in range(_E):
        state[:, _CROSS + k] += rate * (said[k] * came - state[:, _CROSS + k])
    for at, (i, j) in enumerate(_PAIRS, _GRAM):
        state[:, at] += rate * (said[i] * said[j] - state[:, at])
    state[:, _SEEN] += due
    _descend(state, due)


def weights(state: Float64) -> Float64:
    """Shares of the experts (R, E, H), persistence first; all its own where the gate is shut."""
    shares = state[:, : _E + 1] * state[:, _OPEN, None]
    shares[:, 0] += 1.0 - state[:, _OPEN]
    return shares


def _gate(state: Float64, move: Float64, came: Float64, *, due: Bool, longer: Float64) -> None:
    """Hold the mixture against persistence, whether it was published or not."""
    rate = starting_rate(state[:, _SEEN], GATE_HALF_LIFE * longer) * due
    loss, last = state[:, _LOSS], state[:, _LOSS_LAST]
    error = came - move
    loss += rate * (error * error - loss)
    last += rate * (came * came - last)
    proven = (state[:, _SEEN] >= PROVEN * longer) & (loss < OPEN_BELOW * last)
    state[:, _OPEN] = (loss < SHUT_ABOVE * last) & (proven | (state[:, _OPEN] > 0.0))


def _descend(state: Float64, due: Bool) -> None:
    """Weights some steps down the squared error that they would have had."""
    gram = {pair: state[:, at] for at, pair in enumerate(_PAIRS, _GRAM)}
    size = gram[0, 0] + gram[1, 1] + gram[2, 2]
    step = np.divide(RATE, size, out=np.zeros_like(size), where=due & (size > 0.0))
    pull = RIDGE * RATE * (step > 0.0)
    shares = [state[:, k].copy() for k in range(_E + 1)]
    for _ in range(STEPS):
        raised = []
        for k in range(_E):
            slope = sum((gram[min(k, j), max(k, j)] * shares[j + 1] for j in range(_E)), -state[:, _CROSS + k])
            change = step * slope + pull * (shares[k + 1] - 1.0 / (_E + 1))
            raised.append(np.exp(-np.minimum(np.maximum(change, -2.0), 2.0)))
        shares[0] = shares[0] * np.exp(-pull * (shares[0] - 1.0 / (_E + 1)))
        shares[1:] = [share * factor for share, factor in zip(shares[1:], raised, strict=True)]
        total = shares[0] + shares[1] + shares[2] + shares[3]
        shares = [np.maximum(share / total, LEAST) for share in shares]
    total = shares[0] + shares[1] + shares[2] + shares[3]
    for k, share in enumerate(shares):
        state[:, k] = np.where(due, share / total, state[:, k])
