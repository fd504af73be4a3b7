"""What a broker sends, summed up: streams, features, periods, refusals. Pure; `check --online` feeds it."""

from __future__ import annotations

import difflib
import math
import statistics
import struct
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from gaugecast.cli.figures import show_passed_over
from gaugecast.config.duration import duration_text
from gaugecast.config.schema import Loop
from gaugecast.fleet import Fleet
from gaugecast.payloads import Decoded
from gaugecast.payloads.discovery import Came, Rhythm, fields_of, rhythm_of_distances
from gaugecast.pipeline import Pipeline
from gaugecast.pipeline.batch_result import Totals
from gaugecast.records import Input, Kind, Message, Order, Refused
from gaugecast.topics import Pattern, path_text
from gaugecast.topics.system import SYS_DROPPED, SYS_VERSION

MOST_STREAMS = 100_000
MOST_DISTANCES = 100_000
PERIOD_TOLERANCE = 0.2
RESTART_S = 60.0  # a machine that reboots; systemd's own restart of the process is quicker
MOSQUITTO_QUEUE = 1000  # its default max_queued_messages; what is above is dropped without a word
YEAR_NS = 365 * 86_400 * 10**9
#: Topics of a fleet whose payloads are kept to be looked at, and of each so many.
_MOST_TOPICS, _MOST_OF_A_TOPIC = 20, 16
#: Names that are told where something is misspelt.
_MOST_TOLD = 8


@dataclass(slots=True)
class FleetSurvey:
    """What was seen of one fleet.

    Attributes:
        readings: Readings a feature, by the feature's name.
        streams: Readings a stream, by its id; at most `MOST_STREAMS`.
        distances_ns: Between successive event times of one stream (and of the same features).
        topics: What came on some of its topics, retained or not.
    """

    fleet: Fleet
    readings: Counter[str] = field(default_factory=Counter)
    streams: Counter[str] = field(default_factory=Counter)
    distances_ns: list[int] = field(default_factory=list)
    oldest_age_ns: int = 0
    last_at_ns: dict[tuple[str, bytes], int] = field(default_factory=dict)
    topics: dict[str, list[Came]] = field(default_factory=dict)

    @property
    def period_ns(self) -> int | None:
        """Median distance of two readings of a stream; `None` where no stream spoke twice."""
        return round(statistics.median(self.distances_ns)) if self.distances_ns else None

    @property
    def is_whole(self) -> bool:
        """Whether more of the same would say nothing new: all features came, and their distance is known."""
        return len(self.distances_ns) > 1 and all(self.readings[feature.name] for feature in self.fleet.features)

    def add(self, reading: Input) -> None:
        """Note one reading."""
        values = struct.unpack(f"<{len(self.fleet.features)}d", reading.values)
        present = bytes(not math.isnan(value) for value in values)
        self.readings.update(f.name for f, there in zip(self.fleet.features, present, strict=True) if there)
        if reading.stream in self.streams or len(self.streams) < MOST_STREAMS:
            self.streams[reading.stream] += 1
            last_ns = self.last_at_ns.get((reading.stream, present))
            if last_ns is not None and reading.at_ns > last_ns and len(self.distances_ns) < MOST_DISTANCES:
                self.distances_ns.append(reading.at_ns - last_ns)
            self.last_at_ns[reading.stream, present] = reading.at_ns
        self.oldest_age_ns = max(self.oldest_age_ns, reading.received_at_ns - reading.at_ns)

    def note(self, came: Came, topic: str) -> None:
        """Keep what came to look at it, if there is room."""
        if topic in self.topics or len(self.topics) < _MOST_TOPICS:
            self.topics[topic] = [*self.topics.get(topic, []), came][-_MOST_OF_A_TOPIC:]

    def fields(self) -> list[str]:
        """Paths of numbers in what came."""
        return list(dict.fromkeys(path for topic, came in self.topics.items() for path in fields_of(topic, came)))


class Survey:
    """Sums up what `Decoder.decode` made of what came, and what the daemon's own pipeline says of it.

    That has no models: which readings are late or came twice does not depend on them.

    Attributes:
        deaf, mute: Why nothing could be heard, or said; `None` = it could.
        around: Topics of others, where a fleet heard nothing.
        listened_s: How long was listened to the fleets' topics.
    """

    def __init__(self, fleets: Sequence[Fleet], limits: Loop) -> None:
        self.fleets = {fleet.name: FleetSurvey(fleet) for fleet in fleets}
        self._patterns = [(fleet.name, Pattern.parse(text)) for fleet in fleets for text in fleet.subscribe]
        self._pipeline = Pipeline(limits, lambda _fleet, _version: None)
        self._pipeline.advance([Order.configuring(replace(fleet, shapes=())).stamped(0) for fleet in fleets])
        self.refused: Counter[tuple[str, str]] = Counter()  # by fleet and reason
        self.not_ours: Counter[str] = Counter()  # by fleet
        self.examples: dict[tuple[str, str], Refused] = {}
        self.broker: dict[str, str] = {}  # $SYS topics
        self.faults: list[str] = []  # what the link complained of
        self.deaf: str | None = None
        self.mute: str | None = None
        self.around: list[str] = []
        self.messages_total = 0
        self.listened_s = 0.1

    @property
    def is_whole(self) -> bool:
        """Whether to listen on would say nothing new."""
        return all(seen.is_whole for seen in self.fleets.values())

    @property
    def would_forecast(self) -> bool:
        """Whether each fleet would forecast something that somebody hears."""
        return self.deaf is None and self.mute is None and all(seen.streams for seen in self.fleets.values())

    def note(self, messages: Sequence[Message], now_ns: int) -> None:
        """Keep some of what came as it is, also what the broker had kept."""
        for message in messages:
            for name, pattern in self._patterns:
                if pattern.match(message.topic) is not None:
                    self.fleets[name].note(Came(now_ns, message.payload, message.retain), message.topic)

    def takes_retained(self, topic: str) -> bool:
        """Whether what the broker had kept of a topic would be read."""
        return any(
            self.fleets[name].fleet.accept_retained and pattern.match(topic) is not None
            for name, pattern in self._patterns
        )

    def add(self, decoded: Decoded, messages: Sequence[Message], now_ns: int) -> None:
        """Note one batch that came at `now_ns`, Unix time."""
        due = [Input.timer(now_ns)] if self._pipeline.due(now_ns) else []
        self._pipeline.advance([*decoded.inputs, *due])
        self.messages_total += len(messages)
        self.not_ours.update(decoded.not_ours)
        for taken in decoded.inputs:
            if taken.kind is Kind.READING:
                self.fleets[taken.fleet].add(taken)
        for refused in decoded.refused:
            key = (refused.fleet, refused.reason)
            self.refused[key] += 1
            self.examples.setdefault(key, refused)

    def note_broker(self, messages: Sequence[Message]) -> None:
        """Note what the broker says of itself under `$SYS`."""
        for message in messages:
            self.broker[message.topic] = message.payload.decode(errors="replace")

    def warnings(self, elapsed_s: float) -> list[str]:
        """What an operator should look at before going on; `elapsed_s` is how long was listened."""
        found = [text for seen in self.fleets.values() for text in _fleet_warnings(seen, elapsed_s, self.around)]
        found += [text for seen in self.fleets.values() if (text := _nothing_ours(seen, self.not_ours))]
        found += _lateness(self._pipeline.totals())
        return found + _broker_warnings(self.broker, self.messages_total / max(elapsed_s, 1e-3), self.fleets)


def _lateness(totals: Mapping[str, Totals]) -> list[str]:
    found = []
    for fleet, t in totals.items():
        if passed_over := show_passed_over(t):
            lost = t.late + t.duplicate + t.same_period
            came = t.stepped + t.held + lost
            found.append(
                f"[fleet.{fleet}] {lost} of {came} readings would not be forecast: {passed_over}; of a stream, each "
                "reading must be newer than those before it"
            )
    return found


def _nothing_ours(seen: FleetSurvey, not_ours: Mapping[str, int]) -> str:
    """Of a fleet that heard much, and nothing that names a feature of it: empty otherwise."""
    count = not_ours.get(seen.fleet.name, 0)
    if not count or seen.streams:
        return ""
    names = ", ".join(feature.name for feature in seen.fleet.features[:8])
    there = _listed(seen.fields(), "; what comes has ")
    return (
        f"[fleet.{seen.fleet.name}] {count} messages came that name none of its features ({names}); are their names "
        f"and `path` right?{there}"
    )


def _fleet_warnings(seen: FleetSurvey, elapsed_s: float, around: Sequence[str]) -> list[str]:
    fleet, found = seen.fleet, []
    place = f"[fleet.{fleet.name}]"
    if not seen.streams:
        return [_nothing_heard(seen, elapsed_s, around)]
    for feature in fleet.features:
        if not seen.readings[feature.name]:
            found.append(
                f"{place} feature {feature.name!r} never came; is its `path` right?{_meant(seen, feature.name)}"
            )
    period_ns, rhythm = seen.period_ns, rhythm_of_distances(each / 1e9 for each in seen.distances_ns)
    if rhythm.irregular:
        found += _on_change(place, fleet, rhythm)
    elif period_ns is None:
        found.append(f"{place} no stream spoke twice in {elapsed_s:.0f} s, so its period could not be checked")
    elif abs(period_ns - fleet.period_ns) > PERIOD_TOLERANCE * fleet.period_ns:
        found.append(
            f"{place} period = {duration_text(fleet.period_ns)!r}, but readings come every {show_period(period_ns)}; "
            "set `period` to that, unless several readings are to make one step"
        )
    if seen.oldest_age_ns > YEAR_NS:
        found.append(f"{place} readings are dated {seen.oldest_age_ns / YEAR_NS:.1f} years back; is `time_unit` right?")
    if fleet.time_path is None and fleet.sequence_path is None:
        found.append(
            f"{place} payloads bring neither time nor sequence: a reading that the broker sends again is told from a "
            "new one only within the same session; set `time` if the payload has one"
        )
    return found


def _nothing_heard(seen: FleetSurvey, elapsed_s: float, around: Sequence[str]) -> str:
    """Of a fleet that would forecast nothing: what came on its topics, or which other topics there are."""
    fleet = seen.fleet
    text = f"[fleet.{fleet.name}] nothing to forecast was heard on {', '.join(fleet.subscribe)} in {elapsed_s:.0f} s"
    if seen.topics:
        kept = all(one.retained for came in seen.topics.values() for one in came)
        return text + ("; what the broker has kept came, and nothing new" if kept else "")
    near = [topic for text in fleet.subscribe for topic in difflib.get_close_matches(text, around, _MOST_TOLD, 0.3)]
    return text + _listed(list(dict.fromkeys([*near, *around])), "; what comes is on ")


def _meant(seen: FleetSurvey, name: str) -> str:
    """Which field may have been meant by a feature that never came."""
    if seen.fleet.feature_capture:
        levels = [topic.split("/") for topic in seen.topics]
        return _listed(sorted({level for row in levels for level in row}), "; levels of the topics are ")
    feature = next(feature for feature in seen.fleet.features if feature.name == name)
    fields = seen.fields()
    near = difflib.get_close_matches(path_text(feature.path), fields, 1)
    return (f"; did you mean {near[0]}?" if near else "") + _listed(fields, "; payloads have ")


def _listed(names: Sequence[str], before: str) -> str:
    shown = [name if name.isprintable() else repr(name) for name in names[:_MOST_TOLD]]
    more = f" and {len(names) - _MOST_TOLD} more" if len(names) > _MOST_TOLD else ""
    return f"{before}{', '.join(shown)}{more}" if shown else ""


def _on_change(place: str, fleet: Fleet, rhythm: Rhythm) -> list[str]:
    """Of a sensor that reports on change a period says nothing; of one that is held already there is nothing to say."""
    if fleet.hold_ns >= rhythm.longest_s * 1e9:
        return []
    return [
        f'{place} irregular: {rhythm.apart}; if the sensor reports on change, set hold = "{rhythm.hold_text}": '
        "then silence means the same value"
    ]


def _broker_warnings(broker: Mapping[str, str], rate: float, fleets: Mapping[str, FleetSurvey]) -> list[str]:
    found = []
    if broker.get(SYS_DROPPED, "0").strip().isdigit() and int(broker.get(SYS_DROPPED, "0")) > 0:
        found.append(f"the broker says that it has dropped {int(broker[SYS_DROPPED])} messages since its start")
    kept = any(seen.fleet.input_qos for seen in fleets.values())
    known = "mosquitto" in broker.get(SYS_VERSION, "").lower()
    if kept and rate * RESTART_S > MOSQUITTO_QUEUE:
        whose = "mosquitto" if known else "a broker such as mosquitto"
        found.append(
            f"{rate:.0f} messages/s fill {MOSQUITTO_QUEUE} places in {MOSQUITTO_QUEUE / rate:.1f} s: with its default "
            f"max_queued_messages, {whose} drops silently what comes while the daemon restarts; set "
            f"max_queued_messages to {math.ceil(rate * RESTART_S * 2 / 1000) * 1000} or more ({RESTART_S:.0f} s, twice)"
        )
    return found


def show_period(period_ns: int) -> str:
    """A period for people, rounded to three digits."""
    seconds = period_ns / 1e9
    return f"{seconds:.3g} s" if seconds >= 1 else f"{seconds * 1e3:.3g} ms"
