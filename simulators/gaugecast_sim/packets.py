"""Prebuilt PUBLISH packets: one template a stream, of equal length, whose digits NumPy patches for thousands at once.

Message m of a plan belongs to row m mod rows and to round m div rows; a row is a stream (JSON with all features and
the event time) or, where the topic names `{feature}`, one feature of a stream (a bare number). Event times of
a stream lie exactly one period apart. Everything is a function of m, so whoever knows the plan knows what was sent.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gaugecast_sim import wire

Int64 = npt.NDArray[np.int64]
UInt8 = npt.NDArray[np.uint8]

PACKET_IDS = 65_535
LOAD_TOPIC = "plant/load/{stream}/telemetry"
TIME_DIGITS = b"0000000000.000"  # Unix seconds, from 2001 to 2286
VALUE_DIGITS = b"00.000"  # 10.000 to 90.000: no leading zero, which JSON forbids
WAVE_ROUNDS = 30  # length of the sine that the values follow


@dataclass(frozen=True, slots=True)
class LoadPlan:
    """What is sent, but not how fast.

    Attributes:
        streams: Number of streams; `{stream}` in the topic becomes `s0`, `s1`, …, zero-padded to one width.
        topic: With `{feature}`, each feature goes to its own topic as a bare number, without time.
        start_ns: Event time of round 0, Unix ns UTC, whole milliseconds.
        period_ns: Event time from one round to the next, whole milliseconds. Where rate / streams times this exceeds
            one second, event time runs ahead of the wall clock, and a daemon will in the end refuse it as far future.
        qos: 0 or 1.
    """

    streams: int
    start_ns: int
    topic: str = LOAD_TOPIC
    features: tuple[str, ...] = ("pressure", "temperature")
    period_ns: int = 1_000_000_000
    qos: int = 0

    def __post_init__(self) -> None:
        if self.streams < 1 or not self.features:
            raise ValueError(f"expected at least one stream and one feature, got {self.streams} and {self.features}")
        if "{stream}" not in self.topic:
            raise ValueError(f"expected '{{stream}}' in the topic, got {self.topic!r}")
        if self.start_ns % 1_000_000 or self.period_ns % 1_000_000 or self.start_ns < 10**18:
            raise ValueError(f"expected whole milliseconds after 2001, got {self.start_ns} and {self.period_ns}")
        if self.qos not in (0, 1):
            raise ValueError(f"expected qos 0 or 1, got {self.qos}")

    @property
    def rows(self) -> int:
        """Messages a round."""
        return self.streams * (len(self.features) if self.separate else 1)

    @property
    def separate(self) -> bool:
        """Whether each feature has a topic of its own."""
        return "{feature}" in self.topic

    def stream_name(self, stream: int) -> str:
        """What `{stream}` becomes."""
        return f"s{stream:0{len(str(self.streams - 1))}d}"

    def values(self, stream: Int64, feature: int, rounds: Int64) -> Int64:
        """Values of one feature in thousandths: a sine of 30 rounds, each stream in its own phase; any one shape."""
        phase = stream * 0.618034 + feature * 0.37
        wave: Int64 = np.rint(40_000 * np.sin(2 * np.pi * (rounds / WAVE_ROUNDS + phase))).astype(np.int64)
        return 50_000 + wave


class PacketBuilder:
    """Turns ranges of a plan's messages into bytes. All packets have `packet_bytes` bytes."""

    def __init__(self, plan: LoadPlan) -> None:
        self._plan = plan
        rows = [self._template(row) for row in range(plan.rows)]
        self.packet_bytes = len(rows[0])
        if any(len(row) != self.packet_bytes for row in rows):
            raise ValueError(f"expected features' names of one length in separate topics, got {plan.features}")
        self._templates: UInt8 = np.frombuffer(b"".join(rows), np.uint8).reshape(plan.rows, self.packet_bytes)
        payload = self._payload()
        payload_at = self.packet_bytes - len(payload)
        self._id_at = payload_at - 2
        self._time_at = payload_at + payload.index(TIME_DIGITS) if not plan.separate else -1
        self._value_at = (
            [payload_at + at for at in _find_all(payload, b" " + VALUE_DIGITS)] if not plan.separate else []
        )

    def build(self, first: int, count: int) -> memoryview:
        """The packets of messages `first` to `first + count - 1`, one after the other."""
        plan = self._plan
        index = np.arange(first, first + count, dtype=np.int64)
        rounds, row = np.divmod(index, plan.rows)
        block = self._templates[row]
        if plan.qos:
            ids = 1 + index % PACKET_IDS
            block[:, self._id_at] = ids >> 8
            block[:, self._id_at + 1] = ids & 0xFF
        if plan.separate:
            stream, feature = np.divmod(row, len(plan.features))
            for number in range(len(plan.features)):
                of_feature = feature == number
                thousandths = plan.values(stream[of_feature], number, rounds[of_feature])
                part = block[of_feature]
                _write_thousandths(part, self.packet_bytes - len(VALUE_DIGITS), 2, thousandths)
                block[of_feature] = part
        else:
            at_ms = plan.start_ns // 1_000_000 + rounds * (plan.period_ns // 1_000_000)
            _write_thousandths(block, self._time_at, 10, at_ms)
            for number, at in enumerate(self._value_at):
                _write_thousandths(block, at + 1, 2, plan.values(row, number, rounds))
        return block.data.cast("B")

    def _template(self, row: int) -> bytes:
        plan = self._plan
        stream, feature = divmod(row, len(plan.features)) if plan.separate else (row, 0)
        topic = plan.topic.replace("{stream}", plan.stream_name(stream)).replace("{feature}", plan.features[feature])
        return wire.publish_packet(topic, self._payload(), qos=plan.qos, packet_id=1)

    def _payload(self) -> bytes:
        if self._plan.separate:
            return VALUE_DIGITS
        fields = "".join(f', "{name}": ' + VALUE_DIGITS.decode() for name in self._plan.features)
        return b'{"t": ' + TIME_DIGITS + fields.encode() + b"}"


def _find_all(payload: bytes, part: bytes) -> list[int]:
    return [at for at in range(len(payload)) if payload.startswith(part, at)]


def _write_thousandths(block: UInt8, at: int, whole_digits: int, thousandths: Int64) -> None:
    """Write numbers as fixed-width decimals with three places into the columns from `at` of (B, packet), in place."""
    rest = thousandths
    for column in (*range(at + whole_digits + 3, at + whole_digits, -1), *range(at + whole_digits - 1, at - 1, -1)):
        rest, digit = np.divmod(rest, 10)
        block[:, column] = digit + 48
