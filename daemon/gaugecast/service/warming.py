"""Warming a newcomer: a stored model goes over the ledger's past by itself, and what it remembers goes to the loop."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from gaugecast.config.schema import Loop
from gaugecast.fleet import Fleet
from gaugecast.logs import get
from gaugecast.model import Model
from gaugecast.pipeline.solo import SoloPipeline, begins_after
from gaugecast.service.opening import open_reader

log = get("gaugecast")


def warm(
    directory: Path,
    limits: Loop,
    fleet: Fleet,
    model: Model,
    *,
    most: int,
    progress: Callable[[int, int], None] = lambda _done, _of: None,
) -> list[bytes]:
    """Step `model` over the newest readings of a ledger that a daemon may be writing.

    Args:
        directory: The state directory; it is only read.
        limits: As the daemon has them.
        fleet: As it is configured now.
        model: Fits it.
        most: Inputs, of all fleets, to go back at most.
        progress: Told inputs done, and how many there are.

    Returns:
        What it remembers of each stream, for `ModelStore.leave_memory`.

    Raises:
        StorageError: There is no ledger.
    """
    solo = SoloPipeline([(fleet, model)], limits, mute=True)
    with open_reader(directory) as ledger:
        last = ledger.last_seq
        first = seq = begins_after(ledger.events(), solo.fleets, first_seq=ledger.first_seq, upto_seq=last, most=most)
        while seq < last:
            for batch in ledger.replay(seq, upto_seq=last):
                solo.take(batch.inputs)
                seq = batch.first_seq + len(batch.inputs) - 1
                progress(seq - first, last - first)
            last = ledger.last_seq  # what came meanwhile
    return solo.memories(fleet.name)
