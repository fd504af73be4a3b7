"""An output at which the broker hangs up is found and moved aside; on a bad network no innocent one is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest

from gaugecast.config.broker import MqttVersion
from gaugecast.config.schema import Mqtt, Publish
from gaugecast.loop.hang_up_guard import MOST_TOPICS, QUIET_S, REASON, SHORT_SESSIONS, HangUpGuard
from gaugecast.loop.publisher import TRIAL_S, Publisher
from gaugecast.mqtt import Link, SessionEnd
from gaugecast.mqtt.facts import How
from gaugecast.records import Message
from support.mosquitto import RawClient, run_mosquitto, wait_until
from support.outbox import Outbox, Row
from support.picky_broker import PickyBroker

BAD = "out/bad"
STEP_S = 0.05  # that pass for the publisher in a round


class Stage:
    """A link and a publisher over outputs, turned like the loop turns them, on a clock that runs fast."""

    def __init__(self, port: int, protocol: MqttVersion, rows: list[Row], *, flap_limit: int = 20) -> None:
        publish = Publish(port=port)  # nobody is subscribed to: nothing listens on port 1
        mqtt = Mqtt(host="127.0.0.1", port=1, protocol=protocol, reconnect_max_s=0.1, publish=publish)
        self.link = Link(mqtt, [("in/#", 1)], flap_limit=flap_limit)
        self.outbox = Outbox(rows)
        self.publisher = Publisher(self.link.sender, self.outbox)
        self.now_s = 0.0

    def turn(self) -> None:
        """One round."""
        self.link.poll(0, 0.002)
        for connect in self.link.sender.take_connects():
            self.publisher.reset(connect.ended)
        self.publisher.pump(self.now_s)
        self.publisher.retry(self.now_s)
        settled = self.publisher.settled
        self.outbox.commit(settled)
        self.publisher.forget_settled(settled)
        self.now_s += STEP_S


def rows_with(*bad: int, count: int = 40) -> list[Row]:
    """Outputs, some of them to a topic that the broker hates."""
    return [Row(n, BAD if n in bad else f"out/{n}", b"%d" % n) for n in range(1, count + 1)]


def is_bad(message: Message) -> bool:
    """Whether it goes to that topic."""
    return message.topic == BAD


@pytest.fixture(params=["5", "3.1.1"])
def protocol(request: pytest.FixtureRequest) -> str:
    """Both."""
    chosen: MqttVersion = request.param
    return chosen


@pytest.fixture
def make_broker(protocol: MqttVersion) -> Iterator[Callable[..., PickyBroker]]:
    """Makes brokers of a taste."""
    brokers: list[PickyBroker] = []

    def make(hates: Callable[[Message], bool]) -> PickyBroker:
        brokers.append(PickyBroker(hates, v5=protocol == "5"))
        return brokers[-1]

    yield make
    for broker in brokers:
        broker.close()


@pytest.mark.parametrize("end", ["closed", "reset", "blamed"])
def test_all_others_arrive_where_the_broker_hangs_up_on_one_topic(
    make_broker: Callable[..., PickyBroker], protocol: MqttVersion, end: str
) -> None:
    """In order, behind one that is first and one in the middle; nothing exits, and both are told as refused."""
    broker = make_broker(is_bad)
    broker.reset = end == "reset"
    broker.parting = b"\xe0\x01\x81" if end == "blamed" and protocol == "5" else b""
    stage = Stage(broker.port, protocol, rows_with(1, 20))

    def done() -> bool:
        broker.turn()
        stage.turn()
        return stage.outbox.confirmed == 40

    wait_until(done, what=f"all settled; {stage.link.sender.last_error}")
    arrived = [int(m.payload) for m in broker.heard if m.topic.startswith("out/")]
    assert list(dict.fromkeys(arrived)) == [n for n in range(1, 41) if n not in (1, 20)]
    assert [(row.position, row.reason) for row in stage.outbox.refused] == [(1, REASON), (20, REASON)]
    assert stage.publisher.refused_total == 2
    assert broker.sessions < 12
    stage.link.close(0.0)


def test_without_the_guard_all_stands_still(
    make_broker: Callable[..., PickyBroker], protocol: MqttVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The deliberate fault: sessions end and nobody draws a conclusion."""
    monkeypatch.setattr(HangUpGuard, "note_end", lambda *_: None)
    broker = make_broker(is_bad)
    stage = Stage(broker.port, protocol, rows_with(1))
    while broker.sessions < 15:
        broker.turn()
        stage.turn()
    assert stage.outbox.confirmed == 0
    assert not [m for m in broker.heard if m.topic.startswith("out/")]
    stage.link.close(0.0)


def test_condemned_outputs_are_tried_again_alone_and_rarely(
    make_broker: Callable[..., PickyBroker], protocol: MqttVersion
) -> None:
    """An hour's quiet costs one connection; once the broker has been mended they all arrive."""
    taste = {"hates": True}
    broker = make_broker(lambda message: taste["hates"] and is_bad(message))
    stage = Stage(broker.port, protocol, rows_with(3, 5, 7, count=10))

    def turned(condition: Callable[[], object]) -> Callable[[], object]:
        def done() -> object:
            broker.turn()
            stage.turn()
            return condition()

        return done

    def pass_time() -> None:
        for _ in range(50):
            turned(lambda: True)()
            stage.now_s += TRIAL_S / 100

    wait_until(turned(lambda: stage.outbox.confirmed == 10), what="all settled")
    before = broker.sessions
    pass_time()
    assert broker.sessions == before
    stage.now_s += TRIAL_S
    wait_until(turned(lambda: broker.sessions > before), what="a trial")
    pass_time()
    assert broker.sessions == before + 1
    assert len(stage.outbox.refused) == 3
    taste["hates"] = False
    stage.now_s += TRIAL_S
    wait_until(turned(lambda: not stage.outbox.refused), what="all delivered")
    assert sorted(int(m.payload) for m in broker.heard if m.topic == BAD) == [3, 5, 7]
    assert broker.sessions == before + 1
    stage.link.close(0.0)


def has_settled(stage: Stage, count: int) -> bool:
    """Whether so many are, after another round."""
    stage.turn()
    return stage.outbox.confirmed == count


def test_a_packet_above_the_brokers_limit_on_3_1_1_holds_nothing_up(tmp_path: Path) -> None:
    """mosquitto says nothing of `max_packet_size` there, and resets the connection."""
    rows = [Row(n, f"out/{n}", bytes(5000) if n == 4 else b"x") for n in range(1, 11)]
    with (
        run_mosquitto(tmp_path / "broker", conf="max_packet_size 2000") as broker,
        RawClient(broker, subscribe="out/#") as client,
    ):
        stage = Stage(broker.port, "3.1.1", rows)
        wait_until(lambda: has_settled(stage, 10), what=f"all settled; {stage.link.sender.last_error}")
        assert [row.position for row in stage.outbox.refused] == [4]
        heard = client.wait_heard(9)
        stage.link.close(0.0)
    assert list(dict.fromkeys(h.topic for h in heard)) == [f"out/{n}" for n in range(1, 11) if n != 4]


@pytest.mark.parametrize("reset", [pytest.param(False, marks=pytest.mark.long), True])
def test_a_network_that_cuts_at_random_condemns_no_innocent_output(
    make_broker: Callable[..., PickyBroker], protocol: MqttVersion, reset: bool
) -> None:
    """Forty cuts, most of them with publishes under way: all arrives, nothing is refused."""
    broker = make_broker(lambda _: False)
    rng = Random(7)
    stage = Stage(broker.port, protocol, rows_with(count=400), flap_limit=100_000)

    for _ in range(20_000):
        stage.turn()
        if rng.random() < 0.03:
            broker.hang_up(reset=reset)
        elif rng.random() < 0.5:
            broker.turn()
        if stage.outbox.confirmed == len(stage.outbox.rows):
            stage.outbox.rows.append(Row(stage.outbox.confirmed + 1, "out/more", b""))
        if broker.sessions >= 40:
            break
    assert broker.sessions >= 40
    assert stage.outbox.refused == []
    assert stage.outbox.confirmed >= 400
    stage.link.close(0.0)


# -- the guard alone


def run_guard(guard: HangUpGuard, sessions: int, how: How) -> bool:
    """Sessions in which output 1 is first, and that end soon after it was handed over; whether it was condemned."""
    for now_s in range(0, 10 * sessions, 10):
        if guard.cautious:
            assert not guard.may_offer(now_s)
            assert guard.may_offer(now_s + 1.1)
        guard.note_handed(1, BAD, now_s + 1.1)
        if guard.note_end(SessionEnd(1.2, how, 0.1)) is not None:
            return True
    return False


@pytest.mark.parametrize(("how", "strikes"), [("closed", 3), ("blamed", 3), ("reset", 6)])
def test_an_output_is_condemned_after_three_hang_ups_or_six_resets_alone(how: How, strikes: int) -> None:
    """And not one sooner."""
    assert not run_guard(HangUpGuard(), SHORT_SESSIONS + strikes - 1, how)
    assert run_guard(HangUpGuard(), SHORT_SESSIONS + strikes, how)


def test_silence_and_a_broker_that_goes_down_condemn_nothing() -> None:
    """Time-outs, half-open connections, DISCONNECT with "shutting down"."""
    assert not run_guard(HangUpGuard(), 1000, "otherwise")


@pytest.mark.parametrize(("how", "cuts_per_s", "puback_s"), [("reset", 2.0, 0.2), ("closed", 0.2, 0.02)])
def test_a_network_that_is_cut_all_the_time_condemns_nothing(how: How, cuts_per_s: float, puback_s: float) -> None:
    """Cuts know nothing of publishes: a hundred thousand sessions under caution, one after the other."""
    rng, now_s, cautious = Random(1), 0.0, 0
    guard = HangUpGuard()
    while cautious < 100_000:
        if not guard.cautious:
            assert not run_guard(guard, SHORT_SESSIONS, how)
        cautious += 1
        now_s += 10.0
        guard.may_offer(now_s)
        life_s = rng.expovariate(cuts_per_s)
        if life_s > QUIET_S:
            guard.note_handed(1, BAD, now_s + QUIET_S)
            if life_s > QUIET_S + puback_s:
                guard.note_answers([1])
        assert guard.note_end(SessionEnd(life_s, how, life_s - QUIET_S if life_s > QUIET_S else None)) is None


def test_an_answer_or_a_session_that_lives_on_ends_the_caution() -> None:
    """Whatever the broker does with that output, it does not hang up on it."""
    for answered in (True, False):
        guard = HangUpGuard()
        run_guard(guard, SHORT_SESSIONS, "closed")
        assert guard.cautious
        assert not guard.may_offer(100.0)
        assert guard.may_offer(101.1)
        guard.note_handed(1, BAD, 101.1)
        if answered:
            guard.note_answers([2])
            assert guard.cautious
            guard.note_answers([1])
        else:
            assert not guard.may_offer(103.0)
            assert guard.cautious
            assert not guard.may_offer(103.2)
        assert not guard.cautious


def test_short_sessions_with_different_outputs_first_are_no_reason_for_caution() -> None:
    """Something was confirmed in between."""
    guard = HangUpGuard()
    for position in range(100):
        guard.note_handed(position, BAD, 0.0)
        assert guard.note_end(SessionEnd(0.1, "closed", 0.1)) is None
    assert not guard.cautious


def test_the_memory_of_topics_is_bounded() -> None:
    """The oldest go first."""
    guard = HangUpGuard()
    run_guard(guard, SHORT_SESSIONS, "closed")
    for n in range(MOST_TOPICS + 1):
        for _ in range(3):
            guard.note_handed(n, f"t/{n}", 0.0)
            guard.note_end(SessionEnd(1.2, "closed", 0.1))
    assert "t/0" not in guard.topics
    assert f"t/{MOST_TOPICS}" in guard.topics
