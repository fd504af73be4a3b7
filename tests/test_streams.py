"""Columns, slots and snapshots: rows that know their stream, and copies of one moment."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gaugecast.errors import Defect
from gaugecast.streams.columns import Column, Columns
from gaugecast.streams.snapshot import Snapshot
from gaugecast.streams.table import NEVER, StreamTable

SPEC = (Column("a", "<f8", (2,), np.nan), Column("b", "<i4"), Column("c", "?", (), True))


def test_columns_grow_and_keep_what_they_hold() -> None:
    """New rows have each column's fill; old ones are as they were."""
    columns = Columns(SPEC, 2)
    columns["a"][1] = (1.5, -2.0)
    columns.grow(5)
    assert columns["a"][1].tolist() == [1.5, -2.0]
    assert np.isnan(columns["a"][2:]).all()
    assert columns["b"][2:].tolist() == [0, 0, 0]
    assert columns["c"].all()
    assert columns.row_bytes == 16 + 4 + 1


def test_a_row_comes_back_from_its_bytes() -> None:
    """Packed and unpacked into another slot: every column, bit for bit, NaN included."""
    columns = Columns(SPEC, 4)
    columns["a"][1], columns["b"][1], columns["c"][1] = (np.nan, -0.0), 7, False
    assert columns.unpack(3, columns.pack(1))
    assert columns.pack(3) == columns.pack(1)
    assert np.signbit(columns["a"][3][1])


def test_bytes_of_another_layout_are_refused_and_torn_ones_are_a_defect() -> None:
    """A row that was packed under other columns changes nothing."""
    columns, other = Columns(SPEC, 2), Columns(SPEC[:2], 2)
    before = columns.pack(0)
    assert columns.unpack(0, other.pack(1)) is False
    assert columns.pack(0) == before
    with pytest.raises(Defect, match="a packed row of 29 bytes expected, got 28"):
        columns.unpack(0, before[:-1])


def test_a_freed_slot_is_given_away_clean() -> None:
    """Nothing of the stream that left is seen by the one that comes, attached columns included."""
    table, own = StreamTable(2, 1), Columns([Column("state", "<f4", (3,))], 1)
    table.attach(own)
    assert own.capacity == table.columns.capacity
    slot = table.add("left")
    table["key"][slot], own["state"][slot] = 5, 1.0
    table.remove("left")
    assert (len(table), table.used) == (0, 1)
    assert table.next_slot == slot == table.add("came")
    assert table["key"][slot].tolist() == [NEVER, NEVER]
    assert own["state"][slot].tolist() == [0.0, 0.0, 0.0]
    assert table.live_slots().tolist() == [slot]


def test_a_table_grows_with_all_that_is_attached() -> None:
    """A thousand streams in room for 64: every one in its own row."""
    table, own = StreamTable(1, 1), Columns([Column("state", "<f4")], 1)
    table.attach(own)
    for i in range(1000):
        slot = table.add(f"s{i}")
        table["x"][slot] = i
    assert [table["x"][table.slots[f"s{i}"]][0] for i in range(1000)] == list(range(1000))
    assert own.capacity == table.columns.capacity >= 1000
    assert np.isnan(table["x"][1000:]).all()


def test_names_of_a_checkpoint_bring_the_free_slots_along() -> None:
    """Holes are filled again before the table grows, the lowest first."""
    table = StreamTable(1, 1, capacity=2)
    table.restore_names(["a", None, "b", None])
    assert table.slots == {"a": 0, "b": 2}
    assert [table.add("c"), table.add("d"), table.add("e")] == [1, 3, 4]


@settings(max_examples=150, deadline=None)
@given(
    used=st.integers(0, 12),
    budgets=st.lists(st.integers(1, 200), min_size=30, max_size=30),
    changes=st.lists(st.sets(st.integers(0, 19)), min_size=30, max_size=30),
    grow_at=st.integers(0, 29),
)
def test_a_snapshot_is_that_of_its_beginning_whatever_changes_meanwhile(
    used: int, budgets: list[int], changes: list[set[int]], grow_at: int
) -> None:
    """Rows written between slices are set aside first; rows that come later are not in it; growth is no harm."""
    one, two = Columns(SPEC, 20), Columns([Column("state", "<f4", (3,))], 20)
    rng = np.random.default_rng(1)
    one["b"][:used] = rng.integers(0, 1000, used)
    two["state"][:used] = rng.random((used, 3))
    expected = {"g/one/b": one["b"][:used].copy(), "g/two/state": two["state"][:used].copy()}
    snapshot = Snapshot({"g": {"one": one, "two": two}}, {"g": used})
    copied: dict[str, list[np.ndarray]] = {name: [] for name in expected}
    for turn, (budget, changed) in enumerate(zip(budgets, changes, strict=True)):
        for name, start, rows in snapshot.take(budget):
            if name in copied:
                assert start == sum(map(len, copied[name]))
                copied[name].append(rows)
        if turn == grow_at:
            one.grow(40)
            two.grow(40)
        slots = np.array(sorted(changed), np.int64)
        snapshot.preserve("g", slots)
        snapshot.preserve("elsewhere", slots)
        one["b"][slots] += 1
        two["state"][slots] *= 2
    assert snapshot.done
    for name, rows in expected.items():
        assert np.array_equal(np.concatenate(copied[name]) if copied[name] else rows[:0], rows)


def test_slices_do_not_alias_the_columns() -> None:
    """The writer's thread may look at them while the loop goes on."""
    columns = Columns(SPEC, 4)
    slices = list(Snapshot({"g": {"one": columns}}, {"g": 4}).take(10**6))
    assert len(slices) == len(SPEC)
    assert not any(np.shares_memory(piece.rows, array) for piece in slices for _, array in columns)
