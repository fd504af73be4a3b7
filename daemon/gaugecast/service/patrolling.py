"""Lets the ledger's patrol walk beside the loop."""

from __future__ import annotations

import threading
from pathlib import Path

from gaugecast.ledger.damage import Damages
from gaugecast.ledger.patrol import Patrol
from gaugecast.logs import get

#: One step a second: a megabyte or two are read, and a ledger of 4 GB has been looked through within the hour.
EVERY_S = 1.0
#: A step takes some milliseconds; on a disk that is busy for others, longer than anybody waits at a stop.
_END_S = 0.5

log = get("gaugecast")


class Patroller:
    """A thread of its own that ends with the process; the patrol, with its connection, belongs to it.

    Args:
        directory: The state directory.
        damages: Where what is found is noted; the loop reads it.
    """

    def __init__(self, directory: Path, damages: Damages) -> None:
        self._patrol = Patrol(directory, damages)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="patrol", daemon=True)
        self._thread.start()

    def ask_to_end(self) -> None:
        """Let it walk no more; it closes its connection after the step that it is in."""
        self._ended.set()

    def close(self, *, timeout_s: float = _END_S) -> None:
        """Wait a little for its end; a step on a slow disk may go on, and ends with the process."""
        self.ask_to_end()
        self._thread.join(timeout_s)

    def _run(self) -> None:
        try:
            while not self._ended.wait(EVERY_S):
                self._patrol.step()
        except Exception as exc:  # a defect here costs the patrol, not the forecasts
            log.error("the ledger is no longer looked through", why=repr(exc))
        finally:
            self._patrol.close()
