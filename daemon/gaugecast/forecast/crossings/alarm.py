"""When a crossing is told of: an event that begins, is brought up to date, and ends; with hysteresis.

It begins when a crossing within the threshold's reach is more likely than not, or has happened; it ends when one has
long been unlikely. Between the two it is told again where what was told is no longer so.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from gaugecast.forecast.telling import BEGIN, END, UPDATE
from gaugecast.records import Bool, Float64, Int64
from gaugecast.streams.columns import Array, Column

OPENS, SHUTS = 0.5, 0.25  # probability within the reach
MOVED = 0.1  # of the probability, and of the median in reaches: told again
#: Ticks for which it must be unlikely, and between two updates, as a share of the reach; at least so many.
_CALM, _LEAST_CALM = 60, 3


def spec_of(thresholds: int) -> list[Column]:
    """Columns of each stream's K events."""
    k = (thresholds,)
    return [
        Column("open", "?", k),
        Column("crossed", "?", k),  # the last value lay beyond
        Column("calm", "<i4", k),  # ticks in a row in which a crossing was unlikely
        Column("began", "<i8", k),  # event time of the step that opened it, ns
        Column("likely", "<f8", k, np.nan),  # probability within the reach
        Column("instants", "<f8", (*k, 3), np.nan),  # early bound, median and late bound, ticks from the last step
        Column("told_likely", "<f8", k),
        Column("told_median", "<f8", k),  # ticks of the stream's steps
        Column("told_tick", "<i8", k),
    ]


class Judged(NamedTuple):
    """What is told of M thresholds now: rows of N, thresholds of K, and which of `EVENTS`."""

    row: Int64
    threshold: Int64
    event: Int64


def judge(
    state: dict[str, Array], likely: Float64, instants: Float64, *, crossed: Bool, at: Int64, tick: Int64, reach: Int64
) -> Judged:
    """Take in what is likely now, and say what is to be told; in place.

    Args:
        state: The columns of `spec_of` of N streams.
        likely: Probability within the reach (N, K), NaN while it is not known.
        instants: See `instants` (N, K, 3).
        crossed: Whether the last value lies beyond (N, K).
        at: Event time now, ns (N,).
        tick: Now (N,).
        reach: In ticks (K,).
    """
    likely = np.where(crossed, 1.0, likely)
    instants = np.where(crossed[..., None], 0.0, instants)
    rest = np.maximum(_LEAST_CALM, reach // _CALM)
    calm = np.where(likely >= SHUTS, 0, state["calm"] + 1)  # what is not known is not likely
    median = tick[:, None] + instants[..., 1]
    begins = ~state["open"] & (likely >= OPENS)
    ends = state["open"] & (calm >= rest)
    elsewhere = np.abs(likely - state["told_likely"]) >= MOVED
    elsewhere |= ~crossed & (np.abs(median - state["told_median"]) >= MOVED * reach)
    again = state["open"] & ~ends & elsewhere & (tick[:, None] - state["told_tick"] >= rest)
    again |= state["open"] & ~ends & (crossed != state["crossed"])
    told = begins | ends | again
    state["open"] = (state["open"] | begins) & ~ends
    state["began"] = np.where(begins, at[:, None], state["began"])
    state["crossed"], state["calm"] = crossed, np.minimum(calm, 2**30).astype(np.int32)
    state["likely"], state["instants"] = likely, instants
    state["told_likely"] = np.where(told, np.nan_to_num(likely), state["told_likely"])
    state["told_median"] = np.where(told, np.nan_to_num(median), state["told_median"])
    state["told_tick"] = np.where(told, tick[:, None], state["told_tick"])
    row, threshold = np.nonzero(told)
    event = np.where(begins, BEGIN, np.where(ends, END, UPDATE))[row, threshold]
    return Judged(row, threshold, event)
