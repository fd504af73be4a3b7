"""Processes beside the daemon that are its children, learner and console: started, watched, started again, ended."""

from __future__ import annotations

import ctypes
import importlib.util
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from gaugecast.config.schema import Settings
from gaugecast.logs import get
from gaugecast.status import LearningStatus

log = get("gaugecast")

_BACKOFF_S, _BACKOFF_MAX_S = 1.0, 60.0
#: A child that lived so long is started again at once.
_LONG_S = 600.0
#: One that says nothing for so long hangs: TensorFlow is imported and an update compiled in a fraction of it.
_SILENT_S = 300.0
#: On a slow device it is not: after one that never spoke the next is given twice as long, up to this.
_SILENT_MAX_S = 3600.0
_PR_SET_PDEATHSIG = 1
NO_CONSOLE = "the console needs starlette and uvicorn: pip install 'gaugecast[console]'"
#: After it was asked to end; the loop's own end goes on meanwhile. Killing it loses some lessons, nothing else.
_STOP_S = 2.0


class Child:
    """A command of ours in a process of its own. Owned by the loop's thread; it ends with us, however we end.

    Args:
        config: The daemon's configuration file.
        word: The command, such as `learn`.
        name: What the log calls it.
        silent_s: Silence after which it is killed.
        command: Instead of `gaugecast` and the word.

    Attributes:
        failures_total: How often it ended, or had to be ended, without being asked.
    """

    def __init__(
        self, config: Path, *, word: str = "learn", name: str = "learner", silent_s: float = _SILENT_S,
        command: tuple[str, ...] = (),
    ) -> None:  # fmt: skip
        self.failures_total, self._name = 0, name
        ours = (sys.executable, "-m", "gaugecast", word, "-c", str(config), "--parent", str(os.getpid()))
        self._command = command or ours
        self._silent_s = self._patience_s = silent_s
        self._child: subprocess.Popen[bytes] | None = None
        self._started_at_s = self._start_at_s = float("-inf")
        self._backoff_s = _BACKOFF_S
        self._asked_at_s: float | None = None  # to end

    @property
    def pid(self) -> int | None:
        """Its process id, while it runs."""
        return None if self._child is None else self._child.pid

    def watch(self, now_s: float, heard_at_s: float = float("inf")) -> None:
        """Start it if it does not run; after a failure wait ever longer.

        Args:
            now_s: Monotonic.
            heard_at_s: When it last said something.
        """
        if self._child is not None and self._child.poll() is not None:
            self._note_end(self._child.returncode, now_s)
        silent_s = now_s - max(heard_at_s, self._started_at_s)  # one that has never spoken was heard at -inf
        has_spoken = heard_at_s > self._started_at_s
        if has_spoken:
            self._patience_s = self._silent_s
        if self._child is not None and silent_s >= self._patience_s:
            log.warning(f"{self._name} hangs", pid=self._child.pid, silent_s=round(silent_s))
            self._child.kill()
            if not has_spoken:
                self._patience_s = min(2 * self._patience_s, _SILENT_MAX_S)
        if self._child is None and now_s >= self._start_at_s:
            self._start(now_s)

    def _start(self, now_s: float) -> None:
        self._started_at_s = now_s
        try:
            self._child = subprocess.Popen(self._command, stdin=subprocess.DEVNULL)
        except OSError as exc:  # no memory, no processes: the loop goes on
            self._note_end(str(exc), now_s)
            return
        log.info(f"{self._name} started", pid=self._child.pid)

    def _note_end(self, how: int | str, now_s: float) -> None:
        if now_s - self._started_at_s >= _LONG_S:
            self._backoff_s = _BACKOFF_S
        self.failures_total += 1
        self._child = None
        self._start_at_s = now_s + self._backoff_s
        log.warning(f"{self._name} ended", how=how, again_in_s=self._backoff_s)
        self._backoff_s = min(2 * self._backoff_s, _BACKOFF_MAX_S)

    def ask_to_end(self) -> None:
        """Let it end, while we do what else there is to do."""
        if self._child is not None and self._child.poll() is None:
            self._child.terminate()
            self._asked_at_s = time.monotonic()

    def close(self) -> None:
        """See to it that it has ended: it is killed `_STOP_S` after it was asked to."""
        if self._child is None or self._child.poll() is not None:
            return
        if self._asked_at_s is None:
            self.ask_to_end()
        assert self._asked_at_s is not None
        try:
            self._child.wait(max(0.0, self._asked_at_s + _STOP_S - time.monotonic()))
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()


def learner_child(settings: Settings, learning: LearningStatus) -> Child | None:
    """The child that learns, where it is a child that does."""
    return Child(Path(settings.source)) if learning.mode == "child" else None


def has_console() -> bool:
    """Whether the extra `console` is installed."""
    return all(importlib.util.find_spec(name) is not None for name in ("starlette", "uvicorn"))


def console_child(settings: Settings) -> Child | None:
    """The child that serves the console, where one is asked for and can be had."""
    if not settings.console.enabled:
        return None
    if not has_console():
        log.warning("no console", why=NO_CONSOLE)
        return None
    return Child(Path(settings.source), word="console", name="console")


def end_with(parent: int, *, by: signal.Signals = signal.SIGKILL) -> bool:
    """In a child: have the kernel end us with our parent, whatever we are doing; False where it is gone already."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, by)
    return os.getppid() == parent
