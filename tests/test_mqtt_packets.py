"""PUBLISH and PUBACK by hand, held against paho's own reader and against hostile bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt import _packet
from paho.mqtt.client import MQTTv5, MQTTv311

from gaugecast.mqtt import packets
from gaugecast.mqtt.packets import Inbound, MalformedPacket, read_varint, write_ack, write_publish, write_varint
from gaugecast.records import Message

topics = st.text(st.characters(exclude_characters="+#\0", exclude_categories=["Cs"]), min_size=1, max_size=200)
mids = st.integers(1, 65535)


@given(topics, st.binary(max_size=400), st.integers(0, 1), st.booleans(), mids, st.booleans())
def test_paho_reads_what_we_write(topic: str, body: bytes, qos: int, retain: bool, mid: int, v5: bool) -> None:
    """Every field comes back through another implementation."""
    packet = write_publish(topic.encode(), body, qos=qos, retain=retain, mid=mid, v5=v5)
    size, start = read_varint(packet, 1)
    assert size == len(packet) - start
    read = _packet.decode_publish(packet[0], packet[start:], MQTTv5 if v5 else MQTTv311)
    assert (read.topic, read.payload, read.qos, read.retain) == (topic.encode(), body, qos, retain)
    assert read.mid == (mid if qos else 0)


@given(
    st.lists(st.tuples(topics, st.binary(max_size=300), st.integers(0, 1), mids), max_size=8), st.data(), st.booleans()
)
def test_however_the_stream_is_cut_the_messages_are_the_same(
    sent: list[tuple[str, bytes, int, int]], cuts: st.DataObject, v5: bool
) -> None:
    """TCP keeps no boundaries: the pieces may end anywhere, in the middle of a length too."""
    stream = b"".join(write_publish(t.encode(), b, qos=q, retain=False, mid=m, v5=v5) for t, b, q, m in sent)
    stream += b"\x40\x02\x12\x34" + b"\xd0\x00"
    inbound = Inbound(7, v5=v5)
    at = 0
    while at < len(stream):
        step = cuts.draw(st.integers(1, 400))
        inbound.take(stream[at : at + step])
        at += step
    assert inbound.messages == [Message(t, b, q, False, False, m if q else 0, 7) for t, b, q, m in sent]
    assert inbound.acks == [(0x1234, 0)]
    assert inbound.control == [b"\xd0\x00"]


@given(st.binary(max_size=300), st.booleans())
def test_hostile_bytes_raise_nothing_but_malformed_packet(stream: bytes, v5: bool) -> None:
    """Whatever comes, the connection ends in order."""
    inbound = Inbound(1, v5=v5)
    try:
        inbound.take(stream)
    except MalformedPacket:
        return
    assert all(message.topic and message.qos < 3 for message in inbound.messages)


@pytest.mark.parametrize("number", [0, 127, 128, 16_383, 16_384, 2_097_151, 2_097_152, 268_435_455])
def test_lengths_survive_at_their_boundaries(number: int) -> None:
    """The limits of one to four bytes, from table 1-1 of MQTT 5.0."""
    written = write_varint(number)
    assert read_varint(written, 0) == (number, len(written))
    assert read_varint(written[:-1], 0) == (0, 0)


@pytest.mark.parametrize(
    "stream",
    [
        pytest.param(b"\x30\x04\x00\x09ab\x00", id="topic beyond the packet"),
        pytest.param(b"\x36\x07\x00\x01a\x00\x01\x00x", id="QoS 3"),
        pytest.param(b"\x30\x04\x00\x00\x00x", id="empty topic, thus an alias"),
        pytest.param(b"\x30\xff\xff\xff\xff\x01", id="a length of five bytes"),
        pytest.param(b"\x40\x01\x00\x00", id="PUBACK without packet id"),
    ],
)
def test_contradictions_are_refused(stream: bytes) -> None:
    """Each ends the connection instead of yielding a wrong message."""
    with pytest.raises(MalformedPacket):
        Inbound(1, v5=True).take(stream)


def test_a_packet_beyond_the_bound_is_cut_short_and_the_next_one_is_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory stays bounded, the message is still acked, and the stream stays in step."""
    monkeypatch.setattr(packets, "MAX_PACKET_BYTES", 1000)
    huge = write_publish(b"huge", bytes(5000), qos=1, retain=False, mid=9, v5=True)
    small = write_publish(b"small", b"x", qos=0, retain=False, mid=0, v5=True)
    inbound = Inbound(1, v5=True)
    stream = huge + small + small
    for at in range(0, len(stream), 300):
        inbound.take(stream[at : at + 300])
        assert inbound._have <= 1300
    first, second, third = inbound.messages
    assert (first.topic, first.mid) == ("huge", 9)
    assert 900 < len(first.payload) < 1300
    assert second == third == Message("small", b"x", 0, False, False, 0, 1)


def test_a_topic_that_is_not_utf8_is_delivered_as_one_that_fits_nothing() -> None:
    """An exception here would be met again at every redelivery."""
    inbound = Inbound(1, v5=False)
    inbound.take(b"\x30\x05\x00\x02\xff\xfex")
    assert inbound.messages[0].topic == "\ufffd\ufffd"


def test_failing_pubacks_keep_their_reason_code() -> None:
    """MQTT 5 may leave the code out (success), give it alone, or with properties."""
    inbound = Inbound(1, v5=True)
    inbound.take(b"\x40\x02\x00\x01" + b"\x40\x03\x00\x02\x87" + b"\x40\x04\x00\x03\x97\x00")
    assert inbound.acks == [(1, 0), (2, 0x87), (3, 0x97)]


@given(
    acks=st.lists(st.tuples(st.integers(1, 65535), st.sampled_from([None, None, None, 0, 0x87])), max_size=30),
    other=st.integers(0, 30),
    cuts=st.lists(st.integers(0, 150), max_size=4),
)
def test_pubacks_in_a_row_are_taken_one_and_all(
    acks: list[tuple[int, int | None]], other: int, cuts: list[int]
) -> None:
    """Whether they say a reason or not, wherever another packet stands between them or the stream is cut."""
    written = [
        bytes([0x40, 2 + (reason is not None)]) + mid.to_bytes(2, "big") + bytes([] if reason is None else [reason])
        for mid, reason in acks
    ]
    stream = b"".join([*written[:other], b"\xd0\x00", *written[other:]])
    inbound, begin = Inbound(1, v5=True), 0
    for end in sorted(cut % (len(stream) + 1) for cut in [*cuts, len(stream)]):
        inbound.take(stream[begin:end])
        begin = end
    assert inbound.acks == [(mid, reason or 0) for mid, reason in acks]
    assert inbound.control == [b"\xd0\x00"]


def test_acks_are_puback_or_pubrec() -> None:
    """The four bytes of 3.4 and 3.5."""
    assert write_ack(Message("t", b"", 1, False, False, 0x1234, 1)) == b"\x40\x02\x12\x34"
    assert write_ack(Message("t", b"", 2, False, False, 0x1234, 1)) == b"\x50\x02\x12\x34"
