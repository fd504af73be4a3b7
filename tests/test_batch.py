"""Tables of a batch: a sequence of rows to whoever looks, columns to whoever works."""

from __future__ import annotations

from gaugecast.batch import Inputs, Outputs
from gaugecast.records import Input
from ledger_rows import forecast, reading


def test_a_table_gives_back_the_rows_that_it_was_made_of() -> None:
    """One by one, by slice, by count and all of them; an empty one has none."""
    rows = [reading(n, stream="ab"[n % 2]) for n in range(4)]
    table = Inputs.of(rows)
    assert (list(table), len(table), table[2], list(table[1:3])) == (rows, 4, rows[2], rows[1:3])
    assert table == rows
    assert table.stream == ["a", "b", "a", "b"]
    assert (list(Inputs()), len(Outputs())) == ([], 0)
    assert Inputs.of(table) is table


def test_tables_grow_by_rows_and_by_tables() -> None:
    """The rows added stand at the end, and the other table keeps its own."""
    table, more = Inputs(), Inputs.of([reading(1), reading(2)])
    table.append(reading(0))
    table.extend(more)
    table.extend([Input.timer(7)])
    assert table == [reading(0), reading(1), reading(2), Input.timer(7)]
    table.append(reading(3))
    assert more == [reading(1), reading(2)]


def test_rows_are_put_in_another_order_together() -> None:
    """All columns alike, in a table of its own."""
    table = Outputs.of([forecast(n, n) for n in range(3)])
    assert table.reordered([2, 0]) == [forecast(2, 2), forecast(0, 0)]
    assert len(table) == 3
