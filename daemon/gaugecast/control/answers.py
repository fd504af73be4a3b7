"""What the daemon answers to `streams`; to `status` it answers the tree of `gaugecast.status`."""

from __future__ import annotations

import msgspec

from gaugecast.status import Status


class StreamRow(msgspec.Struct, frozen=True, kw_only=True):
    """One feature of one stream, in the sensor's unit.

    Attributes:
        step: The stream's step number: a new one means a new reading.
        at_s: Event time of `observed`, Unix seconds.
        forecast: Expected at the next tick.
        predicted: What had been expected for the instant of `observed`; residual = observed − predicted.
        skill: Discounted, over persistence.
        quality: Flags of the last forecast: warming, bridged, partial, fallback, stale, unchanged.
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
