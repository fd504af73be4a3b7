"""What a daemon says of itself once a second."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest

from gaugecast.config import load_settings
from gaugecast.ledger.wal import WalCopier
from gaugecast.metrics.facts import State
from gaugecast.records import Commit, Refused
from gaugecast.service.daemon import Daemon
from gaugecast.service.reporter import Reporter
from ledger_rows import T0, micro_batch
from support.mosquitto import free_port


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    """A daemon that has started, over an empty directory and without a broker."""
    path = tmp_path / "gaugecast.toml"
    path.write_text(
        f'[mqtt]\nport = {free_port()}\n[storage]\ndirectory = "{tmp_path / "s"}"\n[http]\nport = 0\n'
        '[fleet.tanks]\nsubscribe = ["plant/{tank}"]\nperiod = "1s"\n[fleet.tanks.features.level]\nunit = "m"\n'
    )
    started = Daemon(load_settings(path, {}))
    started.startup()
    yield started
    started.shutdown()


def test_no_gauge_of_a_running_daemon_is_left_unknown(daemon: Daemon) -> None:
    """But for the age of a checkpoint that is not there yet, and what only the broker can tell."""
    state = Reporter(daemon).state()
    unknown = {field.name for field in fields(State) if getattr(state, field.name) is None}
    assert unknown == {"checkpoint_age_s", "broker_dropped_total"}


def test_wal_copies_that_fail_are_counted_in_the_state(daemon: Daemon) -> None:
    """The writer's thread counts, the state carries it to /metrics, and the journal gets the reason."""
    daemon.writer._wal = WalCopier(daemon.directory / "control.sock")
    daemon.writer._wal.copy()
    assert Reporter(daemon).state().wal_copy_failures_total == 1
    assert daemon.writer.wal_failure is not None


def test_rows_that_were_refused_are_counted_and_degrade(daemon: Daemon) -> None:
    """Refused readings are the sensors' matter; forecasts that the broker refuses are the daemon's."""
    reporter = Reporter(daemon)
    daemon.ledger.commit(Commit([], [], [], refused=[Refused(T0, "tanks", "a", "plant/a", "not_json", "", b"?")]))
    state = reporter.state()
    assert (state.quarantine_rows, state.refused_rows, state.degraded) == (1, 0, frozenset())
    assert reporter.status(state, 0.0).quarantine_rows == 1
    daemon.ledger.commit(Commit(*micro_batch(0, 3)))
    daemon.ledger.commit(Commit([], [], [], refused_outputs=[(2, "not_authorized")], confirmed=3))
    state = reporter.state()
    assert (state.refused_rows, state.degraded) == (1, frozenset({"refused"}))
