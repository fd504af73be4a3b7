"""Which numbers are remembered of each stream, and where they lie."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from gaugecast.records import Int64
from gaugecast.streams.columns import Array, Column

#: Detectors in the order of their places; of equal scores the first is the reason.
DETECTORS = ("dropout", "stuck", "level", "relation", "surprise", "reference", "calm")
DROPOUT, STUCK, LEVEL, RELATION, SURPRISE, REFERENCE, CALM = range(len(DETECTORS))

#: Columns that change where a stretch ends, and nowhere else.
FITTED = ("weights", "precision", "mean", "spread", "kinship", "limit", "stage", "mark")

#: Detectors that expect a value, so that it can be said by how much another came.
EXPECTING = (LEVEL, RELATION, SURPRISE, REFERENCE)

#: Up to so many features it looks two steps back, else one.
_FEW = 4

#: Running means of a feature, as rows of the column `smooth`.
SMOOTH = 7
SURPRISED, UNEXPECTED, AT, QUIETLY, ABSENT, ERROR, ERRORS = range(SMOOTH)
# surprise and reference: mean of squares in their scales · level · slow mean of the reference's · share of steps
# without it · mean square of forecast errors, and how many

#: Counts of a feature, as rows of the column `runs`.
RUNS = 8
RUN, LONGEST, MOVED, GONE, SIDE, TURNS, SIDE_OF_OTHERS, TURNS_OF_OTHERS = range(RUNS)
# sides and turns of the level by itself, and beyond the others, lie in turn
# steps it stands still, at most so far; steps it moved, steps without it; on which side of its mean, and of what the
# others say, it was last, and how often that changed in this stretch
#: Those that begin anew with a stretch.
OF_STRETCH = [LONGEST, MOVED, GONE, SIDE, TURNS, SIDE_OF_OTHERS, TURNS_OF_OTHERS]


@dataclass(frozen=True, slots=True)
class Layout:
    """Where things lie in the columns of F features.

    Attributes:
        features: F.
        lags: Steps that the reference looks back, P.
    """

    features: int
    lags: int

    @classmethod
    def of(cls, features: int) -> Layout:
        """For F features."""
        return cls(features, 2 if features <= _FEW else 1)

    @property
    def regressors(self) -> int:
        """D: a constant and the lags of all features."""
        return 1 + self.lags * self.features

    @property
    def size(self) -> int:
        """M: a constant, the values now, and the lags."""
        return self.regressors + self.features

    def spec(self) -> list[Column]:
        """The columns of one stream."""
        f, d = self.features, self.regressors
        each = (len(DETECTORS), f)
        return [
            Column("origin", "<f8", (f,), float("nan")),  # the first value: all others are taken relative to it
            Column("lags", "<f8", (self.lags, f)),  # values before, relative to the origin; the newest first
            Column("lagged", "<i4"),  # how many of them follow one another without a gap
            Column("gross", "?", (f,)),  # the last value lay far from what was expected, and was the strangest
            Column("arrived", "?", (f,), True),  # since the last beginning its level has been where it belongs
            Column("moments", "<f8", (self.size * (self.size + 1) // 2,)),  # Σ of products of (1, now, lags), each once
            Column("weights", "<f8", (f, d)),  # of the reference: what it expects
            Column("precision", "<f8", (f, f)),  # inverse covariance of what it misses
            Column("mean", "<f8", (f,)),  # of the level
            Column("spread", "<f8", (f,)),  # of the level; 0 = too still to be judged
            Column("kinship", "<f8", (f, f)),  # inverse covariance of the levels
            Column("smooth", "<f8", (SMOOTH, f)),
            Column("runs", "<i4", (RUNS, f)),
            Column("top", "<f4", each),  # largest statistics of the stretch that is being looked at
            Column("limit", "<f4", each, float("inf")),  # statistics divided by it are scores; inf = does not judge
            Column("counted", "<i8"),  # steps of the stretches so far
            Column("mark", "<i8"),  # counted steps at which the stretch ends
            Column("age", "<i8"),  # steps of the stream, in whatever state
            Column("stage", "i1"),  # see `calibration`
            Column("quiet", "<i8"),  # steps without an event since the reference was frozen; −1 while it is refitted
            Column("settling", "<i4"),  # steps still to come that are not judged; below 0, since when all are
            Column("score", "<f4", each),
        ]


@lru_cache
def pairs(size: int) -> tuple[Int64, Int64]:
    """Rows and columns of a symmetric matrix's upper triangle."""
    one, other = np.triu_indices(size)
    return one.astype(np.int64), other.astype(np.int64)


def turned(array: Array) -> Array:
    """A copy (K, N, F) of (N, K, F) in one piece, whose rows of F are moved as a whole."""
    n, k, features = array.shape
    rows = array.view(f"V{features * array.itemsize}")[:, :, 0]
    return np.ascontiguousarray(rows.T).view(array.dtype).reshape(k, n, features)
