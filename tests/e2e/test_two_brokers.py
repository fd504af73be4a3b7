"""A plant whose broker may only be read, and another to publish to: each goes away alone, and what is said of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from e2e.scenes import Listener, check_books, check_tanks, send_tanks, tanks_config
from support.daemon import DaemonProcess, run_daemon
from support.mosquitto import Mosquitto, RawClient, run_mosquitto, wait_until

ROOMY = "max_queued_messages 1000000\nmax_inflight_messages 1000\n"
#: Sensors come without a user; the daemon's has no right to write.
READ_ONLY = "topic write plant/#\nuser reader\ntopic read plant/#\n"


class Site(NamedTuple):
    """Two brokers and the daemon between them."""

    plant: Mosquitto
    other: Mosquitto
    daemon: DaemonProcess


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """All three, ready."""
    with (
        run_mosquitto(tmp_path / "plant", conf=ROOMY, acl=READ_ONLY) as plant,
        run_mosquitto(tmp_path / "other", conf=ROOMY) as other,
    ):
        publish = f'username = "reader"\nkeepalive_s = 5\n[mqtt.publish]\nhost = "127.0.0.1"\nport = {other.port}\n'
        with run_daemon(tmp_path / "d", tanks_config(plant.port, mqtt=publish, loop="max_lag = 200")) as daemon:
            yield Site(plant, other, daemon)


def side(daemon: DaemonProcess, name: str) -> float:
    """Whether one of the two connections is up, as /metrics has it."""
    return daemon.metrics().total("gaugecast_mqtt_side_connected", side=name)


def test_forecasts_go_to_the_broker_that_may_be_written(tmp_path: Path, site: Site) -> None:
    """The other one knows only the client that reads."""
    with Listener(site.other, tmp_path) as listener:
        send_tanks(site.plant, 400)
        check_tanks(listener.wait_distinct(400), 400)
    assert site.plant.count("gaugecast-out") == 0
    assert site.other.count("New client connected from 127.0.0.1") >= 1
    assert site.daemon.stop() == 0


def test_while_the_broker_to_publish_to_is_away_readings_are_taken(tmp_path: Path, site: Site) -> None:
    """Far beyond the bound of unconfirmed forecasts; all of them arrive when it is back, each once and in order."""
    with Listener(site.other, tmp_path):
        send_tanks(site.plant, 80)
    site.other.kill()
    wait_until(lambda: site.daemon.get("/readyz")[0] == 503, what="not ready")
    reason = site.daemon.status()["reason"]
    assert reason.startswith(f"mute: not connected to broker 127.0.0.1:{site.other.port} for publishing")
    send_tanks(site.plant, 2000, first=80)
    site.daemon.wait_metric("gaugecast_readings_total", 2080, outcome="stepped")
    assert (side(site.daemon, "subscribe"), side(site.daemon, "publish")) == (1, 0)
    assert site.daemon.metrics().total("gaugecast_mqtt_connected") == 0
    site.other.start()
    site.daemon.wait_ready()
    wait_until(lambda: site.daemon.metrics().total("gaugecast_unconfirmed_outputs") == 0, what="all confirmed")
    check_books(site.daemon, stepped=2080, rejected=0)


def test_who_relies_on_forecasts_is_told_that_nothing_comes_in(site: Site) -> None:
    """The plant's broker is gone: at once by the word, after the keepalive by `input`; and all is well again after."""
    with RawClient(site.other, subscribe="gaugecast-notices/daemon/gaugecast") as consumer:

        def said() -> dict[str, object]:
            return json.loads(consumer.heard[-1].payload) if consumer.heard else {}

        wait_until(lambda: said().get("doing") == "forecasting", what=lambda: f"forecasting, not {said()}")
        assert said()["input"] is True
        site.plant.kill()
        wait_until(lambda: said()["doing"] == "deaf", what=lambda: f"deaf, not {said()}")
        wait_until(lambda: said()["input"] is False, what=lambda: f"no input, not {said()}")
        assert said()["status"] == "online"
        assert site.daemon.get("/readyz")[0] == 503
        before = len(consumer.heard)
        site.other.restart()
        wait_until(lambda: len(consumer.heard) > before, what="a new connection")
        wait_until(lambda: said().get("input") is False, what="told on the new connection")
        site.plant.start()
        wait_until(lambda: (said().get("doing"), said().get("input")) == ("forecasting", True), what="all well")
        assert site.daemon.stop() == 0
        wait_until(lambda: said() == {"status": "offline"}, what="offline, and nothing after it")
