"""What the API takes: parameters of questions, and the body of the one that has one. Times are Unix seconds UTC."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

MOST_POINTS = 4000
Name = Annotated[str, Meta(max_length=256)]
Instant = Annotated[float, Meta(ge=-4_417_977_600, le=4_417_977_600, description="Unix seconds UTC.")]
SortKey = Literal[
    "stream", "fleet", "feature", "at", "observed", "residual", "surprise", "skill", "quality", "crossing"
]


class Nothing(msgspec.Struct, frozen=True, kw_only=True):
    """No parameters."""


class StreamsParams(msgspec.Struct, frozen=True, kw_only=True):
    """Which rows.

    Attributes:
        search: Words that must all be found in the stream's id, its fleet or the feature; no matter which case.
    """

    fleet: Name | None = None
    search: Annotated[str, Meta(max_length=256)] = ""
    quality: Annotated[str, Meta(max_length=32)] = ""
    sort: SortKey = "stream"
    descending: bool = False
    offset: Annotated[int, Meta(ge=0, le=1 << 53)] = 0
    limit: Annotated[int, Meta(ge=1, le=500)] = 100


class MostParams(msgspec.Struct, frozen=True, kw_only=True):
    """How many."""

    limit: Annotated[int, Meta(ge=1, le=200)] = 20


class SparksParams(msgspec.Struct, frozen=True, kw_only=True):
    """Of which streams of a fleet."""

    fleet: Name
    stream: Annotated[list[Name], Meta(min_length=1, max_length=60)]


class StreamParams(msgspec.Struct, frozen=True, kw_only=True):
    """Which stream."""

    fleet: Name
    stream: Name


class SeriesParams(msgspec.Struct, frozen=True, kw_only=True):
    """Which stretch; without `from_s` the newest `points` readings.

    Attributes:
        horizon: Place of the forecast laid over among the fleet's horizons: 0 is the next step.
    """

    fleet: Name
    stream: Name
    feature: Name
    from_s: Instant | None = None
    to_s: Instant | None = None
    points: Annotated[int, Meta(ge=10, le=MOST_POINTS)] = 1000
    horizon: Annotated[int, Meta(ge=0, le=63)] = 0


class RefusedParams(msgspec.Struct, frozen=True, kw_only=True):
    """Which of the newest."""

    reason: Annotated[str, Meta(max_length=64)] | None = None
    limit: Annotated[int, Meta(ge=1, le=500)] = 100


class TryBody(msgspec.Struct, frozen=True, kw_only=True):
    """A message to try; `payload_base64` instead of `payload` where it is no text."""

    topic: Annotated[str, Meta(min_length=1, max_length=65_535)]
    payload: Annotated[str, Meta(max_length=262_144)] = ""
    payload_base64: Annotated[str, Meta(max_length=349_528)] | None = None
    retain: bool = False


# -- what changes something


class FleetBody(msgspec.Struct, frozen=True, kw_only=True):
    """Of which fleet."""

    fleet: Name


class ShadowBody(msgspec.Struct, frozen=True, kw_only=True):
    """Which weights are to be on trial."""

    fleet: Name
    version: Annotated[str, Meta(min_length=1, max_length=256)]


class StreamBody(msgspec.Struct, frozen=True, kw_only=True):
    """Which stream; of a whole fleet nothing is changed from here."""

    fleet: Name
    stream: Annotated[str, Meta(min_length=1, max_length=256)]


class RenameBody(msgspec.Struct, frozen=True, kw_only=True):
    """Which stream goes on under which id."""

    fleet: Name
    stream: Annotated[str, Meta(min_length=1, max_length=256)]
    to: Annotated[str, Meta(min_length=1, max_length=256)]


class SilenceBody(msgspec.Struct, frozen=True, kw_only=True):
    """Which stream, and for how long; 0 = no longer."""

    fleet: Name
    stream: Annotated[str, Meta(min_length=1, max_length=256)]
    for_s: Annotated[float, Meta(ge=0, le=30 * 86_400)]
