"""What the daemon answers to `streams`; to `status` it answers the tree of `gaugecast.status`."""

from __future__ import annotations

import math

import msgspec

from gaugecast.status import Status


class AnomalyRow(msgspec.Struct, frozen=True, kw_only=True):
    """What is wrong with a stream now.

    Attributes:
        id: Names the anomaly, as its messages do.
        began_s: Event time at which it began, Unix seconds.
        score, peak: Now, and the highest; 1.0 is the limit.
        severity: `warning`, `critical` or `silenced`.
        shares: By feature, of what is strange, the largest first.
        detectors: By the same features, what finds each strange.
        acknowledged: Somebody knows of it.
    """

    id: str
    began_s: float
    score: float
    peak: float
    severity: str
    shares: dict[str, float] = {}
    detectors: dict[str, str] = {}
    acknowledged: bool = False


class CrossingRow(msgspec.Struct, frozen=True, kw_only=True):
    """What is foretold of a threshold; times count from the row's `at_s`.

    Attributes:
        side: `above` or `below`.
        within: How far it looks, a duration.
        open: Whether it is told of.
        crossed: Whether the last value lies beyond.
        probability: That it is crossed within `within`; null while too little is known.
        median_s: Until half of the crossings foretold have happened; `early_s` a tenth, `late_s` nine tenths.
    """

    side: str
    value: float
    within: str
    open: bool = False
    crossed: bool = False
    probability: float | None = None
    early_s: float | None = None
    median_s: float | None = None
    late_s: float | None = None

    def words(self, unit: str) -> str:
        """`rises above 8.2 bar in 14 min (11 … 22), P = 0.83`."""
        value = f"{self.value:g} {unit}".rstrip()
        if self.crossed:
            return f"is {self.side} {value}"
        if self.median_s is None or self.probability is None:
            return f"may cross {value}"
        early, median, late = _spans(self.early_s or 0.0, self.median_s, self.late_s or self.median_s)
        direction = "rises above" if self.side == "above" else "falls below"
        return f"{direction} {value} in {median} ({early} … {late}), P = {self.probability:.2f}"


def _spans(*seconds: float) -> tuple[str, ...]:
    """In one unit, which the second alone names."""
    scale, unit = next(
        ((size, unit) for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")) if seconds[1] >= 2 * size), (1, "s")
    )
    texts = [f"{math.floor(one / scale + 0.5):d}" for one in seconds]
    return texts[0], f"{texts[1]} {unit}", texts[2]


class IntervalRow(msgspec.Struct, frozen=True, kw_only=True):
    """An interval around a forecast.

    Attributes:
        level: Share of what comes that it is to hold, such as 0.8.
    """

    level: float
    lower: float
    upper: float


class AheadRow(msgspec.Struct, frozen=True, kw_only=True):
    """What is expected at one horizon; times count from the row's `at_s`.

    Attributes:
        intervals: The narrowest first; none while too little is known.
    """

    in_s: float
    forecast: float | None = None
    intervals: list[IntervalRow] = []


class StreamRow(msgspec.Struct, frozen=True, kw_only=True):
    """One feature of one stream, in the sensor's unit.

    Attributes:
        step: The stream's step number: a new one means a new reading.
        at_s: Event time of `observed`, Unix seconds.
        forecast: Expected at the next tick.
        predicted: What had been expected for the instant of `observed`; residual = observed − predicted.
        skill: Discounted, over persistence.
        quality: Flags of the last forecast: warming, bridged, partial, fallback, stale, unchanged.
        lower, upper: Narrowest interval around `forecast`; null without intervals, and while too little is known.
        crossings: Of the thresholds of this feature, the likeliest first.
        ahead: Where it was asked for: what is expected at each horizon, the nearest first.
        score: How strange the value was, 1.0 is the limit; null while it is not judged.
        anomaly: Of the stream, while an event is open.
        silenced_until_s: While somebody wants no noise of the stream: until then, Unix seconds.
    """

    fleet: str
    stream: str
    feature: str
    unit: str = ""
    step: int = 0
    at_s: float | None = None
    observed: float | None = None
    forecast: float | None = None
    predicted: float | None = None
    skill: float | None = None
    quality: list[str] = []
    lower: float | None = None
    upper: float | None = None
    crossings: list[CrossingRow] = []
    ahead: list[AheadRow] = []
    score: float | None = None
    anomaly: AnomalyRow | None = None
    silenced_until_s: float | None = None

    @property
    def residual(self) -> float | None:
        """Observed minus what had been forecast for that instant."""
        return None if self.observed is None or self.predicted is None else self.observed - self.predicted


class StreamsAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Answer to `requests.Streams`: rows in stable order, a stream's features next to each other.

    Attributes:
        total: Streams that match, shown or not.
        status: The daemon's, for the head of the table.
    """

    rows: list[StreamRow]
    total: int
    status: Status


class FeatureColumns(msgspec.Struct, frozen=True, kw_only=True):
    """One feature of a fleet's streams, a value a stream; null = not known. As of `StreamRow`."""

    feature: str
    unit: str
    observed: list[float | None]
    forecast: list[float | None]
    predicted: list[float | None]
    skill: list[float | None]


class MarkColumns(msgspec.Struct, frozen=True, kw_only=True):
    """One threshold of a fleet, a value a stream; as of `CrossingRow`.

    Attributes:
        place: Which of the fleet's features it is of.
    """

    place: int
    side: str
    value: float
    within: str
    open: list[bool]
    crossed: list[bool]
    probability: list[float | None]
    early_s: list[float | None]
    median_s: list[float | None]
    late_s: list[float | None]


class FleetColumns(msgspec.Struct, frozen=True, kw_only=True):
    """Some of a fleet's streams.

    Attributes:
        at_s: Event time of the last reading, Unix seconds.
        quality: Bits, in the order of `StreamRow.quality`'s flags.
    """

    fleet: str
    period_s: float
    streams: list[str]
    step: list[int]
    at_s: list[float]
    quality: list[int]
    features: list[FeatureColumns]
    marks: list[MarkColumns] = []


class TableAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Answer to `requests.TableQuery`.

    Attributes:
        total: Streams of all fleets.
    """

    fleets: list[FleetColumns]
    total: int
