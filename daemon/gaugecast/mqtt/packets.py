"""PUBLISH and PUBACK, read and written by ourselves; every other packet is paho's.

Why: these two pass once a message. Measured (Python 3.11, 122-byte payload, a shared core), paho 2.2 takes 15 µs
(MQTT 3.1.1) to 50 µs (MQTT 5) to read a PUBLISH from a socket, 4 to ack it, 18 to publish at QoS 0 and 30 at QoS 1 with
its PUBACK: `Properties` and `ReasonCode` objects that nobody looks at, locks, and a `recv` for each field. The whole
`Link` over a real broker takes 3 to 4 µs to read, 6 to 8 with the ack, 2 to 4 to publish at QoS 0, 4 to 6 at QoS 1.
Section numbers are those of OASIS MQTT 5.0.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from itertools import repeat

from gaugecast.records import Message

PUBLISH, PUBACK, PUBREL = 3, 4, 6

_MOST_ACKS = 1024  # that are looked at together
_new_message = tuple.__new__  # without checking the fields one by one

#: A PUBLISH longer than this reaches the caller cut short (and is refused there as too large): it bounds memory.
MAX_PACKET_BYTES = 16 * 1024 * 1024


class MalformedPacket(ConnectionError):
    """The broker sent what MQTT does not allow; the connection has to end (4.13)."""


class Inbound:
    """Cuts one connection's byte stream into packets. Owned by the loop's thread, made anew for each connection.

    Attributes:
        messages: PUBLISH packets in arrival order; whoever takes them clears the list.
        acks: `(packet id, reason code)` of PUBACK packets, likewise.
        releases: Packet ids of PUBREL packets, likewise.
        control: All other packets, whole, for paho; likewise.
    """

    __slots__ = ("_chunks", "_epoch", "_have", "_need", "_skip", "_v5", "acks", "control", "messages", "releases")

    def __init__(self, epoch: int, *, v5: bool) -> None:
        self.messages: list[Message] = []
        self.acks: list[tuple[int, int]] = []
        self.releases: list[int] = []
        self.control: list[bytes] = []
        self._epoch = epoch
        self._v5 = v5
        self._chunks: list[bytes] = []  # bytes of a packet that has not come whole
        self._have = 0
        self._need = 2  # bytes without which nothing can be cut; saves joining a long packet at every chunk
        self._skip = 0  # bytes still to come of a packet that was cut short

    def take(self, chunk: bytes) -> None:
        """Cut `chunk`, and what was left of the ones before it, into packets.

        Raises:
            MalformedPacket: lengths that contradict each other.
        """
        if self._skip:
            skipped = min(self._skip, len(chunk))
            self._skip -= skipped
            chunk = chunk[skipped:]
        self._chunks.append(chunk)
        self._have += len(chunk)
        if self._have < min(self._need, MAX_PACKET_BYTES):
            return
        whole = chunk if len(self._chunks) == 1 else b"".join(self._chunks)
        try:
            at = self._cut(whole)
        except IndexError as exc:
            raise MalformedPacket("a packet is shorter than its own fields") from exc
        rest = whole[at:]
        self._chunks = [rest] if rest else []
        self._have = len(rest)

    def _cut(self, whole: bytes) -> int:
        """Append every complete packet to its list; return where the first incomplete one begins."""
        at, end, v5, epoch, messages = 0, len(whole), self._v5, self._epoch, self.messages
        while end - at >= 2:
            head, size, body = whole[at], whole[at + 1], at + 2
            if size > 127:
                size, body = read_varint(whole, at + 1)
                if body == 0:  # the length itself is incomplete
                    break
            stop = body + size
            if stop > end:
                self._need = stop - at
                return self._cut_short(whole, at, body) if self._need > MAX_PACKET_BYTES else at
            kind = head >> 4
            if kind == PUBLISH:
                messages.append(read_publish(whole, head, body, stop, v5, epoch))
            elif kind in (PUBACK, PUBREL) and size < 2:
                raise MalformedPacket("an acknowledgement without packet id")
            elif kind == PUBACK and size == 2:
                stop = self._take_acks(whole, at)
            elif kind == PUBACK:
                self.acks.append((whole[body] << 8 | whole[body + 1], whole[body + 2]))
            elif kind == PUBREL:
                self.releases.append(whole[body] << 8 | whole[body + 1])
            else:
                self.control.append(whole[at:stop])
            at = stop
        self._need = end - at + 1
        return at

    def _take_acks(self, whole: bytes, at: int) -> int:
        """Take the PUBACK without a reason, which means success (3.4.2.1), at `at` and its like behind it, all at once.

        Returns where they end. The broker confirms by the hundred.
        """
        stretch = whole[at : at + 4 * _MOST_ACKS]
        count = min(len(part) - len(part.lstrip(part[:1])) for part in (stretch[::4], stretch[1::4]))
        count = min(count, len(stretch) // 4)
        self.acks += zip(struct.unpack_from(f">{2 * count}H", stretch)[1::2], repeat(0))
        return at + 4 * count

    def _cut_short(self, whole: bytes, at: int, body: int) -> int:
        """Give the head of an oversized PUBLISH as a message, once enough has come, and skip its rest."""
        end = len(whole)
        if end - at < MAX_PACKET_BYTES:
            return at
        if whole[at] >> 4 != PUBLISH:
            raise MalformedPacket(f"expected a packet of at most {MAX_PACKET_BYTES} bytes, got {self._need}")
        self.messages.append(read_publish(whole, whole[at], body, end, self._v5, self._epoch))
        self._skip, self._need = self._need - (end - at), 2
        return end


def read_publish(whole: bytes, head: int, body: int, stop: int, v5: bool, epoch: int) -> Message:
    """Read the PUBLISH packet in `whole[body:stop]`, its first byte being `head` (3.3).

    Properties are skipped: we announce no topic alias, and need none of the others.

    Raises:
        MalformedPacket: a field reaches beyond the packet, an empty topic, or QoS 3.
    """
    qos = head >> 1 & 3
    cut = body + 2 + (whole[body] << 8 | whole[body + 1])
    topic = whole[body + 2 : cut].decode("utf-8", "replace")  # a broken topic fits no fleet, and is refused there
    mid = 0
    if qos:
        mid = whole[cut] << 8 | whole[cut + 1]
        cut += 2
    if v5:
        properties = whole[cut]
        cut += 1
        if properties:
            properties, cut = read_varint(whole, cut - 1)
            cut += properties
    if cut > stop or qos == 3 or not topic:
        raise MalformedPacket("a PUBLISH packet contradicts itself")
    return _new_message(Message, (topic, whole[cut:stop], qos, head & 8 != 0, head & 1 != 0, mid, epoch))


def read_varint(whole: bytes, at: int) -> tuple[int, int]:
    """Read a variable byte integer (1.5.5); return it and where it ends, or `(0, 0)` if it is incomplete.

    Raises:
        MalformedPacket: more than four bytes.
    """
    number = 0
    for shift, position in zip((0, 7, 14, 21), range(at, len(whole)), strict=False):
        byte = whole[position]
        number |= (byte & 127) << shift
        if byte < 128:
            return number, position + 1
    if len(whole) - at >= 4:
        raise MalformedPacket("a length of more than four bytes")
    return 0, 0


def write_varint(number: int) -> bytes:
    """Write a variable byte integer (1.5.5)."""
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


def write_publish(topic: bytes, body: bytes, *, qos: int, retain: bool, mid: int, v5: bool) -> bytes:
    """Write a PUBLISH packet without properties; `mid` is left out at QoS 0 (3.3)."""
    rest = (mid << 8).to_bytes(3, "big") if qos else b"\0"
    if not v5:  # no byte that says how long the properties are
        rest = rest[:-1]
    length = len(topic)
    head = _publish_head(0x30 | qos << 1 | retain, 2 + length + len(rest) + len(body))
    return b"".join((head, length.to_bytes(2, "big"), topic, rest, body))


@lru_cache(maxsize=4096)
def _publish_head(kind: int, size: int) -> bytes:
    return bytes((kind,)) + write_varint(size)


def write_ack(message: Message) -> bytes:
    """Write what takes a message off the broker's hands: PUBACK at QoS 1, PUBREC at QoS 2 (3.4, 3.5).

    We never subscribe at QoS 2, yet an inherited session may hold such messages: PUBREC once the message is
    durable and PUBCOMP for every PUBREL is at-least-once without any memory of ours.
    """
    return ((0x40020000 if message.qos == 1 else 0x50020000) | message.mid).to_bytes(4, "big")


def write_pubcomp(mid: int) -> bytes:
    """Write a PUBCOMP packet (3.7)."""
    return (0x70020000 | mid).to_bytes(4, "big")
