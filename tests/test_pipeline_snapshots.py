"""When checkpoints are taken, beside the real writer with its thread."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from gaugecast.config.schema import Loop, Storage
from gaugecast.fleet import Feature, Fleet
from gaugecast.loop.checkpointing import Checkpointer
from gaugecast.pipeline import Pipeline
from gaugecast.records import Input, Order
from gaugecast.storage import checkpoints
from support.checkpoints import add_replay
from support.writers import threaded_writer

TANKS = Fleet("tanks", ("t/{tank}",), "{tank}", (Feature("p", path=("p",)),), 10**9, time_path=("t",))


def pipeline_of(streams: int) -> Pipeline:
    """Streams that have spoken once."""
    pipeline = Pipeline(Loop(), lambda *_: None)
    value = np.array([1.0]).tobytes()
    readings = [Input.reading("tanks", f"s{i}", 10**18, 1, value) for i in range(streams)]
    pipeline.advance([Order.configuring(TANKS).stamped(1), *readings])
    return pipeline


def test_the_last_checkpoint_is_taken_although_another_is_half_done(tmp_path: Path) -> None:
    """SIGTERM may come between two slices; the writer is then not waited for in vain."""
    storage = Storage(directory=tmp_path, checkpoint_replay_s=0.001, pause_budget_ms=0.001)
    writer = threaded_writer(tmp_path, storage)
    checkpointer = Checkpointer(pipeline_of(2000), writer, storage, now_s=0.0)
    checkpointer.slice_bytes = 1000
    add_replay(checkpointer, 1.0)
    for _ in range(3):
        checkpointer.turn(2001, 10.0)
    assert writer.busy
    checkpointer.give_up()
    assert writer.wait(timeout_s=10)
    checkpointer.take_whole(2002, 11.0)
    assert writer.wait(timeout_s=10)
    assert writer.close()
    assert [seq for seq, _ in checkpoints.kept_files(checkpoints.folder(tmp_path))] == [2002]
    assert list(checkpoints.folder(tmp_path).glob("*.tmp")) == []
