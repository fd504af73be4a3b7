"""Rows of the daemon's own ledger: what was stepped and held, put together by tick as the daemon put it together."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from gaugecast import events
from gaugecast.fleet import Fleet
from gaugecast.ledger.reader import LedgerReader
from gaugecast.records import Float64, Input, Int64, Kind, Verdict

SLICE_ROWS = 20_000
_TAKEN = (Verdict.STEPPED, Verdict.HELD)
_JOIN: dict[str, Callable[[float, float], float]] = {
    "last": lambda _, new: new, "min": min, "max": max, "sum": operator.add, "mean": operator.add,
    "final": lambda _, new: new,
}  # fmt: skip


@dataclass(slots=True)
class _Stream:
    """One stream's open tick, and its rows that are closed."""

    phase: int
    tick: int = 0
    at_ns: int = 0
    values: list[float] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)
    rows: list[tuple[int, list[float]]] = field(default_factory=list)


def ledger_slices(directory: Path, fleet: Fleet) -> Iterator[tuple[str, Int64, Float64]]:
    """Event times (n,) and values (n, F) by stream, those of one stream in order; other fleets' are left out.

    Features are those that the fleet has now, by name: of a time when it had others they are absent.

    Raises:
        StorageError: There is no ledger.
    """
    streams: dict[str, _Stream] = {}
    places: list[int | None] = list(range(len(fleet.features)))
    with LedgerReader(directory) as ledger:
        for batch in ledger.replay(0):
            for one, verdict in zip(batch.inputs, batch.verdicts, strict=True):
                if one.kind == Kind.EVENT:
                    places = _places(one, fleet, places)
                elif one.kind == Kind.READING and one.fleet == fleet.name and verdict in _TAKEN:
                    found = np.frombuffer(one.values, "<f8").tolist()
                    values = [math.nan if i is None or i >= len(found) else found[i] for i in places]
                    _take(streams, fleet, one, values, complete=verdict == Verdict.STEPPED)
            yield from _ripe(streams, SLICE_ROWS)
    for stream in streams.values():
        _close(stream, fleet)
    yield from _ripe(streams, 1)


def _places(one: Input, fleet: Fleet, before: list[int | None]) -> list[int | None]:
    """Where a reading has each of the fleet's features from here on; `None` = nowhere."""
    event = one.event
    if not isinstance(event, events.FleetConfigured):
        return before
    then = Fleet.from_json(event.spec)
    if then.name != fleet.name:
        return before
    names = [feature.name for feature in then.features]
    return [names.index(feature.name) if feature.name in names else None for feature in fleet.features]


def _take(streams: dict[str, _Stream], fleet: Fleet, one: Input, values: list[float], *, complete: bool) -> None:
    """Join a reading to its stream's open tick; one of a later tick closes that first, a complete one its own."""
    on_the_clock = fleet.aggregated
    stream = streams.get(one.stream)
    if stream is None:
        stream = streams[one.stream] = _Stream(phase=0 if on_the_clock else one.at_ns)
    tick = (one.at_ns - stream.phase + fleet.period_ns // 2) // fleet.period_ns
    if stream.counts and tick != stream.tick:
        _close(stream, fleet)
    if not stream.counts:
        stream.tick, stream.at_ns = tick, one.at_ns
        stream.values, stream.counts = [math.nan] * len(values), [0] * len(values)
        if not on_the_clock:  # a sensor whose period is not quite the fleet's
            stream.phase = one.at_ns - tick * fleet.period_ns
    for f, (value, feature) in enumerate(zip(values, fleet.features, strict=True)):
        if value == value:
            stream.values[f] = _JOIN[feature.aggregate](stream.values[f], value) if stream.counts[f] else value
            stream.counts[f] += 1
    stream.at_ns = max(stream.at_ns, one.at_ns)
    if complete and not on_the_clock:
        _close(stream, fleet)


def _close(stream: _Stream, fleet: Fleet) -> None:
    if not stream.counts:
        return
    means = [feature.aggregate == "mean" for feature in fleet.features]
    row = [v / n if mean and n else v for v, n, mean in zip(stream.values, stream.counts, means, strict=True)]
    stream.rows.append((stream.tick * fleet.period_ns if fleet.aggregated else stream.at_ns, row))
    stream.counts = []


def _ripe(streams: dict[str, _Stream], least: int) -> Iterator[tuple[str, Int64, Float64]]:
    for name, stream in streams.items():
        if len(stream.rows) >= least:
            at_ns, values = zip(*stream.rows, strict=True)
            yield name, np.array(at_ns, np.int64), np.array(values, np.float64)
            stream.rows.clear()
