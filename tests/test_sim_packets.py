"""Prebuilt packets are valid MQTT, and say what the plan says."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gaugecast_sim import wire
from gaugecast_sim.packets import PACKET_IDS, LoadPlan, PacketBuilder

START_NS = 1_700_000_000_000_000_000


def parse(packets: bytes) -> list[tuple[int, str, int, bytes]]:
    """First byte, topic, packet id (0 at QoS 0) and payload of PUBLISH packets."""
    at, found = 0, []
    while at < len(packets):
        part = wire.split_packet(packets, at)
        assert part is not None
        start, end = part
        topic_end = start + 2 + int.from_bytes(packets[start : start + 2], "big")
        qos = packets[at] >> 1 & 3
        packet_id = int.from_bytes(packets[topic_end : topic_end + 2], "big") if qos else 0
        payload = packets[topic_end + 2 * bool(qos) : end]
        found.append((packets[at], packets[start + 2 : topic_end].decode(), packet_id, payload))
        at = end
    return found


def build(plan: LoadPlan, first: int, count: int) -> list[tuple[int, str, int, bytes]]:
    """The packets of a range of messages, parsed."""

    return parse(bytes(PacketBuilder(plan).build(first, count)))


@given(length=st.integers(0, (1 << 28) - 1))
def test_remaining_length_is_that_of_the_standard(length: int) -> None:
    """Decoded by the standard's own algorithm it gives the length again, in as few bytes as can be."""
    encoded = wire.remaining_length(length)
    value, multiplier = 0, 1
    for digit in encoded:
        value += (digit & 127) * multiplier
        multiplier *= 128
    assert value == length
    assert len(encoded) == 1 or encoded[-1] != 0


@given(payloads=st.lists(st.binary(max_size=300), min_size=1, max_size=5), cut=st.integers(0, 2000))
def test_packets_are_found_again_wherever_the_bytes_are_cut(payloads: list[bytes], cut: int) -> None:
    """A packet is split off if and only if it is whole."""
    packets = [wire.publish_packet("a/b", payload, qos=1, packet_id=9) for payload in payloads]
    stream = b"".join(packets)[:cut]
    at = whole = 0
    while (part := wire.split_packet(stream, at)) is not None:
        at, whole = part[1], whole + 1
    lengths = np.cumsum([len(packet) for packet in packets])
    assert whole == int((lengths <= len(stream)).sum())


def test_a_malformed_length_is_an_error() -> None:
    """Five bytes with the continuation bit."""
    with pytest.raises(wire.WireError, match="remaining length"):
        wire.split_packet(b"\x30\xff\xff\xff\xff\x01", 0)


def test_streams_take_turns_and_times_are_one_period_apart() -> None:
    """Three streams, a period of 250 ms: rounds of three messages."""
    got = build(LoadPlan(3, START_NS, period_ns=250_000_000), 0, 7)
    fields = [json.loads(payload) for *_, payload in got]
    assert [topic for _, topic, _, _ in got[:4]] == [f"plant/load/s{s}/telemetry" for s in (0, 1, 2, 0)]
    assert [f["t"] for f in fields] == [1.7e9] * 3 + [1.7e9 + 0.25] * 3 + [1.7e9 + 0.5]
    assert list(fields[0]) == ["t", "pressure", "temperature"]


@given(first=st.integers(0, 10**7), streams=st.integers(1, 300))
def test_values_and_packet_ids_are_functions_of_the_message_number(first: int, streams: int) -> None:
    """Whatever block a message is built in, it is the same; and its values are those of `LoadPlan.values`."""
    plan = LoadPlan(streams, START_NS, qos=1)
    got = build(plan, first, 5)
    assert got[3:] == build(plan, first + 3, 2)
    for number, (head, topic, packet_id, payload) in enumerate(got, first):
        rounds, stream = divmod(number, streams)
        fields = json.loads(payload)
        assert head == 0x32
        assert topic == f"plant/load/{plan.stream_name(stream)}/telemetry"
        assert packet_id == 1 + number % PACKET_IDS
        assert fields["t"] == 1_700_000_000 + rounds
        for feature, name in enumerate(plan.features):
            expected = plan.values(np.array([stream]), feature, np.array([rounds]))[0] / 1000
            assert fields[name] == pytest.approx(float(expected), abs=1e-9)
            assert 10 <= fields[name] <= 90


def test_features_may_have_topics_of_their_own() -> None:
    """Bare numbers, feature after feature, stream after stream; the same values as in the JSON."""
    apart = build(LoadPlan(2, START_NS, topic="plant/{stream}/{feature}", features=("aa", "bb"), qos=1), 0, 8)
    joined = build(LoadPlan(2, START_NS, features=("aa", "bb")), 0, 4)
    assert [topic for _, topic, _, _ in apart[:4]] == ["plant/s0/aa", "plant/s0/bb", "plant/s1/aa", "plant/s1/bb"]
    assert [float(payload) for *_, payload in apart] == [
        value for *_, payload in joined for name, value in json.loads(payload).items() if name != "t"
    ]
    assert [packet_id for _, _, packet_id, _ in apart] == list(range(1, 9))


def test_plans_that_cannot_be_built_are_refused() -> None:
    """No stream in the topic, a period below a millisecond, names of unequal length in separate topics."""
    with pytest.raises(ValueError, match="stream"):
        LoadPlan(2, START_NS, topic="plant/x")
    with pytest.raises(ValueError, match="milliseconds"):
        LoadPlan(2, START_NS, period_ns=1500)
    with pytest.raises(ValueError, match="one length"):
        PacketBuilder(LoadPlan(2, START_NS, topic="{stream}/{feature}", features=("a", "bb")))
