"""What the API takes and gives of events: anomalies and crossings, open and past."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from gaugecast.console.asked import Instant, Name

EventKind = Literal["anomaly", "crossing"]


class EventsParams(msgspec.Struct, frozen=True, kw_only=True):
    """Which events.

    Attributes:
        search: Words that must all be found in fleet, stream, feature or reason; no matter which case.
        from_s, to_s: Those of which some part lies between.
    """

    state: Literal["", "open", "past"] = ""
    kind: Literal["", "anomaly", "crossing"] = ""
    fleet: Name | None = None
    stream: Name | None = None
    search: Annotated[str, Meta(max_length=256)] = ""
    from_s: Instant | None = None
    to_s: Instant | None = None
    offset: Annotated[int, Meta(ge=0, le=1 << 53)] = 0
    limit: Annotated[int, Meta(ge=1, le=500)] = 100


class ForetoldRow(msgspec.Struct, frozen=True, kw_only=True):
    """What was foretold of a threshold.

    Attributes:
        side: `above` or `below`.
        within: How far it looked, a duration.
        probability: The highest that was told.
        median_s: When it was expected, as it was told last; nine of ten come after `early_s`, and before `late_s`.
        crossed_s: When it was seen to be crossed first; null where it was not.
    """

    side: str
    value: float
    within: str
    probability: float | None = None
    median_s: float | None = None
    early_s: float | None = None
    late_s: float | None = None
    crossed_s: float | None = None


class EventRow(msgspec.Struct, frozen=True, kw_only=True):
    """One event, as it was told while it lasted. Times are Unix seconds UTC of event time.

    Attributes:
        id: Names it, the same for as long as it is kept.
        feature: Of the threshold, or the one with the largest share.
        alarm_s: The step with which it was told of first, as far as that is kept: what `explain` explains best.
        told_s: When it was told of last; `ended_s`: null while it is open.
        words: What it is, for people.
        severity: Of an anomaly: `warning`, `critical`, or `silenced`; of a crossing empty.
        acknowledged: Of an anomaly: somebody knows of it.
        peak: Of an anomaly: its highest score; 1.0 is the limit.
        shares: Of an anomaly, by feature.
    """

    id: str
    kind: EventKind
    fleet: str
    stream: str
    feature: str
    began_s: float
    alarm_s: float
    told_s: float
    ended_s: float | None = None
    words: str = ""
    severity: str = ""
    acknowledged: bool = False
    peak: float | None = None
    shares: dict[str, float] = {}
    foretold: ForetoldRow | None = None


class EventsView(msgspec.Struct, frozen=True, kw_only=True):
    """Those that are open first, then the newest.

    Attributes:
        total: Events that match, shown or not.
        open: Events that are open, by kind.
        kept: All that are known of, by kind.
    """

    rows: list[EventRow]
    total: int
    open: dict[str, int] = {}
    kept: dict[str, int] = {}
