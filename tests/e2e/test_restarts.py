"""Restarts, orderly and not; a second daemon; a message that kills; copies and replays of what was said."""

from __future__ import annotations

import re
import signal
from pathlib import Path

import pytest

from e2e.launcher import command
from e2e.scenes import Listener, check_books, check_tanks, seed_model, send_tanks, tanks_config
from support.daemon import DaemonProcess, run_command, run_daemon
from support.mosquitto import Mosquitto, RawClient


def test_kill_9_costs_nothing_and_the_ledger_reproduces_all(tmp_path: Path, broker: Mosquitto) -> None:
    """Three kills under load; then `replay` and a `backup`, taken while it runs, give the published bytes again."""
    daemon = DaemonProcess(tmp_path / "d", tanks_config(broker.port))
    seed_model(daemon)
    try:
        with Listener(broker, tmp_path) as listener:
            daemon.start()
            for part in range(3):
                send_tanks(broker, 500, first=500 * part)
                listener.wait_distinct(500 * part + 100)
                daemon.kill()
                daemon.start()
            lines = listener.wait_distinct(1500)
            check_tanks(lines, 1500, copies=True)
            check_books(daemon, rejected=0)
            copy = tmp_path / "copy"
            assert run_command("backup", str(copy), "-c", str(daemon.config_path)).returncode == 0
            send_tanks(broker, 100, first=1500)
            listener.wait_distinct(1600)
            assert daemon.stop() == 0
    finally:
        if daemon.running:
            daemon.kill()
    first_copies = {body: None for _, body in lines}
    for state, count in ((daemon.state, 1600), (copy, 1500)):
        config = daemon.config_path.with_name(f"{state.name}.toml")
        config.write_text(daemon.config_path.read_text().replace(str(daemon.state), str(state)))
        out = tmp_path / f"{state.name}.bodies"
        found = run_command("replay", "-c", str(config), "--out", str(out))
        assert found.returncode == 0, found.stdout + found.stderr
        assert f"{count} messages reproduced byte for byte" in found.stdout
        assert set(first_copies) <= set(out.read_bytes().splitlines())


def test_an_orderly_restart_replays_nothing_and_repeats_nothing(tmp_path: Path, broker: Mosquitto) -> None:
    """SIGTERM leaves a checkpoint at the ledger's end, and no forecast unconfirmed."""
    daemon = DaemonProcess(tmp_path / "d", tanks_config(broker.port))
    try:
        with Listener(broker, tmp_path) as listener:
            for part in range(3):
                daemon.start()
                send_tanks(broker, 200, first=200 * part)
                listener.wait_distinct(200 * (part + 1))
                check_books(daemon, stepped=200, late=0, duplicate=0, rejected=0)
                assert daemon.stop() == 0
            check_tanks(listener.lines, 600)
    finally:
        if daemon.running:
            daemon.kill()
    assert re.findall(r"recovered .*inputs=(\d+)", daemon.log_text()) == ["0", "0", "0"]


def test_a_second_daemon_ends_and_the_first_does_not_notice(tmp_path: Path, broker: Mosquitto) -> None:
    """The lock on the state directory, not the broker, keeps them apart."""
    with Listener(broker, tmp_path) as listener, run_daemon(tmp_path / "d", tanks_config(broker.port)) as daemon:
        second = run_command("run", "-c", str(daemon.config_path))
        assert second.returncode == 78
        assert str(daemon.state) in second.stderr
        send_tanks(broker, 200)
        check_tanks(listener.wait_distinct(200), 200)
        check_books(daemon, stepped=200, late=0, duplicate=0, rejected=0)
        assert daemon.metrics().total("gaugecast_mqtt_reconnects_total") == 0


@pytest.mark.parametrize(
    ("death", "code", "trace"),
    [
        ("poison", -signal.SIGSEGV, "Segmentation fault"),
        pytest.param("defect", 70, "ZeroDivisionError: nobody foresaw this", marks=pytest.mark.long),
    ],
)
def test_a_message_that_kills_is_put_aside_after_three_deaths(
    tmp_path: Path, broker: Mosquitto, death: str, code: int, trace: str
) -> None:
    """Each process that takes it dies; the fourth goes on, with the message's first bytes in the quarantine."""
    daemon = DaemonProcess(tmp_path / "d", tanks_config(broker.port), command=command(death))
    try:
        with Listener(broker, tmp_path) as listener, RawClient(broker) as sensor:
            daemon.start()
            send_tanks(broker, 80)
            listener.wait_distinct(80)
            sensor.publish([("plant/load/s1/telemetry", b'{"poison": 1}')])
            send_tanks(broker, 80, first=80)
            deaths = []
            while (ended := daemon.wait_exit_or(lambda: len(set(listener.names())) >= 160)) is not None:
                deaths.append(ended)
                assert len(deaths) <= 5, "expected the message to be put aside"
                daemon.spawn()
            assert deaths == [code] * 3
            assert len([line for line in daemon.log_text().splitlines() if " died " in line and trace in line]) == 3
            check_tanks(listener.wait_distinct(160), 160, copies=True)
            check_books(daemon, rejected=1)
            with daemon.ledger() as ledger:
                (row,) = ledger.quarantined(10)
            assert (row.reason, row.head) == ("poison", b'{"poison": 1}')
            send_tanks(broker, 80, first=160)
            listener.wait_distinct(240)
            assert daemon.stop() == 0
    finally:
        if daemon.running:
            daemon.kill()
