"""Three sensors of a newcomer, a reading a second each: a model is in force within minutes, told all along."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from gaugecast.control import SOCKET_NAME, StatusQuery, call
from gaugecast.status import Status
from learning.stage import wait_events
from support.daemon import DaemonProcess
from support.mosquitto import Mosquitto, wait_until

pytestmark = [pytest.mark.keras, pytest.mark.long, pytest.mark.timeout(420)]

#: As README has it: nothing is said of learning (the table keeps the tests' own default away).
CONFIG = """
[mqtt]
port = {port}
[learning]
[fleet.tanks]
subscribe = ["plant/{{site}}/{{tank}}/telemetry"]
time = "$.t"
period = "1s"
[fleet.tanks.features.pressure]
[fleet.tanks.features.temperature]
"""


def test_three_sensors_have_a_model_in_force_within_three_minutes(
    tmp_path: Path, broker: Mosquitto, capsys: pytest.CaptureFixture[str]
) -> None:
    """From nothing but the least configuration; status has a line on it at any time before."""
    daemon = DaemonProcess(tmp_path / "d", CONFIG.format(port=broker.port))
    words = ("--port", str(broker.port), "--tanks", "3", "--period", "1", "--time-scale", "60")
    sensors = subprocess.Popen([sys.executable, "-m", "gaugecast_sim", "tanks", *words], stdout=subprocess.DEVNULL)
    told: dict[str, None] = {}

    def status() -> Status:
        return msgspec.convert(call(daemon.state / SOCKET_NAME, StatusQuery()), Status)

    def promoted() -> bool:
        fleet = status().fleets["tanks"]
        told.setdefault(fleet.lesson.split(":")[0].split(",")[0])
        return fleet.model is not None

    try:
        daemon.start()
        assert str(status().learning) == "on, by a child"
        wait_until(promoted, what=f"a model in force; {list(told)}; {daemon.log_tail(20)}", deadline_s=180)
        events = wait_events(daemon, "promoted", 1, deadline_s=5)
        assert events[0][0] == "shadow"
        with capsys.disabled():
            print(f"\nthree sensors at 1/s: in force after {status().uptime_s:.0f} s; told: {', '.join(told)}")
        assert "first lessons" in told
        assert "shadow" in told
        assert daemon.stop() == 0
    finally:
        sensors.kill()
        sensors.wait()
        if daemon.running:
            daemon.kill()
