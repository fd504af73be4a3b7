"""What the metrics are told beside the status: what each round took, and the streams' columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from gaugecast.records import Float64

#: The loop's stages, in their order: the closed set that labels `gaugecast_stage_seconds`.
STAGES = ("poll", "decode", "advance", "commit", "publish")


class RoundFacts(Protocol):
    """What one round of the loop did, as `loop.protocol.RoundFacts` says it."""

    @property
    def messages(self) -> int:
        """MQTT messages taken from the socket."""

    @property
    def stage_s(self) -> Mapping[str, float]:
        """Seconds spent in each of `STAGES`; absent stages did not run."""

    @property
    def commit_s(self) -> float | None:
        """Seconds of the ledger's commit with its fsync; `None` if nothing was committed."""

    @property
    def latencies_s(self) -> Sequence[float]:
        """Seconds from a message's arrival to the publish of each output sent in this round."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamColumns:
    """One fleet's streams as columns, copied (or no longer written to) when handed over. NaN = no value.

    Attributes:
        streams: (n,) ids, in slot order, so that the same streams stay within the cap.
        features: (F,) names of the forecast features.
        observed: (n, F) last values, in the sensors' units.
        forecast: (n, F) expected at the next tick.
        predicted: (n, F) what had been expected for the instant of `observed`.
        skill: (n, F), or `None`.
        quality: (n,) bits of `forecast.message.QUALITY`, or `None`.
        at_s: (n,) event time of `observed`, Unix seconds, or `None`.
        spans: H listed horizons; `ahead` (n, F, H) what is expected then, `lower` and `upper` its interval of `level`.
        marks: Feature, side and value of K thresholds, as labels have them.
        likely: (n, K) probability of a crossing within its reach, and `median_s` until when; or `None`.
        score: (n, F) how strange the last values were, 1.0 is the limit, or `None`.
    """

    fleet: str
    streams: Sequence[str]
    features: Sequence[str]
    observed: Float64
    forecast: Float64
    predicted: Float64
    skill: Float64 | None = None
    quality: np.ndarray[tuple[int], np.dtype[np.uint8]] | None = None
    at_s: Float64 | None = None
    spans: Sequence[str] = ()
    ahead: Float64 | None = None
    lower: Float64 | None = None
    upper: Float64 | None = None
    level: str = ""
    marks: Sequence[tuple[str, str, str]] = ()
    likely: Float64 | None = None
    median_s: Float64 | None = None
    score: Float64 | None = None
