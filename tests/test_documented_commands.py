"""Every command of the pages is run here, or by a test that `documented.FATE` names, or says there why it cannot be."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from documented import FATE, ROOT, Command, commands, fate_of
from gaugecast.cli.main import app
from support.daemon import DaemonProcess, run_daemon
from support.mosquitto import MOSQUITTO, Mosquitto, RawClient, run_mosquitto

COMMANDS = list(dict.fromkeys(commands()))
USED = {fate_of(command) for command in COMMANDS}
STREAMS = ("hall/boiler", "hall/boiler-1", "hall/old-sensor", "hall/tank-1", "north/tank-8")
T0 = 1_767_225_600
#: What stands for something of the reader's; the rest is typed as it stands.
YOURS = {
    "tank7.csv --stream north/tank-7": "tank7.csv --stream north/tank-9",
    "/backup/": "backup/",
    "--at 120000": "--at 40",
    "/mnt/backups/": "backups/",
}


def test_what_becomes_of_every_command_is_known() -> None:
    """None without a fate, and no fate without a command."""
    unknown = [command for command in COMMANDS if fate_of(command) is None]
    assert unknown == []
    dead = [fate.pattern for fate in FATE if fate not in USED and (fate.kind != "test" or (ROOT / fate.why).is_file())]
    assert dead == []


def test_the_tests_that_are_named_are_there_and_the_reasons_are_sentences() -> None:
    """A file that runs the command, or words."""
    for fate in filter(None, USED):
        if fate.kind == "test":
            assert (ROOT / fate.why).is_file(), fate
        if fate.kind == "not":
            assert len(fate.why) > 15, fate


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    """Where the tanks speak."""
    if MOSQUITTO is None:
        pytest.fail("mosquitto expected, found none")
    with run_mosquitto(tmp_path_factory.mktemp("broker")) as made:
        yield made


@pytest.fixture(scope="module")
def daemon(broker: Mosquitto, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonProcess]:
    """With the configuration that docs/configuration.md calls the least, and some readings of each stream."""
    (text,) = re.findall(r"```toml\n(.*?)```", (ROOT / "docs" / "configuration.md").read_text(), re.DOTALL)[:1]
    config = text.replace('"broker.example"', f'"127.0.0.1"\nport = {broker.port}\nclient_id = "documented"')
    config += "\n[fleet.tanks.anomaly]\n"
    with run_daemon(tmp_path_factory.mktemp("daemon"), config) as made, RawClient(broker, subscribe="x") as sensors:
        sensors.publish([
            (f"plant/{stream}/telemetry", f'{{"t": {T0 + step}, "pressure": 2.5, "temperature": 41}}'.encode())
            for step in range(20) for stream in STREAMS
        ])  # fmt: skip
        made.wait_metric("gaugecast_readings_total", 20 * len(STREAMS), outcome="stepped")
        (case,) = re.findall(r"```toml\n(\[\[case\]\].*?)```", (ROOT / "docs" / "devices.md").read_text(), re.DOTALL)
        made.config_path.with_name("gaugecast.tests.toml").write_text(case)
        for name in ("tank-7.csv", "tank7.csv", "hall.csv"):
            rows = (f"{T0 + step},2.{step:02d},41" for step in range(30))
            made.config_path.with_name(name).write_text("\n".join(["t,pressure,temperature", *rows]) + "\n")
        yield made


def test_an_operator_s_commands_do_what_the_pages_say(daemon: DaemonProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the order of the pages, each as it stands there, in the folder of the configuration."""
    monkeypatch.chdir(daemon.config_path.parent)
    monkeypatch.setenv("GAUGECAST_LEARNING__MODE", "off")
    failed = []
    for command in (one for one in COMMANDS if (fate_of(one) or FATE[-1]).kind == "run"):
        said = CliRunner().invoke(app, words_of(command, daemon))
        if said.exit_code != 0:
            failed.append(f"{command}: {said.exit_code}, {said.output[-400:]} {said.exception!r}")
    assert failed == []


def words_of(command: Command, daemon: DaemonProcess) -> list[str]:
    """What is typed behind `gaugecast`, with what is ours in place of what is the reader's."""
    text = command.text.partition(" | ")[0].replace("/etc/gaugecast/gaugecast.toml", str(daemon.config_path))
    for yours, ours in YOURS.items():
        text = text.replace(yours, ours)
    return shlex.split(text)[1:]


@pytest.mark.long
@pytest.mark.keras
def test_the_four_forms_can_be_trained_as_the_page_says(tmp_path: Path) -> None:
    """The lines of docs/concepts/forms.md, through a shell."""
    lines = [one.text for one in COMMANDS if (fate_of(one) or FATE[-1]).kind == "long"]
    assert len(lines) == 5
    environment = {**os.environ, "PATH": f"{tmp_path}:{Path(sys.executable).parent}:{os.environ['PATH']}"}
    program = tmp_path / "gaugecast"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m gaugecast "$@"\n')
    program.chmod(0o755)
    for line in lines:
        said = subprocess.run(
            line, shell=True, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=200
        )
        assert said.returncode == 0, said.stdout + said.stderr
    for form in ("one-to-one", "one-to-many", "many-to-one", "many-to-many"):
        assert (tmp_path / form / "report.html").is_file()
