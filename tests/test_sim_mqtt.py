"""Publisher, replay, load generator and sink over a real mosquitto, each judged by another than itself."""

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gaugecast_sim import wire
from gaugecast_sim.link import LinkError, PublishLink
from gaugecast_sim.load import LoadGenerator, LoadReport
from gaugecast_sim.packets import LoadPlan
from gaugecast_sim.publish import publish_in_time, tank_samples
from gaugecast_sim.replay import ReplayPlan, find_csv, read_rows, replay
from gaugecast_sim.sink import Sink
from gaugecast_sim.tanks import Plant
from support.mosquitto import Mosquitto, RawClient, free_port, run_mosquitto, wait_until

HOST = "127.0.0.1"
START_NS = 1_700_000_000_000_000_000


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    """One mosquitto for the module, without a bound on queues."""

    with run_mosquitto(tmp_path_factory.mktemp("mosquitto"), conf="max_queued_messages 0", log_all=False) as started:
        yield started


def write_csv(directory: Path, rows: int) -> Path:
    """A file of two columns, one row a minute."""

    path = directory / "small.csv"
    lines = [f"2016-07-01 {hour // 60:02d}:{hour % 60:02d}:00,{hour / 8},{hour}" for hour in range(rows)]
    path.write_text("date,a,b\n" + "\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize("qos", [0, 1])
def test_a_replayed_csv_arrives_row_for_row(broker: Mosquitto, tmp_path: Path, qos: int) -> None:
    """Another client (paho) hears each row once, in order, with its values; the report says the same number."""
    plan = ReplayPlan(write_csv(tmp_path, 300), "replay/small", qos=qos, window=50)
    with (
        RawClient(broker, subscribe="replay/small", qos=qos) as judge,
        PublishLink(HOST, broker.port, window=50) as link,
    ):
        report = replay(plan, link)
        heard = judge.wait_heard(300)
    assert (report.rows, report.confirmed, report.absent_cells) == (300, 300, 0)
    assert [json.loads(each.payload)["b"] for each in heard] == list(range(300))
    assert json.loads(heard[8].payload) == {"t": 1467331680.0, "a": 1.0, "b": 8.0}


def test_a_replay_keeps_its_pace(broker: Mosquitto, tmp_path: Path) -> None:
    """20 rows at 100 a second take 0.19 s and more; minutes apart at 600 × real time are 0.1 s apart."""
    path = write_csv(tmp_path, 20)
    with PublishLink(HOST, broker.port) as link:
        even = replay(ReplayPlan(path, "replay/pace", rows_per_s=100), link)
        scaled = replay(ReplayPlan(path, "replay/pace", speed=600, rows=4), link)
    assert 0.19 <= even.seconds < 2
    assert 0.3 <= scaled.seconds < 2


def test_etth2_is_one_stream_of_seven_features(broker: Mosquitto) -> None:
    """The first 200 hours of the transformer data set, heard by the sink."""
    try:
        path = find_csv("ETT/ETTh2.csv")
    except Exception:
        pytest.skip("the ETT data set is not here (GAUGECAST_DATA)")
    plan = ReplayPlan(path, "ett/h2/telemetry", rows=200)
    with (
        Sink(HOST, broker.port, ["ett/#"], qos=1, record=True) as sink,
        PublishLink(HOST, broker.port) as link,
    ):
        assert replay(plan, link).confirmed == 200
        sink.wait_for(200, 20)
    sent = [row.values for row in read_rows(plan)]
    heard = [json.loads(message.payload) for message in sink.messages]
    assert [{k: v for k, v in fields.items() if k != "t"} for fields in heard] == sent
    assert list(heard[0]) == ["t", "HUFL", "HULL", "MUFL", "MULL", "LUFL", "LULL", "OT"]


@pytest.mark.parametrize("qos", [0, 1])
@pytest.mark.parametrize("rate", [None, 20_000.0])
def test_load_hits_its_count_exactly(broker: Mosquitto, qos: int, rate: float | None) -> None:
    """20,000 messages, all acked, and all at an independent subscriber, none twice."""
    plan = LoadPlan(1000, START_NS, topic=f"load{qos}/{{stream}}", qos=qos)
    with Sink(HOST, broker.port, [f"load{qos}/#"], qos=qos, record=True) as sink:
        report = LoadGenerator(HOST, broker.port, plan, rate=rate, count=20_000, window=5000).run()
        assert sink.wait_for(20_000, 20) == 20_000
    assert (report.sent, report.acked) == (20_000, 20_000)
    assert len({(message.topic, message.payload) for message in sink.messages}) == 20_000
    if rate is not None:
        assert report.rate <= 1.1 * rate  # a machine that is busy may be slower, none is faster


def test_packet_ids_wrap_without_harm(broker: Mosquitto) -> None:
    """70,000 messages at QoS 1 are more than there are packet ids."""
    plan = LoadPlan(10, START_NS, qos=1)
    generator = LoadGenerator(HOST, broker.port, plan, count=70_000)
    assert generator.run().acked == 70_000


def test_a_closed_loop_sends_no_more_than_it_is_allowed(broker: Mosquitto) -> None:
    """Whoever listens allows ten more messages than have come back: never more are under way, and all come."""
    plan = LoadPlan(3, START_NS, topic="loop/{stream}", qos=1)
    ahead = []
    with Sink(HOST, broker.port, ["loop/#"], qos=1) as sink:

        def allowed() -> int:
            ahead.append(generator.sent - sink.count)
            return sink.count + 10

        generator = LoadGenerator(HOST, broker.port, plan, count=500, upto=allowed)
        assert generator.run().acked == 500
    assert max(ahead) == 10


def test_load_can_be_stopped_and_taken_up_again(broker: Mosquitto) -> None:
    """Two runs, the second from where the first was stopped: a subscriber sees one unbroken sequence."""
    plan = LoadPlan(7, START_NS, topic="again/{stream}", qos=1)
    first = LoadGenerator(HOST, broker.port, plan, rate=5000)
    with Sink(HOST, broker.port, ["again/#"], qos=1, record=True) as sink:
        thread = threading.Thread(target=first.run, name="load")
        thread.start()
        sink.wait_for(500, 20)
        first.stop()
        thread.join(20)
        sent = first.sent
        LoadGenerator(HOST, broker.port, plan, count=1000, first=sent).run()
        assert sink.wait_for(sent + 1000, 20) == sent + 1000
    times = [json.loads(m.payload)["t"] for m in sink.messages if m.topic == b"again/s0"]
    assert times == [1.7e9 + n for n in range(len(times))]


def test_a_packet_cut_by_a_full_buffer_is_finished_before_the_end(tmp_path: Path) -> None:
    """The broker stands still until the kernel takes no more; stopped there, the run ends whole when it goes on."""
    with run_mosquitto(tmp_path, log_all=False) as broker:
        generator = LoadGenerator(HOST, broker.port, LoadPlan(9, START_NS))
        reports: list[LoadReport] = []
        thread = threading.Thread(target=lambda: reports.append(generator.run()), name="load")
        thread.start()
        wait_until(lambda: generator.sent > 1000, what="load under way")
        broker.pause()
        seen = [0, 1]
        wait_until(lambda: len(set(look(seen, generator)[-20:])) == 1, what="a full buffer")
        generator.stop()
        broker.resume()
        thread.join(20)
    assert reports
    assert reports[0].acked == reports[0].sent == generator.sent > 1000


def test_paho_reads_what_the_load_generator_wrote(broker: Mosquitto) -> None:
    """The hand-made packets are valid for another implementation."""
    with RawClient(broker, subscribe="judge/#") as judge:
        LoadGenerator(HOST, broker.port, LoadPlan(3, START_NS, topic="judge/{stream}", qos=1), count=30).run()
        heard = judge.wait_heard(30)
    assert [each.topic for each in heard[:4]] == ["judge/s0", "judge/s1", "judge/s2", "judge/s0"]
    assert json.loads(heard[3].payload)["t"] == 1_700_000_001


def test_the_sink_counts_what_paho_sent_large_and_retained_too(broker: Mosquitto) -> None:
    """Payloads of 0 to 300,000 bytes; a retained one comes with its flag to whoever subscribes later."""
    payloads = [b"", b"x" * 100, b"y" * 20_000, b"z" * 300_000]
    with RawClient(broker) as sender, Sink(HOST, broker.port, ["size/#"], qos=1, record=True) as sink:
        sender.publish([("size/a", payload) for payload in payloads])
        sink.wait_for(4, 20)
        sender.publish([("size/kept", b"here")], retain=True)
        sink.wait_for(5, 20)
    assert [message.payload for message in sink.messages[:4]] == payloads
    assert sink.payload_bytes == sum(map(len, payloads)) + 4
    with Sink(HOST, broker.port, ["size/kept"], record=True) as later:
        later.wait_for(1, 20)
    assert [(message.payload, message.retain) for message in later.messages] == [(b"here", True)]


def look(seen: list[int], generator: LoadGenerator) -> list[int]:
    """All that was sent at each look so far, this one included."""
    seen.append(generator.sent)
    return seen


def test_a_kept_session_of_the_sink_loses_nothing_while_away(broker: Mosquitto) -> None:
    """QoS 1, persistent session: what was sent meanwhile comes on return, once, because the sink acks."""
    session: dict[str, Any] = {"qos": 1, "client_id": "kept-sink", "clean": False}
    plan = LoadPlan(5, START_NS, topic="kept/{stream}", qos=1)
    with Sink(HOST, broker.port, ["kept/#"], **session) as sink:
        LoadGenerator(HOST, broker.port, plan, count=200).run()
        sink.wait_for(200, 20)
    LoadGenerator(HOST, broker.port, plan, count=300, first=200).run()
    with Sink(HOST, broker.port, ["kept/#"], record=True, **session) as sink:
        sink.wait_for(300, 20)
        with RawClient(broker) as sender:
            sender.publish([("kept/end", b"")])
        assert sink.wait_for(301, 20) == 301
    assert len({(message.topic, message.payload) for message in sink.messages}) == 301


def test_tanks_are_published_on_time(broker: Mosquitto) -> None:
    """Two tanks, 50 ms apart: nothing before its time, and all of it."""
    start_ns = time.time_ns() // 1_000_000 * 1_000_000 + 100_000_000
    samples = tank_samples(Plant(1, 2, 0.05), start_ns, site="s")
    with (
        Sink(HOST, broker.port, ["plant/s/+/telemetry"], record=True) as sink,
        PublishLink(HOST, broker.port) as link,
    ):
        count = publish_in_time(samples, link, qos=1, until_ns=start_ns + 500_000_000)
        assert link.drain() == count == 20
        sink.wait_for(20, 20)
    for message in sink.messages:
        assert message.received_ns >= round(json.loads(message.payload)["t"] * 1000) * 1_000_000


def test_a_stop_ends_the_tanks_at_once(broker: Mosquitto) -> None:
    """Though the next reading is an hour away."""
    stop = threading.Event()
    stop.set()
    samples = tank_samples(Plant(1, 1), time.time_ns() + 3600 * 10**9)
    with PublishLink(HOST, broker.port) as link:
        assert publish_in_time(samples, link, stop=stop) == 0


def test_a_broker_that_goes_away_is_an_error_not_a_hang(tmp_path: Path) -> None:
    """Load generator, sink and link all say so within their deadlines."""
    with run_mosquitto(tmp_path) as broker, Sink(HOST, broker.port, ["#"]) as sink:
        generator = LoadGenerator(HOST, broker.port, LoadPlan(1, START_NS, qos=1), rate=1000)
        failures: list[Exception] = []

        def run() -> None:
            try:
                generator.run()
            except (wire.WireError, OSError) as exc:
                failures.append(exc)

        thread = threading.Thread(target=run, name="load")
        thread.start()
        sink.wait_for(10, 20)
        broker.kill()
        thread.join(20)
        assert failures
        with pytest.raises(wire.WireError, match="broke"):
            sink.wait_for(10**9, 20)


def test_nobody_listening_is_said_with_the_address() -> None:
    """A port where there is no broker."""
    port = free_port()
    with pytest.raises(LinkError, match=f"127.0.0.1:{port}"), PublishLink(HOST, port):
        pass
    with pytest.raises(OSError, match="refused"):
        LoadGenerator(HOST, port, LoadPlan(1, START_NS), count=1).run()


def test_a_refusal_is_said_as_such(tmp_path: Path) -> None:
    """A broker that wants a password."""
    with run_mosquitto(tmp_path, anonymous=False) as broker:
        with pytest.raises(wire.WireError, match="return code 0"):
            LoadGenerator(HOST, broker.port, LoadPlan(1, START_NS), count=1).run()
        with pytest.raises(LinkError, match="Not authorized"), PublishLink(HOST, broker.port):
            pass
