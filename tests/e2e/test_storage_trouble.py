"""A full disk, somebody who holds the ledger's lock, a file that rots: say so, lose nothing, step nothing twice."""

from __future__ import annotations

import re
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from e2e.scenes import (
    Announcements,
    Listener,
    check_books,
    check_tanks,
    check_trouble,
    is_announced,
    send_tanks,
    tanks_config,
)
from support.daemon import DaemonProcess, run_daemon
from support.mosquitto import Mosquitto, wait_until

READINGS = 4000


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 8 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(place)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"a file system of a few MB cannot be mounted here: {mounted.stderr.strip()}")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def degraded(daemon: DaemonProcess, reason: str) -> bool:
    """Whether the daemon says so."""
    return daemon.metrics().total("gaugecast_degraded", reason=reason) == 1


def test_a_full_disk_stops_the_reading_and_costs_nothing(tmp_path: Path, broker: Mosquitto, small_disk: Path) -> None:
    """It says so while there is no room; the same rows are stored when there is; the connection lives on."""
    config = tanks_config(broker.port)
    with (
        Listener(broker, tmp_path) as listener,
        Announcements(broker) as announced,
        run_daemon(tmp_path / "d", config, state=small_disk / "state") as daemon,
    ):
        send_tanks(broker, 400)
        listener.wait_distinct(400)
        filler = small_disk / "filler"
        with pytest.raises(OSError, match="No space"):
            filler.write_bytes(bytes(16_000_000))
        send_tanks(broker, READINGS - 400, first=400)
        daemon.wait_metric("gaugecast_degraded", 1, reason="storage_full")
        check_trouble(daemon, "holding", "no room on the disk", announced=announced.newest)
        assert daemon.get("/healthz")[0] == 200
        filler.unlink()
        check_tanks(listener.wait_distinct(READINGS), READINGS)
        daemon.wait_metric("gaugecast_degraded", 0, reason="storage_full")
        check_books(daemon, stepped=READINGS, late=0, duplicate=0, rejected=0)
        daemon.wait_ready()
        wait_until(lambda: is_announced(announced.newest(), "forecasting"), what="announced")
        assert daemon.metrics().total("gaugecast_mqtt_reconnects_total") == 0
        assert daemon.stop() == 0


def test_a_shell_that_locks_the_ledger_is_waited_for(tmp_path: Path, broker: Mosquitto) -> None:
    """`BEGIN IMMEDIATE` in sqlite3: `degraded`, and everything comes once it lets go."""
    with Listener(broker, tmp_path) as listener, run_daemon(tmp_path / "d", tanks_config(broker.port)) as daemon:
        send_tanks(broker, 400)
        listener.wait_distinct(400)
        path = str(daemon.state / "ledger.sqlite")
        with subprocess.Popen(["sqlite3", path], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as shell:
            assert shell.stdin is not None
            assert shell.stdout is not None
            shell.stdin.write(b"BEGIN IMMEDIATE;\nSELECT 'held';\n")
            shell.stdin.flush()
            assert shell.stdout.readline() == b"held\n"
            send_tanks(broker, 400, first=400)
            daemon.wait_metric("gaugecast_degraded", 1, reason="storage_busy")
            assert listener.count == 400
            shell.stdin.write(b"COMMIT;\n.quit\n")
            shell.stdin.close()
        check_tanks(listener.wait_distinct(800), 800)
        check_books(daemon, stepped=800, late=0, duplicate=0, rejected=0)
        assert daemon.stop() == 0


def rot(ledger: Path) -> None:
    """Turn a bit of the oldest batch in the ledger's file, once it has been copied there."""
    with closing(sqlite3.connect(f"file:{ledger}?mode=ro", uri=True)) as reader:
        part = reader.execute("SELECT input_part FROM batches WHERE inputs > 1 ORDER BY first_seq LIMIT 1").fetchone()[
            0
        ][:40]
    wait_until(lambda: part in ledger.read_bytes(), what="copied from the WAL")
    with ledger.open("r+b") as file:
        for copy in re.finditer(re.escape(part), file.read()):  # old ones may lie in free places
            file.seek(copy.start() + 20)
            file.write(bytes((part[20] ^ 1,)))


def test_a_ledger_that_rots_is_told_live_and_forecasts_go_on(tmp_path: Path, broker: Mosquitto) -> None:
    """Although nobody asks for the rows: metric, degraded and status within ten seconds."""
    with Listener(broker, tmp_path) as listener, run_daemon(tmp_path / "d", tanks_config(broker.port)) as daemon:
        send_tanks(broker, 400)
        listener.wait_distinct(400)
        rot(daemon.state / "ledger.sqlite")
        wait_until(lambda: degraded(daemon, "damaged"), what="damage is told", deadline_s=10)
        assert daemon.metrics().total("gaugecast_ledger_damaged_total") == 1
        send_tanks(broker, 400, first=400)
        check_tanks(listener.wait_distinct(800), 800)
        assert daemon.stop() == 0
