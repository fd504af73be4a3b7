"""A ledger in a directory that may not be written, whose daemon has ended: it is read, and anew when one writes."""

from __future__ import annotations

import os
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gaugecast.config.schema import Storage
from gaugecast.ledger import Ledger
from gaugecast.ledger.reader import LedgerReader
from gaugecast.records import Commit, Input

NOBODY = 65_534


@contextmanager
def ledger_of_another() -> Iterator[Path]:
    """A directory of ours, with a ledger that was closed cleanly, that everybody may look into."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        directory.chmod(0o755)
        with_ledger(directory, lambda _: None)
        yield directory


def with_ledger(directory: Path, act: Callable[[Ledger], None]) -> None:
    """Open it for writing, and let others read what there is."""
    ledger = Ledger.open(directory, Storage(directory=directory))
    ledger.commit(Commit([Input.timer(1)], [5], []))
    for file in directory.iterdir():
        file.chmod(0o644)
    act(ledger)
    ledger.close()


def as_nobody(act: Callable[[], str]) -> str:
    """What `act` returns in a process that may write nothing of ours."""
    here, there = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setuid(NOBODY)
            told = act()
        except BaseException as exc:
            told = f"{type(exc).__name__}: {exc}"
        os.write(there, told.encode())
        os._exit(0)
    os.close(there)
    with os.fdopen(here) as pipe:
        told = pipe.read()
    os.waitpid(child, 0)
    return told


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_a_ledger_without_wal_is_read_where_nothing_may_be_written() -> None:
    """SQLite alone refuses: it would have to make files beside it."""
    with ledger_of_another() as directory:
        path = directory / "ledger.sqlite"
        path.chmod(0o644)
        plain = f"file:{path}?mode=ro"
        assert "OperationalError" in as_nobody(
            lambda: str(sqlite3.connect(plain, uri=True).execute("PRAGMA user_version"))
        )
        assert as_nobody(lambda: str(LedgerReader(directory).last_seq)) == "1"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_it_is_read_anew_once_somebody_writes() -> None:
    """The same reader, that saw a still file, sees what a daemon that has come writes."""
    with ledger_of_another() as directory:
        (directory / "ledger.sqlite").chmod(0o644)
        begin, begun = os.pipe()
        wrote, written = os.pipe()

        def look() -> str:
            reader = LedgerReader(directory)
            before = reader.last_seq
            os.write(begun, b".")
            os.read(wrote, 1)
            return f"{before} {reader.last_seq}"

        def write(_: Ledger) -> None:
            os.write(written, b".")
            told.append(os.fdopen(here).read())

        here, there = os.pipe()
        child = os.fork()
        if child == 0:
            os.setgroups([])
            os.setuid(NOBODY)
            try:
                answer = look()
            except BaseException as exc:
                answer = f"{type(exc).__name__}: {exc}"
            os.write(there, answer.encode())
            os._exit(0)
        os.close(there)
        told: list[str] = []
        os.read(begin, 1)
        with_ledger(directory, write)
        os.waitpid(child, 0)
        assert told == ["1 2"]
