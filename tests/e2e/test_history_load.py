"""`gaugecast history load` as an operator types it: with the daemon stopped, and with it running."""

from __future__ import annotations

import json
import math
from pathlib import Path

from e2e.scenes import START_NS, Listener, check_books, seed_model, tanks_config
from support.daemon import DaemonProcess, run_command
from support.mosquitto import Mosquitto, RawClient, wait_until

START_S = START_NS // 10**9
ROWS = 700


def write_history(path: Path, tank: str) -> Path:
    """A second a row, two features, the last row just before the first reading."""
    rows = [f"{START_S - ROWS + i},{tank},{5 + math.sin(i / 9):.4f},{20 + i % 7}" for i in range(ROWS)]
    path.write_text("\n".join(["t,tank,pressure,temperature", *rows, ""]))
    return path


def load(daemon: DaemonProcess, path: Path) -> str:
    """What the command says; it must succeed."""
    found = run_command("history", "load", str(path), "--stream", "{tank}", "-c", str(daemon.config_path))
    assert found.returncode == 0, found.stdout + found.stderr
    return found.stdout


def test_the_first_live_forecast_comes_from_a_warm_state(tmp_path: Path, broker: Mosquitto) -> None:
    """Loaded before the first start, and beside a daemon that runs: the same; a replay gives the same bytes."""
    daemon = DaemonProcess(tmp_path / "d", tanks_config(broker.port))
    seed_model(daemon)
    assert "loaded 700 rows of 1 stream into fleet tanks, for the next start" in load(
        daemon, write_history(tmp_path / "a.csv", "a")
    )
    with Listener(broker, tmp_path) as listener, RawClient(broker) as sensor:
        daemon.start()
        try:
            assert "through the daemon that runs" in load(daemon, write_history(tmp_path / "b.csv", "b"))
            refused = run_command(
                "history", "load", str(tmp_path / "a.csv"), "--stream", "{tank}", "-c", str(daemon.config_path)
            )
            assert (refused.returncode, "has history that was loaded before" in refused.stderr) == (69, True)
            body = json.dumps({"t": START_S, "pressure": 5.5, "temperature": 21}).encode()
            sensor.publish([(f"plant/load/{tank}/telemetry", body) for tank in ("a", "b", "cold")])
            said = {m["stream"]: m for m in map(json.loads, (line for _, line in listener.wait_distinct(3)))}
            check_books(daemon, stepped=3, late=0, duplicate=0, rejected=0)
            assert daemon.stop() == 0
        finally:
            if daemon.running:
                daemon.kill()
    assert [said[tank]["step"] for tank in ("a", "b", "cold")] == [1, 1, 1]
    assert said["a"]["forecast"] == said["b"]["forecast"] != said["cold"]["forecast"]
    assert "warming" in said["cold"]["quality"]
    assert "warming" not in said["a"]["quality"]
    found = run_command("replay", "-c", str(daemon.config_path))
    assert found.returncode == 0, found.stdout + found.stderr
    assert "3 messages reproduced byte for byte" in found.stdout


def test_history_survives_a_kill_of_the_daemon_that_took_it(tmp_path: Path, broker: Mosquitto) -> None:
    """It is in the ledger, like any input."""
    daemon = DaemonProcess(tmp_path / "d", tanks_config(broker.port))
    with Listener(broker, tmp_path) as listener, RawClient(broker) as sensor:
        daemon.start()
        try:
            load(daemon, write_history(tmp_path / "a.csv", "a"))
            wait_until(lambda: _loaded(daemon) == 2, what="two chunks in the ledger")
            daemon.kill()
            daemon.start()
            body = json.dumps({"t": START_S, "pressure": 5.5, "temperature": 21}).encode()
            sensor.publish([("plant/load/a/telemetry", body)])
            ((_, line),) = listener.wait_distinct(1)
            message = json.loads(line)
            assert (message["step"], message["predicted"]["pressure"] is not None) == (1, True)
        finally:
            if daemon.running:
                daemon.kill()


def _loaded(daemon: DaemonProcess) -> int:
    with daemon.ledger() as ledger:
        return sum(type(event).__name__ == "HistoryLoaded" for _, _, event in ledger.events())
