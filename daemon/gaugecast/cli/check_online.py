"""`gaugecast check --online`: what comes, what would be forecast of it, and whether forecasts could go out."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from gaugecast.cli.listening import POLL_S, listen, visitor_of
from gaugecast.cli.survey import Survey
from gaugecast.config import Settings
from gaugecast.config.saying import spans_of
from gaugecast.config.schema import Mqtt
from gaugecast.errors import Unreachable
from gaugecast.fleet import Fleet
from gaugecast.mqtt import Link
from gaugecast.payloads import Decoder
from gaugecast.shapes import Shape
from gaugecast.topics import Pattern
from gaugecast.topics.system import SYS_DROPPED, SYS_VERSION

#: So long without being told otherwise, at least and at most, s: two periods of the slowest fleet.
LEAST_S, MOST_S = 10.0, 900.0
#: So long it is looked what else comes, where a fleet heard nothing.
_AROUND_S = 3.0
#: The id under which it is tried to publish: no stream's.
_TRIAL: Final = "gaugecast-check"


def time_to_listen(fleets: Sequence[Fleet]) -> float:
    """Two periods of the slowest fleet, within bounds, s."""
    return min(max(LEAST_S, *(2.2 * fleet.period_ns / 1e9 for fleet in fleets)), MOST_S)


def check_online(
    settings: Settings,
    fleets: Sequence[Fleet],
    seconds: float,
    *,
    early: bool = False,
    clock_ns: Callable[[], int] = time.time_ns,
    monotonic: Callable[[], float] = time.monotonic,
) -> Survey:
    """Listen for some seconds with a session of our own, and sum up what came. The daemon may run beside it.

    Nothing is left on the broker: no status, no session, and what is published to see whether it may be is empty and
    not retained.

    Args:
        early: End once every fleet has heard enough, but not before `LEAST_S`.

    Raises:
        Unreachable: No connection within the time; the message says why.
        ConfigError: Password or certificates cannot be read.
    """
    survey, decoder = Survey(fleets, settings.loop), Decoder(fleets, settings.loop)
    filters = _filters(fleets, settings.mqtt)
    wanted = [name for name, _ in filters]
    link = Link(visitor_of(settings.mqtt), filters, retained=wanted)
    trial = _Trial(link, fleets)
    begun = monotonic()
    connected = False
    try:
        while (left := begun + seconds - monotonic()) > 0 and not (
            early and monotonic() - begun >= LEAST_S and survey.is_whole
        ):
            messages = link.poll(settings.loop.batch_messages, min(left, POLL_S))
            connected = connected or link.subscriber.connected
            trial.look()
            link.subscriber.ack(messages)
            readings = [message for message in messages if not message.topic.startswith("$SYS/")]
            now_ns = clock_ns()
            survey.note(readings, now_ns)
            taken = [message for message in readings if not message.retain or survey.takes_retained(message.topic)]
            survey.add(decoder.decode(taken, now_ns), taken, now_ns)
            survey.note_broker([message for message in messages if message.topic.startswith("$SYS/")])
        survey.listened_s = max(monotonic() - begun, 0.1)
        heard = link.subscriber
        fault = heard.last_error
        survey.deaf = heard.deaf if heard.connected else fault
        survey.faults += [text for text in (survey.deaf, heard.lowered) if text]
    finally:
        link.close(0.2)
    if not connected:
        raise Unreachable(f"no connection with {settings.mqtt.host}:{settings.mqtt.port}: {fault or 'no answer'}")
    survey.mute = trial.fault(settings.mqtt)
    survey.faults += [survey.mute] if survey.mute else []
    _look_around(settings.mqtt, survey)
    return survey


class _Trial:
    """Whether forecasts could go out: one empty message a fleet and shape, not retained, to where they go."""

    def __init__(self, link: Link, fleets: Sequence[Fleet]) -> None:
        self._sender = link.sender
        shapes = [(fleet, shape) for fleet in fleets for shape in fleet.all_shapes]
        self._topics = [next(_topics(fleet, shape)) for fleet, shape in shapes]
        self._qos = [shape.qos for _, shape in shapes]
        self._open: dict[int, str] = {}
        self._refused: list[str] = []
        self._begun = False

    def look(self) -> None:
        """Publish once there is a connection, and note what the broker says of it."""
        if not self._begun and self._sender.connected:
            self._begun = True
            for place, (topic, qos) in enumerate(zip(self._topics, self._qos, strict=True)):
                self._open[place] = topic
                self._sender.publish(place, topic, b"", qos, False)
        for place in self._sender.take_confirmed():
            self._open.pop(place, None)
        for place, why in self._sender.take_refused():
            self._refused.append(f"{self._open.pop(place, '?')!r}: {why}")

    def fault(self, mqtt: Mqtt) -> str | None:
        """Why forecasts could not go out; `None` = they could."""
        self.look()
        if not self._begun:
            other = mqtt.publishing
            return f"no connection to publish with {other.host}:{other.port}: {self._sender.last_error or 'no answer'}"
        if self._refused:
            return f"forecasts could not be published to {'; '.join(self._refused)}; may this account write there?"
        if self._open:
            why = self._sender.last_error or "no confirmation came"
            return f"forecasts could not be published to {', '.join(map(repr, self._open.values()))}: {why}"
        return None


def _topics(fleet: Fleet, shape: Shape) -> Iterator[str]:
    names = [feature.name for feature in fleet.forecast_features]
    return shape.topics(fleet.name, _TRIAL, features=names, spans=spans_of(fleet))


def _look_around(mqtt: Mqtt, survey: Survey) -> None:
    """Where a fleet heard nothing on its topics: which topics there are."""
    if survey.deaf or not any(not seen.topics for seen in survey.fleets.values()):
        return
    try:
        heard = listen(mqtt, "#", _AROUND_S, retained=True)
    except Unreachable:
        return  # this account may not read all; then there is nothing to tell
    survey.around = sorted(heard)


def _filters(fleets: Sequence[Fleet], mqtt: Mqtt) -> list[tuple[str, int]]:
    """What the fleets read, and what the broker says of itself; at QoS 0 nothing is queued for a session that stays."""
    ours = {
        Pattern.parse(text).filter: fleet.input_qos if mqtt.protocol == "5" else 0
        for fleet in sorted(fleets, key=lambda fleet: fleet.input_qos)
        for text in fleet.subscribe
    }
    return [*ours.items(), (SYS_VERSION, 0), (SYS_DROPPED, 0)]
