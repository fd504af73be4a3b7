"""Goes round the ledger and looks whether what lies there is still what was written, so that damage is told in time.

Without it, a page that rots is found when somebody needs it: perhaps by the recovery after the next power cut.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

from gaugecast.errors import StorageDamaged, StorageError
from gaugecast.ledger import queries, schema, sealed, told
from gaugecast.ledger.batches import telling
from gaugecast.ledger.connection import connect_reader, translated
from gaugecast.ledger.damage import Damaged, Damages
from gaugecast.ledger.directory import OUTPUTS_FROM, PIECE_ROWS
from gaugecast.ledger.packing import DamagedPart, check_part
from gaugecast.ledger.sql import Connection
from gaugecast.ledger.view import View

_T = TypeVar("_T")

STEP_BYTES = 1 << 20  # of batches, looked at in one step; a segment is about twice that
_STEP_BATCHES = 512
_SIDE_TABLES = ("streams", "event_rows", "parked", "refused_outputs", "quarantine", "fingerprints")
_CACHE_PAGES = 8  # what is kept in memory is not what lies on the disk


class Patrol:
    """One step after another, from the oldest segment to the newest batch, and again. One thread at a time.

    Args:
        directory: The state directory.
        damages: Where what is found is noted.
    """

    def __init__(self, directory: Path, damages: Damages) -> None:
        self._path = directory / schema.FILE_NAME
        self._damages = damages
        self._view: View | None = None
        self._next = 0  # seq

    def step(self) -> bool:
        """Look at a segment, or at some batches; false if there was nothing more, so that the round begins anew.

        A ledger that cannot be opened (now) is not looked at.
        """
        try:
            with translated(self._path):
                return self._step(self._opened())
        except StorageDamaged as exc:
            self._damages.note(exc)
        except StorageError:
            pass
        return False

    def close(self) -> None:
        """Close the connection."""
        if self._view is not None:
            self._view.connection.close()
            self._view = None

    def _opened(self) -> View:
        if self._view is None:
            connection = connect_reader(self._path)
            try:
                if schema.check_version(connection, self._path) < schema.VERSION:
                    raise StorageError("its rows have no checksums yet")
                connection.execute(f"PRAGMA cache_size = {_CACHE_PAGES}")
                self._view = View(connection, legacy=schema.has_legacy(connection))
            except BaseException:
                connection.close()
                raise
        return self._view

    def _step(self, view: View) -> bool:
        self._damages.forget(queries.first_seq(view))
        with view.snapshot():
            segment = self._noting(lambda: sealed.oldest(view.connection, self._next))
            if segment is not None:
                self._next = segment.last_seq + 1
                self._noting(lambda: _check_segment(view.connection, segment))
                return True
            self._next = self._noting(lambda: self._check_batches(view)) or 0
            if self._next == 0:
                for table in (*_SIDE_TABLES, *([told.TABLE] if told.is_there(view.connection) else [])):
                    self._noting(partial(_read_through, view, table))
        return self._next > 0

    def _noting(self, look: Callable[[], _T | None]) -> _T | None:
        """What it finds, or `None` and a note of the damage."""
        try:
            with translated(self._path):
                return look()
        except StorageDamaged as exc:
            self._damages.note(exc)
            return None

    def _check_batches(self, view: View) -> int | None:
        """Where the next step begins; `None` after the last."""
        rows = view.connection.execute(
            "SELECT first_seq, inputs, input_part, output_part, body_part FROM batches"
            " WHERE first_seq >= ? AND first_seq > ? ORDER BY first_seq LIMIT ?",
            (self._next, view.ends().sealed_seq, _STEP_BATCHES),
        )
        reached, size = None, 0
        for first, inputs, *parts in rows:
            reached = first + inputs
            try:
                with telling(first, inputs):
                    for part in filter(None, parts):
                        check_part(part)
            except Damaged as exc:
                self._damages.note(exc)
            size += sum(map(len, parts))
            if size >= STEP_BYTES:
                rows.close()
                break
        return reached


def _read_through(view: View, table: str) -> None:
    """Read all of a small table; its rows have no checksums, but a page that is none is found."""
    view.connection.execute(f"SELECT sum(rowid) FROM {table} NOT INDEXED").fetchone()


def _check_segment(connection: Connection, row: sealed.SegmentRow) -> None:
    """All pieces of it; a missing one is damage, too. Raises `Damaged` of the first."""
    directory = row.unpack()
    numbers = [
        *range(-(-directory.inputs.rows // PIECE_ROWS)),
        *range(OUTPUTS_FROM, OUTPUTS_FROM + -(-directory.outputs.rows // PIECE_ROWS)),
    ]
    found = connection.execute(
        "SELECT id, part FROM pieces WHERE id >= ? AND id < ? ORDER BY id",
        (sealed.piece_id(row.first_seq), sealed.piece_id(row.first_seq + 1)),
    )
    try:
        for number in numbers:
            key, part = found.fetchone() or (None, b"")
            if key != sealed.piece_id(row.first_seq, number):
                raise DamagedPart(f"piece {number} is not there")
            check_part(part)
    except DamagedPart as exc:
        raise Damaged(row.first_seq, row.last_seq, exc) from exc
    finally:
        found.close()
