"""The ledger gives back what was committed, in order, and forgets nothing that it promised to keep."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from gaugecast.config.schema import Storage
from gaugecast.errors import StorageError
from gaugecast.ledger import Ledger, LedgerReader, copying
from gaugecast.records import Commit, Input, Output
from ledger_rows import micro_batch, reading

BatchArguments = tuple[list[Input], list[int], list[Output]]


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """An empty ledger."""
    opened = Ledger.open(tmp_path, Storage(directory=tmp_path, quarantine_rows=5))
    yield opened
    opened.close()


def stored_inputs(ledger: Ledger | LedgerReader) -> list[Input]:
    """All inputs that a replay yields."""
    return [row for batch in ledger.replay(0) for row in batch.inputs]


def test_a_reader_opens_the_ledger_that_was_put_in_the_place_of_its_own(ledger: Ledger, tmp_path: Path) -> None:
    """Once it is whole; until then, and while there is none, it says so or keeps the one that it has."""
    directory = ledger.path.parent
    ledger.commit(Commit(*micro_batch(0, 5)))
    with LedgerReader(directory) as reader:
        assert stored_inputs(reader)[4] == reading(4)
        assert not reader.renew()
        (tmp_path / "other").mkdir()
        with contextlib.closing(Ledger.open(tmp_path / "other", Storage(directory=tmp_path / "other"))) as other:
            other.commit(Commit(*micro_batch(7, 2)))
            whole = tmp_path / "whole"
            whole.mkdir()
            copying.copy(tmp_path / "other", whole)
        ledger.close()
        for path in directory.glob("ledger.sqlite*"):
            path.unlink()
        assert not reader.renew()
        assert reader.last_seq == 5
        reader.path.write_bytes((whole / "ledger.sqlite").read_bytes()[:50])
        with pytest.raises(StorageError):
            reader.renew()
        assert reader.last_seq == 5
        reader.path.unlink()
        shutil.copyfile(whole / "ledger.sqlite", reader.path)
        with contextlib.closing(Ledger.open(directory, Storage(directory=directory))) as successor:
            assert reader.renew()
            assert stored_inputs(reader) == [reading(7), reading(8)]
            successor.commit(Commit(*micro_batch(9, 1)))
            assert reader.last_seq == 3
            assert not reader.renew()


def test_a_reader_opens_a_ledger_that_nobody_writes(ledger: Ledger) -> None:
    """After a clean stop there is no WAL; `status` and `replay` must work all the same."""
    ledger.commit(Commit(*micro_batch(0, 2)))
    ledger.close()
    with LedgerReader(ledger.path.parent) as reader:
        assert stored_inputs(reader) == [reading(0), reading(1)]


def test_what_is_no_ledger_is_refused(tmp_path: Path) -> None:
    """No file, garbage, somebody else's database, another version: each is said as what it is."""
    storage = Storage(directory=tmp_path)
    with pytest.raises(StorageError, match="found none"):
        Ledger.open(tmp_path, storage, create=False)
    with pytest.raises(StorageError, match="found none"):
        LedgerReader(tmp_path)
    path = tmp_path / "ledger.sqlite"
    path.write_bytes(b"not a database" * 1000)
    with pytest.raises(StorageError):
        Ledger.open(tmp_path, storage)
    path.unlink()
    with contextlib.closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE theirs (a)")
    with pytest.raises(StorageError, match="another application"):
        Ledger.open(tmp_path, storage)
    path.unlink()
    Ledger.open(tmp_path, storage).close()
    with contextlib.closing(sqlite3.connect(path)) as other:
        other.execute("PRAGMA user_version = 99")
    with pytest.raises(StorageError, match="schema 2, got 99"):
        LedgerReader(tmp_path)
