"""The plant: three sensors, a broker, a disk, a clock, and the daemon as a process that comes and goes."""

from __future__ import annotations

import math
import os
import time
from pathlib import Path
from random import Random
from types import SimpleNamespace

import msgspec
import pytest

from gaugecast import events
from gaugecast.config import load_settings, resolve_fleets
from gaugecast.engine.selftest import fingerprint
from gaugecast.errors import StorageFull
from gaugecast.ledger import copying
from gaugecast.ledger.store import Ledger
from gaugecast.loop.core import Core, Ports, Setup
from gaugecast.loop.engines import EngineLoader
from gaugecast.metrics.exporter import Metrics
from gaugecast.records import Order
from gaugecast.service.learner_monitor import LearnerMonitor
from gaugecast.service.reporter import Reporter
from gaugecast.service.restoring import restore
from gaugecast.storage import checkpoints
from gaugecast.storage.backup import backup_beside, backups_in
from gaugecast.storage.checkpoint_writer import InlineCheckpointWriter
from gaugecast.storage.crash_note import CrashNote
from gaugecast.storage.lineage import new_lineage
from gaugecast.storage.models import ModelStore
from gaugecast.testing import Clock, MemoryBroker, MemoryLink
from week.series import Series

SENSORS = ("boiler", "mixer", "tank")
#: After every date that a clock of this code's machines can show, and after those of the files that are made here.
T0_S = 2_000_000_000
_MINUTE_NS = 60 * 10**9
#: Rounds of the loop in a minute: what has come is taken, published and confirmed; then there is silence.
_ROUNDS = 4
_ROOMY, _KEPT = 50e9, 3
CONFIG = """
[mqtt]
host = "broker"
watch_drops = false
[learning]
mode = "off"
[storage]
directory = "{state}"
[fleet.plant]
subscribe = ["plant/{{sensor}}"]
period = "1m"
time = "$.t"
[fleet.plant.features.level]
"""
#: Modules that ask for the time of day.
_ASKING = ("storage.backup", "service.restoring", "service.reporter", "metrics.exporter")


class Disk:
    """What the disk says; called with each point of a commit or a checkpoint."""

    full = False

    @property
    def free_bytes(self) -> float:
        """As `statvfs` has it."""
        return 0.0 if self.full else _ROOMY

    def __call__(self, point: str) -> None:
        if self.full and point == "commit:inserted":
            raise StorageFull("no space left")
        if self.full and point == "checkpoint:chunk":
            raise OSError(28, "No space left on device")


class Plant:
    """All of it. `minute` is the one verb that lets time pass.

    Args:
        directory: Empty.
        series: What is scraped goes there.

    Attributes:
        now: The minute, from 0.
        speaking: Sensors that are on the wall.
        core: The daemon's, while it runs.
        kept: Readings that the broker took for the daemon.
    """

    def __init__(self, directory: Path, series: Series, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now, self.kept = 0, 0
        self.speaking = list(SENSORS)
        self.clock, self.broker, self.disk, self.rng = Clock(T0_S * 10**9), MemoryBroker(), Disk(), Random(7)
        self.core: Core | None = None
        self._series, self._backups = series, directory / "backups"
        self._path = directory / "gaugecast.toml"
        self._path.write_text(CONFIG.format(state=directory / "state"))
        self.settings = load_settings(self._path, {})
        self.state = self.settings.storage.directory
        self._tell_time(monkeypatch)

    def _tell_time(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Our clock and our disk, for whoever asks the system."""
        told = SimpleNamespace(
            time=lambda: self.clock.wall() / 1e9,
            time_ns=self.clock.wall,
            monotonic=self.clock.monotonic,
            perf_counter=time.perf_counter,
            gmtime=lambda: time.gmtime(self.clock.wall() / 1e9),
            strftime=time.strftime,
        )
        for name in _ASKING:
            monkeypatch.setattr(f"gaugecast.{name}.time", told)
        statvfs = SimpleNamespace(statvfs=lambda _: SimpleNamespace(f_bavail=self.disk.free_bytes, f_frsize=1))
        monkeypatch.setattr("gaugecast.service.reporter.os", SimpleNamespace(**vars(statvfs), getpid=os.getpid))

    # -- the daemon's life

    def start(self) -> None:
        """As the service manager does."""
        self.state.mkdir(parents=True, exist_ok=True)
        storage, fleets = self.settings.storage, resolve_fleets(self.settings)
        ledger = Ledger.open(self.state, storage, faults=self.disk)
        ledger._connection.execute("PRAGMA synchronous = OFF")
        setup = Setup(fleets, self.settings.loop, storage, self.settings.learning)
        self.core = core = Core.open(setup, self._ports(ledger))
        assert (core.recovered.differing, core.recovered.notes) == (0, [])
        self._metrics = Metrics(fingerprint=fingerprint(), clock=self.clock.monotonic)
        self._reporter = Reporter(
            core, settings=self.settings, monitor=LearnerMonitor(), child=None, metrics_url="",
            clock=self.clock.monotonic,
        )  # fmt: skip
        self._started_s = self.clock.wall() / 1e9 - T0_S

    def _ports(self, ledger: Ledger) -> Ports:
        def writer() -> InlineCheckpointWriter:
            return InlineCheckpointWriter(self.state, self.settings.storage, lambda: ledger.first_seq, faults=self.disk)

        self._notes = CrashNote(self.state)
        return Ports(
            ledger=ledger,
            dial=lambda _wanted, _forget, resumed: MemoryLink(self.broker, self.clock, resumed=resumed),
            writer=writer,
            store=ModelStore(self.state),
            notes=self._notes,
            engines=EngineLoader(),
            wall=self.clock.wall,
            elapsed=self.clock.elapsed,
            monotonic=self.clock.monotonic,
            new_lineage=new_lineage,
        )

    def stop(self) -> None:
        """SIGTERM."""
        assert self.core is not None
        self.core.drain()
        self.core.close()
        self._notes.close()
        self.core = None

    # -- what people do

    def forget(self, sensor: str) -> None:
        """`gaugecast streams forget`."""
        assert self.core is not None
        self.core.order(Order(events.StreamForgotten(), "plant", sensor))

    def back_up(self) -> None:
        """`gaugecast backup --keep`, as a timer does."""
        backup_beside(self.state, self._backups, copying, keep=_KEPT, config=self._path)

    def restore_newest(self) -> None:
        """`gaugecast restore`, while no daemon runs."""
        restore(backups_in(self._backups)[-1], self.settings.storage, replace=True)

    # -- time

    def minute(self) -> None:
        """Sensors speak, the loop turns, Prometheus scrapes; the next minute is there."""
        for number, sensor in enumerate(self.speaking):
            level = 5 + math.sin((self.now + 40 * number) / 30) + self.rng.gauss(0, 0.02)
            text = msgspec.json.encode({"t": self.clock.wall() / 1e9, "level": level})
            self.kept += self.broker.take(f"plant/{sensor}", text)
        if self.core is not None:
            self._turn(self.core)
        self._series.note(self.now, "up", float(self.core is not None))
        self.now += 1
        rest_ns = T0_S * 10**9 + self.now * _MINUTE_NS - self.clock.wall()
        assert rest_ns > 0
        self.clock.advance(rest_ns / 1e9)

    def _turn(self, core: Core) -> None:
        for _ in range(_ROUNDS):
            facts = core.turn()
            self._metrics.observe(facts)
            self._reporter.note_latencies(facts.latencies_s)
        self._date_checkpoints()
        core.look_after()
        self._metrics.set_status(self._reporter.look(self.clock.monotonic()))
        self._series.scrape(self.now, self._metrics)
        self._series.note(self.now, "process_start_time_seconds", self._started_s)

    def _date_checkpoints(self) -> None:
        """Files that were made since have the system's date: they are of now."""
        for _, path in checkpoints.kept_files(checkpoints.folder(self.state)):
            if path.stat().st_mtime < T0_S:
                os.utime(path, (self.clock.wall() / 1e9,) * 2)
