"""A consistent copy of a ledger that a daemon may be writing, and whether it is whole."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from gaugecast.errors import StorageError
from gaugecast.ledger import queries, schema
from gaugecast.ledger.connection import connect_reader, translated
from gaugecast.ledger.view import View


def copy(source: Path, target: Path) -> None:
    """Copy the ledger of one state directory into another, which has none.

    Raises:
        StorageError: There is no ledger, or it cannot be read or written.
    """
    file = source / schema.FILE_NAME
    with translated(file):
        reader = connect_reader(file)
        made = sqlite3.connect(target / schema.FILE_NAME)
        try:
            # In one step: a copy in several steps begins anew whenever the daemon commits in between.
            reader.backup(made, pages=-1)
        finally:
            made.close()
            reader.close()


def verify(directory: Path) -> tuple[int, int]:
    """First and last input of a ledger that is sound.

    Raises:
        StorageError: It is not, or it is of another version.
    """
    path = directory / schema.FILE_NAME
    with translated(path):
        reader = connect_reader(path)
        try:
            if schema.check_version(reader, path) < schema.VERSION:
                schema.overlay(reader)
            view = View(reader, legacy=schema.has_legacy(reader))
            verdict = reader.execute("PRAGMA main.quick_check(1)").fetchone()[0]
            ends = queries.first_seq(view), view.ends().last_seq
        finally:
            reader.close()
    if verdict != "ok":
        raise StorageError(f"{path}: expected a sound copy, got {verdict}")
    return ends
