"""The broker goes, comes back, forgets, refuses: what the daemon says of it, and that no reading is lost by it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from e2e.launcher import command
from e2e.scenes import (
    Announcements,
    Listener,
    check_books,
    check_messages,
    check_tanks,
    check_trouble,
    is_announced,
    send_tanks,
    tanks_config,
)
from support.daemon import DaemonProcess, run_command, run_daemon
from support.mosquitto import Mosquitto, RawClient, run_mosquitto, wait_until

#: Not 0 for `unlimited`: mosquitto 2.0 then hangs up on a client whose publish the ACL denies.
ROOMY = "max_queued_messages 1000000\nmax_inflight_messages 1000\n"
OPEN_ACL = "topic readwrite #\ntopic read $SYS/#\n"
#: The daemon may say everything but its forecasts.
SHUT_ACL = "topic read #\ntopic write plant/#\ntopic write gaugecast/status-gaugecast\n"
SHUT_ACL += "topic write gaugecast-notices/#\n"


def test_a_broker_that_restarts_costs_nothing(tmp_path: Path) -> None:
    """It saves its sessions; both sides connect again, and every reading has its forecast, perhaps in two copies."""
    with (
        run_mosquitto(tmp_path / "broker", conf=ROOMY, persistence=True) as broker,
        run_daemon(tmp_path / "d", tanks_config(broker.port)) as daemon,
        Listener(broker, tmp_path) as listener,
    ):
        for part in range(3):
            send_tanks(broker, 400, first=400 * part)
            broker.restart()
            daemon.wait_metric("gaugecast_mqtt_reconnects_total", part + 1)
        lines = listener.wait_distinct(1200)
        check_tanks(lines, 1200, copies=True)
        assert daemon.metrics().total("gaugecast_mqtt_session_lost_total") == 0
        check_books(daemon, stepped=1200, rejected=0)


def test_a_broker_that_forgets_our_session_is_told_of(tmp_path: Path) -> None:
    """kill -9 of the broker: what it alone had is gone, the daemon counts the loss and forecasts on."""
    with (
        run_mosquitto(tmp_path / "broker", conf=ROOMY) as broker,
        run_daemon(tmp_path / "d", tanks_config(broker.port)) as daemon,
    ):
        send_tanks(broker, 400)
        daemon.wait_metric("gaugecast_readings_total", 400, outcome="stepped")
        broker.kill()
        wait_until(lambda: daemon.get("/readyz")[0] == 503, what="not ready")
        assert "broker" in daemon.status()["reason"]
        broker.start()
        daemon.wait_ready()
        with Listener(broker, tmp_path) as listener:
            send_tanks(broker, 400, first=400)
            wait_until(lambda: len(set(listener.names())) >= 400, what="forecasts after the loss")
        check_books(daemon, stepped=800, late=0, duplicate=0, rejected=0)
        daemon.wait_metric("gaugecast_mqtt_session_lost_total", 1)


def test_a_broker_that_is_down_at_the_start_is_waited_for(tmp_path: Path) -> None:
    """The daemon runs, says why it is not ready, and forecasts as soon as there is a broker."""
    broker = Mosquitto(tmp_path / "broker", conf=ROOMY)
    daemon = DaemonProcess(tmp_path / "d", tanks_config(broker.port))
    try:
        daemon.spawn()
        wait_until(lambda: "refused" in daemon.status().get("reason", ""), what="a reason")
        assert daemon.get("/healthz")[0] == 200
        assert daemon.metrics().total("gaugecast_mqtt_connected") == 0
        broker.start()
        daemon.wait_ready()
        with Listener(broker, tmp_path) as listener:
            send_tanks(broker, 200)
            check_tanks(listener.wait_distinct(200), 200)
        check_books(daemon, stepped=200, late=0, duplicate=0, rejected=0)
        assert daemon.stop() == 0
    finally:
        if daemon.running:
            daemon.kill()
        broker.kill()


def test_a_refused_forecast_is_kept_and_delivered_once_the_acl_is_mended(tmp_path: Path) -> None:
    """The broker says no to the output topic: nothing is lost, nothing is stuck, it is said, and later it all comes."""
    with run_mosquitto(tmp_path / "broker", conf=ROOMY, acl=SHUT_ACL) as broker:
        config = tanks_config(broker.port)
        with (
            Listener(broker, tmp_path) as listener,
            Announcements(broker) as announced,
            run_daemon(tmp_path / "d", config, command=command("quick_retry")) as daemon,
        ):
            send_tanks(broker, 160)
            check_trouble(daemon, "mute", "Not authorized", announced=announced.newest)
            daemon.wait_metric("gaugecast_outputs_refused_total", 160)
            with daemon.ledger() as ledger:
                wait_until(lambda: len(ledger.refused_outputs(0, 1000)) == 160, what="refused forecasts kept")
            daemon.wait_metric("gaugecast_refused_rows", 160)
            daemon.wait_metric("gaugecast_degraded", 1, reason="refused")
            assert listener.count == 0
            broker.write_acl(OPEN_ACL)
            found = check_messages(sorted(listener.wait_distinct(160), key=lambda line: json.loads(line[1])["step"]))
            assert sum(map(len, found.values())) == 160
            check_books(daemon, stepped=160, late=0, duplicate=0, rejected=0)
            daemon.wait_ready()
            wait_until(lambda: is_announced(announced.newest(), "forecasting"), what="announced")
            assert daemon.stop() == 0
        with daemon.ledger() as ledger:
            assert ledger.refused_outputs(0, 1000) == []


def test_a_broker_with_default_limits_raises_the_alarm_when_it_drops(tmp_path: Path) -> None:
    """mosquitto keeps 1,000 messages for us and drops the rest in silence; its own count of them is our metric."""
    with (
        run_mosquitto(tmp_path / "broker", conf="sys_interval 1\n") as broker,
        run_daemon(tmp_path / "d", tanks_config(broker.port)) as daemon,
    ):
        send_tanks(broker, 80)
        daemon.wait_metric("gaugecast_readings_total", 80, outcome="stepped")
        daemon.wait_metric("gaugecast_broker_messages_dropped_total", 0)
        assert daemon.stop() == 0
        send_tanks(broker, 3000, first=80)
        broker.wait_for("Outgoing messages are being dropped")
        daemon.start()
        daemon.wait_metric("gaugecast_broker_messages_dropped_total", 1500)
        stepped = 3080 - daemon.metrics().total("gaugecast_broker_messages_dropped_total")
        daemon.wait_metric("gaugecast_readings_received_total", stepped - 80)
        check_books(daemon, late=0, duplicate=0, rejected=0)


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_what_the_broker_retained_is_not_taken_for_a_reading(tmp_path: Path, broker: Mosquitto, protocol: str) -> None:
    """It may be years old. MQTT 5 does not even ask for it; 3.1.1 gets it and refuses it."""
    config = tanks_config(broker.port, mqtt=f'protocol = "{protocol}"')
    with RawClient(broker) as sensor, Listener(broker, tmp_path) as listener:
        body = b'{"t": 1767225500, "pressure": 1, "temperature": 2}'
        sensor.publish([("plant/load/old/telemetry", body)], retain=True)
        with run_daemon(tmp_path / "d", config) as daemon:
            send_tanks(broker, 80)
            check_tanks(listener.wait_distinct(80), 80)
            check_books(daemon, stepped=80, rejected=0 if protocol == "5" else 1)


def test_our_own_forecasts_are_never_readings(tmp_path: Path, broker: Mosquitto) -> None:
    """A configuration in which they would be is refused at the start, with the exit code of a bad configuration."""
    text = tanks_config(broker.port, fleet='output = "plant/load/{stream}/telemetry"')
    daemon = DaemonProcess(tmp_path / "d", text)
    ended = run_command("run", "-c", str(daemon.config_path))
    assert ended.returncode == 78
    assert "output" in ended.stderr
