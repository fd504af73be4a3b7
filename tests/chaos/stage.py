"""The lives and deaths of the daemon in one run."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

from chaos.collector import Collector
from chaos.scenario import Life, Scenario
from gaugecast.storage import checkpoints
from gaugecast_sim.load import LoadGenerator
from gaugecast_sim.sink import Sink
from support.daemon import DaemonProcess
from support.mosquitto import wait_until

#: Seconds within which a life is killed once its moment has begun.
_SPANS_S = {"boot": 1.0, "recovery": 0.15, "work": 0.6, "checkpoint": 0.003, "shutdown": 0.15, "stop": 0.3}
_WAIT_S = 60.0
#: Without a new forecast or reading for so long after the load has ended, no more are expected.
_SILENCE_S = 8.0
#: With more messages than this without forecast the next life is left to work some off: a slow machine must not turn
#: the run into one endless backlog.
_BACKLOG = 9000


class Stage:
    """Plays the lives of a scenario. One thread, beside those of load and sink.

    Attributes:
        kills_ns: When processes were killed, Unix ns.
        unaccounted: What the lives that ended in order left open in their metrics.
        mishaps: What should not have happened to a process: it died by itself, or did not stop as asked.
    """

    def __init__(
        self,
        scenario: Scenario,
        daemon: DaemonProcess,
        *,
        load: LoadGenerator,
        sink: Sink,
        told: Callable[[str], None],
    ) -> None:
        self.kills_ns: list[int] = []
        self.unaccounted = 0
        self.mishaps: list[str] = []
        self.collector = Collector(sink)
        self._scenario, self._daemon, self._load, self._sink, self._told = scenario, daemon, load, sink, told

    def play(self) -> None:
        """All lives, then the load's end, then all that is still under way, then an orderly stop."""
        loading = threading.Thread(target=self._load.run, name="load", daemon=True)
        try:
            for number, life in enumerate(self._scenario.lives()):
                self._live(life)
                if not loading.is_alive():  # the first life has made the session that keeps what comes
                    self._daemon.wait_ready()
                    loading.start()
                self._work_off()
                self._die(life)
                self.collector.drain()
                self._told(f"{number + 1}: {life.moment}, {self._load.sent} sent, {self._sink.count} received")
            self._live(Life("stop", 0.0, 0.5))
            self._load.stop()
            loading.join()
            self._daemon.wait_ready(deadline_s=_WAIT_S)  # a slow start is not the silence after the last forecast
            self._wait_for_all()
            self._stop()
        finally:
            self._load.stop()
            if self._daemon.running:
                self._daemon.kill()

    # -- one life

    def _live(self, life: Life) -> None:
        self._daemon.environment["GAUGECAST_STORAGE__CHECKPOINT_REPLAY_S"] = str(life.checkpoint_replay_s)
        self._daemon.spawn()

    def _die(self, life: Life) -> None:
        try:
            self._await_moment(life)
            if life.moment == "stop":
                self._stop()
                return
            if life.moment == "shutdown":
                self._daemon.send(signal.SIGTERM)
            _pause(life.share * _SPANS_S[life.moment])
        except AssertionError as exc:
            self.mishaps.append(f"{life.moment}: {str(exc)[:500]}")
        self.kills_ns.append(time.time_ns())
        code = self._daemon.kill()
        if code not in (-signal.SIGKILL, 0):
            self.mishaps.append(f"{life.moment}: a daemon that runs expected, found it ended with {code}")

    def _await_moment(self, life: Life) -> None:
        if life.moment == "boot":
            return
        if life.moment == "recovery":
            self._wait(lambda: self._daemon.get("/healthz")[0] != 0, "the daemon's port")
            return
        before = self._sink.count
        self._wait(lambda: self._sink.count > before, "a forecast")
        if life.moment == "checkpoint":
            place = checkpoints.folder(self._daemon.state)
            self._wait(lambda: _is_writing(place), "a checkpoint in the making")
        if life.moment in ("shutdown", "stop"):
            _pause(life.share * _SPANS_S["stop"])

    def _wait(self, condition: Callable[[], bool], what: str) -> None:
        def met() -> bool:
            assert self._daemon.running, f"expected to wait for {what}, but the daemon has ended"
            return condition()

        wait_until(met, what=what, deadline_s=_WAIT_S)

    # -- orderly ends

    def _work_off(self) -> None:
        self.collector.drain()
        if self._load.sent - self.collector.seen.distinct > _BACKLOG:
            self._watch(lambda: self._load.sent - self.collector.seen.distinct < _BACKLOG // 2)

    def _wait_for_all(self) -> None:
        """Until every reading has its forecast, or nothing new comes any more."""
        self._watch(lambda: self.collector.seen.distinct >= self._load.sent)

    def _watch(self, done: Callable[[], bool]) -> None:
        """Wait until `done`, the daemon's end, or silence."""
        progress, since = (-1, -1), time.monotonic()
        while not done() and self._daemon.running and time.monotonic() - since < _SILENCE_S:
            self.collector.drain()
            fleets = self._daemon.status().get("fleets", {}).values()
            now = (self.collector.seen.distinct, sum(fleet["counts"]["received"] for fleet in fleets))
            if now != progress:
                progress, since = now, time.monotonic()
            _pause(0.1)

    def _stop(self) -> None:
        """Hold the life to its accounts, then SIGTERM."""
        if not self._daemon.running:
            self.mishaps.append(f"a daemon that runs expected, found none:\n{self._daemon.log_tail(5)}")
            return
        self._wait(lambda: self._daemon.get("/metrics")[0] == 200, "metrics")
        self.unaccounted += self._daemon.metrics().unaccounted
        code = self._daemon.stop()
        if code != 0:
            self.mishaps.append(f"exit code 0 expected after SIGTERM, got {code}")


def _is_writing(place: Path) -> bool:
    return any(path.suffix == ".tmp" for path in place.glob("*")) if place.is_dir() else False


def _pause(seconds: float) -> None:
    """Let the daemon live on for so long: the moment of its death is the experiment, not a wait for anything."""
    threading.Event().wait(seconds)
