"""When an anomaly is told of: an event that begins, is brought up to date, and ends; with hysteresis.

A stream has at most one open event. It begins when the score has been at its limit, or above, for some steps, few of
them in between below; it ends when the score has long been clearly below.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from gaugecast.forecast.anomaly.detectors import strange
from gaugecast.forecast.anomaly.layout import DETECTORS
from gaugecast.forecast.telling import BEGIN, END, UPDATE
from gaugecast.records import Bool, Float64, Int64
from gaugecast.streams.columns import Array, Column

#: Score below which an event comes to its end; and from which it is critical.
SHUTS, CRITICAL = 0.8, 2.0
#: How bad it is; the last, however bad, while somebody wants no noise of the stream.
SEVERITIES = ("warning", "critical", "silenced")
SILENCED = SEVERITIES.index("silenced")
#: Steps between two updates, in minimum durations.
_PACE = 12
#: How much less each step counts towards the reason, and how little at least: what is wrong first spoils what is
#: expected of the others, so that they look strange, too.
_FADES, _FAINTEST = 0.9, 0.02


def spec_of(features: int) -> list[Column]:
    """Columns of each stream's event."""
    return [
        Column("open", "?"),
        Column("heat", "<i4"),  # steps at or above the limit, less those below
        Column("calm", "<i4"),  # steps in a row clearly below it, while it was open or above
        Column("began", "<i8"),  # event time of the step that opened it, ns; names the event
        Column("peak", "<f4"),  # highest score since then
        Column("blame", "<f4", (len(DETECTORS), features)),  # what the scores above the limit were of
        Column("weight", "<f4", (), 1.0),  # of the next step in it
        Column("told_severity", "i1"),
        Column("told_lead", "<i4"),  # place of the largest in `blame`
        Column("since_told", "<i4"),  # steps
        Column("told", "<i4"),  # messages of the event
        Column("acknowledged", "?"),
        Column("silenced", "<i8"),  # until this instant of arrival, ns
    ]


def concerned(opened: Bool, heat: Array, weight: Array, score: Float64) -> Int64:
    """Rows that `judge` has to look at: of all others nothing was strange, is strange, or is told.

    Args:
        opened, heat, weight: Columns of `spec_of` of N streams.
        score: As for `judge`.
    """
    return np.flatnonzero(opened | (heat > 0) | (weight != 1.0) | strange(score))


class Judged(NamedTuple):
    """What is told of M streams now: rows of N, and which of `EVENTS`."""

    row: Int64
    event: Int64


def judge(
    state: dict[str, Array], score: Float64, *, settling: Bool, off: Bool, silenced: Bool, at: Int64, least: int
) -> Judged:
    """Take in the scores, in place, and say what is to be told.

    Args:
        state: The columns of `spec_of` of N streams.
        score: By detector and feature (N, DETECTORS, F).
        settling: What is not judged now (N,): it neither is strange nor brings an event to its end.
        off: Whose machine is off (N,): its event ends.
        silenced: Of whom somebody wants no noise (N,).
        at: Event time now, ns (N,).
        least: Steps that an anomaly lasts before it is told of.
    """
    highest = score.swapaxes(0, 1).max(axis=0).max(axis=1)
    over = highest >= 1.0
    heat = np.where(over, np.minimum(state["heat"] + 1, 2 * least), np.maximum(state["heat"] - 1, 0))
    state["heat"] = np.where(settling, state["heat"], heat)
    calm = np.where(highest >= SHUTS, 0, np.minimum(state["calm"] + 1, 2**30))
    state["calm"] = np.where(settling, state["calm"], calm)
    begins = ~state["open"] & (state["heat"] >= least)
    ends = state["open"] & (off | (state["calm"] >= 2 * least))
    goes_on = state["open"] | begins
    excess = np.where(score >= 1.0, np.minimum(score, 100.0), 0.0)
    quiet = ~goes_on & (state["heat"] == 0)
    weight = state["weight"]
    state["blame"] = np.where(quiet[:, None, None], 0.0, state["blame"] + weight[:, None, None] * excess)
    fainter = np.maximum(_FADES * weight, _FAINTEST).astype(np.float32)
    state["weight"] = np.where(quiet, np.float32(1.0), fainter)
    state["began"] = np.where(begins, at, state["began"])
    state["peak"] = np.where(begins, highest, np.where(goes_on, np.maximum(state["peak"], highest), state["peak"]))
    severity = severity_of(state["peak"], silenced)
    lead = state["blame"].reshape(len(highest), -1).argmax(axis=1).astype(np.int32)
    state["since_told"] = np.minimum(state["since_told"] + 1, 2**30)
    other = (severity != state["told_severity"]) | (lead != state["told_lead"])
    turned = (severity == SILENCED) != (state["told_severity"] == SILENCED)
    again = state["open"] & ~ends & (turned | other & (state["since_told"] >= _PACE * least))
    told = begins | ends | again
    state["open"] = goes_on & ~ends
    state["acknowledged"] &= ~begins
    state["heat"] = np.where(ends | off, 0, state["heat"])
    state["told_severity"] = np.where(told, severity, state["told_severity"])
    state["told_lead"] = np.where(told, lead, state["told_lead"])
    state["since_told"] = np.where(told, 0, state["since_told"]).astype(np.int32)
    row = np.flatnonzero(told)
    return Judged(row, np.where(begins, BEGIN, np.where(ends, END, UPDATE))[row])


def severity_of(peak: Array, silenced: Bool) -> Array:
    """Places in `SEVERITIES` (N,)."""
    return np.where(silenced, SILENCED, peak >= CRITICAL).astype(np.int8)
