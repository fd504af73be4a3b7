"""The learner as a child of the daemon: started, watched, started again, ended."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from gaugecast.logs import get

log = get("gaugecast")

_BACKOFF_S, _BACKOFF_MAX_S = 1.0, 60.0
_STOP_S = 5.0


class LearnerChild:
    """`gaugecast learn` in a process of its own. Owned by the loop's thread.

    Attributes:
        failures_total: How often it ended without being asked.
    """

    def __init__(self, config: Path) -> None:
        self.failures_total = 0
        self._config = config
        self._child: subprocess.Popen[bytes] | None = None
        self._start_at_s = 0.0
        self._backoff_s = _BACKOFF_S

    @property
    def pid(self) -> int | None:
        """Its process id, while it runs."""
        return None if self._child is None else self._child.pid

    def watch(self, now_s: float) -> None:
        """Start it if it does not run; after a failure wait ever longer."""
        if self._child is not None and self._child.poll() is not None:
            self.failures_total += 1
            self._start_at_s = now_s + self._backoff_s
            log.warning("learner ended", code=self._child.returncode, again_in_s=self._backoff_s)
            self._backoff_s = min(2 * self._backoff_s, _BACKOFF_MAX_S)
            self._child = None
        if self._child is None and now_s >= self._start_at_s:
            command = [sys.executable, "-m", "gaugecast", "learn", "-c", str(self._config)]
            self._child = subprocess.Popen(command, stdin=subprocess.DEVNULL)
            log.info("learner started", pid=self._child.pid)

    def close(self) -> None:
        """Ask it to end, and see to it."""
        if self._child is None or self._child.poll() is not None:
            return
        self._child.terminate()
        try:
            self._child.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
