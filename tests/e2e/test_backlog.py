"""A long stop, a standstill: the broker sends all that it kept at once, and forecasts go out meanwhile."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from e2e.scenes import Listener, check_books, check_tanks, send_tanks, tanks_config
from support.daemon import DaemonProcess
from support.mosquitto import Mosquitto, wait_until

BACKLOG = 7_000
#: `batch_readings` as shipped.
BATCH = 2000


def test_a_backlog_beyond_every_bound_is_worked_off(tmp_path: Path, broker: Mosquitto) -> None:
    """More messages than may lag or be in flight, after a stop and after a standstill: all forecast, each once.

    After the standstill both connections are there from the first message on, so that no faster is read than confirmed.
    """
    config = tanks_config(broker.port, loop="max_lag = 200")
    daemon = DaemonProcess(tmp_path / "d", config)
    try:
        daemon.start()
        daemon.stop()
        send_tanks(broker, BACKLOG, streams=100, rate=None)
        with Listener(broker, tmp_path) as listener:
            daemon.start()
            wait_until(lambda: listener.count >= BACKLOG, what=lambda: f"all; {listener.count} so far", deadline_s=60)

            os.kill(daemon.pid, signal.SIGSTOP)
            send_tanks(broker, BACKLOG, first=BACKLOG, streams=100, rate=None)
            os.kill(daemon.pid, signal.SIGCONT)
            unconfirmed: list[float] = []

            def worked_off() -> bool:
                unconfirmed.append(daemon.metrics().total("gaugecast_unconfirmed_outputs"))
                return listener.count >= 2 * BACKLOG

            wait_until(worked_off, what=lambda: f"all forecast; unconfirmed were {unconfirmed[-1]}", deadline_s=60)
            assert max(unconfirmed) <= 200 + BATCH  # the bound, and one batch
            lines = listener.wait_distinct(2 * BACKLOG, deadline_s=60)
            check_tanks(lines, 2 * BACKLOG, streams=100)
            check_books(daemon, stepped=2 * BACKLOG, late=0, duplicate=0, rejected=0)
            assert daemon.stop() == 0
    finally:
        if daemon.running:
            daemon.kill()
