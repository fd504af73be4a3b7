"""When checkpoints are taken, and that taking them stalls nothing and loses nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gaugecast.config.schema import Storage
from gaugecast.loop.checkpointing import Checkpointer
from gaugecast.pipeline import Pipeline
from gaugecast.records import Order
from gaugecast.storage import checkpoints
from gaugecast.storage.checkpoint_format import Chunk
from gaugecast.testing import T0, feed, fleet_of, pipeline_of, reading
from support.checkpoints import add_replay
from support.writers import threaded_writer


@dataclass
class Writer:
    """A writer that takes as many pieces as it is told to."""

    busy: bool = False
    room: int = 10**9
    begun: list[int] = field(default_factory=list)
    pieces: list[Chunk] = field(default_factory=list)
    finished: int = 0
    abandoned: int = 0
    completed_seq: int = 0
    failure: BaseException | None = None
    failures_total: int = 0
    wal_failure: Exception | None = None
    wal_failures_total: int = 0

    def begin(self, seq: int, header: dict[str, object]) -> None:
        """As `CheckpointWriter`."""
        assert not self.busy
        self.busy = True
        self.begun.append(seq)

    def put(self, chunk: Chunk, *, timeout_s: float = 0.0) -> bool:
        """While there is room."""
        if self.room == 0:
            return False
        self.room -= 1
        self.pieces.append(chunk)
        return True

    def finish(self) -> None:
        """Durable at once."""
        self.busy = False
        self.finished += 1

    def abandon(self) -> None:
        """Gone at once."""
        self.busy = False
        self.abandoned += 1

    def wait(self, *, timeout_s: float) -> bool:
        """Nothing is under way."""
        return True

    def close(self, *, timeout_s: float = 30.0) -> bool:
        """Nothing is open."""
        return True


def bench(streams: int = 20, **storage: Any) -> tuple[Pipeline, Writer, Checkpointer]:
    """A pipeline with streams, and a checkpointer that goes two streams at a time."""
    pipeline = pipeline_of(fleet_of("p"))
    pipeline.advance([reading(0, 1.0, stream=f"s{i}") for i in range(streams)])
    writer = Writer()
    checkpointer = Checkpointer(pipeline, writer, Storage(directory=Path("/nowhere"), **storage), now_s=0.0)
    tables = pipeline.parts["tanks"].tables().values()
    checkpointer.slice_bytes = 2 * sum(columns.row_bytes for columns in tables)
    return pipeline, writer, checkpointer


def turns(checkpointer: Checkpointer, count: int, *, seq: int = 1, now_s: float = 100.0) -> None:
    """So many rounds of the loop."""
    for _ in range(count):
        checkpointer.turn(seq, now_s)


def test_a_checkpoint_is_due_when_replay_has_become_dear() -> None:
    """Not before the configured seconds of replay, and then at the very seq of that round."""
    _, writer, checkpointer = bench(checkpoint_replay_s=0.5)
    add_replay(checkpointer, 0.2)
    checkpointer.turn(7, 100.0)
    assert writer.begun == []
    add_replay(checkpointer, 0.4)
    checkpointer.turn(8, 100.0)
    assert writer.begun == [8]


def test_a_quiet_daemon_takes_one_an_hour_if_anything_came() -> None:
    """Age alone is no reason: without a reading since the last there is nothing to replay."""
    _, writer, checkpointer = bench(checkpoint_every_s=3600)
    checkpointer.turn(7, 4000.0)
    assert writer.begun == []
    add_replay(checkpointer, 0.001)
    checkpointer.turn(8, 4000.0)
    assert writer.begun == [8]


def test_checkpoints_take_a_tenth_of_the_time_at_most() -> None:
    """One that took eleven seconds is followed by a pause of a hundred and ten."""
    _, writer, checkpointer = bench()
    add_replay(checkpointer, 9.0)
    checkpointer.turn(1, 100.0)
    for second in range(11):
        turns(checkpointer, 1, now_s=101.0 + second)
    assert writer.finished == 1
    add_replay(checkpointer, 9.0)
    checkpointer.turn(2, 220.0)
    assert len(writer.begun) == 1
    checkpointer.turn(2, 222.0)
    assert len(writer.begun) == 2


def test_a_round_copies_no_more_than_its_budget() -> None:
    """One round begins, one puts the names, and twenty streams at two a slice are ten more; each row once."""
    _, writer, checkpointer = bench()
    add_replay(checkpointer, 9.0)
    turns(checkpointer, 11)
    assert writer.finished == 0
    turns(checkpointer, 1)
    assert writer.finished == 1
    rows = [chunk for chunk in writer.pieces if chunk.name.endswith("/x")]
    assert [chunk.start for chunk in rows] == list(range(0, 20, 2))


def test_a_slow_disk_holds_the_copy_up_and_not_the_loop() -> None:
    """Slices that the writer has no room for wait; nothing is skipped."""
    _, writer, checkpointer = bench()
    writer.room = 5
    add_replay(checkpointer, 9.0)
    turns(checkpointer, 20)
    assert (len(writer.pieces), writer.finished) == (5, 0)
    writer.room = 10**9
    turns(checkpointer, 20)
    assert writer.finished == 1
    assert [c.start for c in writer.pieces if c.name.endswith("/x")] == list(range(0, 20, 2))


def test_one_that_an_event_spoils_is_given_up_and_taken_again() -> None:
    """What it would have covered still counts as dear, so that the next begins at once."""
    pipeline, writer, checkpointer = bench()
    add_replay(checkpointer, 9.0)
    turns(checkpointer, 3)
    wider = Order.configuring(fleet_of("pq")).stamped(T0)
    pipeline.advance([wider])
    turns(checkpointer, 1, seq=2)
    assert (writer.abandoned, writer.finished) == (1, 0)
    turns(checkpointer, 30, seq=3)
    assert writer.begun == [1, 3]
    assert writer.finished == 1


def test_at_the_end_one_is_taken_whole_even_in_the_middle_of_another(tmp_path: Path) -> None:
    """SIGTERM while slices are under way: the old one is given up, the new one durable, by the real writer."""
    pipeline = pipeline_of(fleet_of("p"))
    feed(pipeline, [reading(i, 1.0, stream=f"s{i}") for i in range(20)])
    storage = Storage(directory=tmp_path)
    writer = threaded_writer(tmp_path, storage)
    try:
        checkpointer = Checkpointer(pipeline, writer, storage, now_s=0.0)
        checkpointer.slice_bytes = 1
        add_replay(checkpointer, 9.0)
        turns(checkpointer, 3, seq=5)
        checkpointer.give_up()
        assert writer.wait(timeout_s=10)
        checkpointer.take_whole(9, 101.0)
        assert writer.wait(timeout_s=10)
    finally:
        assert writer.close()
    newest = checkpoints.newest(tmp_path)
    assert newest is not None
    with newest:
        assert newest.seq == 9
        assert sum(len(rows) for name, _, rows in newest.chunks() if name.endswith("/x")) == 20


@pytest.mark.parametrize("streams", [0, 1])
def test_a_fleet_without_streams_has_a_checkpoint_too(streams: int) -> None:
    """Right after the first start there is nothing to copy, and that is a state as well."""
    pipeline, writer, checkpointer = bench(streams)
    add_replay(checkpointer, 9.0)
    turns(checkpointer, 5)
    assert writer.finished == 1
    assert pipeline.snapshot is None
    assert np.array([chunk.name == "tanks/names" for chunk in writer.pieces]).any()
