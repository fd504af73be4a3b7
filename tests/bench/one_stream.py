"""One stream alone, faster than it can be taken: what a round costs that has but one row."""

from __future__ import annotations

from bench.contest import our_lane
from bench.results import Bound, Result
from bench.rig import workplace
from bench.scale import Scale

#: Event time may run ahead by ten days of seconds: some more than is taken here.
WARM = 300


def measure(scale: Scale) -> list[Result]:
    """Elapsed time a reading in a closed loop at QoS 1, and processor time beside it."""
    with workplace() as place, our_lane(place, streams=1, qos=1) as lane:
        lane.warm(WARM)
        paces = [lane.pace(scale) for _ in range(scale.rounds)]
    took_us = [1e6 / pace.rate for pace in paces]
    cpu = ", ".join(f"{pace.cpu_us:.0f}" for pace in paces)
    note = f"elapsed a reading, a second's under way; processor time {cpu} µs"
    return [Result("one_stream_us", "µs", took_us, bound=Bound("≤", 200.0), note=note)]
