"""What a daemon says of itself once a second: the tree, and what it counts from one process to the next."""

from __future__ import annotations

import contextlib
import os
import resource
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gaugecast import events
from gaugecast.config import load_settings
from gaugecast.ledger.damage import Damaged
from gaugecast.ledger.store import Ledger
from gaugecast.metrics import Metrics
from gaugecast.mqtt.facts import SenderCounters, SubscriberCounters
from gaugecast.pipeline import Pipeline, state
from gaugecast.records import Commit, Input, Order, Refused
from gaugecast.service.learner_monitor import LearnerMonitor
from gaugecast.service.reporter import Reporter
from gaugecast.status import FleetCounts, Status
from gaugecast.storage import checkpoints
from gaugecast.testing import fleet_of, pipeline_of, reading
from ledger_rows import T0, micro_batch
from test_metrics import sample

FLEET = fleet_of("pq")
#: Features on topics of their own: a reading of one waits for the other.
JOINED = fleet_of("pq", feature_capture="feature")
NAN = float("nan")


class Scene:
    """A core with a real pipeline and ledger, a reporter over it, and a loop that only counts what it received."""

    def __init__(self, directory: Path, pipeline: Pipeline) -> None:
        self.directory = directory / "state"
        self.directory.mkdir()
        (directory / "gaugecast.toml").write_text(
            f'[mqtt]\nhost = "plant"\n[storage]\ndirectory = "{self.directory}"\n'
            '[fleet.tanks]\nsubscribe = ["plant/{tank}"]\nperiod = "1s"\n[fleet.tanks.features.p]\n'
        )
        self.settings = load_settings(directory / "gaugecast.toml", {})
        self.pipeline = pipeline
        self.ledger = Ledger.open(self.directory, self.settings.storage)
        self.subscriber = SimpleNamespace(
            connected=True, last_error=None, deaf=None, lowered=None, counters=SubscriberCounters(reconnects_total=2)
        )
        self.sender = SimpleNamespace(
            connected=True, last_error=None, unkept=None, counters=SenderCounters(reconnects_total=1)
        )
        self.link = SimpleNamespace(subscriber=self.subscriber, sender=self.sender)
        self.loop = SimpleNamespace(
            degraded=set(),
            holding=False,
            not_ours=Counter(),
            received=Counter(),
            asides=SimpleNamespace(dropped_total=7),
        )
        self.publisher = SimpleNamespace(lag=0, refused_total=0, mute=None, confirmed=0)
        self.writer = SimpleNamespace(
            failure=None, failures_total=0, wal_failure=None, wal_failures_total=0, completed_seq=0
        )
        standing = SimpleNamespace(refused_total=1, rollbacks_total=3)
        self.roles = SimpleNamespace(standing=lambda _: standing, trial=lambda _: None)
        self.reporter = self.begin()

    def begin(self) -> Reporter:
        """As after a start: what is counted begins anew."""
        core: Any = self  # as far as a reporter asks
        return Reporter(
            core, settings=self.settings, monitor=LearnerMonitor(), child=None, metrics_url="", clock=lambda: 0.0
        )

    def hear(self, *inputs: Input) -> None:
        """Readings come and are stepped."""
        self.loop.received.update(one.fleet for one in inputs)
        self.pipeline.advance(inputs)

    def order(self, event: Any) -> None:
        """An event is taken."""
        self.pipeline.advance([Order(event, "tanks").stamped(T0)])

    def look(self, now_s: float = 0.0) -> Status:
        """What the daemon says."""
        return self.reporter.look(now_s)

    def counts(self) -> FleetCounts:
        """Of the one fleet, and that they add up."""
        counts = self.look().fleets["tanks"].counts
        settled = counts.stepped + counts.late + counts.duplicate + counts.rejected
        assert counts.received == settled + counts.held - counts.held_at_start
        return counts


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    """A core that has begun over an empty directory."""
    made = Scene(tmp_path, pipeline_of(FLEET))
    yield made
    made.ledger.close()


def test_a_core_that_is_well_forecasts_and_leaves_nothing_unknown(scene: Scene) -> None:
    """But for the age of a checkpoint that is not there yet."""
    status = scene.look()
    assert (str(status.doing), status.broker.address) == ("forecasting", "plant:1883")
    storage = status.storage
    assert (storage.checkpoint_age_s, storage.fault, status.degraded) == (None, None, [])
    assert None not in (storage.ledger_bytes, storage.disk_free_bytes, storage.quarantine_rows)
    assert status.publishing.refused_rows == 0
    assert (status.broker.reconnects_total, status.broker.dropped_total) == (2, 7)
    assert (status.publishing.address, status.publishing.reconnects_total) == ("plant:1883", 1)
    assert status.fleets["tanks"].rollbacks_total == 3


def test_what_stops_forecasts_is_what_it_does(scene: Scene) -> None:
    """A full disk, a locked ledger, a refused subscription, a denied publish: each is named, none is ready."""
    scene.publisher.mute = "gaugecast/tanks/a: not authorized"
    assert str(scene.look().doing) == "mute: gaugecast/tanks/a: not authorized"
    scene.subscriber.deaf = "plant/+ was not answered"
    assert str(scene.look().doing) == "deaf: plant/+ was not answered"
    scene.loop.holding, scene.loop.degraded = True, {"storage_busy"}
    assert str(scene.look().doing) == "holding: another process has the ledger locked: a batch waits"
    storage = scene.settings.storage.model_copy(update={"postgres": "postgresql://db/plant"})
    scene.reporter.settings = scene.settings.model_copy(update={"storage": storage})
    assert str(scene.look().doing) == "holding: PostgreSQL does not answer: a batch waits"
    scene.loop.degraded = {"storage_full"}
    status = scene.look()
    assert str(status.doing) == "holding: no room on the disk: a batch waits"
    assert (status.ready, status.degraded) == (False, ["storage_full"])


def test_each_connection_is_told_of_and_both_are_needed(scene: Scene) -> None:
    """Without the one it is deaf, without the other mute; away is who is gone for longer than the keepalive."""
    scene.sender.connected, scene.sender.last_error = False, "timed out"
    status = scene.look(0.0)
    assert str(status.doing) == "mute: not connected to broker plant:1883 for publishing: timed out"
    assert (status.broker.away, status.ready) == (False, False)
    scene.sender.connected, scene.sender.last_error = True, None
    scene.subscriber.connected, scene.subscriber.last_error = False, "connection refused"
    assert str(scene.look(30.0).doing) == "deaf: not connected to broker plant:1883: connection refused"
    told = [scene.look(now_s).broker.away for now_s in (30.0, 31.0, 90.0)]
    scene.subscriber.connected = True
    assert [*told, scene.look(91.0).broker.away] == [False, True, True, False]


def test_a_lowered_qos_degrades_and_says_which(scene: Scene) -> None:
    """It hears, but the promise is gone."""
    scene.subscriber.lowered = "plant/+ granted at QoS 0 instead of 1"
    status = scene.look()
    assert (status.ready, status.degraded, status.broker.lowered) == (True, ["qos"], scene.subscriber.lowered)


def test_rows_that_were_refused_are_counted_and_degrade(scene: Scene) -> None:
    """Refused readings are the sensors' matter; forecasts that the broker refuses are the daemon's."""
    refused = Refused(T0, "tanks", "a", "plant/a", "not_json", "", b"?")
    scene.ledger.commit(Commit([], [], [], refused=[refused]))
    status = scene.look()
    assert (status.storage.quarantine_rows, status.publishing.refused_rows, status.degraded) == (1, 0, [])
    scene.ledger.commit(Commit(*micro_batch(0, 3)))
    scene.ledger.commit(Commit([], [], [], refused_outputs=[(2, "not_authorized")], confirmed=3))
    status = scene.look()
    assert (status.publishing.refused_rows, status.degraded) == (1, ["refused"])


def test_checkpoints_that_fail_are_told_with_the_reason(scene: Scene) -> None:
    """And degrade, as long as the newest failed."""
    scene.writer.failure, scene.writer.failures_total = OSError("no space left"), 2
    scene.writer.wal_failure, scene.writer.wal_failures_total = OSError("disk I/O error"), 1
    storage = scene.look().storage
    assert (storage.checkpoint_failures_total, storage.checkpoint_failure) == (2, "no space left")
    assert (storage.wal_copy_failures_total, storage.wal_failure) == (1, "disk I/O error")
    assert scene.look().degraded == ["checkpoint"]


def test_damage_in_the_ledger_is_told_while_it_is_there_and_counted(scene: Scene) -> None:
    """Whoever found it; once its rows are pruned the daemon is well again."""
    assert scene.look().degraded == []
    scene.ledger.damages.note(Damaged(1, 9, "checksum"))
    status = scene.look()
    assert (status.degraded, status.storage.damaged_total, status.ready) == (["damaged"], 1, True)
    assert "inputs 1…9 are damaged" in str(status.storage.damage)
    scene.ledger.damages.forget(10)
    status = scene.look()
    assert (status.degraded, status.storage.damaged_total, status.storage.damage) == ([], 1, None)


# -- counts


def test_late_and_doubled_readings_are_counted_with_how_late(scene: Scene) -> None:
    """By how much they were older than the newest of their stream."""
    scene.hear(*(reading(i, 1.0, 2.0) for i in range(10)))
    scene.hear(reading(9, 1.0, 2.0), reading(5, 1.0, 2.0), reading(3, 1.0, 2.0))
    counts = scene.counts()
    assert (counts.received, counts.stepped, counts.duplicate, counts.late) == (13, 10, 1, 2)
    assert counts.late_ns == 10 * 10**9


def test_what_earlier_processes_counted_is_not_told_again(scene: Scene) -> None:
    """A process counts from its own start: totals now minus totals then."""
    scene.hear(*(reading(i, 1.0, 2.0) for i in range(10)), Input.reject("not_json", T0, fleet="tanks"))
    scene.loop.received = Counter()
    scene.reporter = scene.begin()
    assert scene.counts() == FleetCounts()
    scene.hear(reading(10, 1.0, 2.0), Input.reject("not_json", T0, fleet="tanks"))
    counts = scene.counts()
    assert (counts.received, counts.stepped, counts.forecasts, counts.rejects) == (2, 1, 1, {"not_json": 1})


def test_a_fleet_that_leaves_takes_nothing_back_and_what_its_leaving_settles_counts(tmp_path: Path) -> None:
    """Received is accounted for through a retirement, a return, and with readings held since before the start."""
    scene = Scene(tmp_path, pipeline_of(JOINED))
    scene.hear(reading(0, 1.0, NAN))
    scene.loop.received = Counter()
    scene.reporter = scene.begin()
    assert scene.counts().held_at_start == 1
    scene.hear(*(reading(i, 1.0, 2.0) for i in range(1, 6)), reading(6, 1.0, NAN))
    before = scene.counts()
    assert (before.held, before.received) == (1, 6)
    scene.order(events.FleetRetired())
    after = scene.counts()
    assert (after.received, after.stepped, after.held, after.held_at_start) == (6, 7, 0, 1)
    assert after.forecasts >= before.forecasts > 0
    assert scene.look().fleets["tanks"].streams is None
    scene.pipeline.advance([Order.configuring(JOINED).stamped(T0)])
    scene.hear(reading(7, 1.0, 2.0))
    assert (scene.counts().received, scene.counts().stepped) == (7, 8)
    scene.ledger.close()


def test_metrics_account_for_every_reading_through_a_retirement(scene: Scene) -> None:
    """By fleet, in what Prometheus is told; the counters of a fleet that left stay, its gauges go."""
    scene.hear(*(reading(i, 1.0, 2.0) for i in range(5)), reading(2, 1.0, 2.0), Input.reject("unknown_topic", T0))
    scene.order(events.FleetRetired())
    metrics = Metrics()
    metrics.set_status(scene.look())
    tanks = [sample(metrics, "readings_total", fleet="tanks", outcome=o) for o in ("stepped", "late", "duplicate")]
    assert sample(metrics, "readings_received_total", fleet="tanks") == sum(n or 0 for n in tanks) == 6
    assert sample(metrics, "late_seconds_total", fleet="tanks") == 2.0
    assert sample(metrics, "forecasts_total", fleet="tanks") == 5
    assert sample(metrics, "readings_received_total", fleet="") == 1
    assert sample(metrics, "readings_total", fleet="", outcome="rejected") == 1
    assert sample(metrics, "streams", fleet="tanks", state="active") is None


def test_a_fleet_that_is_long_gone_is_not_told_of(scene: Scene) -> None:
    """Of one that left in a past process, whose leaving the recovery replayed, nothing was counted in this."""
    scene.hear(*(reading(i, 1.0, 2.0) for i in range(5)))
    scene.order(events.FleetRetired())
    scene.loop.received = Counter()
    scene.settings = scene.settings.model_copy(update={"fleet": {}})
    scene.reporter = scene.begin()
    assert scene.look().fleets == {}


def test_how_late_readings_were_is_part_of_what_a_checkpoint_keeps(scene: Scene) -> None:
    """Else a restart would take back what it had counted."""
    scene.hear(reading(9, 1.0, 2.0), reading(5, 1.0, 2.0))
    header, due = state.begin_snapshot(scene.pipeline)
    restored = pipeline_of()
    state.restore(restored, header, [*due, *state.take_slices(scene.pipeline, 1 << 30)])
    assert restored.totals()["tanks"].late_ns == 4 * 10**9


def test_rates_are_means_over_the_last_looks(scene: Scene) -> None:
    """None before two looks; forecasts that a fleet takes away do not make a rate negative."""
    assert scene.look(0.0).rates.readings_per_s is None
    scene.hear(*(reading(i, 1.0, 2.0) for i in range(10)))
    scene.order(events.FleetRetired())
    rates = scene.look(2.0).rates
    assert (rates.readings_per_s, rates.forecasts_per_s) == (5.0, 5.0)


# -- what only reports must not end the loop


def test_a_state_directory_that_was_moved_away_is_told_and_the_report_goes_on(scene: Scene) -> None:
    """What cannot be had is unknown, the reason stands in the tree, and it is degraded, not ended."""
    scene.directory.rename(scene.directory.with_name("elsewhere"))
    status = scene.look()
    storage = status.storage
    assert (storage.disk_free_bytes, storage.ledger_bytes, storage.checkpoint_age_s) == (None, None, None)
    assert storage.fault == "ledger: its file is not where it was; state directory: No such file or directory"
    assert status.degraded == ["storage_fault"]
    assert status.ready
    scene.directory.with_name("elsewhere").rename(scene.directory)
    assert scene.look().degraded == []


def test_a_process_without_descriptors_goes_on_reporting(scene: Scene) -> None:
    """EMFILE makes facts unknown, for as long as it lasts."""
    folder = checkpoints.folder(scene.directory)
    folder.mkdir()
    (folder / checkpoints.file_name(1)).touch()
    assert scene.look().storage.checkpoint_age_s is not None
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    held: list[int] = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
    try:
        with contextlib.suppress(OSError):
            while len(held) < 1000:
                held.append(os.open(os.devnull, os.O_RDONLY))
        status = scene.look()
    finally:
        for descriptor in held:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert status.storage.checkpoint_age_s is None
    assert status.storage.fault is not None
    assert "Too many open files" in status.storage.fault
    assert status.degraded == ["storage_fault"]
    assert scene.look().storage.fault is None
