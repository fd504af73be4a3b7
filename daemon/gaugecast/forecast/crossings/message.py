"""The message of a crossing, on a retained topic of its own."""

from __future__ import annotations

import msgspec

from gaugecast.config.duration import duration_text
from gaugecast.fleet import Fleet, Threshold

#: Version of the shape of these messages.
SCHEMA = 1
_DIGITS = 4


class Crossing(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is told of a threshold of one stream.

    Attributes:
        schema: Version of this message's shape.
        lineage: The ledger's history that `step` counts in.
        step: Of the stream's forecast that was made with it.
        event: `begin`, `update` or `end`.
        began: When the event began, Unix seconds of event time; what has the same `began` is one event.
        at: Event time of the step that this was told at.
        above, below: The threshold, in the feature's unit; one of the two.
        within: How far it looks, a duration.
        observed: The feature's value at `at`; absent where it was not measured.
        crossed: Whether that lies beyond.
        probability: That it will be crossed within `within`; null while too little is known.
        by: The same within each of the listed horizons.
        median: Most likely instant of the first crossing: half of the crossings foretold come before.
        early, late: Nine of ten come after the one, nine of ten before the other.
    """

    schema: int
    fleet: str
    stream: str
    lineage: str = ""
    step: int
    event: str
    began: float
    at: float
    feature: str
    above: float | None = None
    below: float | None = None
    within: str
    observed: float | None = None
    crossed: bool
    probability: float | None
    by: dict[str, float] = {}
    median: float | None = None
    early: float | None = None
    late: float | None = None


class CrossingWriter:
    """Makes the messages of one fleet's thresholds."""

    def __init__(self, fleet: Fleet, lineage: str) -> None:
        self.fleet, self._lineage = fleet, lineage

    def body(
        self, threshold: Threshold, stream: str, *, step: int, at_ns: int, began_ns: int, event: str,
        observed: float, crossed: bool, likely: float, by: dict[int, float], instants: list[float],
    ) -> bytes:  # fmt: skip
        """One message's bytes; `by` are probabilities by ticks, `instants` ticks from `at_ns`."""
        period = self.fleet.period_ns
        early, median, late = (
            None if ticks != ticks or event == "end" else round((at_ns + ticks * period) / 1e9, 3) for ticks in instants
        )
        return _encode(
            Crossing(
                schema=SCHEMA, fleet=self.fleet.name, stream=stream, lineage=self._lineage, step=step, event=event,
                began=began_ns / 1e9, at=at_ns / 1e9, feature=threshold.feature,
                above=threshold.value if threshold.above else None,
                below=None if threshold.above else threshold.value,
                within=duration_text(threshold.within * period), observed=_known(observed), crossed=crossed,
                probability=_rounded(likely),
                by={duration_text(h * period): round(p, _DIGITS) for h, p in by.items() if p == p},
                median=median, early=early, late=late,
            )
        )  # fmt: skip


_encode = msgspec.json.Encoder().encode


def _known(value: float) -> float | None:
    return value if value == value else None


def _rounded(value: float) -> float | None:
    return round(value, _DIGITS) if value == value else None
