"""Connected and yet without forecasts: everybody who asks is told, and it heals as soon as the cause is mended."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from e2e.launcher import command
from e2e.scenes import Announcements, Listener, check_tanks, check_trouble, is_announced, send_tanks, tanks_config
from support.daemon import DaemonProcess
from support.mosquitto import run_mosquitto, wait_until

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
