"""Connected and yet without forecasts: everybody who asks is told, and it heals as soon as the cause is mended."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from e2e.launcher import command
from e2e.scenes import Announcements, Listener, check_tanks, check_trouble, is_announced, send_tanks, tanks_config
from support.daemon import DaemonProcess, run_command
from support.mosquitto import run_mosquitto, wait_until
from support.picky_broker import PickyBroker

DYNAMIC = Path("/usr/lib/x86_64-linux-gnu/mosquitto_dynamic_security.so")
#: Whoever has no name may say and hear everything, may change these rules, and may not subscribe.
RULES = {
    "defaultACLAccess": {"publishClientSend": True, "publishClientReceive": True, "subscribe": False},
    "anonymousGroup": "all",
    "groups": [{"groupname": "all", "roles": [{"rolename": "all"}]}],
    "roles": [
        {
            "rolename": "all",
            "acls": [
                {"acltype": "publishClientSend", "topic": "$CONTROL/#", "allow": True},
                {"acltype": "subscribePattern", "topic": "gaugecast/#", "allow": True},
                {"acltype": "subscribePattern", "topic": "gaugecast-notices/#", "allow": True},
            ],
        }
    ],
}
ALLOW = {"commands": [{"command": "setDefaultACLAccess", "acls": [{"acltype": "subscribe", "allow": True}]}]}


@pytest.mark.skipif(not DYNAMIC.exists(), reason="this mosquitto has no plugin that refuses subscriptions")
def test_a_refused_subscription_is_deafness_and_heals_when_it_is_allowed(tmp_path: Path) -> None:
    """0x87 in the SUBACK; asked again until it is granted, on the same connection."""
    rules = tmp_path / "rules.json"
    rules.write_text(json.dumps(RULES))
    plugin = f"plugin {DYNAMIC}\nplugin_opt_config_file {rules}\n"
    with (
        run_mosquitto(tmp_path / "broker", conf=plugin) as broker,
        Announcements(broker) as client,
        Listener(broker, tmp_path) as listener,
    ):
        daemon = DaemonProcess(tmp_path / "d", tanks_config(broker.port), command=command("quick_retry"))
        try:
            daemon.spawn()
            check_trouble(daemon, "deaf", "Not authorized", announced=client.newest)
            assert daemon.get("/healthz")[0] == 200
            client.publish([("$CONTROL/dynamic-security/v1", json.dumps(ALLOW).encode())])
            daemon.wait_ready()
            wait_until(lambda: is_announced(client.newest(), "forecasting"), what="announced")
            send_tanks(broker, 80)
            check_tanks(listener.wait_distinct(80), 80)
            assert daemon.metrics().total("gaugecast_mqtt_reconnects_total") == 0
            assert daemon.stop() == 0
        finally:
            if daemon.running:
                daemon.kill()


class Served:
    """A daemon on a broker that a test turns, while it waits for what the daemon says."""

    def __init__(self, daemon: DaemonProcess, broker: PickyBroker) -> None:
        self.daemon, self.broker = daemon, broker

    def announced(self) -> str | None:
        """The newest message on the status topic."""
        self.broker.turn()
        said = [
            message.payload for message in self.broker.heard if message.topic == "gaugecast-notices/daemon/gaugecast"
        ]
        return said[-1].decode() if said else None

    def wait(self, verb: str) -> None:
        """Turn the broker until the status topic says so."""
        wait_until(lambda: is_announced(self.announced(), verb), what=lambda: f"{verb} announced: {self.announced()}")


@contextmanager
def serving(directory: Path, *, grants: int | None) -> Iterator[Served]:
    """Started, not waited for."""
    broker = PickyBroker(lambda _: False, v5=True)
    broker.grants = grants
    config = tanks_config(broker.port, mqtt="watch_drops = false")
    daemon = DaemonProcess(directory / "d", config, command=command("quick_retry"))
    try:
        daemon.spawn()
        yield Served(daemon, broker)
        broker.hang_up(reset=False)
        assert daemon.stop() == 0
    finally:
        if daemon.running:
            daemon.kill()
        broker.close()


def test_a_subscription_that_is_never_answered_is_deafness_and_heals_with_the_answer(tmp_path: Path) -> None:
    """The broker takes all else that we say; asked again, it answers."""
    with serving(tmp_path, grants=None) as scene:
        scene.wait("deaf")
        check_trouble(scene.daemon, "deaf", "expected a SUBACK within", announced=scene.announced)
        scene.broker.grants = 1
        scene.wait("forecasting")
        scene.daemon.wait_ready()
        assert scene.broker.sessions == 2  # one that subscribes, one that publishes


def test_a_subscription_that_is_granted_at_qos_0_forecasts_and_is_degraded(tmp_path: Path) -> None:
    """What is sent while we are away is lost, so it is said; a broker that grants QoS 1 later ends it."""
    with serving(tmp_path, grants=0) as scene:
        scene.wait("forecasting")
        daemon = scene.daemon
        daemon.wait_metric("gaugecast_degraded", 1, reason="qos")
        assert daemon.get("/readyz")[0] == 200
        assert daemon.metrics().total("gaugecast_ready") == 1
        found = run_command("status", "-c", str(daemon.config_path))
        assert (found.returncode, found.stdout[:1]) == (0, "●")
        assert "granted QoS 0" in " ".join(found.stdout.split())
        scene.broker.grants = 1
        scene.broker.hang_up(reset=False)
        wait_until(
            lambda: scene.announced() and daemon.metrics().total("gaugecast_degraded", reason="qos") == 0,
            what="no longer degraded",
        )
