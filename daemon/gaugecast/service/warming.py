"""Warming a newcomer: a stored model goes over the ledger's past by itself, and what it remembers goes to the loop."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec

from gaugecast.config.schema import Loop
from gaugecast.fleet import Fleet
from gaugecast.ledger.reader import LedgerReader
from gaugecast.logs import get
from gaugecast.model import Model
from gaugecast.pipeline import memories
from gaugecast.pipeline.rehearsal import Rehearsal, begins_after

log = get("gaugecast")

#: Beside the weights: written by whoever warmed them, read by the daemon and deleted.
_FILE_NAME = "memory.msgpack"


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
        What it remembers of each stream, for `write_memory`.

    Raises:
        StorageError: There is no ledger.
    """
    rehearsal = Rehearsal([(fleet, model)], limits)
    with LedgerReader(directory) as ledger:
        last = ledger.last_seq
        first = seq = begins_after(
            ledger.events(), rehearsal.fleets, first_seq=ledger.first_seq, upto_seq=last, most=most
        )
        while seq < last:
            for batch in ledger.replay(seq, upto_seq=last):
                rehearsal.take(batch.inputs)
                seq = batch.first_seq + len(batch.inputs) - 1
                progress(seq - first, last - first)
            last = ledger.last_seq  # what came meanwhile
    return rehearsal.memories(fleet.name)


def write_memory(place: Path, chunks: Iterable[bytes]) -> None:
    """Put chunks where the daemon finds them, before it is asked to take the weights in `place`."""
    unfinished = place / f"{_FILE_NAME}.{os.getpid()}"
    unfinished.write_bytes(msgspec.msgpack.encode(list(chunks)))
    unfinished.rename(place / _FILE_NAME)


def take_memory(place: Path) -> list[bytes]:
    """The chunks that `write_memory` left, once; none where there are none, or where they cannot be read."""
    file = place / _FILE_NAME
    try:
        chunks = msgspec.msgpack.decode(file.read_bytes(), type=list[bytes])
        for chunk in chunks:
            memories.decode(chunk)
    except FileNotFoundError:
        return []
    except (OSError, msgspec.MsgspecError) as exc:
        log.warning("begins cold in shadow", file=str(file), why=str(exc))
        chunks = []
    with contextlib.suppress(OSError):
        file.unlink()
    return chunks
