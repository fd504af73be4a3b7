"""An output at which the broker hangs up is found and moved aside; on a bad network no innocent one is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest

from gaugecast.config.schema import Mqtt
from gaugecast.loop.hang_up_guard import MOST_TOPICS, REASON, SHORT_SESSIONS, HangUpGuard
from gaugecast.loop.publisher import TRIAL_S, Publisher
from gaugecast.mqtt import Link, SessionEnd
from gaugecast.records import Message
from support.mosquitto import RawClient, run_mosquitto, wait_until
from support.outbox import Outbox, Row
from support.picky_broker import PickyBroker

BAD = "out/bad"
STEP_S = 0.05  # that pass for the publisher in a round


class Stage:
    """A link and a publisher over outputs, turned like the loop turns them, on a clock that runs fast."""

    def __init__(self, port: int, protocol: str, rows: list[Row], *, flap_limit: int = 20) -> None:
        mqtt = Mqtt(host="127.0.0.1", port=port, protocol=protocol, reconnect_max_s=0.1)
        self.link = Link(mqtt, [("in/#", 1)], flap_limit=flap_limit)
        self.outbox = Outbox(rows)
        self.publisher = Publisher(self.link, self.outbox)
        self.now_s = 0.0

    def turn(self) -> None:
        """One round."""
        self.link.poll(0, 0.002)
        for connect in self.link.take_connects():
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
    return str(request.param)


@pytest.fixture
def make_broker(protocol: str) -> Iterator[Callable[..., PickyBroker]]:
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
    make_broker: Callable[..., PickyBroker], protocol: str, end: str
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

    wait_until(done, what=f"all settled; {stage.link.last_error}")
    arrived = [int(m.payload) for m in broker.heard if m.topic.startswith("out/")]
    assert list(dict.fromkeys(arrived)) == [n for n in range(1, 41) if n not in (1, 20)]
    assert [(row.position, row.reason) for row in stage.outbox.refused] == [(1, REASON), (20, REASON)]
    assert stage.publisher.refused_total == 2
    assert broker.sessions < 12
    stage.link.close(0.0)


def test_condemned_outputs_are_tried_again_alone_and_rarely(
    make_broker: Callable[..., PickyBroker], protocol: str
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

    wait_until(turned(lambda: stage.outbox.confirmed == 10), what="all settled")
    before, began_s = broker.sessions, stage.now_s
    wait_until(turned(lambda: stage.now_s > began_s + 100), what="time passes")
    assert broker.sessions == before
    stage.now_s += TRIAL_S
    wait_until(turned(lambda: broker.sessions > before), what="a trial")
    began_s = stage.now_s
    wait_until(turned(lambda: stage.now_s > began_s + 100), what="time passes")
    assert broker.sessions == before + 1
    assert len(stage.outbox.refused) == 3
    taste["hates"] = False
    stage.now_s += TRIAL_S
    wait_until(turned(lambda: not stage.outbox.refused), what="all delivered")
    assert sorted(int(m.payload) for m in broker.heard if m.topic == BAD) == [3, 5, 7]
    assert broker.sessions == before + 1
    stage.link.close(0.0)


def test_a_packet_above_the_brokers_limit_on_3_1_1_holds_nothing_up(tmp_path: Path) -> None:
    """mosquitto says nothing of `max_packet_size` there, and resets the connection."""
    rows = [Row(n, f"out/{n}", bytes(5000) if n == 4 else b"x") for n in range(1, 11)]
    with (
        run_mosquitto(tmp_path / "broker", conf="max_packet_size 2000") as broker,
        RawClient(broker, subscribe="out/#") as client,
    ):
        stage = Stage(broker.port, "3.1.1", rows)
        wait_until(lambda: stage.turn() or stage.outbox.confirmed == 10, what=f"all settled; {stage.link.last_error}")
        assert [row.position for row in stage.outbox.refused] == [4]
        heard = client.wait_heard(9)
        stage.link.close(0.0)
    assert list(dict.fromkeys(h.topic for h in heard)) == [f"out/{n}" for n in range(1, 11) if n != 4]


@pytest.mark.parametrize("reset", [False, True])
def test_a_network_that_cuts_at_random_condemns_no_innocent_output(
    make_broker: Callable[..., PickyBroker], protocol: str, reset: bool
) -> None:
    """Hundreds of cuts, most of them with publishes under way: all arrives, nothing is refused."""
    broker = make_broker(lambda _: False)
    rng = Random(7)
    stage = Stage(broker.port, protocol, rows_with(count=400), flap_limit=100_000)
    stage.link._redial._failures = 0
    rounds = 0

    def done() -> bool:
        nonlocal rounds
        rounds += 1
        stage.turn()
        if rng.random() < 0.3:
            broker.hang_up(reset=reset)
        elif rng.random() < 0.5:
            broker.turn()
        return stage.outbox.confirmed == 400

    wait_until(done, what=f"all settled after {rounds} rounds", deadline_s=60)
    assert stage.outbox.refused == []
    stage.link.close(0.0)


# -- the guard alone


def run_guard(
    guard: HangUpGuard, sessions: int, how: str, *, quiet_lives: float = 1.0, rng: Random | None = None
) -> bool:
    """Sessions in which output 1 is first; those that survive the quiet second end so after it was handed over."""
    now_s = 0.0
    for _ in range(sessions):
        now_s += 10.0
        if guard.cautious and not guard.may_offer(now_s):
            if rng is not None and rng.random() > quiet_lives:
                guard.note_end(SessionEnd(0.5, "reset", None))
                continue
            assert guard.may_offer(now_s + 1.1)
        guard.note_handed(1, BAD, now_s + 1.1)
        if guard.note_end(SessionEnd(1.2, how, 0.1)) is not None:  # type: ignore[arg-type]
            return True
    return False


@pytest.mark.parametrize(("how", "strikes"), [("closed", 3), ("blamed", 3), ("reset", 6)])
def test_an_output_is_condemned_after_three_hang_ups_or_six_resets_alone(how: str, strikes: int) -> None:
    """And not one sooner."""
    assert not run_guard(HangUpGuard(), SHORT_SESSIONS + strikes - 1, how)
    assert run_guard(HangUpGuard(), SHORT_SESSIONS + strikes, how)


def test_silence_and_a_broker_that_goes_down_condemn_nothing() -> None:
    """Time-outs, half-open connections, DISCONNECT with "shutting down"."""
    assert not run_guard(HangUpGuard(), 1000, "otherwise")


def test_a_network_that_cuts_quiet_sessions_too_acquits() -> None:
    """Where one quiet second in three is survived, and every publish is cut: 3,000 sessions."""
    guard = HangUpGuard()
    assert not run_guard(guard, 3000, "reset", quiet_lives=0.33, rng=Random(1))
    assert guard.cautious


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
            guard.note_answer(2)
            assert guard.cautious
            guard.note_answer(1)
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
