"""The console as a process: beside the daemon, as its child, and where it cannot be had."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from console.serving import CONFIG
from gaugecast.cli.main import app
from gaugecast.config import load_settings
from gaugecast.errors import ConfigError
from gaugecast.service import children
from support.daemon import DaemonProcess, gaugecast_command, run_command, run_daemon
from support.mosquitto import Mosquitto, free_port, wait_until


def status_at(port: int) -> dict[str, Any] | None:
    """What a console says of the daemon; `None` where none answers."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/status", timeout=5) as answer:
            found: dict[str, Any] = json.load(answer)
            return found
    except OSError:
        return None


@pytest.mark.long
def test_the_daemon_starts_it_and_takes_it_along(broker: Mosquitto, tmp_path: Path) -> None:
    """Where [console] enabled says so; killed, it comes again, and the daemon has not noticed."""
    port = free_port()
    config = CONFIG.format(port=broker.port).replace("console-test", "console-child")
    with run_daemon(tmp_path, f"{config}\n[console]\nenabled = true\nport = {port}\n") as daemon:
        told = wait_until(lambda: status_at(port), what="a console", deadline_s=40)
        assert told["status"]["pid"] == daemon.pid
        (pid,) = map(int, re.findall(r"console started pid=(\d+)", daemon.log_text()))
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: "console ended how=-9" in daemon.log_text(), what="an end that is noticed")
        wait_until(lambda: status_at(port), what="another console", deadline_s=40)
        assert daemon.stop() == 0
    wait_until(lambda: status_at(port) is None, what="a console that ends with the daemon")


def test_it_says_where_it_is_and_ends_when_asked(daemon: DaemonProcess, tmp_path: Path) -> None:
    """By hand, beside a daemon that runs: exit 0 at SIGTERM, also while somebody listens to its events."""
    environment = {**os.environ, "GAUGECAST_CONSOLE__PORT": "0"}
    command = [*gaugecast_command(), "console", "-c", str(daemon.config_path)]
    with (tmp_path / "log").open("wb") as log:
        child = subprocess.Popen(command, stderr=log, env=environment)
    try:
        found = wait_until(
            lambda: re.search(r"url=http://127\.0\.0\.1:(\d+)/", (tmp_path / "log").read_text()),
            what="its address",
            deadline_s=40,
        )
        with urllib.request.urlopen(f"http://127.0.0.1:{found[1]}/api/v1/live", timeout=20) as events:
            assert events.readline()
            child.send_signal(signal.SIGTERM)
            assert child.wait(20) == 0
    finally:
        if child.poll() is None:
            child.kill()


@pytest.mark.long
def test_what_cannot_be_served_is_a_bad_configuration(
    daemon: DaemonProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A token that is not there, an address that is taken, an extra that is not installed: each with its exit code."""
    words = ("console", "-c", str(daemon.config_path))
    monkeypatch.setenv("GAUGECAST_CONSOLE__TOKEN_FILE", str(tmp_path / "none"))
    refused = run_command(*words)
    assert (refused.returncode, "cannot be read" in refused.stderr) == (78, True)
    monkeypatch.delenv("GAUGECAST_CONSOLE__TOKEN_FILE")
    monkeypatch.setenv("GAUGECAST_CONSOLE__PORT", str(daemon.http_port))
    taken = run_command(*words)
    assert (taken.returncode, "expected to listen" in taken.stderr) == (70, True)
    monkeypatch.setattr(children, "has_console", lambda: False)
    without = CliRunner().invoke(app, list(words))
    assert isinstance(without.exception, ConfigError)
    assert "gaugecast[console]" in str(without.exception)


def test_without_the_extra_the_daemon_says_so_and_forecasts(
    daemon: DaemonProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No child is started, and none where nobody asked for one."""
    settings = load_settings(daemon.config_path, {"GAUGECAST_CONSOLE__ENABLED": "true"})
    assert children.console_child(load_settings(daemon.config_path, {})) is None
    assert children.console_child(settings) is not None
    monkeypatch.setattr(children, "has_console", lambda: False)
    assert children.console_child(settings) is None


def test_the_base_install_is_told_from_one_with_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both of its packages are needed."""
    assert children.has_console()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "uvicorn" else sys)
    assert not children.has_console()
