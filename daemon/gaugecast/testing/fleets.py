"""Fleets in a line: a feature a letter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gaugecast.fleet import Aggregate, Feature, Fleet

SECOND = 1_000_000_000
#: When the readings of tests begin, Unix ns.
T0 = 1_700_000_000 * SECOND


def features_of(names: str, *, inputs: str = "", aggregates: Sequence[Aggregate] = ()) -> tuple[Feature, ...]:
    """A feature a letter; those in `inputs` have the role `input`."""
    last: Aggregate = "last"
    kinds = [*aggregates, *[last for _ in names[len(aggregates) :]]]
    return tuple(
        Feature(name, path=(name,), role="input" if name in inputs else "forecast", aggregate=kind)
        for name, kind in zip(names, kinds, strict=True)
    )


def fleet_of(names: str = "pq", *, inputs: str = "", aggregates: Sequence[Aggregate] = (), **settings: Any) -> Fleet:
    """Fleet `tanks` with a feature a letter, read from `tank/{tank}` as JSON with the time at `$.t`, one second a tick.

    Args:
        names: A letter each.
        inputs: Those that are known and not forecast.
        aggregates: Of the first features; `last` for the others.
        settings: Any other of `gaugecast.fleet.Fleet`, by name.
    """
    chosen: dict[str, Any] = {"time_path": ("t",), "period_ns": SECOND, "bridge": 3, **settings}
    features = features_of(names, inputs=inputs, aggregates=aggregates)
    return Fleet("tanks", ("tank/{tank}",), "{tank}", features, **chosen)
