"""A long stop: the broker sends all that it kept at once, and our PUBACKs come behind it."""

from __future__ import annotations

from pathlib import Path

from e2e.scenes import Listener, check_books, check_tanks, send_tanks, tanks_config
from support.daemon import DaemonProcess
from support.mosquitto import Mosquitto

BACKLOG = 14_000


def test_a_backlog_beyond_every_bound_is_worked_off(tmp_path: Path, broker: Mosquitto) -> None:
    """More messages than may lag, than may be in flight, and than the link keeps: all forecast, each once."""
    config = tanks_config(broker.port, loop="max_lag = 200")
    daemon = DaemonProcess(tmp_path / "d", config)
    try:
        daemon.start()
        daemon.stop()
        send_tanks(broker, BACKLOG, streams=100, rate=None)
        with Listener(broker, tmp_path) as listener:
            daemon.start()
            lines = listener.wait_distinct(BACKLOG, deadline_s=60)
            check_tanks(lines, BACKLOG, streams=100)
            check_books(daemon, stepped=BACKLOG, late=0, duplicate=0, rejected=0)
            assert daemon.stop() == 0
    finally:
        if daemon.running:
            daemon.kill()
