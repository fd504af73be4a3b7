"""The daemon as a process of its own, as an operator runs it: started with a file, asked over HTTP, ended by its id."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gaugecast.ledger.reader import LedgerReader
from support.mosquitto import free_port, wait_until

OUTCOMES = ("stepped", "late", "duplicate", "rejected", "not_ours", "same_period")
_SAMPLE = re.compile(r"^([a-z_]+)(?:\{(.*)\})? (\S+)$", re.MULTILINE)
_LABEL = re.compile(r'([a-z_]+)="((?:[^"\\]|\\.)*)"')


def gaugecast_command() -> list[str]:
    """How `gaugecast` is called: GAUGECAST_BIN (an installed wheel's), else this interpreter's module."""
    named = os.environ.get("GAUGECAST_BIN")
    return shlex.split(named) if named else [sys.executable, "-m", "gaugecast"]


def run_command(*words: str, deadline_s: float = 60.0) -> subprocess.CompletedProcess[str]:
    """Run one `gaugecast` command to its end."""
    command = [*gaugecast_command(), *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=deadline_s, check=False)


class Samples:
    """One scrape of /metrics."""

    def __init__(self, text: str) -> None:
        self._samples = [
            (name, dict(_LABEL.findall(labels or "")), float(value)) for name, labels, value in _SAMPLE.findall(text)
        ]

    def total(self, name: str, **labels: str) -> float:
        """Sum over the samples that have these labels."""
        return sum(v for n, have, v in self._samples if n == name and labels.items() <= have.items())

    def has(self, name: str) -> bool:
        """Whether there is any sample of this name."""
        return any(n == name for n, _, _ in self._samples)

    @property
    def unaccounted(self) -> int:
        """Readings received in this process life that have no outcome, and the other way round; 0 is the promise."""
        received = self.total("gaugecast_readings_received_total") + self.total("gaugecast_readings_held_at_start")
        settled = sum(self.total("gaugecast_readings_total", outcome=outcome) for outcome in OUTCOMES)
        return abs(round(received - settled - self.total("gaugecast_readings_held")))


class DaemonProcess:
    """`gaugecast run` on one configuration; may be started again and again on the same state directory.

    Args:
        directory: Where configuration, log and (in `state`) the daemon's state go.
        config: The file's text without `[storage]`, `[http]`; `{port}` of the broker is filled in by the caller.
        command: Instead of `gaugecast`.
        storage, environment: More keys of `[storage]`, and variables.

    A daemon learns wherever TensorFlow is installed; this one only where the file says so.
    """

    def __init__(
        self,
        directory: Path,
        config: str,
        *,
        command: Sequence[str] | None = None,
        storage: str = "",
        environment: Mapping[str, str] | None = None,
        state: Path | None = None,
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.state = state or directory / "state"
        self.config_path = directory / "gaugecast.toml"
        self.log_path = directory / "daemon.log"
        self.http_port = free_port()
        self.environment = dict(environment or {})
        self._command = list(command or gaugecast_command())
        self._child: subprocess.Popen[bytes] | None = None
        self.write_config(config, storage=storage)

    def write_config(self, config: str, *, storage: str = "") -> None:
        """Replace the file; the next `start` reads it."""
        self._learning = {} if "[learning]" in config else {"GAUGECAST_LEARNING__MODE": "off"}
        own = f'\n[storage]\ndirectory = "{self.state}"\n{storage}\n[http]\nport = {self.http_port}\n'
        self.config_path.write_text(config + own)

    # -- life and death

    def spawn(self) -> None:
        """Start it and return at once."""
        assert self._child is None or self._child.poll() is not None, "expected the last one to have ended"
        environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", **self._learning, **self.environment}
        with self.log_path.open("ab") as log:
            self._child = subprocess.Popen(
                [*self._command, "run", "-c", str(self.config_path)], stdout=log, stderr=log, env=environment
            )

    def start(self, *, deadline_s: float = 30.0) -> None:
        """Start it and wait until it forecasts: recovered, turning, connected."""
        self.spawn()
        self.wait_ready(deadline_s=deadline_s)

    def wait_ready(self, *, deadline_s: float = 30.0) -> None:
        """Wait for /readyz to say 200; AssertionError with the log's end if it dies before."""
        wait_until(self._is_ready, what=f"ready; log:\n{self.log_tail()}", deadline_s=deadline_s)

    def kill(self) -> int:
        """kill -9, by its id; the exit code, -9 unless it had ended before."""
        return self._end(signal.SIGKILL)

    def stop(self, *, deadline_s: float = 30.0) -> int:
        """SIGTERM; the exit code."""
        return self._end(signal.SIGTERM, deadline_s=deadline_s)

    def send(self, number: signal.Signals) -> None:
        """Send a signal and do not wait."""
        assert self._child is not None
        self._child.send_signal(number)

    def wait_exit(self, *, deadline_s: float = 30.0) -> int:
        """Wait until it ends by itself; the exit code."""
        assert self._child is not None
        return self._child.wait(timeout=deadline_s)

    def wait_exit_or(self, condition: Callable[[], bool], *, deadline_s: float = 40.0) -> int | None:
        """Wait until it ends by itself (the exit code) or the condition holds (`None`)."""
        wait_until(lambda: not self.running or condition(), what="an end, or the condition", deadline_s=deadline_s)
        return None if self._child is None or self.running else self._child.returncode

    @property
    def running(self) -> bool:
        """Whether the process is there."""
        return self._child is not None and self._child.poll() is None

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._child is not None
        return self._child.pid

    def _end(self, number: signal.Signals, *, deadline_s: float = 30.0) -> int:
        assert self._child is not None
        self._child.send_signal(number)
        return self._child.wait(timeout=deadline_s)

    # -- asking

    def get(self, path: str) -> tuple[int, str]:
        """Status and body of an HTTP answer; 0 where nobody answers."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.http_port}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as exc:
            return exc.code, exc.read().decode()
        except OSError:
            return 0, ""

    def status(self) -> dict[str, Any]:
        """What /readyz says; empty where nobody answers."""
        _, body = self.get("/readyz")
        return json.loads(body) if body else {}

    def metrics(self) -> Samples:
        """One scrape."""
        code, body = self.get("/metrics")
        assert code == 200, f"expected /metrics to answer, got {code}; log:\n{self.log_tail()}"
        return Samples(body)

    def wait_metric(self, name: str, at_least: float, *, deadline_s: float = 30.0, **labels: str) -> None:
        """Wait until a metric has grown to a value."""
        what = f"{name}{labels or ''} ≥ {at_least:g}"
        wait_until(lambda: self.metrics().total(name, **labels) >= at_least, what=what, deadline_s=deadline_s)

    def ledger(self) -> LedgerReader:
        """The ledger, read-only; the caller closes it."""
        return LedgerReader(self.state)

    def log_text(self) -> str:
        """All that it has written to stderr in all its lives."""
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def log_tail(self, lines: int = 12) -> str:
        """The last lines of it."""
        return "\n".join(self.log_text().splitlines()[-lines:])

    def _is_ready(self) -> bool:
        assert self.running, f"expected a running daemon; its log ends:\n{self.log_tail()}"
        return self.get("/readyz")[0] == 200


@contextmanager
def run_daemon(directory: Path, config: str, **settings: Any) -> Iterator[DaemonProcess]:
    """A started, ready daemon; killed on leaving if it still runs."""
    daemon = DaemonProcess(directory, config, **settings)
    try:
        daemon.start()
        yield daemon
    finally:
        if daemon.running:
            daemon.kill()
