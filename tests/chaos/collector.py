"""What the world saw: an independent subscriber's messages, folded as they come."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field

import msgspec

from chaos.scenario import is_crossing, said_of
from gaugecast_sim.sink import Received, Sink


class _Name(msgspec.Struct):
    stream: str
    step: int
    event: str = ""  # of a crossing


_decode_name = msgspec.json.Decoder(_Name).decode


@dataclass(slots=True)
class Seen:
    """All published messages.

    Attributes:
        bodies: By stream and step the hash of the first copy's body.
        duplicates: Arrival times of further copies, Unix ns.
        torn: Further copies whose bytes differ from the first one's.
        disordered: First copies that came after one of a later step.
    """

    bodies: dict[str, dict[int, int]] = field(default_factory=dict)
    duplicates: list[int] = field(default_factory=list)
    torn: int = 0
    disordered: int = 0

    @property
    def distinct(self) -> int:
        """Different forecasts, by (stream, step), so far."""
        return sum(len(steps) for what, steps in self.bodies.items() if not is_crossing(what))

    def add(self, message: Received) -> None:
        """Take one message."""
        name = _decode_name(message.payload)
        steps = self.bodies.setdefault(said_of(name.stream, crossing=name.event != ""), {})
        content = hash(message.payload)
        first = steps.get(name.step)
        if first is None:
            if steps and next(reversed(steps)) > name.step:
                self.disordered += 1
            steps[name.step] = content
            return
        self.duplicates.append(message.received_ns)
        self.torn += first != content

    def duplicates_after(self, kills_ns: list[int]) -> list[int]:
        """Number of further copies that came after each kill and before the next."""
        counts = [0] * (len(kills_ns) + 1)
        for at_ns in self.duplicates:
            counts[bisect_right(kills_ns, at_ns)] += 1
        return counts


class Collector:
    """Folds a sink's messages into `seen` whenever `drain` is called, so that memory stays small. One thread."""

    def __init__(self, sink: Sink) -> None:
        self.seen = Seen()
        self._sink = sink
        self._full: list[Received] = []

    def drain(self) -> None:
        """Take what has come. The sink's thread may still append to the list that was current at the last call, so
        each list is read one call later."""
        ready, self._full, self._sink.messages = self._full, self._sink.messages, []
        for message in ready:
            self.seen.add(message)

    def drain_all(self) -> Seen:
        """After the sink was closed: everything."""
        self.drain()
        self.drain()
        return self.seen
