"""From nothing to live forecasts of one's own sensors: install, configure, run, as the README says it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.mosquitto import Mosquitto, RawClient, free_port, run_mosquitto, wait_until
from support.wheels import package_wheel, wheelhouse

pytestmark = [pytest.mark.long, pytest.mark.timeout(400)]

#: The promise, seconds.
FIVE_MINUTES = 300.0


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Mosquitto]:
    """A broker that runs already, and on it sensors of somebody's own: other names than the example's."""
    with run_mosquitto(tmp_path / "broker") as broker:
        words = ["tanks", "--port", str(broker.port), "--tanks", "4", "--period", "0.5", "--site", "north"]
        sensors = subprocess.Popen([sys.executable, "-m", "gaugecast_sim", *words], stdout=subprocess.DEVNULL)
        try:
            yield broker
        finally:
            sensors.kill()
            sensors.wait(timeout=10)


def edit(text: str, broker: Mosquitto, state: Path) -> str:
    """What an operator changes in the file that `init` wrote: broker, period, where the state goes."""
    text = re.sub(r"(?m)^#port = 1883", f"port = {broker.port}", text, count=1)
    text = re.sub(r'(?m)^#directory = "/var/lib/gaugecast"', f'directory = "{state}"', text)
    text = re.sub(r"(?m)^#port = 9464", f"port = {free_port()}", text)
    return re.sub(r'(?m)^period = "1s"', 'period = "500ms"', text)


def test_three_commands_lead_to_live_forecasts_in_under_five_minutes(
    site: Mosquitto, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """pip install into an empty virtual environment, init and check, run: an independent client hears forecasts."""
    wheel, wheels = package_wheel(tmp_path), wheelhouse()
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "GAUGECAST", "PIP_"))}
    began = time.monotonic()

    # 1. install
    venv = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True, env=clean, cwd=tmp_path)
    pip = [str(venv / "bin" / "pip"), "install", "-q", "--disable-pip-version-check"]
    requirements = Path(__file__).resolve().parents[2] / "deploy" / "requirements-edge.txt"
    offline = ["--no-index", "--find-links", str(wheels)] if sys.version_info[:2] == (3, 11) else []
    subprocess.run([*pip, *offline, "-r", str(requirements)], check=True, env=clean, cwd=tmp_path)
    subprocess.run([*pip, *offline, "--no-deps", str(wheel)], check=True, env=clean, cwd=tmp_path)
    installed = time.monotonic()

    # 2. configure
    gaugecast = str(venv / "bin" / "gaugecast")
    config = tmp_path / "gaugecast.toml"
    subprocess.run([gaugecast, "init", str(config)], check=True, env=clean, cwd=tmp_path, capture_output=True)
    config.write_text(edit(config.read_text(), site, tmp_path / "state"))
    check = [gaugecast, "check", "--online", "--seconds", "3", "-c", str(config)]
    said = subprocess.run(check, env=clean, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stdout + said.stderr
    assert "north/tank-01" in said.stdout
    assert "set `period`" not in said.stdout
    configured = time.monotonic()

    # 3. run
    with RawClient(site, subscribe="gaugecast/tanks/#") as client, (tmp_path / "log").open("wb") as log:
        daemon = subprocess.Popen(
            [gaugecast, "run", "-c", str(config)], env=clean, cwd=tmp_path, stdout=log, stderr=log
        )
        try:
            streams = {f"north/tank-0{number}" for number in range(1, 5)}
            wait_until(
                lambda: streams <= {json.loads(m.payload)["stream"] for m in client.heard},
                what=f"forecasts of all four; {(tmp_path / 'log').read_text()[-500:]}",
                deadline_s=60,
            )
            forecasting = time.monotonic()
            status = subprocess.run(
                [gaugecast, "status", "-c", str(config)], env=clean, cwd=tmp_path, capture_output=True, check=False
            )
            assert status.returncode == 0
        finally:
            daemon.terminate()
            assert daemon.wait(timeout=30) == 0
    with capsys.disabled():
        print(
            f"\ninstall {installed - began:.1f} s, configure {configured - installed:.1f} s, "
            f"run to the first forecasts {forecasting - configured:.1f} s"
        )
    assert forecasting - began < FIVE_MINUTES
