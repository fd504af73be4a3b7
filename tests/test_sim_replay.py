"""CSV files of all sorts are read as what they are."""

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gaugecast_sim.replay import (
    ReplayError,
    ReplayPlan,
    data_folder,
    encode,
    find_csv,
    guess_separator,
    parse_number,
    parse_time,
    read_rows,
)


def write(directory: Path, text: str) -> Path:
    """A file with this text."""

    path = directory / "some.csv"
    path.write_bytes(text.encode())
    return path


@pytest.fixture(autouse=True)
def zone() -> Iterator[None]:
    """The machine's own time zone comes back after each test."""
    yield
    time.tzset()


@pytest.mark.parametrize(
    ("text", "time_format", "seconds"),
    [
        ("2016-07-01 00:00:00", "auto", 1467331200.0),
        ("2016-07-01T02:00:00+02:00", "auto", 1467331200.0),
        ("2016-07-01T00:00:00.250Z", "auto", 1467331200.25),
        ("1467331200.5", "auto", 1467331200.5),
        ("1467331200500", "ms", 1467331200.5),
        ("01/07/2016 00:00", "%d/%m/%Y %H:%M", 1467331200.0),
    ],
)
def test_times_without_offset_are_utc(
    text: str, time_format: str, seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ISO 8601 with and without offset, numbers, and patterns; wherever the machine stands."""
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    monkeypatch.undo()  # the zone stays until the next tzset
    assert parse_time(text, time_format) == round(seconds * 1000) * 1_000_000


@given(moment=st.datetimes(min_value=datetime(1970, 1, 1)))
def test_no_microsecond_is_lost(moment: datetime) -> None:
    """ISO text to nanoseconds is exact."""
    expected = (moment.replace(tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) * 1000
    assert parse_time(moment.isoformat()) == expected
    assert parse_time(f"{expected // 10**9}.{expected % 10**9:09d}") == expected


def test_the_separator_is_guessed_and_a_decimal_comma_understood(tmp_path: Path) -> None:
    """A semicolon file with commas in its numbers."""
    path = write(tmp_path, "date;a;b\r\n2016-07-01 00:00:00;1,5;\r\n2016-07-01 01:00:00;?;2,25\r\n")
    rows = list(read_rows(ReplayPlan(path, "x", decimal=",")))
    assert [row.values for row in rows] == [{"a": 1.5}, {"b": 2.25}]
    assert rows[1].at_ns - rows[0].at_ns == 3600 * 10**9
    assert guess_separator("a\tb\tc,d") == "\t"


def test_what_is_no_finite_number_is_left_out() -> None:
    """Empty, text, NaN and infinity are absent, not zero."""
    assert [parse_number(text) for text in ("", "?", "nan", "inf", "1e400", "-3.5")] == [None] * 5 + [-3.5]


def test_a_byte_order_mark_is_no_part_of_the_first_column(tmp_path: Path) -> None:
    """Files from spreadsheets."""
    path = write(tmp_path, "\ufeffdate,a\n0,1\n")
    assert next(read_rows(ReplayPlan(path, "x", time_column="date"))).values == {"a": 1.0}


def test_columns_and_rows_are_chosen(tmp_path: Path) -> None:
    """Two of four rows, one of two columns, the time in the last one."""
    path = write(tmp_path, "a,b,when\n" + "".join(f"{n},{n * 10},{n}\n" for n in range(4)))
    plan = ReplayPlan(path, "x", columns=("b",), time_column="when", first_row=1, rows=2)
    assert [(row.at_ns, row.values) for row in read_rows(plan)] == [(10**9, {"b": 10.0}), (2 * 10**9, {"b": 20.0})]


def test_topic_and_payload_come_from_the_row(tmp_path: Path) -> None:
    """A column names the topic; the time comes first, as asked; values are not rounded."""
    path = write(tmp_path, "date,site,a\n2016-07-01 00:00:00.5,hall,41.13000106811523\n")
    stamps: dict[Literal["epoch", "iso", "none"], object] = {
        "epoch": 1467331200.5,
        "iso": "2016-07-01T00:00:00.500Z",
        "none": None,
    }
    for send_time, stamp in stamps.items():
        plan = ReplayPlan(path, "plant/{site}", columns=("a",), send_time=send_time)
        topic, payload = encode(next(read_rows(plan)), plan)
        fields = json.loads(payload)
        assert topic == "plant/hall"
        assert fields.get("t") == stamp
        assert fields["a"] == 41.13000106811523


def test_errors_name_file_line_and_column(tmp_path: Path) -> None:
    """A missing column, an unreadable time, a topic without its column, no file."""
    path = write(tmp_path, "date,a\n2016-07-01,1\nyesterday,2\n")
    with pytest.raises(ReplayError, match=r"expected columns \['b'\], found \['date', 'a'\]"):
        list(read_rows(ReplayPlan(path, "x", columns=("b",))))
    with pytest.raises(ReplayError, match="line 3"):
        list(read_rows(ReplayPlan(path, "x")))
    plan = ReplayPlan(path, "{site}")
    with pytest.raises(ReplayError, match="'site'"):
        encode(next(read_rows(plan)), plan)
    with pytest.raises(ReplayError, match="GAUGECAST_DATA"):
        find_csv("not/there.csv")


def test_the_data_folder_is_where_the_environment_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`GAUGECAST_DATA` wins; without it, `data` where the program was started."""
    monkeypatch.setenv("GAUGECAST_DATA", str(tmp_path))
    path = write(tmp_path, "date,a\n")
    assert data_folder() == tmp_path
    assert find_csv("some.csv") == path
    monkeypatch.delenv("GAUGECAST_DATA")
    monkeypatch.chdir(tmp_path)
    path.rename(tmp_path / "gone.csv")
    with pytest.raises(ReplayError, match="here or in data/"):
        find_csv("some.csv")
    (tmp_path / "data").mkdir()
    (tmp_path / "gone.csv").rename(tmp_path / "data" / "some.csv")
    assert find_csv("some.csv") == Path("data/some.csv")
