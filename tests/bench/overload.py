"""How soon forecasts are of now again, after more came for a while than could be taken."""

from __future__ import annotations

import math
import time
from typing import NamedTuple

from bench.contest import DRAIN_S, Lane, our_lane
from bench.results import Bound, Result
from bench.rig import workplace
from bench.scale import Scale

STREAMS = 1000
#: Twice the held rate for so long, then half of it.
OVER_S = 20.0
#: A forecast is of now where no more than so many seconds of readings lie before it.
LAG_S = 1.0
#: What it may take beyond backlog ÷ (capacity − load), s.
SPARE_S = 5.0
PATIENCE_S = 120.0
_LOOK_S = 0.1
_RAMP_S, _RATE_S = 1.5, 1.0


def measure(scale: Scale) -> list[Result]:
    """From the end of the overload to the first moment in which no more than a second of readings waits."""
    with workplace() as place, our_lane(place, streams=STREAMS, qos=1) as lane:
        held = lane.pace(scale).rate
        print(f"    held: {held:,.0f}/s", flush=True)
        over_s = scale.seconds(OVER_S)
        over = _watch(lane, 2 * held, until_s=over_s)
        backlog = lane.traffic.sent - lane.counter.read()
        after = _watch(lane, held / 2, until_s=PATIENCE_S, lag=LAG_S * held / 2)
        lost = 0 if lane.counter.reached(lane.traffic.sent, DRAIN_S) else lane.traffic.sent - lane.counter.settled()
    least = min(over.least, after.least) / held
    allowed_s = backlog / (held / 2) + SPARE_S
    note = f"{2 * held:,.0f}/s for {over_s:.0f} s, then {held / 2:,.0f}/s; {backlog:,} waited when the overload ended"
    told = f"{note}; the bound is {backlog:,} ÷ {held / 2:,.0f}/s + {SPARE_S:.0f} s"
    return [
        Result("overload_recovery_s", "s", [after.took_s], bound=Bound("≤", round(allowed_s, 1)), note=told),
        Result("overload_least_output", "of the held rate", [least], bound=Bound("≥", 0.5), note=note),
        Result("overload_lost", "forecasts", [lost], bound=Bound("≤", 0), note=note),
    ]


class Watched(NamedTuple):
    """How long it took, s, and the least that was confirmed in a second of it, 1/s."""

    took_s: float
    least: float


def _watch(lane: Lane, rate: float, *, until_s: float, lag: float = -1.0) -> Watched:
    """Offer a rate until `until_s` are over, or until no more than `lag` messages wait."""
    first = lane.traffic.sent
    lane.traffic.begin(rate, until_s)
    began = time.monotonic()
    seen = [(0.0, lane.counter.read())]
    while (now_s := time.monotonic() - began) < until_s:
        seen.append((now_s, lane.counter.read()))
        if first + rate * now_s - seen[-1][1] <= lag:
            break
        time.sleep(_LOOK_S)
    lane.traffic.stop()
    return Watched(now_s, least_rate([look for look in seen if look[0] >= _RAMP_S], _RATE_S))


def least_rate(seen: list[tuple[float, int]], window_s: float) -> float:
    """The least a second over stretches of at least `window_s` between looks (s, count); all, where it is short."""
    if len(seen) < 2:
        return math.inf  # over before it could be looked at
    rates = []
    start = 0
    for at_s, count in seen:
        while start + 1 < len(seen) and at_s - seen[start + 1][0] >= window_s:
            start += 1
        if at_s - seen[start][0] >= window_s:
            rates.append((count - seen[start][1]) / (at_s - seen[start][0]))
    (first_s, first), (last_s, last) = seen[0], seen[-1]
    return min(rates) if rates else (last - first) / max(last_s - first_s, 1e-9)
