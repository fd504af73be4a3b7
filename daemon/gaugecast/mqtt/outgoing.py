"""Our publishes on one connection: the window of unconfirmed ones, and what the broker said of each."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import accumulate, islice

from gaugecast.mqtt.packets import write_publish
from gaugecast.mqtt.reasons import FAILURE, PUBACK, name_reason
from gaugecast.mqtt.session import LAST_CONTROL_MID, Limits
from gaugecast.mqtt.wire import Wire
from gaugecast.topics import all_plain, topic_fault

BACKLOG_BYTES = 4 * 1024 * 1024  # pushed but not taken by the kernel
TYPICAL_BYTES = 1024  # of a publish, to turn bytes of room into a number of messages
_AROUND = 16  # bytes of a PUBLISH beside topic and body, at most
FIRST_MID, LAST_MID = LAST_CONTROL_MID + 1, 65535


class Outgoing:
    """Publishes handed over on one connection and not yet confirmed. Owned by the loop's thread.

    Attributes:
        confirmed: Positions that the broker (QoS 1) or the kernel (QoS 0) has taken; whoever takes them clears.
        refused: `(position, reason)` of those it will not take; likewise.
        was_full: The window or the backlog was full since the caller was last told of room.
    """

    def __init__(self, wire: Wire, *, v5: bool, window: int, limits: Limits) -> None:
        self.confirmed: list[int] = []
        self.refused: list[tuple[int, str]] = []
        self.was_full = False
        self._wire = wire
        self._v5 = v5
        self._window = min(window, limits.receive_maximum, LAST_MID - FIRST_MID)
        self._limits = limits
        self._in_flight: dict[int, int] = {}  # packet id → position
        self._unflushed: deque[tuple[int, int]] = deque()  # (where it ends in the stream of bytes, position)
        self._mid = FIRST_MID

    def __len__(self) -> int:
        """How many publishes are unconfirmed."""
        return len(self._in_flight) + len(self._unflushed)

    def room(self, qos: int) -> int:
        """How many more publishes may be handed over now."""
        room = (BACKLOG_BYTES - self._wire.backlog_bytes) // TYPICAL_BYTES
        if qos:
            room = min(room, self._window - len(self._in_flight))
        if room <= 0:
            self.was_full = True
        return max(room, 0)

    def publish_all(
        self, positions: Sequence[int], topics: Sequence[str], bodies: Sequence[bytes], *, qos: int, retain: bool
    ) -> None:
        """Push publishes; those are noted as refused of which sending would make the broker hang up."""
        limits = self._limits
        qos, retain = min(qos, limits.qos), retain and limits.retain
        names = _names_of(topics)
        longest = max(map(len, names), default=0) + max(map(len, bodies), default=0)
        if longest + _AROUND > limits.packet_bytes or b"" in names:
            positions, names, bodies = self._sendable(positions, topics, names, bodies)
        mids = self._next_mids(len(names)) if qos else [0] * len(names)
        v5 = self._v5
        packets = [
            write_publish(name, body, qos=qos, retain=retain, mid=mid, v5=v5)
            for name, body, mid in zip(names, bodies, mids, strict=True)
        ]
        if qos:
            self._in_flight.update(zip(mids, positions, strict=True))
            self.was_full |= len(self._in_flight) >= self._window
        else:
            ends = accumulate(map(len, packets), initial=self._wire.pushed_bytes)
            self._unflushed.extend(zip(islice(ends, 1, None), positions, strict=True))
        if packets:
            self._wire.push(b"".join(packets))

    def _sendable(
        self, positions: Sequence[int], topics: Sequence[str], names: Sequence[bytes], bodies: Sequence[bytes]
    ) -> tuple[list[int], list[bytes], list[bytes]]:
        """Positions, topics' bytes and bodies of what can be sent; the rest is noted as refused."""
        most = self._limits.packet_bytes
        large = f"the broker takes packets of at most {most} bytes"
        sizes = [len(name) + len(body) + _AROUND for name, body in zip(names, bodies, strict=True)]
        faults = [topic_fault(topic) or (size > most and large) for topic, size in zip(topics, sizes, strict=True)]
        self.refused += [(position, fault) for position, fault in zip(positions, faults, strict=True) if fault]
        kept = [i for i, fault in enumerate(faults) if not fault]
        return [positions[i] for i in kept], [names[i] for i in kept], [bodies[i] for i in kept]

    def take_acks(self, acks: list[tuple[int, int]]) -> None:
        """Settle the publishes that PUBACK packets speak of; unknown packet ids are passed over."""
        in_flight, confirmed = self._in_flight, self.confirmed
        for mid, reason in acks:
            position = in_flight.pop(mid, None)
            if position is None:
                continue
            if reason < FAILURE:
                confirmed.append(position)
            else:
                self.refused.append((position, name_reason(reason, PUBACK)))

    def note_flushed(self) -> None:
        """Confirm the QoS 0 publishes whose last byte the kernel has taken."""
        unflushed, flushed_bytes = self._unflushed, self._wire.flushed_bytes
        while unflushed and unflushed[0][0] <= flushed_bytes:
            self.confirmed.append(unflushed.popleft()[1])

    def has_room_again(self) -> bool:
        """Whether half of what was full is free; says so once."""
        if self.was_full and len(self._in_flight) * 2 <= self._window and self._wire.backlog_bytes * 2 <= BACKLOG_BYTES:
            self.was_full = False
            return True
        return False

    def _next_mids(self, count: int) -> Sequence[int]:
        """Packet ids that are free."""
        first, last = self._mid, self._mid + count - 1
        if last < LAST_MID and self._in_flight.keys().isdisjoint(range(first, last + 1)):
            self._mid = last + 1
            return range(first, last + 1)
        return [self._next_mid() for _ in range(count)]

    def _next_mid(self) -> int:
        mid = self._mid
        while mid in self._in_flight:
            mid = mid + 1 if mid < LAST_MID else FIRST_MID
        self._mid = mid + 1 if mid < LAST_MID else FIRST_MID
        return mid


def _names_of(topics: Sequence[str]) -> list[bytes]:
    """The topics' bytes; none of one that nobody can publish to."""
    if all_plain(topics):
        return [topic.encode() for topic in topics]
    return [b"" if topic_fault(topic) else topic.encode() for topic in topics]
