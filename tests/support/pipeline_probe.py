"""Holds forecasts against the company that readings travel in; also run as a program, one BLAS kernel a process.

`python -m support.pipeline_probe` prints the fingerprint and one line for each fleet whose forecasts differ; with
`--listed` the one of two features that lists horizons.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import numpy as np

from gaugecast.engine.selftest import fingerprint
from gaugecast.fleet import Fleet, Threshold
from gaugecast.records import Input
from gaugecast.testing import bodies_of, feed, fleet_of, model_for, pipeline_of, reading

#: One tick a size: all streams speak, in batches of this many.
SIZES = (2, 3, 5, 7, 8, 9, 15, 16, 17, 31, 64, 100, 128, 129, 255, 256, 257)
STREAMS = 257
WITNESSES = 11

#: Ticks before those, all streams at once, where intervals and crossings are to be told: they need due errors.
WARM = (STREAMS,) * 34


def listing(names: str, **settings: Any) -> Fleet:
    """A fleet with horizons, intervals, and thresholds above and below for its first and last feature."""
    marks = (Threshold(names[0], True, 21.5, 5), Threshold(names[-1], False, 18.5, 3))
    return fleet_of(names, horizons=(1, 3, 9), intervals=(0.8, 0.95), thresholds=marks, **settings)


FLEETS: dict[str, tuple[Fleet, tuple[int, ...]]] = {
    "1 feature, 64 units": (fleet_of("a", horizon=2), (64,)),
    "2 features, 7 units": (fleet_of("ab"), (7,)),
    "3 joint, odd stack": (fleet_of("abc", rows="joint", horizon=3), (13, 5)),
    "7 features, 9 units": (fleet_of("abcdefg", inputs="g"), (9,)),
    "7 joint, 33 units": (fleet_of("abcdefg", rows="joint"), (33,)),
}
#: Takes as long as all the above.
LISTED = (listing("ab"), (7,))
LONG_FLEETS: dict[str, tuple[Fleet, tuple[int, ...]]] = {
    "2 features, listed horizons": LISTED,
    "1 feature, listed horizons": (listing("a"), (5,)),
    "3 joint, listed horizons": (listing("abc", rows="joint"), (7,)),
    "7 features, listed horizons": (listing("abcdefg"), (5,)),
}


def readings_of(fleet: Fleet, tick: int) -> list[Input]:
    """What every stream says at a tick; a wave, its own for each stream and feature, and now and then a gap."""
    features = len(fleet.features)
    made = []
    for stream in range(STREAMS):
        if (stream + tick) % 17 == 5:
            continue
        phase = 0.7 * stream + 0.3 * np.arange(features)
        values = 20 + np.sin(0.9 * tick + phase) * (1 + stream % 5)
        made.append(reading(tick, *values.tolist(), stream=f"s{stream:03d}"))
    return made


def differing_streams(fleet: Fleet, units: tuple[int, ...], *, sizes: tuple[int, ...] = SIZES) -> Iterator[str]:
    """Streams whose messages in crowds of `sizes` are not, byte for byte, those that they get alone."""
    model = model_for(fleet, units=units)
    crowd, alone = (pipeline_of(fleet, models=[model]) for _ in range(2))
    rng = np.random.default_rng(5)
    witnesses = {f"s{stream:03d}" for stream in rng.choice(STREAMS, WITNESSES, replace=False)}
    in_crowd, by_themselves = [], []
    for tick, size in enumerate((*WARM, *sizes) if fleet.horizons else sizes):
        spoken = readings_of(fleet, tick)
        order = rng.permutation(len(spoken))
        in_crowd += feed(crowd, [spoken[i] for i in order], size)
        by_themselves += feed(alone, [one for one in spoken if one.stream in witnesses])
    ours, theirs = bodies_of(in_crowd), bodies_of(by_themselves)
    for stream in sorted(witnesses):
        if ours[stream] != theirs[stream]:
            yield stream


def main() -> int:
    """Print what differs under the BLAS kernel in force; 0 if nothing does."""
    print(fingerprint())
    fleets = {"listed horizons": LISTED} if "--listed" in sys.argv else FLEETS
    found = {name: list(differing_streams(*made)) for name, made in fleets.items()}
    differing = {name: streams for name, streams in found.items() if streams}
    for name, streams in differing.items():
        print(f"differs: {name}: {streams}")
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
