"""From a counter's totals to its rate. A total that falls has begun again; a zero may be a glitch, until more is known.

Element by element, so that a result depends on nothing but its own row.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from gaugecast.records import Float64, Int64
from gaugecast.streams.table import NEVER


class Counted(NamedTuple):
    """What is remembered of counters, arrays of one shape.

    Attributes:
        total: The last one that was not a zero to doubt, NaN = none yet.
        at: Its event time, ns.
        zero_at: When it last said 0 where it should not have, ns; `NEVER` = it says what it should.
    """

    total: Float64
    at: Int64
    zero_at: Int64

    @classmethod
    def nothing(cls, shape: tuple[int, ...]) -> Counted:
        """Of counters that have not spoken."""
        return cls(np.full(shape, np.nan), np.zeros(shape, np.int64), np.full(shape, NEVER, np.int64))


def rates_of(totals: Float64, at_ns: Int64, before: Counted, per_ns: Int64) -> tuple[Float64, Counted]:
    """Rates a `per_ns`, and what is to be remembered; shapes of `totals`.

    A rate is NaN where none can be told: at the first total, where the total has fallen, and at the first zero. If the
    next total is not below the one before the zero, that was a glitch; else the counter has begun again at the zero.

    Args:
        totals: NaN = absent.
        at_ns: Event times, of a shape that fits.
        before: What was remembered.
        per_ns: What a rate is of: an hour makes kW of kWh.
    """
    there, known, doubted = ~np.isnan(totals), ~np.isnan(before.total), before.zero_at != NEVER
    zero = there & known & (totals == 0.0) & (before.total > 0.0)
    falls = there & known & ~zero & (totals < before.total)
    again = falls & doubted
    since = np.where(again, before.zero_at, before.at)
    passed = np.where(known, at_ns - since, 0)
    usable = there & known & ~zero & (~falls | again) & (passed > 0)
    risen = np.where(usable, totals - np.where(again, 0.0, before.total), np.nan)
    rate = risen * (per_ns / np.where(usable, passed, 1))
    rate = np.where(zero & doubted, 0.0, rate)
    at = np.broadcast_to(at_ns, totals.shape)
    counts = there & ~zero
    after = Counted(
        np.where(counts, totals, before.total),
        np.where(counts, at, before.at),
        np.where(zero, at, np.where(there, NEVER, before.zero_at)),
    )
    return rate, after
