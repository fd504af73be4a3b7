"""Anomalies in a story: what names their messages, and what must hold of them from begin to end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from simulation.fleets import WATCHING
from simulation.points import Violation

if TYPE_CHECKING:
    from simulation.journal import Kept, Name

BEGIN, UPDATE, END, CLEARED = "begin", "update", "end", "cleared"


def is_notice(topic: str) -> bool:
    """Whether what is published there is no forecast."""
    return topic.endswith("/anomaly")


def name_said(topic: str, body: bytes) -> Name:
    """What names a message that is not empty."""
    said: dict[str, Any] = msgspec.json.decode(body)
    return said["fleet"], said["stream"], said["step"], said["event"] if is_notice(topic) else ""


class Events:
    """I10: what is open of each stream, by what is durable, in its order."""

    def __init__(self) -> None:
        self.open: dict[tuple[str, str], bytes] = {}
        self.begun = 0
        self._ids: set[str] = set()
        self._since: dict[tuple[str, str], int] = {}  # step of the last begin, or end
        self._to_clear: set[tuple[str, str]] = set()

    def note(self, one: Kept, *, by_a_reading: bool) -> None:
        """A notice is durable; what no reading made has ended because a stream left, or nobody looks any more."""
        stream = (one.fleet, one.stream)
        if stream in self._to_clear and one.what != CLEARED:
            raise Violation(f"I10: {one.name} comes before what clears the end that came before")
        self._to_clear.discard(stream)
        if one.what == BEGIN:
            self._begin(one)
        elif one.what in (UPDATE, END):
            self._go_on(one, by_a_reading=by_a_reading)

    def _begin(self, one: Kept) -> None:
        stream, said = (one.fleet, one.stream), msgspec.json.decode(one.body)
        if stream in self.open:
            raise Violation(f"I10: {one.name} begins while another is open")
        if said["id"] in self._ids:
            raise Violation(f"I10: {one.name} begins a second time")
        if one.step < self._since.get(stream, -WATCHING.hold) + WATCHING.hold:
            raise Violation(f"I10: {one.name} begins at once after the last has ended")
        self._ids.add(said["id"])
        self.begun += 1
        self.open[stream], self._since[stream] = one.body, one.step

    def _go_on(self, one: Kept, *, by_a_reading: bool) -> None:
        stream, said = (one.fleet, one.stream), msgspec.json.decode(one.body)
        before = self.open.get(stream)
        if before is None or msgspec.json.decode(before)["id"] != said["id"]:
            raise Violation(f"I10: {one.name} is of an event that is not open")
        self.open[stream] = one.body
        if one.what != END:
            return
        if by_a_reading and one.step < self._since[stream] + 2 * WATCHING.hold:
            raise Violation(f"I10: {one.name} comes at once after the begin")
        del self.open[stream]
        self._since[stream] = one.step
        self._to_clear.add(stream)

    def check_retained(self, retained: dict[str, bytes] | None) -> None:
        """What a broker gives to whoever subscribes is what is open."""
        if retained is None:
            return
        kept = {topic: body for topic, body in retained.items() if body}
        wanted = {f"gaugecast/{fleet}/{stream}/anomaly": body for (fleet, stream), body in self.open.items()}
        if kept != wanted:
            raise Violation(f"I10: retained on {sorted(kept)}, open on {sorted(wanted)}, or not the newest")
