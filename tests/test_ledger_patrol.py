"""The patrol finds what rots in the ledger's file, wherever it lies, and leaves what is whole alone."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from gaugecast.config.schema import Storage
from gaugecast.ledger import Ledger
from gaugecast.ledger.damage import Damages
from gaugecast.ledger.patrol import Patrol
from gaugecast.records import Commit
from ledger_rows import micro_batch
from support.ledgers import seal_all, segments


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """Four segments and ten batches, all of them in the ledger's file."""
    with closing(Ledger.open(tmp_path, Storage(directory=tmp_path), segment_rows=500)) as opened:
        for first in range(0, 2100, 100):
            opened.commit(Commit(*micro_batch(first, 100), confirmed=opened.last_position))
        seal_all(opened)
        for number in range(10):
            opened.commit(Commit(*micro_batch(3000 + 100 * number, 100)))
        opened._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        yield opened


@pytest.fixture
def damages() -> Damages:
    """What is found."""
    return Damages()


@pytest.fixture
def patrol(ledger: Ledger, damages: Damages) -> Iterator[Patrol]:
    """A patrol of the ledger."""
    with closing(Patrol(ledger.path.parent, damages)) as walking:
        yield walking


def walk_round(patrol: Patrol) -> int:
    """One round; how many steps it had."""
    for steps in range(1, 1000):
        if not patrol.step():
            return steps
    raise AssertionError("the round never ends")


def overwrite(ledger: Ledger, table: str, *, skip: int = 0) -> None:
    """Write garbage over a page that belongs to a table, as a rotten sector would."""
    page_bytes = ledger._connection.execute("PRAGMA page_size").fetchone()[0]
    root = ledger._connection.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (table,)).fetchone()[0]
    with ledger.path.open("r+b") as file:
        file.seek((root - 1) * page_bytes + skip)
        file.write(random.Random(1).randbytes(page_bytes - skip))


def flip(ledger: Ledger, query: str) -> None:
    """Turn a bit of a stored part in the file, and of what is left of it where it lay before."""
    part: bytes = ledger._connection.execute(query).fetchone()[0]
    whole = ledger.path.read_bytes()
    assert part[:60] in whole
    with ledger.path.open("r+b") as file:
        file.write(whole.replace(part[:60], part[:30] + bytes((part[30] ^ 4,)) + part[31:60]))


def test_a_whole_ledger_is_found_whole(ledger: Ledger, patrol: Patrol, damages: Damages) -> None:
    """While it is written, sealed and pruned, too; each round looks at all there is."""
    assert segments(ledger) == 4
    assert walk_round(patrol) == 4 + 2
    for number in range(40):
        ledger.commit(Commit(*micro_batch(4000 + 100 * number, 100), confirmed=ledger.last_position))
        ledger.prune(ledger.last_seq)
        patrol.step()
    walk_round(patrol)
    assert (damages.total, damages.newest) == (0, None)


@pytest.mark.parametrize(
    ("query", "where"),
    [
        ("SELECT part FROM pieces LIMIT 1", "inputs 1…"),
        ("SELECT part FROM pieces ORDER BY id DESC LIMIT 1", "are damaged"),
        ("SELECT input_part FROM batches ORDER BY first_seq DESC LIMIT 1", "are damaged"),
        ("SELECT body_part FROM batches ORDER BY first_seq DESC LIMIT 1", "are damaged"),
    ],
)
def test_a_bit_that_flips_in_the_file_is_found(
    ledger: Ledger, patrol: Patrol, damages: Damages, query: str, where: str
) -> None:
    """In a segment or a batch, although the patrol has been there before; told once, and by its inputs."""
    walk_round(patrol)
    assert damages.total == 0
    flip(ledger, query)
    for _ in range(3):
        walk_round(patrol)
        assert damages.total == 1
        assert where in str(damages.newest)


@pytest.mark.parametrize("table", ["batches", "pieces", "segments", "event_rows", "streams", "heads"])
def test_a_page_that_is_none_is_found(ledger: Ledger, patrol: Patrol, damages: Damages, table: str) -> None:
    """Whichever table it belongs to; what lies elsewhere is still looked at."""
    overwrite(ledger, table)
    walk_round(patrol)
    assert damages.total >= 1
    assert "malformed" in str(damages.newest) or "damaged" in str(damages.newest)


def test_a_piece_that_is_gone_is_damage(ledger: Ledger, patrol: Patrol, damages: Damages) -> None:
    """What the directory names must be there."""
    ledger._connection.execute("DELETE FROM pieces WHERE id = (SELECT max(id) FROM pieces)")
    walk_round(patrol)
    assert "is not there" in str(damages.newest)


def test_damage_leaves_with_its_rows(ledger: Ledger, patrol: Patrol, damages: Damages) -> None:
    """Once retention has taken them nothing is damaged any more; the count stays."""
    flip(ledger, "SELECT part FROM pieces LIMIT 1")
    walk_round(patrol)
    assert damages.newest is not None
    with ledger._connection as connection:
        connection.execute("DELETE FROM segments WHERE first_seq = (SELECT min(first_seq) FROM segments)")
    walk_round(patrol)
    assert [damages.total, damages.newest] == [1, None]


@pytest.mark.parametrize("table", ["batches", "pieces"])
def test_a_damaged_page_met_by_sealing_does_not_end_the_daemon(ledger: Ledger, table: str) -> None:
    """It is told, and commits go on where they can."""
    path = ledger.path.parent
    ledger.commit(Commit(confirmed=ledger.last_position))
    middle: Callable[[], int] = lambda: ledger._connection.execute(  # noqa: E731
        "SELECT pageno FROM dbstat WHERE name = ? AND pagetype = 'leaf' ORDER BY pageno LIMIT 1", (table,)
    ).fetchone()[0]
    try:
        page = middle()
    except Exception:  # a build of SQLite without dbstat
        pytest.skip("SQLite was built without dbstat")
    page_bytes = ledger._connection.execute("PRAGMA page_size").fetchone()[0]
    ledger._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    ledger.close()
    with (path / "ledger.sqlite").open("r+b") as file:
        file.seek((page - 1) * page_bytes)
        file.write(b"\xff" * page_bytes)
    with closing(Ledger.open(path, Storage(keep_gb=1e-6), segment_rows=500)) as opened:
        for number in range(10):
            opened.commit(Commit(*micro_batch(9000 + 100 * number, 100), confirmed=opened.last_position))
            opened.prune(opened.last_seq)
        assert opened.damages.total >= 1
        assert "malformed" in str(opened.damages.newest)
