"""A ledger of version 1 becomes one of version 2 when a daemon opens it: at once, wholly or not at all."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import tarfile
from contextlib import closing
from pathlib import Path

import pytest

from gaugecast.config.schema import Storage
from gaugecast.errors import StorageError
from gaugecast.faults import UPGRADE_POINTS
from gaugecast.ledger import Ledger, LedgerReader, copying, schema
from gaugecast.ledger.reads import LedgerReads
from gaugecast.records import Commit
from ledger_rows import micro_batch

RECORDED = Path(__file__).parent / "recorded" / "first_ledger" / "state.tar.xz"
KEPT_FOR_EVER = Storage(keep_days=36_500)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A state directory as version 0.1.0 left it: killed, with outputs that were not confirmed."""
    directory = tmp_path / "state"
    with tarfile.open(RECORDED) as archive:
        archive.extractall(directory, filter="data")
    return directory


def version(directory: Path) -> int:
    """Which version of the tables the file has."""
    with closing(sqlite3.connect(directory / schema.FILE_NAME)) as connection:
        return schema.version_of(connection)


def told(ledger: LedgerReads) -> dict[str, object]:
    """All that a ledger says of its past, but for bodies: those of what was not confirmed are in `pending`."""
    batches = list(ledger.replay(0))
    return {
        "inputs": [(b.first_seq + i, x) for b in batches for i, x in enumerate(b.inputs)],
        "verdicts": [v for b in batches for v in b.verdicts],
        "outputs": [one._replace(body=None) for one in ledger.outputs(0, ledger.last_seq)],
        "events": ledger.events(),
        "fingerprints": ledger.fingerprints(),
        "first": ledger.first_seq,
        "ends": (ledger.last_seq, ledger.last_position, ledger.received_at_ns),
        "parked": (ledger.parked_count(), ledger.parked_state("meters", "north/lost")),
        "quarantined": ledger.quarantined(1000),
    }


def waiting(ledger: LedgerReads) -> list[object]:
    """All that is still to be published, and what was refused."""
    return [ledger.confirmed, *ledger.pending(0, 1 << 20), *ledger.refused_outputs(0, 1 << 20)]


CRASH = """
import os, sys
from pathlib import Path
from gaugecast.config.schema import Storage
from gaugecast.ledger import Ledger

def faults(point):
    if point == sys.argv[2]:
        os.kill(os.getpid(), 9)
Ledger.open(Path(sys.argv[1]), Storage(), faults=faults)
os._exit(3)
"""


@pytest.mark.parametrize("point", UPGRADE_POINTS)
def test_a_process_that_dies_while_it_upgrades_leaves_a_whole_ledger(state: Path, point: str) -> None:
    """Of the one version or of the other; nothing that was durable, waiting or parked is lost or comes twice."""
    with LedgerReader(state) as reader:
        before, pending = told(reader), waiting(reader)
    assert len(before["inputs"]) == 4475, "a reader alone must find all rows of version 1"  # type: ignore[arg-type]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    died = subprocess.run([sys.executable, "-c", CRASH, str(state), point], env=environment, timeout=60)
    assert died.returncode == -signal.SIGKILL, "the point must be reached"

    assert version(state) == (2 if point == "upgrade:after" else 1)
    with LedgerReader(state) as reader:
        assert (told(reader), waiting(reader)) == (before, pending)
    with closing(Ledger.open(state, KEPT_FOR_EVER)) as ledger:
        assert (told(ledger), waiting(ledger)) == (before, pending)
        assert not ledger.begin_run(), "expected to be told that the recorded daemon was killed"
    assert version(state) == 2


def test_rows_of_version_1_are_sealed_once_they_are_confirmed(state: Path) -> None:
    """Not before; then its tables are empty, and every row, number and checksum is as it was, whoever asks."""
    with LedgerReader(state) as reader, closing(Ledger.open(state, KEPT_FOR_EVER, segment_rows=1000)) as ledger:
        before, pending = told(reader), waiting(reader)
        (first, *_), many = ledger.commit(Commit(*micro_batch(0, 3))), ledger.pending(0, 1 << 20)
        assert first == 4476
        assert many[:-3] == [one for one in pending[1:] if one in many]
        assert [one.position for one in many[-3:]] == [3397, 3398, 3399]
        steps = seal_all(ledger)
        assert ledger.first_seq == 1
        ledger.commit(Commit(confirmed=ledger.last_position))
        steps += seal_all(ledger)
        for table in ("inputs", "outputs", "outbox"):
            assert ledger._connection.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)
        for one in (ledger, reader):
            after = told(one)
            assert after["inputs"][:-3] == before["inputs"]  # type: ignore[index]
            assert after["verdicts"][:-3] == before["verdicts"]  # type: ignore[index]
            assert after["outputs"][:-3] == before["outputs"]  # type: ignore[index]
            assert {k: after[k] for k in ("events", "parked", "first")} == {
                k: before[k] for k in ("events", "parked", "first")
            }
        assert steps > 10, "expected to be done in pieces"
        assert ledger._connection.execute("SELECT count(*) FROM segments").fetchone()[0] >= 4


def seal_all(ledger: Ledger) -> int:
    """Prune until nothing is left to do; how many calls it took."""
    for steps in range(10_000):
        if ledger.prune(0) == 0:
            return steps
    raise AssertionError("pruning never ends")


def test_a_reader_that_was_there_before_sees_what_comes_after(state: Path) -> None:
    """A learner that is a service of its own need not be started anew."""
    with LedgerReader(state) as reader:
        assert reader.last_seq == 4475
        with closing(Ledger.open(state, KEPT_FOR_EVER)) as ledger:
            assert reader.last_seq == 4475
            ledger.commit(Commit(*micro_batch(0, 2)))
        assert [b.first_seq for b in reader.replay(4475)] == [4476]
        assert (reader.last_seq, reader.last_position) == (4477, 3398)


def test_a_refused_output_of_version_1_moves_aside(state: Path) -> None:
    """And does not come back with a restart; the others of its time are published as before."""
    with closing(Ledger.open(state, KEPT_FOR_EVER)) as ledger:
        one, other, *_ = ledger.pending(0, 10)
        ledger.commit(Commit(refused_outputs=[(one.position, "quota_exceeded")]))
        assert ledger.pending(0, 1) == [other]
    with closing(Ledger.open(state, KEPT_FOR_EVER)) as ledger:
        assert ledger.pending(0, 1) == [other]
        assert ledger.refused_outputs(0, 1 << 20)[-1][:-1] == one


def test_a_backup_of_either_version_is_sound(state: Path, tmp_path: Path) -> None:
    """It has the rows of all tables, old and new."""
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
        copying.copy(state, tmp_path / name)
        assert copying.verify(tmp_path / name) == (1, 4475)
        Ledger.open(state, KEPT_FOR_EVER).close()


def test_a_version_to_come_is_refused_in_words(state: Path) -> None:
    """As this version is by the one before it."""
    with closing(sqlite3.connect(state / schema.FILE_NAME)) as connection:
        connection.execute("PRAGMA user_version = 3")
    with pytest.raises(StorageError, match="expected ledger schema 2, got 3; use the gaugecast that wrote it"):
        Ledger.open(state, KEPT_FOR_EVER)
