"""A daemon that has heard three tanks, and a console of it."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from console.browsing import chromium
from console.serving import CONFIG, T0, Served, served
from gaugecast.storage.models import ModelStore
from gaugecast.testing import random_model
from support.daemon import DaemonProcess, run_daemon
from support.mosquitto import MOSQUITTO, Mosquitto, RawClient, run_mosquitto

STEPS = 60


def payload(step: int, tank: int) -> bytes:
    """What a tank says at one step."""
    level = 5 + 3 * math.sin(step / 6 + tank)
    return json.dumps({"t": T0 + step, "level": round(level, 3), "flow": round(level / 2, 3)}).encode()


@pytest.fixture(scope="package")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    """Of the daemon and its sensors."""
    if MOSQUITTO is None:
        pytest.fail("mosquitto expected, found none")
    with run_mosquitto(tmp_path_factory.mktemp("broker")) as made:
        yield made


@pytest.fixture(scope="package")
def sensors(broker: Mosquitto) -> Iterator[RawClient]:
    """What speaks for the tanks."""
    made = RawClient(broker, subscribe="gaugecast/tanks/#")
    yield made
    made.close()


@pytest.fixture(scope="package")
def daemon(broker: Mosquitto, sensors: RawClient, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonProcess]:
    """It has taken sixty steps of three tanks but for a gap in the last, and refused two messages;
    weights are stored that nothing uses."""
    with run_daemon(tmp_path_factory.mktemp("daemon"), CONFIG.format(port=broker.port)) as made:
        told = [(f"plant/t{tank}", payload(step, tank)) for step in range(STEPS) for tank in range(3)]
        sensors.publish([one for at, one in enumerate(told) if not (one[0] == "plant/t2" and 90 <= at < 120)])
        sensors.publish([("plant/t0", b"{"), ("plant/t1", json.dumps({"t": T0 + 60, "level": 1e6}).encode())])
        made.wait_metric("gaugecast_readings_total", 3 * STEPS - 10, outcome="stepped")
        made.wait_metric("gaugecast_readings_total", 2, outcome="rejected")
        ModelStore(made.state).add("tanks", random_model("tanks", (("level", "forecast"), ("flow", "forecast"))))
        yield made


@pytest.fixture(scope="package")
def console(daemon: DaemonProcess) -> Iterator[Served]:
    """It shows the daemon to everybody on this machine."""
    with served(daemon.config_path, daemon.state) as made:
        yield made


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """One for all pages."""
    with chromium() as made:
        yield made
