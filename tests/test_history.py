"""Rows of a CSV as inputs, and fleets that are made of a file's columns."""

import datetime
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gaugecast.errors import ConfigError
from gaugecast.fleet import Feature, Fleet
from gaugecast.history import FileColumns, fleet_of_file, parse_time, read_inputs
from gaugecast.records import Kind

NOON_NS = 1_735_732_800 * 10**9  # 2025-01-01 12:00 UTC


def fleet_of(*features: Feature) -> Fleet:
    """A fleet of these features, a second apart."""
    return Fleet("boilers", ("b/{x}",), "{x}", features, 10**9, time_path=("t",), grace_ns=500_000_000)


def write(folder: Path, text: str) -> Path:
    """A file of that text."""
    path = folder / "rows.csv"
    path.write_text(text, encoding="utf-8")
    return path


def rows_of(path: Path, fleet: Fleet) -> list[tuple[int, tuple[float, ...]]]:
    """(event time, values) of all readings."""
    return [
        (one.at_ns, struct.unpack(f"<{len(fleet.features)}d", one.values))
        for batch in read_inputs(path, fleet)
        for one in batch
        if one.kind == Kind.READING
    ]


@pytest.mark.parametrize(
    ("text", "at_ns"),
    [
        ("2025-01-01 12:00:00", NOON_NS),
        ("2025-01-01T12:00:00Z", NOON_NS),
        ("2025-01-01T13:30:00+01:30", NOON_NS),
        ("1735732800", NOON_NS),
        ("1735732800.123456789", NOON_NS + 123_456_789),
        (" 2025-01-01 12:00:00.25 ", NOON_NS + 250_000_000),
    ],
)
def test_times_are_utc_unless_they_say_otherwise(text: str, at_ns: int) -> None:
    """ISO 8601 with and without offset, and Unix seconds to the nanosecond."""
    assert parse_time(text) == at_ns


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_any_usual_separator_is_found(tmp_path: Path, separator: str) -> None:
    """The header has most of it."""
    lines = [["t", "flow", "heat"], ["10", "1.5", "2"], ["11", "-3e2", "4"]]
    path = write(tmp_path, "\n".join(separator.join(line) for line in lines))
    expected = [(10 * 10**9, (1.5, 2.0)), (11 * 10**9, (-300.0, 4.0))]
    assert rows_of(path, fleet_of(Feature("flow"), Feature("heat"))) == expected


def test_decimals_may_have_a_comma_where_that_is_no_separator(tmp_path: Path) -> None:
    """As spreadsheets of half of Europe write them."""
    path = write(tmp_path, "\ufefftime;flow\n2025-01-01 12:00;1,25\n2025-01-01 12:01;-0,5\n")
    assert [values for _, values in rows_of(path, fleet_of(Feature("flow")))] == [(1.25,), (-0.5,)]


def test_absent_features_are_empty_cells_and_values_out_of_range(tmp_path: Path) -> None:
    """A row with nothing in it is left out; after an incomplete one it is late enough to close its step."""
    path = write(tmp_path, "t,flow,heat\n1,7,1\n2,,1\n3,99,2\n4,nan,\n5,8,3\n")
    fleet = fleet_of(Feature("flow", valid_max=10.0), Feature("heat"))
    inputs = [one for batch in read_inputs(path, fleet) for one in batch]
    assert [one.kind for one in inputs] == [0, 0, 1, 0, 1, 0]
    assert [round(one.received_at_ns / 1e9, 1) for one in inputs] == [1, 2, 2.5, 3, 3.5, 5]
    flows = [values[0] for _, values in rows_of(path, fleet)]
    np.testing.assert_array_equal(flows, [7, np.nan, np.nan, 8])


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("t,heat\n1,2\n", "expected a column 'flow', found t, heat"),
        ("when,flow\n1,2\n", "expected a time column"),
        ("t,flow\n1,2\n2,much\n", "line 3: could not convert string to float: 'much'"),
        ("t,flow\n1,2\nyesterday,3\n", "line 3: Invalid isoformat string"),
        ("t,flow\n1,2\n7\n", "line 3"),
        ("t,flow\n1,2\n1e300,3\n", "line 3: expected a time between the years 1830 and 2110, got '1e300'"),
        ("t,flow\n1,2\n1e999999999,3\n", "line 3: expected a time between"),
        ("t,flow\n1677-09-22,2\n", "line 2: expected a time between"),
    ],
)
def test_what_is_no_history_is_refused_with_its_place(tmp_path: Path, text: str, complaint: str) -> None:
    """The message names the file, the line and what was expected."""
    with pytest.raises(ConfigError, match=complaint) as caught:
        rows_of(write(tmp_path, text), fleet_of(Feature("flow")))
    assert "rows.csv" in str(caught.value)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """With its name."""
    with pytest.raises(ConfigError, match=r"absent\.csv: expected a readable file"):
        fleet_of_file(tmp_path / "absent.csv")


def test_a_fleet_is_made_of_the_columns_that_hold_numbers(tmp_path: Path) -> None:
    """The period is the usual distance of the rows, whatever one gap says."""
    start = datetime.datetime(2025, 1, 1)
    times = [start + datetime.timedelta(minutes=15 * i + (60 if i > 5 else 0)) for i in range(12)]
    lines = [f"{t},{i},{i / 2},on," for i, t in enumerate(times)]
    fleet = fleet_of_file(write(tmp_path, "date,flow,heat,state,empty\n" + "\n".join(lines)), horizon=3)
    assert [f.name for f in fleet.features] == ["flow", "heat"]
    assert (fleet.period_ns, fleet.horizon, fleet.rows, fleet.name) == (900 * 10**9, 3, "per_feature", "rows")


def test_named_columns_make_the_fleet_in_their_order(tmp_path: Path) -> None:
    """And a name that is not there is refused."""
    path = write(tmp_path, "t,a,b,c\n1,1,1,1\n2,2,2,2\n")
    assert [f.name for f in fleet_of_file(path, FileColumns(features=("c", "a"))).features] == ["c", "a"]
    with pytest.raises(ConfigError, match="expected a column 'd', found t, a, b, c"):
        fleet_of_file(path, FileColumns(features=("d",)))


def test_a_parquet_file_is_read_as_a_csv_is(tmp_path: Path) -> None:
    """The same fleet and the same inputs; columns that hold no numbers are not forecast."""
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    seconds = [10, 11, 12, 14]
    columns: dict[str, list[Any]] = {
        "time": [datetime.datetime.fromtimestamp(s, datetime.UTC) for s in seconds],
        "flow": [1.5, None, 3.0, 4.0],
        "heat": [2, 3, 4, 5],
        "on": [True, False, True, True],
        "name": ["a", "b", "c", "d"],
    }
    parquet.write_table(arrow.table(columns), tmp_path / "rows.parquet")
    rows = [
        f"{s},{'' if f is None else f},{h},x" for s, f, h in zip(seconds, columns["flow"], columns["heat"], strict=True)
    ]
    text = write(tmp_path, "time,flow,heat,name\n" + "\n".join(rows) + "\n")
    fleets = [fleet_of_file(path) for path in (tmp_path / "rows.parquet", text)]
    assert fleets[0] == fleets[1]
    one, other = ([list(read_inputs(path, fleets[0]))] for path in (tmp_path / "rows.parquet", text))
    assert one == other
