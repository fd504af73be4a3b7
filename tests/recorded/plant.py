"""The sensors of `record`: regular, late, doubled, absurd, silent for a while; the same in every run."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

import msgspec

from gaugecast.records import Message

#: 2025-06-15 15:06:40 UTC; long past, so that nothing is ever far in the future.
BEGIN_NS = 1_750_000_000 * 10**9

_GARBAGE = (
    ("site/north/m1/reading", b"{"),
    ("site/north/m1/reading", b"\xff\xfe"),
    ("site/north/m2/reading", b'{"power": 1.0}'),
    ("site/north/m2/reading", b'{"t": "yesterday", "power": 1.0}'),
    ("plant/a/telemetry", b'{"t": 4070908800000, "values": {"p": 1.0, "t": 2.0}, "valve": 1}'),
    ("plant/b/telemetry", b'{"t": 1750000000000, "values": {"p": "high"}}'),
    ("vat/a/colour", b'{"t": 1750000000, "v": 1.0}'),
    ("counter/a", b'{"count": 3}'),
    ("probe/a", b"NaN"),
    ("probe/b", b"warm"),
)


class Plant:
    """All sensors; remembers what was sent last, for a broker that sends it again."""

    def __init__(self) -> None:
        self._rng = Random(1)
        self._mid = 0
        self._levels: dict[str, float] = {}
        self._last: list[Message] = []
        self._counts = {"a": 0, "b": 0}

    def again(self, epoch: int) -> list[Message]:
        """The newest messages, as the broker sends them to the next process."""
        return [message._replace(dup=True, epoch=epoch) for message in self._last]

    def speak(self, second: int, wall_ns: int, epoch: int) -> Iterator[list[Message]]:
        """What comes within one second, in two groups."""
        whole = [*self._meters(second, wall_ns), *self._tanks(second, wall_ns), *self._odd(second, wall_ns)]
        for group in (whole, [*self._vats(second, wall_ns), *self._counters(second), *self._probes(second)]):
            self._last = [self._message(topic, payload, epoch) for topic, payload in group]
            yield self._last

    def _message(self, topic: str, payload: bytes, epoch: int) -> Message:
        self._mid = self._mid % 65_535 + 1
        return Message(topic, payload, 1, False, False, self._mid, epoch)

    def _value(self, name: str, start: float) -> float:
        """A walk in steps of a hundredth."""
        level = self._levels.get(name, start) + self._rng.randint(-20, 20) / 100
        self._levels[name] = round(level, 2)
        return self._levels[name]

    def _meters(self, second: int, wall_ns: int) -> Iterator[tuple[str, bytes]]:
        """`idle` and `lost` fall silent; `idle` comes back. `m3` has short gaps, `m4` some as long as are bridged."""
        at = wall_ns // 10**9
        for meter in ("m1", "m2", "m3", "m4", "idle", "lost"):
            quiet = {
                "m3": second % 20 in (7, 8, 15),
                "m4": second % 50 in (20, 21, 22, 23, 24, 25, 32, 33, 34, 40, 41, 42, 43),
                "idle": 40 <= second < 150,
                "lost": second >= 60,
            }
            if quiet.get(meter, False):
                continue
            reading = {"t": at, "power": self._value(meter, 100.0), "voltage": self._value(f"{meter}v", 230.0)}
            if second % 17 == 3 and meter == "m2":
                del reading["voltage"]
            if second % 30 == 11 and meter == "m1":
                reading["power"] = reading["voltage"] = 9e9 if second > 100 else 600.0
            several = [{**reading, "t": at - 1}, reading, {**reading, "t": at - 4}]  # the first a copy, the last late
            content: object = several if second % 25 == 9 and meter == "m2" else reading
            yield f"site/north/{meter}/reading", msgspec.json.encode(content)

    def _tanks(self, second: int, wall_ns: int) -> Iterator[tuple[str, bytes]]:
        at = wall_ns // 10**6
        for tank in ("a", "b", "c", "d"):
            quiet = {"b": (12, 13, 14, 20), "c": range(30, 38), "d": (40, 41, 42, 43, 50, 51, 52, 53, 54)}
            if second % 60 in quiet.get(tank, ()):
                continue
            content = {
                "t": at + self._rng.randint(-100, 100),
                "values": {"p": self._value(f"{tank}p", 3.0), "t": self._value(f"{tank}t", 60.0)},
                "valve": int(second // 15 % 2 == 0),
            }
            payload = msgspec.json.encode(content)
            yield f"plant/{tank}/telemetry", payload
            if tank == "a" and second % 14 == 5:
                yield "plant/a/telemetry", payload

    def _vats(self, second: int, wall_ns: int) -> Iterator[tuple[str, bytes]]:
        """Features come apart: `b` often lacks its level, and then a timer closes the tick."""
        at = wall_ns / 1e9
        for vat in ("a", "b", "c"):
            if vat == "c" and second % 40 in (10, 11, 12, 13):
                continue
            flows = 2 if second % 6 == 1 else 1
            for part in range(flows):
                flow = {"t": round(at + part / 10, 1), "v": self._value(f"{vat}f", 8.0)}
                yield f"vat/{vat}/flow", msgspec.json.encode(flow)
            if not (vat == "b" and second % 5 == 2):
                level = {"t": round(at, 1), "v": self._value(f"{vat}l", 50.0)}
                yield f"vat/{vat}/level", msgspec.json.encode(level)

    def _counters(self, second: int) -> Iterator[tuple[str, bytes]]:
        for device in self._counts:
            if device == "b" and second % 3:
                continue
            self._counts[device] += 1 + (second % 45 == 44)
            content = {"n": self._counts[device], "count": 10 * self._counts[device]}
            yield f"counter/{device}", msgspec.json.encode(content)
            if second % 33 == 32:
                yield f"counter/{device}", msgspec.json.encode(content)

    def _probes(self, second: int) -> Iterator[tuple[str, bytes]]:
        for probe in ("a", "b"):
            if not (probe == "b" and 170 <= second < 210):  # long enough to be stale
                yield f"probe/{probe}", f"{self._value(f'probe {probe}', 20.0):.2f}".encode()

    def _odd(self, second: int, wall_ns: int) -> Iterator[tuple[str, bytes]]:
        """Garbage, late readings, names that nobody has room for, and for a while a fleet that is given up."""
        at = wall_ns // 10**9
        if second % 9 == 4:
            yield _GARBAGE[second // 9 % len(_GARBAGE)]
        if second % 11 == 6:
            late = {"t": at - 3, "power": 1.0, "voltage": 2.0}
            yield "site/north/m1/reading", msgspec.json.encode(late)
        if second in (30, 31, 35):
            yield f"site/invented/{second}/reading", msgspec.json.encode({"t": at, "power": 1.0, "voltage": 2.0})
        if 2 <= second < 130:
            yield "old/x", msgspec.json.encode({"v": second})
