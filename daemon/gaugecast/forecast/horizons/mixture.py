"""What is published: the mixture of the experts that would have done best lately, gated towards persistence.

For each row and horizon the discounted moments of the experts' moves and of what came are kept: Σ m mᵀ, Σ m y. The
squared error of any mixture is a quadratic form in them, and its weights follow that form's gradient over the simplex
(exponentiated gradient: Kivinen & Warmuth 1997), a step whenever an error comes due. A weight is a share, and
persistence is a move of zero, so the mixture never says more than the boldest expert. Rates of squared error are what
is asked for: an expert that is often a little better and rarely much worse, as persistence is on a sensor that mostly
sits still, is not what a mean square error asks for.

The gate compares the mixture with persistence, prequentially; once it is open, the worse of it and of what was
published. It opens when the mixture has proven itself, for which it must be much better while few spans are known, and
shuts when it has lost what it holds of that lead. Far ahead that takes long; of a series that is known to come back
(`settled`) the mixture is believed until then, as long as it is not found to be much worse.
"""

from __future__ import annotations

import numpy as np

from gaugecast.forecast.horizons.statistic import spans_of, starting_rate
from gaugecast.records import Bool, Float64, Int64

HALF_LIFE = 500.0  # of the moments, in due errors
GATE_HALF_LIFE = 200.0
PROVEN = 30  # due errors until the gate may open
OPEN_BELOW, SHUT_ABOVE = 0.99, 1.0  # squared error of the mixture over that of persistence
HELD = 0.95  # what is left of its lead when it opens where spans overlap: luck of before would let it lose for long
DOUBTED = 2.0  # the same at which a mixture that was believed without proof is not any more
RIDGE = 0.02  # pull towards the first weights, as a share of the moves' mean square
FIRM = 0.5  # more of it while a mixture is believed without proof: whoever was best in few spans was lucky
LUCK = 0.7  # less of it where spans overlap, over the root of how many were seen: of few some look good by luck
SHOCK = 200.0  # squared error of a next step over its running mean
RATE = 2.0  # of the exponentiated gradient
LEAST = 1e-4  # weight: none is lost for ever

_E = 3  # experts beside persistence, whose move is zero
_LEFT, _RIGHT = np.triu_indices(_E)
_CROSS, _GRAM = _E + 1, 2 * _E + 1
_SEEN, _LOSS, _LOSS_LAST, _OPEN = range(_GRAM + len(_LEFT), _GRAM + len(_LEFT) + 4)
_SQUARE = np.array([_GRAM + k for k in (0, 1, 2, 1, 3, 4, 2, 4, 5)])  # of the triangle
_CAME = _OPEN + 1  # mean square of what came, as long remembered as the moments
SEEN = _SEEN
#: Floats a row and horizon: weights, moments, the gate's, and what came.
SIZE = _CAME + 1
#: The state before anything has come due (SIZE,): equal weights, the gate shut.
BEGIN = np.concatenate([np.full(_E + 1, 1.0 / (_E + 1)), np.zeros(SIZE - _E - 1)])
#: The same of horizons that have experts which begin at the mean; what begins knowing nothing is hardly heard (SIZE,).
BEGIN_FAR = np.concatenate([[0.02, 0.002, 0.489, 0.489], BEGIN[_E + 1 :]])
_MOST = 1e75  # moves and targets enter as this much: their squares' sums are finite


def begin(far: Bool) -> Float64:
    """The state of a row before anything has come due (SIZE, H); `far` are horizons whose experts begin at the mean."""
    return np.where(far, BEGIN_FAR[:, None], BEGIN[:, None])


def learn(
    state: Float64, moves: Float64, came: Float64, due: Bool, overlap: Int64, *, far: Bool | None = None,
    published: Float64 | None = None,
) -> None:  # fmt: skip
    """Take in targets that have come; in place.

    Args:
        state: (SIZE, R, H).
        moves: What the experts had said (E, R, H), persistence first; in whatever unit, as long as it is the row's.
        came: The moves that came (R, H).
        due: Which there are (R, H).
        overlap: How many forecasts of a horizon wait at a time (H,): errors of overlapping spans say less each, so
            that memory and proof are longer.
        far: Horizons (H,) whose experts begin at the mean; default: none.
        published: What had been published (R, H): a gate that proof has opened is judged by the worse of that and
            the mixture of today's weights; default: by the mixture alone.
    """
    longer = spans_of(overlap)
    said = np.maximum(np.minimum(moves[1:], _MOST), -_MOST)
    came = np.maximum(np.minimum(came, _MOST), -_MOST)
    products = state[1 : _E + 1] * said
    move = products[0] + products[1] + products[2]
    lost = np.square(came - move)
    if published is not None:
        told = np.square(came - np.maximum(np.minimum(published, _MOST), -_MOST))
        proven = (state[_OPEN] > 0.0) & (state[_SEEN] >= proof(overlap))
        lost = np.where(proven, np.maximum(lost, told), lost)
    _gate(state, lost, np.square(came), due=due, overlap=overlap)
    rate = starting_rate(state[_SEEN], HALF_LIFE * longer) * due
    cross, gram = state[_CROSS:_GRAM], state[_GRAM:_SEEN]
    cross += rate * (said * came - cross)
    gram += rate * (said[_LEFT] * said[_RIGHT] - gram)
    state[_CAME] += rate * (came * came - state[_CAME])
    state[_SEEN] += due
    if far is None or not far.any():
        _descend(state, due, ridge=RIDGE, towards=BEGIN[: _E + 1, None, None])
    else:
        believed = far & (state[_OPEN] > 0.0) & (state[_SEEN] < proof(overlap))
        _descend(state, due, ridge=RIDGE + FIRM * believed, towards=begin(far)[: _E + 1, None])


def believe(state: Float64, settled: Bool, overlap: Int64) -> None:
    """Open the gate of rows that have no proof and are known to come back (R, H), shut it where they no longer are."""
    seen, loss, last = state[_SEEN], state[_LOSS], state[_LOSS_LAST]
    np.copyto(state[_OPEN], settled & (loss <= DOUBTED * last), where=seen < proof(overlap))


def weights(state: Float64, there: Bool, overlap: Int64, *, calm: Bool | None = None) -> Float64:
    """Shares of the experts (E, R, H), persistence first; all its own where the gate is shut.

    Until there are errors enough to judge by, a network that is there has all: it has proven itself elsewhere.

    Args:
        state: (SIZE, R, H).
        there: Whether the network has said something (R, H).
        overlap: As of `learn`.
        calm: Where it is not (R, H), a shock came and nothing said since is due: the last value is all that is known.
    """
    is_open = state[_OPEN]
    shares: Float64 = state[: _E + 1] * is_open
    shares[0] += 1.0 - is_open
    if there.any():
        untried = there & (state[_SEEN] < proof(overlap))
        shares *= ~untried
        shares[_E] += untried
    if calm is not None and not calm.all():
        shares *= calm
        shares[0] += ~calm
    return shares


def is_shock(state: Float64, error: Float64, due: Bool) -> Bool:
    """Whether errors of the next step (R,) are such that what was learned may mean nothing any more."""
    known = due & (state[_SEEN, :, 0] >= PROVEN)
    found: Bool = known & (error * error > SHOCK * state[_LOSS, :, 0])
    return found


def _gate(state: Float64, lost: Float64, lost_last: Float64, *, due: Bool, overlap: Int64) -> None:
    """Hold squared errors of the mixture (R, H) against those of persistence."""
    seen, loss, last, is_open = state[_SEEN], state[_LOSS], state[_LOSS_LAST], state[_OPEN]
    longer = spans_of(overlap)
    rate = starting_rate(seen, GATE_HALF_LIFE * longer) * due
    loss += rate * (lost - loss)
    last += rate * (lost_last - last)
    asked = OPEN_BELOW - LUCK * np.sqrt((overlap - 1) / np.maximum(seen, 1.0))
    opened = ((loss < asked * last) | (is_open > 0.0)) & (loss < SHUT_ABOVE * last)
    known = due & (seen >= proof(overlap))
    np.copyto(loss, np.maximum(loss, HELD * last), where=known & opened & (is_open == 0.0) & (overlap > 1))
    np.copyto(is_open, opened, where=known)


def _descend(state: Float64, due: Bool, *, ridge: Float64 | float, towards: Float64) -> None:
    """Weights a step down the squared error that they would have had, pulled `towards` (E, 1, H)."""
    gram = state[_SQUARE].reshape(_E, _E, *due.shape)
    size = gram[0, 0] + gram[1, 1] + gram[2, 2]
    step = np.divide(RATE, size, out=np.zeros_like(size), where=due & (size > 0.0))
    shares = state[: _E + 1]
    change = ridge * (RATE * (step > 0.0)) * (shares - towards)
    slopes = gram * shares[1:]
    change[1:] += step * (slopes[:, 0] + slopes[:, 1] + slopes[:, 2] - state[_CROSS:_GRAM])
    moved = shares * np.exp(-np.maximum(np.minimum(change, 2.0), -2.0))
    moved /= _total(moved)
    np.maximum(moved, LEAST, out=moved)
    moved /= _total(moved)
    np.copyto(shares, moved, where=due)


def _total(shares: Float64) -> Float64:
    """Sum over the experts (R, H), in their order."""
    return np.asarray(shares[0] + shares[1] + shares[2] + shares[3])


def proof(overlap: Int64) -> Float64:
    """Due errors (H,) until an expert can be judged; `overlap` as of `learn`."""
    return PROVEN * spans_of(overlap)


def published(state: Float64) -> Float64:
    """Shares of the experts (E, R, H) in what is published of rows that have proof, persistence first.

    Args:
        state: (SIZE, R, H).
    """
    is_open = state[_OPEN]
    shares: Float64 = state[: _E + 1] * is_open
    shares[0] += np.where(state[_SEEN] > 0.0, 1.0 - is_open, 0.0)
    return shares


def losses(state: Float64) -> tuple[Float64, Float64]:
    """Mean squared error of each expert alone (E, R, H), and that of persistence (R, H).

    Args:
        state: (SIZE, R, H).
    """
    came = state[_CAME]
    squares = state[_SQUARE].reshape(_E, _E, *came.shape)[range(_E), range(_E)]
    lost = np.concatenate([came[None], came - 2.0 * state[_CROSS:_GRAM] + squares])
    return np.maximum(lost, 0.0), came
