"""What we take as a topic and what a real broker takes are the same: held against mosquitto, both ways."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from gaugecast.config.schema import Mqtt
from gaugecast.errors import DecodeError
from gaugecast.mqtt import Link
from gaugecast.mqtt.packets import write_publish
from gaugecast.payloads.identity import stream_id
from gaugecast.topics import MAX_STREAM_BYTES, Template, all_plain, output_topic, stream_fault, text_fault, topic_fault
from support.mosquitto import Mosquitto, RawClient, run_mosquitto, wait_until
from support.payloads import make_fleet

#: One of each kind that is refused, and where each kind ends.
NO_TEXT = [chr(code) for code in (0x00, 0x01, 0x1F, 0x7F, 0x80, 0x9F, 0xD800, 0xDFFF, 0xFDD0, 0xFDEF)]
NO_TEXT += [chr(plane << 16 | end) for plane in range(17) for end in (0xFFFE, 0xFFFF)]
NEIGHBOURS = [chr(code) for code in (0x20, 0x7E, 0xA0, 0xD7FF, 0xE000, 0xFDCF, 0xFDF0, 0xFFFD, 0xFEFF, 0x10FFFD)]
#: A batch that fails costs seconds: it is told as it came.
UNSHRUNK = (Phase.explicit, Phase.generate)
IDS = st.one_of(
    st.text(min_size=1, max_size=40),
    st.text(st.sampled_from(NEIGHBOURS + NO_TEXT + ["/", "$", "+", "#"]), min_size=1, max_size=3),
    st.integers(150, 256).map(lambda size: "/" * size),
    st.text(st.characters(), min_size=60, max_size=90),
)


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    """One for all."""
    with run_mosquitto(tmp_path_factory.mktemp("broker"), conf="max_queued_messages 0", log_all=False) as broker:
        yield broker


@pytest.fixture(scope="module")
def listener(broker: Mosquitto) -> Iterator[RawClient]:
    """Hears all."""
    with RawClient(broker, subscribe="#") as client:
        yield client


@pytest.fixture(scope="module", params=["5", "3.1.1"])
def link(broker: Mosquitto, request: pytest.FixtureRequest) -> Iterator[Link]:
    """Publishes, with the protocol's version."""
    link = Link(Mqtt(host="127.0.0.1", port=broker.port, protocol=request.param, publish_window=1000), [])
    wait_until(lambda: link.poll(0, 0.01) or link.connected, what="connected")
    yield link
    link.close()


@pytest.mark.parametrize("output", ["gaugecast/{fleet}/{stream}", "{stream}", "a/b/{stream}/c"])
@settings(max_examples=12, deadline=None, phases=UNSHRUNK, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ids=st.lists(IDS, min_size=30, max_size=60))
def test_the_output_topic_of_every_id_that_is_taken_is_heard_back(
    link: Link, listener: RawClient, output: str, ids: list[str]
) -> None:
    """And the connection lives: mosquitto hangs up on what it does not take."""
    fleet = make_fleet(stream="{$.id}", output=output)
    taken: list[str] = []
    for one in ids:
        with contextlib.suppress(DecodeError):
            taken.append(stream_id(fleet, Template.parse(fleet.stream), captures={}, fields=[one]))
    topics = [output_topic(output, fleet.name, one) for one in taken]
    wait_until(lambda: link.poll(0, 0.01) or link.connected, what="connected")
    epoch = link.sender.epoch
    listener.heard.clear()
    for position, topic in enumerate(topics):
        link.sender.publish(position, topic, b"x", 1, False)
    confirmed: list[int] = []

    def all_confirmed() -> bool:
        link.poll(0, 0.01)
        confirmed.extend(link.sender.take_confirmed())
        return len(confirmed) >= len(topics)

    wait_until(
        all_confirmed,
        what=f"{len(topics)} confirmed; {link.sender.last_error}",
        deadline_s=5,
    )
    ours = wait_until(
        lambda: (
            [h.topic for h in listener.heard if not h.topic.startswith(("gaugecast/status", "gaugecast-notices/"))][
                : len(topics)
            ]
            == topics
            or not topics
        ),
        what="all heard",
    )
    assert ours
    assert (link.sender.epoch, link.sender.take_refused()) == (epoch, [])


@pytest.mark.parametrize("char", [*NO_TEXT, "+", "#"], ids=lambda char: f"U+{ord(char):04X}")
def test_on_each_character_that_is_refused_the_broker_hangs_up(broker: Mosquitto, char: str) -> None:
    """So none of them is needed, and each of them is a danger."""
    topic = f"t/{char}x"
    assert topic_fault(topic)
    assert hangs_up(broker, topic.encode(errors="surrogatepass"))


def test_two_hundred_slashes_are_taken_and_one_more_is_not(broker: Mosquitto) -> None:
    """As mosquitto counts; ids leave room for the levels of the output's template."""
    for slashes, bad in ((200, False), (201, True)):
        assert bool(topic_fault("a" + "/" * slashes)) is bad
        assert hangs_up(broker, b"a" + b"/" * slashes) is bad
    deep = "/" * 199
    assert stream_fault(deep, output_topic("{stream}", "tanks", deep)) == ""
    assert "201" in stream_fault(deep, output_topic("gaugecast/{fleet}/{stream}", "tanks", deep))


def test_a_topic_has_one_byte_to_65535_and_an_id_256(broker: Mosquitto) -> None:
    """Bytes, not characters."""
    assert topic_fault("ü" * 32_767) == ""
    assert not hangs_up(broker, ("ü" * 32_767).encode())
    assert "65536" in topic_fault("ü" * 32_768)
    assert "empty" in topic_fault("")
    assert "at most 256 bytes, got 258" in stream_fault("ü" * (MAX_STREAM_BYTES // 2 + 1), "x")


def test_the_complaint_says_what_was_expected_and_names_what_came_in_plain_ascii() -> None:
    """A character that cannot be printed is told by its number."""
    assert text_fault("a\ufffe") == (
        "expected no control characters, surrogates or non-characters, got U+FFFE (non-character)"
    )
    assert "U+0007 (control)" in text_fault("\a")
    assert "U+D800 (surrogate)" in text_fault("\ud800")
    assert topic_fault("$SYS/x").startswith("expected no `$`")
    assert text_fault("$SYS/x") == ""


def hangs_up(broker: Mosquitto, topic: bytes) -> bool:
    """Whether the broker ends the connection on a publish to this topic, MQTT 3.1.1."""
    with socket.create_connection(("127.0.0.1", broker.port), timeout=5) as sock:
        sock.sendall(b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01a")
        assert sock.recv(4) == b"\x20\x02\x00\x00"
        sock.sendall(write_publish(topic, b"x", qos=1, retain=False, mid=7, v5=False))
        try:
            return sock.recv(4) != b"\x40\x02\x00\x07"
        except ConnectionResetError:
            return True


@given(topics=st.lists(st.text(st.sampled_from("aü/+#$ \0\ufffe"), max_size=4) | st.just("a/" * 150), max_size=4))
def test_what_is_judged_at_once_is_judged_as_one_by_one(topics: list[str]) -> None:
    """The quick look finds no fault only where there is none in any."""
    assert not all_plain(topics) or not any(map(topic_fault, topics))
    assert all_plain(["a", "hall/boiler 1"])
