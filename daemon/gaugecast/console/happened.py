"""From messages of crossings and anomalies, as the ledger keeps them, to events with a beginning and an end."""

from __future__ import annotations

import hashlib
import threading
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from gaugecast.console.event_shapes import EventRow, EventsParams, ForetoldRow
from gaugecast.fleet import Fleet
from gaugecast.forecast.anomaly.reason import span
from gaugecast.forecast.crossings.message import Crossing
from gaugecast.ledger.rows import Told

#: Events that are remembered; those that ended first go first.
MOST = 20_000


class _Which(msgspec.Struct):
    """An anomaly has a name; a crossing a threshold."""

    id: str = ""


class _Feature(msgspec.Struct):
    share: float


class Heard(msgspec.Struct):
    """What is read of an anomaly's message: versions before and after this one say less, or more."""

    fleet: str
    stream: str
    event: str
    id: str
    began: float
    at: float
    severity: str
    peak: float
    reason: str
    features: dict[str, _Feature]
    acknowledged: bool = False


class Happened:
    """Events in the order in which they began. Any thread.

    Attributes:
        after: Number of the last message that was taken.
    """

    def __init__(self) -> None:
        self.after = 0
        self._events: dict[str, EventRow] = {}
        self._ended: dict[str, None] = {}  # in the order in which they ended
        self._lock = threading.Lock()

    def begin_anew(self) -> None:
        """It is another ledger."""
        with self._lock:
            self.after, self._events, self._ended = 0, {}, {}

    def take(self, told: Iterable[Told]) -> None:
        """Go on with these; one that is no message of ours, or taken already, is passed over."""
        with self._lock:
            for one in told:
                if one.number > self.after:
                    self.after = one.number
                    self._take(one.body)
            while self._ended and len(self._events) > MOST:
                name = next(iter(self._ended))
                del self._ended[name], self._events[name]

    def rows(self) -> list[EventRow]:
        """All of them."""
        with self._lock:
            return list(self._events.values())

    def _take(self, body: bytes) -> None:
        try:
            name = msgspec.json.decode(body, type=_Which).id
            if name:
                row = _of_anomaly(msgspec.json.decode(body, type=Heard), self._events.get(name))
            else:
                crossing = msgspec.json.decode(body, type=Crossing)
                name = _name(crossing)
                row = _of_crossing(crossing, name, self._events.get(name))
        except msgspec.MsgspecError:  # of a later version
            return
        self._events[name] = row
        self._ended.pop(name, None)
        if row.ended_s is not None:
            self._ended[name] = None


def _of_anomaly(told: Heard, before: EventRow | None) -> EventRow:
    """An end that comes because the stream left has no reason: the last one stays."""
    known = before if before is not None and not told.features else None
    shares = known.shares if known is not None else {name: one.share for name, one in told.features.items()}
    return EventRow(
        id=told.id, kind="anomaly", fleet=told.fleet, stream=told.stream, feature=next(iter(shares), ""),
        began_s=told.began, alarm_s=told.at if before is None else before.alarm_s, told_s=told.at,
        ended_s=told.at if told.event == "end" else None,
        words=told.reason if known is None else known.words, severity=told.severity, peak=told.peak, shares=shares,
        acknowledged=told.acknowledged,
    )  # fmt: skip


def _of_crossing(told: Crossing, name: str, before: EventRow | None) -> EventRow:
    known = before.foretold if before is not None and before.foretold is not None else None
    ends = told.event == "end"
    crossed_s = known.crossed_s if known is not None else None
    if crossed_s is None and told.crossed:
        crossed_s = told.at
    told_now = None if crossed_s is not None or ends else told.probability  # that of what has come is 1
    likely = [p for p in (told_now, None if known is None else known.probability) if p is not None]
    last = known if ends and known is not None else None
    foretold = ForetoldRow(
        side="below" if told.above is None else "above", value=_value(told), within=told.within,
        probability=max(likely, default=None), crossed_s=crossed_s,
        median_s=told.median if last is None else last.median_s,
        early_s=told.early if last is None else last.early_s, late_s=told.late if last is None else last.late_s,
    )  # fmt: skip
    return EventRow(
        id=name, kind="crossing", fleet=told.fleet, stream=told.stream, feature=told.feature, began_s=told.began,
        alarm_s=told.at if before is None else before.alarm_s, told_s=told.at,
        ended_s=told.at if ends else None, foretold=foretold,
    )  # fmt: skip


def _value(told: Crossing) -> float:
    return float((told.below if told.above is None else told.above) or 0.0)


def _name(told: Crossing) -> str:
    """As an anomaly is named."""
    key = (told.fleet, told.stream, told.feature, told.above, told.below, told.within, told.began)
    return hashlib.sha256("\0".join(map(str, key)).encode()).hexdigest()[:12]


# -- to search, and to say


def chosen(events: Sequence[EventRow], wanted: EventsParams, fleets: Mapping[str, Fleet]) -> list[EventRow]:
    """Those that are asked for: the open ones first, then the newest. Only a search needs their words."""
    found = [one for one in events if _fits(one, wanted)]
    words = wanted.search.casefold().split()
    if words:
        found = [one for one in found if _has(worded(one, fleets.get(one.fleet)), words)]
    return sorted(found, key=lambda one: (one.ended_s is not None, -one.began_s, one.fleet, one.stream))


def count(events: Iterable[EventRow]) -> dict[str, int]:
    """How many of each kind."""
    return dict(Counter(one.kind for one in events))


def _fits(one: EventRow, wanted: EventsParams) -> bool:
    end_s = one.told_s if one.ended_s is None else one.ended_s
    return (
        wanted.kind in ("", one.kind)
        and wanted.fleet in (None, "", one.fleet)
        and wanted.stream in (None, "", one.stream)
        and (not wanted.state or (wanted.state == "open") == (one.ended_s is None))
        and (wanted.to_s is None or one.began_s <= wanted.to_s)
        and (wanted.from_s is None or one.ended_s is None or end_s >= wanted.from_s)
    )


def _has(one: EventRow, words: Sequence[str]) -> bool:
    text = f"{one.fleet} {one.stream} {one.feature} {one.words}".casefold()
    return all(word in text for word in words)


def worded(one: EventRow, fleet: Fleet | None) -> EventRow:
    """With what it is, in words; an anomaly has its own."""
    told = one.foretold
    if told is None:
        return one
    units = {} if fleet is None else {feature.name: feature.unit for feature in fleet.features}
    value = f"{told.side} {told.value:g} {units.get(one.feature, '')}".rstrip()
    turn = "rise" if told.side == "above" else "fall"
    if told.crossed_s is not None:
        words = f"{one.feature} {'was' if one.ended_s is not None else 'is'} {value}"
        early_s = told.crossed_s - one.began_s
        words += f", foretold {span(early_s)} before" if early_s > 0 else ", not foretold"
    elif one.ended_s is None:
        words = f"{one.feature} will {turn} {value} within {told.within}"
    else:
        words = f"{one.feature} was expected to {turn} {value} within {told.within}, and did not"
    foretold = told.crossed_s is None or told.crossed_s > one.began_s
    likely = f", P = {told.probability:.2f}" if foretold and told.probability is not None else ""
    return msgspec.structs.replace(one, words=words + likely)
