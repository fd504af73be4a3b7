"""What the daemon told of streams that somebody watches: intervals and quality, which the ledger does not keep."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from gaugecast.console.table import quality_words
from gaugecast.control.answers import StreamRow

MOST_STREAMS, MOST_STEPS = 64, 4000


class Said(NamedTuple):
    """At one step.

    Attributes:
        words: Quality.
        bounds: By feature the narrowest interval at each horizon; `None` where too little was known.
    """

    words: str
    bounds: dict[str, list[tuple[float, float] | None]]


class Told:
    """The last steps of the streams that were watched last. Any thread."""

    def __init__(self) -> None:
        self._streams: dict[tuple[str, str], tuple[deque[int], dict[int, Said]]] = {}
        self._lock = threading.Lock()

    def note(self, rows: Sequence[StreamRow]) -> None:
        """Take what is told of one stream."""
        first = rows[0]
        if first.at_s is None:
            return
        at = _instant(first.at_s)
        with self._lock:
            known = self._streams.pop((first.fleet, first.stream), None)
            order, steps = (deque[int](), dict[int, Said]()) if known is None else known
            self._streams[first.fleet, first.stream] = order, steps  # behind all others
            if len(self._streams) > MOST_STREAMS:
                del self._streams[next(iter(self._streams))]
            if at not in steps:
                order.append(at)
            steps[at] = Said(quality_words(first.quality), {row.feature: _bounds(row) for row in rows})
            if len(order) > MOST_STEPS:
                steps.pop(order.popleft(), None)

    def of(self, fleet: str, stream: str) -> Mapping[int, Said]:
        """By event time, in microseconds, of the step."""
        with self._lock:
            known = self._streams.get((fleet, stream))
            return {} if known is None else dict(known[1])


def _bounds(row: StreamRow) -> list[tuple[float, float] | None]:
    return [(one.intervals[0].lower, one.intervals[0].upper) if one.intervals else None for one in row.ahead]


def _instant(at_s: float) -> int:
    return round(at_s * 1e6)
