"""Ticks: whole multiples of the period, counted from a phase that follows each sensor's own clock.

All in integer nanoseconds, element by element, so that a result depends on nothing but its own row.
"""

from __future__ import annotations

import numpy as np

from gaugecast.records import Bool, Int64

#: The phase takes over one eighth of each reading's distance from its tick. A sensor of 60.02 s on a period of
#: 60 s then stands 0.16 s off, and jitter of a third of a period is still rounded to the right tick.
_FOLLOW = 8


def tick_of(at_ns: Int64, phase_ns: Int64, period_ns: int) -> Int64:
    """Nearest tick of each event time: round((at − phase) / period), halves upward. Shapes (N,)."""
    return (at_ns - phase_ns + period_ns // 2) // period_ns


def follow_phase(at_ns: Int64, tick: Int64, phase_ns: Int64, period_ns: int, learn: Bool) -> Int64:
    """Move each phase towards its reading where `learn`; Shapes (N,)."""
    distance = at_ns - (phase_ns + tick * period_ns)
    return np.where(learn, phase_ns + distance // _FOLLOW, phase_ns)


def phase_at(at_ns: Int64, tick: Int64, period_ns: int) -> Int64:
    """The phase for which `at_ns` is exactly `tick`. Shapes (N,)."""
    return at_ns - tick * period_ns


def ticks_along(at_ns: Int64, phase_ns: int, newest_ns: int, period_ns: int) -> tuple[Int64, int]:
    """Ticks (n,) of one stream's readings one after the other, by `tick_of` and `follow_phase`, and the phase then.

    Args:
        at_ns: Event times (n,).
        phase_ns: Before the first.
        newest_ns: Newest event time before the first; a phase follows only what is half a period later than that.
        period_ns: Of the ticks.
    """
    ticks = tick_of(at_ns, np.array(phase_ns, np.int64), period_ns)
    if np.array_equal(phase_ns + ticks * period_ns, at_ns):  # nothing to follow
        return ticks, phase_ns
    half = period_ns // 2
    for i, at in enumerate(at_ns.tolist()):  # on plain integers: a call of both costs ten times as much
        tick = (at - phase_ns + half) // period_ns
        ticks[i] = tick
        if at - newest_ns > half:
            phase_ns += (at - phase_ns - tick * period_ns) // _FOLLOW
        newest_ns = max(newest_ns, at)
    return ticks, phase_ns
