"""The commit protocol, step by step: what is done in which order, and what is not done while something is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from random import Random

import msgspec
import pytest

from gaugecast import events
from gaugecast.errors import StorageError
from gaugecast.fleet import Fleet
from gaugecast.forecast.anomaly.calibration import FROZEN
from gaugecast.loop.lag import SILENT_S
from gaugecast.payloads import Decoder
from gaugecast.records import Kind, Message, Verdict
from gaugecast.testing import Clock
from simulation.broker import Broker, Sent
from simulation.fleets import ALL, LIMITS, SECOND, T0, WATCHING, Weights
from simulation.journal import Journal
from simulation.life import Life
from simulation.place import empty_place
from simulation.points import Points


class Steady(Random):
    """Chance that always says: connect, exchange everything, read everything."""

    def random(self) -> float:
        """Never odd."""
        return 0.5


class Trace(Points):
    """Points that remember in which order they were passed."""

    def __init__(self) -> None:
        super().__init__()
        self.order: list[str] = []
        self.failing: Exception | None = None

    def __call__(self, point: str) -> None:
        self.order.append(point)
        if point == "commit:inserted" and self.failing is not None:
            raise self.failing
        super().__call__(point)


class Scene:
    """A daemon's loop over a broker, a disk and a clock that do what the test says."""

    def __init__(self, directory: Path, fleets: tuple[Fleet, ...] = ALL) -> None:
        self.points, self.clock, self.journal = Trace(), Clock(T0 + 60 * SECOND), Journal()
        self.journal.decoder = Decoder(fleets, LIMITS)
        self.broker, self.weights = Broker(Steady(), self.journal, reuse_ids=False), Weights()
        self._directory, self._fleets = directory, fleets
        self.life = self.begin()
        self.turn(3)

    def begin(self) -> Life:
        """A process."""
        self.life = Life(
            self._directory, self._fleets, broker=self.broker, clock=self.clock, points=self.points,
            journal=self.journal, rng=Steady(), weights=self.weights,
        )  # fmt: skip
        return self.life

    def turn(self, count: int = 1) -> None:
        """Rounds of the loop."""
        for _ in range(count):
            self.life.turn()

    def say(self, tick: int, tank: str = "a") -> Sent:
        """One tank's sensor speaks."""
        content = {"t": T0 / 1e9 + tick, "p": 20.0 + tick, "q": 1.0, "s": 0.0}
        return self.broker.accept(f"tank/{tank}", msgspec.json.encode(content))

    @property
    def kinds(self) -> list[Kind]:
        """Of all durable inputs."""
        return [one.kind for one in self.journal.inputs]


@pytest.fixture
def scene() -> Iterator[Scene]:
    """Connected, configured, nothing said yet."""
    with empty_place() as place:
        made = Scene(place)
        yield made
        made.life.kill()


def test_a_batch_goes_through_the_protocol_in_its_order(scene: Scene) -> None:
    """Decoded, stepped, durable, acked, published; nothing overtakes."""
    scene.say(1)
    scene.points.order.clear()
    scene.turn()
    passed = [p for p in scene.points.order if p != "poll:before" and not p.startswith("checkpoint")]
    assert passed[:12] == [
        "poll:after", "decode:before", "decode:after", "advance:before", "advance:after",
        "commit:before", "commit:begun", "commit:inserted", "commit:after",
        "ack:before", "ack:after", "publish:before",
    ]  # fmt: skip


def test_a_reading_is_acked_and_its_forecast_heard_and_confirmed(scene: Scene) -> None:
    """The whole way; an idle second later the ledger knows that nothing need be sent again."""
    sent = scene.say(1)
    scene.turn(3)
    assert sent.acked
    assert ("tanks", "a", 1, "") in scene.broker.heard
    scene.clock.advance(2.0)
    scene.turn(2)
    assert scene.life.ledger.confirmed == 1
    assert not scene.life.core.loop.publisher.unsettled


@pytest.mark.parametrize(("failure", "reason"), [("full", "storage_full"), ("busy", "storage_busy")])
def test_while_there_is_no_room_nothing_is_read_or_acked(scene: Scene, failure: str, reason: str) -> None:
    """The batch is held and tried again as it is; then everything goes on, and nothing was stepped twice."""
    scene.turn()  # takes the configuration, in several parts
    before = scene.points.order.count("advance:before") - scene.points.order.count("commit:after")
    setattr(scene.points, failure, 3)
    first = scene.say(1)
    scene.turn()
    second = scene.say(2)
    for _ in range(2):
        scene.turn()
        assert scene.life.core.loop.degraded == {reason}
        assert scene.life.core.loop.holding
        assert not first.acked
    assert scene.points.order.count("advance:before") - scene.points.order.count("commit:after") == before + 1
    scene.turn(4)
    assert first.acked
    assert second.acked
    assert scene.life.core.loop.degraded == set()
    assert [k.step for k in scene.journal.outputs] == [1, 2]


def test_any_other_failure_of_the_disk_ends_the_process(scene: Scene) -> None:
    """Unacked: the broker has the message still, and the next process takes it."""
    scene.points.failing = StorageError("disk I/O error")
    sent = scene.say(1)
    with pytest.raises(StorageError, match="disk I/O error"):
        scene.turn()
    scene.points.failing = None
    scene.life.kill()
    scene.broker.cut()
    assert not sent.acked
    scene.begin()
    scene.turn(4)
    assert sent.acked
    assert [k.step for k in scene.journal.outputs] == [1]


def test_a_message_is_one_commit_however_many_readings_it_has(scene: Scene) -> None:
    """Half of an array is never durable: it is acked as a whole."""
    content = [{"t": T0 / 1e9 + i, "p": 1.0, "q": 2.0, "s": 3.0} for i in range(40)]
    commits = scene.points.order.count("commit:after")
    scene.broker.accept("tank/a", msgspec.json.encode(content))
    scene.turn()
    assert scene.points.order.count("commit:after") == commits + 1
    assert scene.kinds.count(Kind.READING) == 40


def test_a_round_is_bounded_in_readings_however_many_messages_were_polled(scene: Scene) -> None:
    """A batch ends at the message that fills it; the others wait raw, unacked, and are taken and acked in order."""
    content = [[{"t": T0 / 1e9 + 30 * i + j, "p": 1.0, "q": 2.0, "s": 3.0} for j in range(30)] for i in range(7)]
    sent = [scene.broker.accept("tank/a", msgspec.json.encode(array)) for array in content]
    scene.say(300)
    scene.points.order.clear()
    before = len(scene.journal.inputs)
    for count in range(1, 8):
        scene.turn()
        assert len(scene.journal.inputs) - before == 30 * count
        scene.broker.exchange()  # the acks of this round
        assert [one.acked for one in sent] == [i < count for i in range(7)]
    assert scene.points.order.count("commit:after") == 7
    scene.turn()
    assert [k.step for k in scene.journal.outputs] == list(range(1, 212))


def test_within_a_long_message_the_loop_shows_that_it_lives(scene: Scene) -> None:
    """Between parts of `batch_readings` = 9: word to the watchdog, and the connection kept; still one commit."""
    content = [{"t": T0 / 1e9 + i, "p": float(i), "q": 2.0, "s": 3.0} for i in range(40)]
    sent = scene.broker.accept("tank/a", msgspec.json.encode(content))
    scene.points.order.clear()
    scene.turn()
    part = ["advance:before", "advance:after"]
    beat = ["advance:part", "poll:before", "poll:after"]
    begin = scene.points.order.index("advance:before")
    assert scene.points.order[begin:][:23] == [*part, *(4 * [*beat, *part]), "commit:before"]
    scene.broker.exchange()
    assert sent.acked
    assert [k.step for k in scene.journal.outputs] == list(range(1, 41))
    assert scene.journal.verdicts[-40:] == [Verdict.STEPPED] * 40


def test_small_messages_fill_a_batch_up_to_its_readings(scene: Scene) -> None:
    """Seven of two readings each: a batch of `batch_readings` = 9 ends at the fifth."""
    for i in range(7):
        content = [{"t": T0 / 1e9 + 2 * i + j, "p": 1.0, "q": 2.0, "s": 3.0} for j in range(2)]
        scene.broker.accept("tank/a", msgspec.json.encode(content))
    before = len(scene.journal.inputs)
    scene.turn()
    assert len(scene.journal.inputs) - before == 10
    scene.turn()
    assert len(scene.journal.inputs) - before == 14


def test_no_timer_overtakes_a_reading_that_was_polled_before_it(scene: Scene) -> None:
    """A tick's second feature waits behind a full batch: the tick is not closed without it."""
    array = msgspec.json.encode([{"t": T0 / 1e9 + j, "p": 1.0, "q": 2.0, "s": 3.0} for j in range(30)])
    for topic, payload in (
        ("joined/a/p", msgspec.json.encode({"t": T0 / 1e9 + 3, "v": 1.5})),
        ("tank/a", array),
        ("tank/a", array),
        ("joined/a/q", msgspec.json.encode({"t": T0 / 1e9 + 3, "v": 2.5})),
    ):
        scene.broker.accept(topic, payload)
    scene.turn()
    scene.clock.advance(10.0)
    scene.turn(2)
    joined = [v for one, v in zip(scene.journal.inputs, scene.journal.verdicts, strict=True) if one.fleet == "joined"]
    assert joined[-2:] == [Verdict.HELD, Verdict.STEPPED]


def test_what_waits_is_not_taken_while_too_many_forecasts_are_unconfirmed(scene: Scene) -> None:
    """And nothing is lost of it: it goes on as soon as the broker confirms."""
    for i in range(6):
        content = [{"t": T0 / 1e9 + 30 * i + j, "p": 1.0, "q": 2.0, "s": 3.0} for j in range(30)]
        scene.broker.accept("tank/a", msgspec.json.encode(content))
    before = len(scene.journal.inputs)
    scene.broker.deaf = True
    scene.turn(6)
    assert len(scene.journal.inputs) - before == 30  # the first crosses `max_lag`
    scene.broker.deaf = False
    scene.turn(60)
    assert len(scene.journal.inputs) - before == 180


def test_unconfirmed_forecasts_beyond_the_bound_stop_the_reading(scene: Scene) -> None:
    """A broker that takes our messages slowly is not made to give us more of its own."""
    scene.say(0)
    scene.turn(3)
    scene.broker.deaf = True
    for tick in range(LIMITS.max_lag + 3):  # less than two seconds
        scene.say(tick + 1)
        scene.turn()
    assert scene.life.core.loop.publisher.lag == LIMITS.max_lag + 1
    assert "lag" in scene.life.core.loop.degraded
    scene.broker.deaf = False
    scene.turn(60)
    assert "lag" not in scene.life.core.loop.degraded
    assert len(scene.broker.heard) == LIMITS.max_lag + 4


def test_a_broker_that_takes_nothing_for_long_does_not_stop_the_reading(scene: Scene) -> None:
    """Its queue for us has an end, our ledger has room; once it takes some again, reading waits for the rest."""
    scene.broker.deaf = True
    for tick in range(LIMITS.max_lag + 3):
        scene.say(tick)
        scene.turn()
    assert not scene.broker.idle
    scene.clock.advance(SILENT_S)
    scene.turn(2)
    assert scene.broker.idle
    assert scene.life.core.loop.publisher.lag == LIMITS.max_lag + 3
    scene.broker.deaf = False
    scene.turn(60)
    assert [step for _, _, step, _ in scene.broker.heard] == list(range(1, LIMITS.max_lag + 4))


def test_while_the_connection_that_publishes_is_away_reading_goes_on(scene: Scene) -> None:
    """At once, whatever the lag; and what was made meanwhile goes out in order when it is back."""
    scene.broker.lets_publish = False
    scene.broker.cut_publisher()
    for tick in range(3 * LIMITS.max_lag):
        scene.say(tick)
        scene.turn()
    scene.turn()
    assert scene.broker.idle
    assert scene.life.core.loop.publisher.lag == 3 * LIMITS.max_lag
    before = len(scene.journal.inputs)
    scene.broker.lets_publish = True
    scene.turn(60)
    assert [step for _, _, step, _ in scene.broker.heard] == list(range(1, 3 * LIMITS.max_lag + 1))
    assert len(scene.journal.inputs) == before  # the session is the other connection's: no event


def test_a_reconnect_of_the_side_that_subscribes_sends_nothing_again(scene: Scene) -> None:
    """What is on its way on the other connection is still on its way."""
    scene.broker.deaf = True
    for tick in range(4):
        scene.say(tick)
    scene.turn()
    scene.broker.cut_subscriber()
    scene.turn(4)
    scene.broker.deaf = False
    scene.turn(4)
    assert (len(scene.broker.heard), scene.broker.copies) == (4, 0)


def test_forecasts_go_out_while_the_side_that_subscribes_is_away(scene: Scene) -> None:
    """They are durable; consumers need not wait for more readings."""
    scene.broker.deaf = True
    scene.say(0)
    scene.turn()
    scene.broker.lets_subscribe, scene.broker.deaf = False, False
    scene.broker.cut_subscriber()
    scene.turn(4)
    assert len(scene.broker.heard) == 1


def test_a_lost_session_is_an_event_before_what_comes_next(scene: Scene) -> None:
    """Packet ids begin anew: whoever replays must know from which reading on."""
    before = len(scene.journal.inputs)
    scene.broker.lose_session()
    scene.turn(2)
    scene.say(1)
    scene.turn()
    kinds = scene.kinds[before:]
    assert kinds == [Kind.EVENT, Kind.READING]
    assert isinstance(scene.journal.inputs[before].event, events.SessionLost)


def test_a_clock_that_is_set_forward_is_an_event(scene: Scene) -> None:
    """By how much, so that silence is not mistaken."""
    scene.clock.set_wall(3600.0)
    scene.say(1)
    scene.turn()
    event = next(i.event for i in reversed(scene.journal.inputs) if i.kind == Kind.EVENT)
    assert isinstance(event, events.ClockStepped)
    assert abs(event.step_ns - 3600 * SECOND) < SECOND


def test_timers_are_inputs_and_only_when_something_is_due(scene: Scene) -> None:
    """An hour of idle rounds leaves no row; a tick that waits leaves one, and its forecast hangs on it."""
    before = len(scene.journal.inputs)
    for _ in range(50):
        scene.clock.advance(60.0)
        scene.turn()
    assert len(scene.journal.inputs) == before
    scene.broker.accept("joined/a/p", msgspec.json.encode({"t": T0 / 1e9 + 3, "v": 1.5}))
    scene.turn(2)
    scene.clock.advance(2.1)
    scene.turn(2)
    assert scene.kinds[before:] == [Kind.READING, Kind.TIMER]
    assert scene.journal.verdicts[before:] == [Verdict.HELD, Verdict.NONE]
    assert [k.fleet for k in scene.journal.outputs] == ["joined"]


def test_a_stream_that_speaks_when_it_would_be_parked_stays(scene: Scene) -> None:
    """Its reading is taken before the timer of the same round; its steps go on counting."""
    for feature in "pq":
        scene.broker.accept(f"joined/a/{feature}", msgspec.json.encode({"t": T0 / 1e9, "v": 1.0}))
    scene.turn(2)
    scene.clock.advance(25.0)
    for feature in "pq":
        scene.broker.accept(f"joined/a/{feature}", msgspec.json.encode({"t": T0 / 1e9 + 25, "v": 1.0}))
    scene.turn(3)
    assert scene.life.ledger.parked_count() == 0
    steps = [k.step for k in scene.journal.outputs if k.fleet == "joined"]
    assert steps == sorted(set(steps))


def test_a_parked_stream_is_brought_back_by_its_reading_if_there_is_room(scene: Scene) -> None:
    """Its state travels in the event's row, so that a replay needs nothing else."""
    for feature in "pq":
        scene.broker.accept(f"joined/a/{feature}", msgspec.json.encode({"t": T0 / 1e9, "v": 1.0}))
    scene.turn(2)
    scene.clock.advance(30.0)
    scene.turn(2)
    assert scene.life.ledger.parked_count() == 1
    scene.broker.accept("joined/a/p", msgspec.json.encode({"t": T0 / 1e9 + 40, "v": 1.0}))
    scene.turn(2)
    assert scene.life.ledger.parked_count() == 0
    assert scene.life.core.pipeline.knows("joined", "a")


def test_the_books_of_a_process_close_over_readings_that_were_held_before_it(scene: Scene) -> None:
    """Received by the process that died, settled by the next: its count begins with what it found held."""
    scene.broker.accept("joined/a/p", msgspec.json.encode({"t": T0 / 1e9, "v": 1.0}))
    scene.turn(2)
    scene.life.kill()
    scene.broker.cut()
    scene.begin()
    scene.turn(2)
    totals = scene.life.core.pipeline.parts["joined"].totals
    assert (scene.life.core.loop.received.total(), totals.held) == (0, 1)
    scene.broker.accept("joined/a/q", msgspec.json.encode({"t": T0 / 1e9, "v": 1.0}))
    scene.turn(2)  # `Life.turn` asserts the identity
    assert (scene.life.core.loop.received.total(), totals.held, totals.stepped) == (1, 0, 2)


def lingers(scene: Scene, monkeypatch: pytest.MonkeyPatch, **settings: float) -> list[float]:
    """How long each poll from now on waits for more; under these settings of `[loop]`."""
    loop, told = scene.life.core.loop, list[float]()
    monkeypatch.setattr(loop, "_settings", loop._settings.model_copy(update=settings))
    poll = scene.life.link.poll

    def timed(most: int, wait_s: float, linger_s: float = 0.0) -> list[Message]:
        told.append(linger_s)
        return poll(most, wait_s, linger_s)

    monkeypatch.setattr(scene.life.link, "poll", timed)
    return told


@pytest.mark.parametrize(("together", "batch_ms", "expected_s"), [(1, 20, 0.0), (2, 20, 0.02), (2, 0, 0.0)])
def test_a_batch_is_waited_for_from_the_second_message_on(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, together: int, batch_ms: float, expected_s: float
) -> None:
    """Messages that come alone are never held up; with `batch_ms = 0` none is."""
    told = lingers(scene, monkeypatch, batch_ms=batch_ms, commit_ms=0)
    for tank in "ab"[:together]:
        scene.say(1, tank)
    scene.turn()
    told.clear()
    scene.turn()
    assert told[0] == expected_s


def test_commits_keep_their_distance_for_the_sake_of_a_card(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is left of `commit_ms` since the last commit is waited for, though messages come alone; then nothing."""
    told = lingers(scene, monkeypatch, batch_ms=20, commit_ms=1000)
    scene.say(1)
    scene.turn()
    told.clear()
    scene.turn()
    assert 0.5 < told[0] <= 1.0
    scene.clock.advance(2.0)
    told.clear()
    scene.turn()
    assert told[0] <= 0.0


def test_what_was_found_of_a_stream_is_durable_with_what_it_was_found_in(tmp_path: Path) -> None:
    """No kill comes in between: the reference of its anomalies is in the ledger as soon as it judges."""
    scene, recorded = Scene(tmp_path, tuple(replace(one, anomaly=WATCHING) for one in ALL if one.name == "tanks")), []
    for tick in range(1, 20):
        scene.say(tick)
        scene.turn()
        watching = scene.life.core.pipeline.parts["tanks"].anomalies
        assert watching is not None
        recorded = [one for one in scene.journal.inputs if isinstance(one.event, events.ReferenceFrozen)]
        assert bool(recorded) == bool((watching.columns["stage"] == FROZEN).any())
    assert [(one.fleet, one.stream) for one in recorded] == [("tanks", "a")]
    scene.life.kill()
    scene.begin().kill()  # which looks whether a replay has the same
