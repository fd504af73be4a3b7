"""From nothing to live forecasts of one's own sensors: install, configure, run, as the README says it."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.machine import ROOT, run_machine, why_not
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


def readme_s_commands() -> list[str]:
    """What the README has a newcomer type, from the way without pipx on, each as it stands there."""
    text = (ROOT / "README.md").read_text().partition("## Point it at your broker")[2].partition("\n## ")[0]
    lines = [line.strip().partition("  #")[0].rstrip() for line in text.splitlines() if line.startswith("    ")]
    (venv,) = (line for line in lines if line.startswith("python3 -m venv"))
    return [venv, *(line for line in lines if line.startswith("gaugecast "))]


@pytest.mark.skipif(bool(why_not()), reason=why_not() or "-")
def test_the_readme_s_four_commands_lead_a_user_of_a_fresh_debian_to_forecasts(
    site: Mosquitto, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not root, in an empty home: none of the four fails, and an independent client hears forecasts in five minutes.

    In place of `pip install .`, which would fetch TensorFlow, the slim requirements come from a folder.
    """
    install, discover, check, run = readme_s_commands()
    assert install.endswith("&& ~/gaugecast/bin/pip install .")
    slim = "~/gaugecast/bin/pip install --no-index --find-links /run/shared/wheels"
    wanted = f"{slim} -r /run/shared/requirements-edge.txt && {slim} --no-deps /run/shared/*.whl"
    with run_machine(tmp_path / "m") as machine, RawClient(site, subscribe="gaugecast/#") as client:
        shutil.copytree(wheelhouse(), machine.shared / "wheels")
        shutil.copy(ROOT / "deploy" / "requirements-edge.txt", machine.shared)
        shutil.copy(package_wheel(tmp_path), machine.shared)
        machine.run("useradd --create-home newcomer")

        def type_in(command: str) -> None:
            words = command.replace("HOST", f"127.0.0.1:{site.port}")  # minimal as it is, it has no /etc/hosts
            words = words.replace("gaugecast ", "~/gaugecast/bin/gaugecast ", 1)
            said = machine.run(f"su - newcomer -c {shlex.quote(words)}", check=False, deadline_s=200)
            assert said.returncode == 0, f"{command}: {said.stdout}{said.stderr}"

        began = time.monotonic()
        machine.run(f"su - newcomer -c {shlex.quote(install.replace('~/gaugecast/bin/pip install .', wanted))}")
        type_in(discover)
        type_in(check)
        type_in(f"{run} > log 2>&1 & echo $! > pid")
        wait_until(
            lambda: len({m.topic for m in client.heard if m.payload and m.topic.count("/") > 1}) == 4,
            what=f"forecasts of all four; {machine.run('tail -n 20 /home/newcomer/log').stdout}",
            deadline_s=60,
        )
        took_s = time.monotonic() - began
        type_in("gaugecast status")
        machine.run("kill $(cat /home/newcomer/pid)")
    with capsys.disabled():
        print(f"\nthe README's commands, as a user that is not root: forecasts after {took_s:.0f} s")
    assert took_s < FIVE_MINUTES
