"""A long stop: the broker sends all that it kept at once, and forecasts go out meanwhile."""

from __future__ import annotations

from pathlib import Path

from e2e.scenes import Listener, check_books, check_tanks, send_tanks, tanks_config
from support.daemon import DaemonProcess
from support.mosquitto import Mosquitto, wait_until

BACKLOG = 14_000


def test_a_backlog_beyond_every_bound_is_worked_off(tmp_path: Path, broker: Mosquitto) -> None:
    """More messages than may lag or be in flight: all forecast, each once, and no faster read than confirmed."""
    config = tanks_config(broker.port, loop="max_lag = 200")
    daemon = DaemonProcess(tmp_path / "d", config)
    try:
        daemon.start()
        daemon.stop()
        send_tanks(broker, BACKLOG, streams=100, rate=None)
        with Listener(broker, tmp_path) as listener:
            daemon.start()
            unconfirmed: list[float] = []

            def worked_off() -> bool:
                unconfirmed.append(daemon.metrics().total("gaugecast_unconfirmed_outputs"))
                return listener.count >= BACKLOG

            wait_until(worked_off, what=lambda: f"all forecast; unconfirmed were {unconfirmed[-1]}", deadline_s=60)
            assert max(unconfirmed) <= 200 + 1000  # the bound, and one batch
            lines = listener.wait_distinct(BACKLOG, deadline_s=60)
            check_tanks(lines, BACKLOG, streams=100)
            check_books(daemon, stepped=BACKLOG, late=0, duplicate=0, rejected=0)
            assert daemon.stop() == 0
    finally:
        if daemon.running:
            daemon.kill()
