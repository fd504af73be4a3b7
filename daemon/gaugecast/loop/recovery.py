"""Back to where the last process was: newest checkpoint, then the inputs after it, through the same `advance`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

import numpy as np

from gaugecast.engine.selftest import computes_alike
from gaugecast.errors import ModelError, StorageError
from gaugecast.forecast.message import FIRST_SCHEMA, SCHEMA
from gaugecast.loop.ports import Fingerprinted, History, StoredForecast
from gaugecast.pipeline import Pipeline, state
from gaugecast.records import Output
from gaugecast.storage import checkpoints
from gaugecast.storage.checkpoint_format import Checkpoint
from gaugecast.streams.snapshot import Slice

#: What forecasts may differ by where they were first made on another machine, relative.
TOLERANCE = 1e-4


@dataclass(slots=True)
class Recovered:
    """How the recovery went.

    Attributes:
        from_seq: Position of the checkpoint; 0 = from the beginning.
        inputs: Replayed after it.
        differing: Outputs whose recomputed bytes are not the stored ones. The stored are the truth.
    """

    from_seq: int = 0
    inputs: int = 0
    outputs: int = 0
    differing: int = 0
    seconds: float = 0.0
    notes: list[str] = field(default_factory=list)


def recover(
    directory: Path,
    ledger: History,
    new_pipeline: Callable[[], Pipeline],
    *,
    same_machine: Callable[[int], bool] = lambda _: True,
    progress: Callable[[float], None] = lambda _: None,
) -> tuple[Pipeline, Recovered]:
    """Make a pipeline that stands at the ledger's end.

    Args:
        directory: State directory with the checkpoints.
        ledger: Open; only read.
        new_pipeline: Makes an empty one.
        same_machine: Whether input `seq` was first taken under today's fingerprint: then bits must be equal.
        progress: Told the share that is done, 0…1, between batches.
    """
    began = time.monotonic()
    report = Recovered()
    pipeline, report.from_seq, report.notes = restore_newest(directory, new_pipeline, upto_seq=ledger.last_seq)
    if report.from_seq == 0 and ledger.first_seq > 1:
        raise StorageError(
            f"{directory}: no readable checkpoint, and the ledger no longer begins at its first input but at "
            f"{ledger.first_seq}: restore a backup, or move the directory away to begin anew"
        )
    last = ledger.last_seq
    for batch in ledger.replay(report.from_seq):
        of_today = pipeline.schema >= SCHEMA
        outcome = pipeline.advance(batch.inputs)
        stored = ledger.outputs(batch.first_seq - 1, batch.first_seq + len(batch.inputs) - 1)
        report.outputs += len(outcome.outputs)
        exact = same_machine(batch.first_seq)
        report.differing += count_differing(outcome.outputs, stored, exact=exact, bodies=of_today)
        report.inputs += len(batch.inputs)
        progress(report.inputs / max(1, last - report.from_seq))
    report.seconds = time.monotonic() - began
    return pipeline, report


def machine_of(ledger: Fingerprinted, today: str) -> Callable[[int], bool]:
    """Whether an input was first taken where bits come out as they do today: then a replay must be equal to the bit."""
    known = ledger.fingerprints()

    def same_machine(seq: int) -> bool:
        before = [text for first, text in known if first <= seq]
        return not before or computes_alike(before[-1], today)

    return same_machine


class Restored(NamedTuple):
    """A pipeline as a checkpoint has it.

    Attributes:
        seq: The input that it stands after; 0 = empty, before the first.
        passed_over: What was wrong with newer checkpoints.
    """

    pipeline: Pipeline
    seq: int
    passed_over: list[str]


def restore_newest(
    directory: Path,
    new_pipeline: Callable[[], Pipeline],
    *,
    upto_seq: int,
    choose: Callable[[Path, int], Checkpoint | None] = checkpoints.newest,
) -> Restored:
    """From the newest checkpoint not after `upto_seq` that can be used; an empty pipeline where there is none.

    The only way back from a checkpoint: the daemon, the learner and `replay` go it.

    Args:
        directory: State directory; only read.
        new_pipeline: Makes an empty one.
        upto_seq: The last input that it may stand after.
        choose: `checkpoints.at_or_before` to have the archived ones, too.
    """
    passed_over: list[str] = []
    while (checkpoint := choose(directory, upto_seq)) is not None:
        pipeline = new_pipeline()
        with checkpoint:
            try:
                state.restore(pipeline, checkpoint.header, (Slice(*chunk) for chunk in checkpoint.chunks()))
                return Restored(pipeline, checkpoint.seq, passed_over)
            except (StorageError, ModelError) as exc:
                passed_over.append(f"checkpoint {checkpoint.seq} passed over: {exc}")
                upto_seq = checkpoint.seq - 1
    empty = new_pipeline()
    empty.schema = FIRST_SCHEMA  # the ledger's first events say where another begins
    return Restored(empty, 0, passed_over)


def count_differing(
    made: Sequence[Output], stored: Iterator[StoredForecast], *, exact: bool, bodies: bool = True
) -> int:
    """How many outputs are not what the ledger holds: byte for byte if `exact`, else within `TOLERANCE`.

    Without `bodies` those are of an earlier schema: the forecasts in them decide, not the bytes around those.
    """
    differing = 0
    rows = list(stored)
    for ours, theirs in zip(made, rows, strict=False):
        named = (ours.fleet, ours.stream, ours.step) == (theirs.fleet, theirs.stream, theirs.step)
        same_body = crc32(ours.body) == theirs.body_crc or (not bodies and len(ours.forecast) > 0)
        if named and ours.forecast == theirs.forecast and same_body:
            continue
        differing += not (named and not exact and _close(ours.forecast, theirs.forecast))
    return differing + abs(len(made) - len(rows))


def _close(one: bytes, other: bytes) -> bool:
    a, b = np.frombuffer(one, "<f8"), np.frombuffer(other, "<f8")
    return len(a) == len(b) and bool(np.allclose(a, b, rtol=TOLERANCE, atol=TOLERANCE, equal_nan=True))
