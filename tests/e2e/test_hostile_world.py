"""Names that no broker takes, packets that are too large, a network that cuts, a system that denies: we go on."""

from __future__ import annotations

import json
import resource
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from e2e.scenes import START_NS, Listener, check_books, check_tanks, send_tanks, tanks_config
from gaugecast.control import SOCKET_NAME
from support.daemon import run_command, run_daemon
from support.mosquitto import Mosquitto, RawClient, run_mosquitto, wait_until
from support.relay import Relay

#: mosquitto 2.0 hangs up on whoever publishes to a topic with these.
DEADLY = ("a\ufffeb", "\ufdd0", "/" * 199, "\U0001ffff")


def named_config(port: int) -> str:
    """A fleet whose streams are named by what the reading says."""
    return f"""
[mqtt]
port = {port}
[fleet.tanks]
subscribe = ["plant/readings"]
stream = "{{$.id}}"
time = "$.t"
period = "1s"
stale_after = "1d"
[fleet.tanks.features.pressure]
"""


def test_names_at_which_a_broker_hangs_up_are_refused_and_all_else_flows(tmp_path: Path, broker: Mosquitto) -> None:
    """The reading is put in quarantine as `bad_stream`; the connection never ends."""
    names = [*DEADLY, "tank", "north/tank", "/" * 198, *DEADLY, "last"]
    bodies = [
        json.dumps({"id": name, "t": START_NS / 1e9 + number, "pressure": 1.5}) for number, name in enumerate(names)
    ]
    with (
        Listener(broker, tmp_path, ("gaugecast/tanks/#",)) as listener,
        RawClient(broker) as sensor,
        run_daemon(tmp_path / "d", named_config(broker.port)) as daemon,
    ):
        sensor.publish([("plant/readings", body.encode()) for body in bodies])
        heard = listener.wait_distinct(4)
        assert {msgspec.json.decode(body)["stream"] for _, body in heard} == {*names} - {*DEADLY}
        check_books(daemon, stepped=4, rejected=8)
        scrape = daemon.metrics()
        assert scrape.total("gaugecast_rejects_total", reason="bad_stream") == 8
        assert scrape.total("gaugecast_mqtt_reconnects_total") == 0
        assert daemon.stop() == 0


LARGE = """
[fleet.large]
subscribe = ["large/{tank}"]
time = "$.t"
period = "1s"
horizon = 100
stale_after = "1d"
[fleet.large.features.pressure]
"""


def test_a_forecast_that_is_too_large_for_the_broker_does_not_hold_up_those_behind_it(tmp_path: Path) -> None:
    """On 3.1.1 no broker can say what it takes, so it hangs up: the culprit is found, put aside, and named."""
    with (
        run_mosquitto(tmp_path / "broker", conf="max_queued_messages 0\nmax_packet_size 2000\n") as broker,
        Listener(broker, tmp_path) as listener,
        RawClient(broker) as sensor,
        run_daemon(tmp_path / "d", tanks_config(broker.port, mqtt='protocol = "3.1.1"') + LARGE) as daemon,
    ):
        send_tanks(broker, 16)
        listener.wait_distinct(16)
        reading = json.dumps({"t": START_NS / 1e9, "pressure": 1.5}).encode()
        sensor.publish([("large/a", reading)])
        send_tanks(broker, 80, first=16)
        check_tanks(listener.wait_distinct(96), 96, copies=True)
        with daemon.ledger() as ledger:
            (row,) = wait_until(lambda: ledger.refused_outputs(0, 10), what="the culprit put aside")
        assert (row.topic, row.reason) == ("gaugecast/large/a", "the broker hangs up on it")
        daemon.wait_metric("gaugecast_degraded", 1, reason="refused")
        daemon.wait_ready()
        found = run_command("status", "-c", str(daemon.config_path))
        assert found.returncode == 0, found.stdout
        assert "1 forecast by the broker; offered again later" in found.stdout
        check_books(daemon, stepped=97, rejected=0)  # readings come again after each hang-up, and are known
        assert daemon.stop() == 0


def test_thirty_cuts_in_half_a_minute_cost_nothing(tmp_path: Path, broker: Mosquitto) -> None:
    """By RST, each as soon as it is connected again: it comes back, every time, and no reading is lost."""
    with (
        Relay(broker.port) as relay,
        Listener(broker, tmp_path) as listener,
        run_daemon(tmp_path / "d", tanks_config(relay.port)) as daemon,
    ):
        began, taken = time.monotonic(), 0
        for cut in range(30):
            send_tanks(broker, 8, first=8 * cut)
            broker.wait_for("Sending CONNACK to gaugecast", times=taken + 1)
            wait_until(relay.cut, what="a connection to cut")
            taken = broker.count("Sending CONNACK to gaugecast")
        assert time.monotonic() - began < 30
        check_tanks(listener.wait_distinct(240), 240, copies=True)
        daemon.wait_ready()
        check_books(daemon, rejected=0)
        assert daemon.metrics().total("gaugecast_mqtt_reconnects_total") >= 10  # others ended before CONNACK had come
        assert daemon.stop() == 0


def test_a_state_directory_that_is_moved_away_is_said_and_forecasts_go_on(tmp_path: Path, broker: Mosquitto) -> None:
    """What is open stays open: `storage_fault` until it is back, nothing new in its old place, and all is whole."""
    often = "checkpoint_every_s = 1"
    with (
        Listener(broker, tmp_path) as listener,
        run_daemon(tmp_path / "d", tanks_config(broker.port), storage=often) as daemon,
    ):
        send_tanks(broker, 80)
        listener.wait_distinct(80)
        away = daemon.state.with_name("away")
        daemon.state.rename(away)
        daemon.wait_metric("gaugecast_degraded", 1, reason="storage_fault")
        send_tanks(broker, 80, first=80)
        listener.wait_distinct(160)
        daemon.wait_metric("gaugecast_degraded", 1, reason="checkpoint")
        assert daemon.metrics().total("gaugecast_degraded", reason="storage_fault") == 1
        assert not daemon.state.exists()
        found = run_command("status", "-c", str(daemon.config_path))  # by HTTP: the socket went along
        assert found.returncode == 0, found.stderr
        assert "storage_fault" in found.stdout
        away.rename(daemon.state)
        wait_until(lambda: daemon.metrics().total("gaugecast_degraded", reason="storage_fault") == 0, what="well again")
        send_tanks(broker, 80, first=160)
        check_tanks(listener.wait_distinct(240), 240)
        daemon.wait_metric("gaugecast_checkpoints_total", 1)
        check_books(daemon, stepped=240, late=0, duplicate=0, rejected=0)
        assert daemon.stop() == 0
        assert "Traceback" not in daemon.log_text()


@contextmanager
def no_descriptors(pid: int) -> Iterator[None]:
    """The process can open nothing more."""
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, before[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)


def test_without_descriptors_it_forecasts_and_comes_back_when_there_are_some(tmp_path: Path, broker: Mosquitto) -> None:
    """Neither a probe nor a command can be answered, and a cut connection not be made again: no end for that."""
    with (
        Relay(broker.port) as relay,
        Listener(broker, tmp_path) as listener,
        run_daemon(tmp_path / "d", tanks_config(relay.port), storage="checkpoint_every_s = 1") as daemon,
    ):
        send_tanks(broker, 80)
        listener.wait_distinct(80)
        with no_descriptors(daemon.pid), socket.socket() as probe, socket.socket(socket.AF_UNIX) as command:
            probe.connect(("127.0.0.1", daemon.http_port))
            command.connect(str(daemon.state / SOCKET_NAME))
            send_tanks(broker, 240, first=80)
            listener.wait_distinct(320)
            relay.cut()
            send_tanks(broker, 80, first=320)
            wait_until(lambda: "broker not connected" in daemon.log_text(), what="the cut noticed")
            broker.wait_for("Client gaugecast closed its connection")
        check_tanks(listener.wait_distinct(400), 400, copies=True)
        daemon.wait_ready()
        check_books(daemon, rejected=0)
        assert daemon.stop() == 0
        assert "Traceback" not in daemon.log_text()


def test_a_request_that_is_nested_too_deeply_is_refused(tmp_path: Path, broker: Mosquitto) -> None:
    """60 KB of brackets on the control socket: an answer, and the loop goes on."""
    with Listener(broker, tmp_path) as listener, run_daemon(tmp_path / "d", tanks_config(broker.port)) as daemon:
        with socket.socket(socket.AF_UNIX) as peer:
            peer.settimeout(10)
            peer.connect(str(daemon.state / SOCKET_NAME))
            for request in (b'{"command":' + b"[" * 60_000, b'{"a":' * 12_000, b"[" * 30_000 + b"]" * 30_000):
                peer.sendall(request + b"\n")
                answer = msgspec.json.decode(peer.recv(4096))
                assert answer["ok"] is False
                assert answer["error"]
        send_tanks(broker, 80)
        check_tanks(listener.wait_distinct(80), 80)
        assert daemon.stop() == 0
