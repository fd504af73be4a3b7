"""What the daemon answers to `streams`; to `status` it answers the tree of `gaugecast.status`."""

from __future__ import annotations

import msgspec

from gaugecast.status import Status


class AnomalyRow(msgspec.Struct, frozen=True, kw_only=True):
    """What is wrong with a stream now.

    Attributes:
        id: Names the anomaly, as its messages do.
        began_s: Event time at which it began, Unix seconds.
        score, peak: Now, and the highest; 1.0 is the limit.
        severity: `warning` or `critical`.
        shares: By feature, of what is strange, the largest first.
        detectors: By the same features, what finds each strange.
    """

    id: str
    began_s: float
    score: float
    peak: float
    severity: str
    shares: dict[str, float] = {}
    detectors: dict[str, str] = {}


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
        score: How strange the value was, 1.0 is the limit; null while it is not judged.
        anomaly: Of the stream, while an event is open.
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
    score: float | None = None
    anomaly: AnomalyRow | None = None

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
