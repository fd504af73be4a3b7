"""Sensors that speak to the made broker: regular, broken, late, doubled, absurd; each value is said once only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

import msgspec

from simulation.broker import Broker, Sent
from simulation.fleets import SECOND, T0

_HOSTILE = (1e308, -1e308, 5e-324, -0.0, 1e-300, 3.4e38, -1e39)
_GARBAGE = (
    b"",
    b"{",
    b"\xff\xfe",
    b"[]",
    b'{"t": "yesterday"}',
    b'{"t": 1e400, "p": 1}',
    b'{"p": NaN}',
    b"null",
    b'{"t": 4070908800, "p": 1, "q": 2, "s": 3, "v": 4}',
)


@dataclass(slots=True)
class Sensors:
    """All sensors of a story.

    Args:
        bare: Whether those without time and sequence speak, too.
        states: Whether set-points of tanks are one of two, held for a while.
    """

    rng: Random
    broker: Broker
    bare: bool
    states: bool = False
    said: int = 0
    ticks: dict[str, int] = field(default_factory=dict)
    last: dict[str, tuple[str, bytes]] = field(default_factory=dict)

    def speak(self) -> None:
        """One sensor publishes once (features of a joined tank: one of them)."""
        speakers: list[Callable[[str], None]] = [self._tank, self._joined, self._means, self._sequenced]
        if self.bare:
            speakers.append(self._bare)
        self.rng.choice(speakers)(self.rng.choice(("a", "b", "c")))

    def speak_in_turn(self) -> None:
        """Those that are watched for anomalies say one thing each."""
        for tank in ("a", "b"):
            self._tank(tank)
            self._sequenced(tank)

    def _send(self, topic: str, content: object) -> Sent:
        payload = msgspec.json.encode(content)
        draw = self.rng.random()
        if draw < 0.04:
            self.broker.accept(topic, self.rng.choice(_GARBAGE))
        elif draw < 0.08 and topic in self.last:
            self.broker.accept(*self.last[topic])  # the same reading, as a message of its own
        self.last[topic] = (topic, payload)
        return self.broker.accept(topic, payload)

    def _value(self) -> float:
        self.said += 1
        return 20.0 + self.rng.gauss(0, 1) + self.said * 1e-6

    def _next_tick(self, name: str) -> int:
        draw = self.rng.random()
        gap = 1 if draw < 0.9 else self.rng.randint(2, 6)
        self.ticks[name] = self.ticks.get(name, 0) + gap
        return self.ticks[name]

    def _at(self, tick: int) -> float:
        """Event time in seconds, with jitter of a fifth of a period."""
        return (T0 + tick * SECOND + int(self.rng.uniform(-0.2, 0.2) * SECOND)) / 1e9

    def _tank(self, tank: str) -> None:
        if tank == "c" and self.rng.random() < 0.5:
            value: Callable[[], float] = lambda: self.rng.choice(_HOSTILE) * (1 + self._value() * 1e-9)  # noqa: E731
        else:
            value = self._value
        several = self.rng.randint(2, 4) if self.rng.random() < 0.1 else 1
        readings = []
        for _ in range(several):
            tick = self._next_tick("tank/" + tank)
            tick -= 3 if self.rng.random() < 0.05 else 0  # late
            readings.append({"t": self._at(tick), "p": value(), "q": value(), "s": self._set_point(tick)})
        self._send("tank/" + tank, readings if several > 1 else readings[0])

    def _set_point(self, tick: int) -> float:
        """Of a state the first, until it is known what is usual in it."""
        return float(tick > 14 and tick // 5 % 2) if self.states else self._value()

    def _joined(self, tank: str) -> None:
        feature = self.rng.choice(("p", "q"))
        name = f"joined/{tank}/{feature}"
        value = 1e7 if self.rng.random() < 0.03 else self._value()
        self._send(name, {"t": self._at(self._next_tick(name)), "v": value})

    def _means(self, tank: str) -> None:
        name = "means/" + tank
        tick = self._next_tick(name)
        self._send(name, {"t": (T0 + tick * SECOND // 3) / 1e9, "v": self._value()})

    def _sequenced(self, tank: str) -> None:
        name = "seq/" + tank
        self._send(name, {"n": self._next_tick(name), "v": self._value()})

    def _bare(self, tank: str) -> None:
        self.broker.accept("bare/" + tank, repr(self._value()).encode())
