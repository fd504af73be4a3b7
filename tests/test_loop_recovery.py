"""Back to where the last process was, from whatever it left: checkpoints whole or damaged, or none at all."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gaugecast.config.schema import Storage
from gaugecast.errors import StorageError
from gaugecast.events import LineageBegun
from gaugecast.forecast.message import SCHEMA
from gaugecast.ledger.rows import StoredOutput
from gaugecast.ledger.store import Ledger
from gaugecast.loop.checkpointing import Checkpointer
from gaugecast.loop.recovery import count_differing, recover
from gaugecast.pipeline import Pipeline, state
from gaugecast.records import Commit, Input, Order
from gaugecast.storage import checkpoints
from gaugecast.streams.snapshot import Slice
from gaugecast.testing import T0, fleet_of, installed, model_for, pipeline_of, reading
from ledger_rows import alter_crcs
from support.state_bytes import differences
from support.writers import inline_writer

FLEET = fleet_of("pq")
MODEL = model_for(FLEET)
BEGINNING = [
    Order(LineageBegun("0a0b0c0d", schema=SCHEMA)).stamped(T0),
    Order.configuring(FLEET).stamped(T0),
    installed(MODEL),
]


def new_pipeline() -> Pipeline:
    """As a daemon makes it: nothing configured, weights at hand."""
    pipeline = pipeline_of()
    pipeline.load_model = lambda _fleet, _version: MODEL
    return pipeline


class Past:
    """A process that took inputs and left a ledger and checkpoints behind."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.storage = Storage(directory=directory)
        self.ledger = Ledger.open(directory, self.storage)
        self.pipeline = new_pipeline()
        self.take(BEGINNING)

    def take(self, inputs: list[Input]) -> None:
        """One commit."""
        outcome = self.pipeline.advance(inputs)
        self.ledger.commit(Commit(inputs, outcome.verdicts, outcome.outputs))

    def speak(self, first: int, count: int) -> None:
        """Readings of two streams."""
        for i in range(first, first + count):
            self.take([reading(i, 20 + np.sin(i), i % 3, stream=s) for s in "ab"])

    def checkpoint(self) -> int:
        """A checkpoint of this moment; its seq."""
        writer = inline_writer(self.directory, self.storage)
        Checkpointer(self.pipeline, writer, self.storage, now_s=0.0).take_whole(self.ledger.last_seq, 1.0)
        assert writer.completed_seq == self.ledger.last_seq
        return self.ledger.last_seq


@pytest.fixture
def past(tmp_path: Path) -> Past:
    """Ten ticks, a checkpoint, ten ticks, a checkpoint, ten ticks."""
    made = Past(tmp_path)
    for first in (0, 10):
        made.speak(first, 10)
        made.checkpoint()
    made.speak(20, 10)
    return made


def test_recovery_ends_where_the_process_ended(past: Past) -> None:
    """Newest checkpoint and the inputs after it: the same state, and every forecast the same."""
    pipeline, report = recover(past.directory, past.ledger, new_pipeline)
    assert differences(pipeline, past.pipeline) == []
    assert (report.from_seq, report.inputs, report.outputs, report.differing) == (43, 20, 20, 0)
    assert report.notes == []


def test_without_a_checkpoint_all_inputs_are_taken_again(past: Past) -> None:
    """From the first, while the ledger still has it."""
    for _, path in checkpoints.kept_files(checkpoints.folder(past.directory)):
        path.unlink()
    pipeline, report = recover(past.directory, past.ledger, new_pipeline)
    assert differences(pipeline, past.pipeline) == []
    assert (report.from_seq, report.inputs) == (0, past.ledger.last_seq)


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty"])
def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(past: Past, damage: str) -> None:
    """Bits flip and disks fill up: the older of the two is there for that."""
    newest = checkpoints.kept_files(checkpoints.folder(past.directory))[-1][1]
    content = bytearray(newest.read_bytes())
    if damage == "flipped":
        content[len(content) // 2] ^= 1
    left: dict[str, bytes] = {"cut": bytes(content[:-9]), "flipped": bytes(content), "empty": b""}
    newest.write_bytes(left[damage])
    pipeline, report = recover(past.directory, past.ledger, new_pipeline)
    assert differences(pipeline, past.pipeline) == []
    assert report.from_seq == 23


def test_a_checkpoint_after_the_ledgers_end_is_not_believed(past: Past) -> None:
    """A ledger that was put back from a backup ends before the newest checkpoint: that one knows too much."""
    folder = checkpoints.folder(past.directory)
    newest = checkpoints.kept_files(folder)[-1][1]
    newest.rename(folder / checkpoints.file_name(past.ledger.last_seq + 5))
    _, report = recover(past.directory, past.ledger, new_pipeline)
    assert report.from_seq == 23


def test_a_checkpoint_of_another_version_of_the_state_is_passed_over(
    past: Past, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After an upgrade that changes what columns mean, the ledger is replayed; the report says why."""
    monkeypatch.setattr("gaugecast.pipeline.state.STATE_VERSION", 999)
    pipeline, report = recover(past.directory, past.ledger, new_pipeline)
    assert differences(pipeline, past.pipeline) == []
    assert report.from_seq == 0
    assert len(report.notes) == 2
    assert "state version 999 expected" in report.notes[0]


@pytest.mark.parametrize("unknown", ["setting", "total", "column"])
def test_a_checkpoint_that_names_what_we_do_not_know_is_passed_over(
    past: Past, monkeypatch: pytest.MonkeyPatch, unknown: str
) -> None:
    """As a newer version left it, before people went back to this one: that is no defect to die of for ever."""
    whole = state.restore

    def of_the_future(pipeline: Pipeline, header: dict[str, Any], slices: Iterable[Slice]) -> None:
        entry = header["fleets"]["tanks"]
        if unknown == "setting":
            entry["spec"] = entry["spec"].replace('"bridge"', '"bridges"')
        elif unknown == "total":
            entry["totals"].append(1)
        else:
            slices = [s._replace(name=s.name.replace("streams/cell_n", "streams/cells")) for s in slices]
        whole(pipeline, header, slices)

    monkeypatch.setattr(state, "restore", of_the_future)
    pipeline, report = recover(past.directory, past.ledger, new_pipeline)
    assert differences(pipeline, past.pipeline) == []
    assert (report.from_seq, len(report.notes)) == (0, 2)


def test_a_pruned_ledger_without_a_checkpoint_is_an_error_that_says_what_to_do(
    past: Past, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To begin in the middle would be to make other forecasts under the same names."""
    for _, path in checkpoints.kept_files(checkpoints.folder(past.directory)):
        path.unlink()
    monkeypatch.setattr(Ledger, "first_seq", property(lambda _: 30))
    with pytest.raises(StorageError, match=r"no longer begins at its first input but at 30: restore a backup"):
        recover(past.directory, past.ledger, new_pipeline)


def test_forecasts_that_come_out_otherwise_are_counted(past: Past) -> None:
    """Stored bytes are the truth; a replay that disagrees is told, not hidden."""
    alter_crcs(past.ledger, after=54)
    _, report = recover(past.directory, past.ledger, new_pipeline)
    assert report.differing == 6


def test_on_another_machine_forecasts_may_differ_in_their_last_digits(past: Past) -> None:
    """Bits are demanded where the fingerprint is the same; else a tolerance, and not more than that."""
    outcome = past.pipeline.advance([reading(30, 20.0, 1.0)])
    (made,) = outcome.outputs
    values = np.frombuffer(made.forecast, "<f8")

    def stored(factor: float) -> StoredOutput:
        return StoredOutput(1, 1, made.fleet, made.stream, made.step, (values * factor).tobytes(), None, 0)

    assert count_differing([made], iter([stored(1 + 1e-7)]), exact=False) == 0
    assert count_differing([made], iter([stored(1 + 1e-7)]), exact=True) == 1
    assert count_differing([made], iter([stored(1.01)]), exact=False) == 1
    assert count_differing([made], iter([]), exact=False) == 1


def test_messages_of_an_earlier_schema_are_held_by_their_forecasts(past: Past) -> None:
    """Not by the bytes around those; today's are."""
    (made,) = past.pipeline.advance([reading(30, 20.0, 1.0)]).outputs
    stored = StoredOutput(1, 1, made.fleet, made.stream, made.step, made.forecast, None, 0)
    other = StoredOutput(1, 1, made.fleet, made.stream, made.step, made.forecast[::-1], None, 0)
    assert count_differing([made], iter([stored]), exact=True) == 1
    assert count_differing([made], iter([stored]), exact=True, bodies=False) == 0
    assert count_differing([made], iter([other]), exact=True, bodies=False) == 1


def test_progress_is_told_up_to_the_end(past: Past) -> None:
    """So that a service manager can be asked for more time."""
    shares: list[float] = []
    recover(past.directory, past.ledger, new_pipeline, progress=shares.append)
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
