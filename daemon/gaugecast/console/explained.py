"""Why: what was known of a stream at an instant of the past, how strange it was, and what was said of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import msgspec
from msgspec import Meta

from gaugecast.console.asked import Instant, Name


class Looked(msgspec.Struct, frozen=True, kw_only=True):
    """One feature at one step, in the sensor's unit; null = not known.

    Attributes:
        expected: What had been forecast for this instant; `lower` and `upper` as they were told with it.
        forecast: Of the next step.
        score: How strange the value is, 1.0 is the limit.
        detectors: The same by detector, of those that judge this feature.
    """

    observed: float | None = None
    expected: float | None = None
    lower: float | None = None
    upper: float | None = None
    forecast: float | None = None
    score: float | None = None
    detectors: dict[str, float] = {}


class Moment(msgspec.Struct, frozen=True, kw_only=True):
    """A step of the stream.

    Attributes:
        at_s: Its event time, Unix seconds.
        open: Severity of the anomaly that is open after it; empty = none is.
        reason: What is strangest, in a sentence; empty where nobody looks, or nothing is.
        told: What was told of anomalies with it: `begin`, `update`, `end`.
        crossings: What is foretold of thresholds after it, or seen to be crossed, in words.
    """

    at_s: float
    step: int
    features: dict[str, Looked]
    open: str = ""
    reason: str = ""
    told: list[str] = []
    crossings: list[str] = []


class ExplainParams(msgspec.Struct, frozen=True, kw_only=True):
    """Of which stream, and when.

    Attributes:
        at_s: The last step is the one of this instant, or the last before it; null = the newest.
        steps: How many readings, the last ones up to then.
    """

    fleet: Name
    stream: Name
    at_s: Instant | None = None
    steps: Annotated[int, Meta(ge=1, le=2000)] = 20


class ExplainView(msgspec.Struct, frozen=True, kw_only=True):
    """Steps as they were known then, computed again.

    Attributes:
        moments: Oldest first.
        units: By feature.
        compared: Messages that were held against those published, of which so many `differing`.
        elsewhere: Another machine made some, which are compared within a tolerance; all others byte for byte.
    """

    fleet: str
    stream: str
    moments: list[Moment]
    units: dict[str, str] = {}
    compared: int = 0
    differing: int = 0
    elsewhere: bool = False


#: Fleet, stream, event time in ns, and how many steps up to then.
Explain = Callable[[str, str, int, int], ExplainView]
