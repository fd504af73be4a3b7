"""`gaugecast watch`: the live table, drawn from rows."""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gaugecast.cli.watch import ask_streams, json_of, line_of, tell_steps, turn_page
from gaugecast.cli.watch_screen import MARKS, Trails, render_streams, rows_within, whole_streams
from gaugecast.control import SOCKET_NAME, CrossingRow, StreamRow, StreamsAnswer, StreamsQuery
from gaugecast.errors import Unreachable
from gaugecast.status import FleetStatus, Status
from test_status import LATE, STATUS, screen, with_fleets


def tank(step: int = 0, number: int = 1, **changes: object) -> StreamRow:
    """The pressure of a tank that swings."""
    known: dict[str, object] = {
        "fleet": "tanks",
        "stream": f"hall/tank-{number}",
        "feature": "pressure",
        "unit": "bar",
        "step": step,
        "observed": 1.5 + 0.1 * math.sin(step / 2),
        "predicted": 1.49 + 0.1 * math.sin(step / 2),
        "forecast": 1.5 + 0.1 * math.sin((step + 1) / 2),
        "skill": 0.62,
    }
    return StreamRow(**{**known, **changes})  # type: ignore[arg-type]


def answer(*rows: StreamRow, total: int = 1, status: Status = STATUS) -> StreamsAnswer:
    """What the daemon says to `streams`."""
    return StreamsAnswer(rows=list(rows), total=total, status=status)


def line_with(text: str, word: str) -> str:
    """The one line that has `word`."""
    [line] = [line for line in text.splitlines() if word in line]
    return line


def test_a_row_shows_what_came_beside_what_was_expected() -> None:
    """Observed − expected is the residual as the eye computes it; then unit, what is next, skill."""
    trails = Trails()
    trails.update([tank()])
    line = line_with(screen(render_streams(answer(tank()), trails)), "hall/tank-1")
    figures = ["1.500", "1.490", "+0.0100", "bar", "1.548", "62"]
    assert line.split()[:9] == ["●", "hall/tank-1", "pressure", *figures]
    observed, expected, residual = (float(figure.replace("−", "-")) for figure in figures[:3])
    assert observed - expected == pytest.approx(residual)


def test_a_stream_is_named_once_for_its_features() -> None:
    """The second feature's line leaves dot and name out; another stream begins with its own."""
    rows = [tank(), tank(feature="temperature", unit="°C"), tank(number=2)]
    text = screen(render_streams(answer(*rows, total=2), Trails()))
    assert text.count("hall/tank-1") == 1
    assert not line_with(text, "temperature").startswith("●")
    assert line_with(text, "hall/tank-2").startswith("●")


@pytest.mark.parametrize(
    ("quality", "dot"),
    [([], "●"), (["warming"], "w"), (["fallback", "partial"], "p"), (["stale", "bridged"], "○"), (["fallback"], "f")],
)
def test_the_dot_says_whether_to_trust_the_stream(quality: list[str], dot: str) -> None:
    """Every flag has a mark of its own, which the legend explains; of several flags the weightiest is shown."""
    text = screen(render_streams(answer(tank()), Trails()))
    assert all(f"{mark} {flag or 'sure'}" in text for flag, (mark, _) in MARKS.items())
    assert line_with(screen(render_streams(answer(tank(quality=quality)), Trails())), "hall/tank-1")[0] == dot


@pytest.mark.parametrize("width", [80, 84, 88, 120])
def test_where_there_are_intervals_the_band_stands_beside_what_is_next(width: int) -> None:
    """Half the width of the narrowest one; at 80 columns in place of the trend. Where there is none yet a dash."""
    rows = [tank(lower=1.50, upper=1.58), tank(number=2)]
    text = screen(render_streams(answer(*rows, total=2), Trails(), width=width), width)
    assert all(len(line) <= width for line in text.splitlines())
    assert line_with(text, "hall/tank-1").split()[7:10] == ["1.548", "±0.0400", "62"]
    assert line_with(text, "hall/tank-2").split()[7:10] == ["1.548", "–", "62"]
    assert ("trend" in text) == (width >= 88)


def test_what_is_not_known_is_a_dash() -> None:
    """A stream that has just begun has nothing expected, no residual and no skill."""
    row = tank(predicted=None, skill=None, forecast=None)
    assert line_with(screen(render_streams(answer(row), Trails())), "hall/tank-1").count("–") == 5


def test_the_trend_grows_with_steps_not_with_looks() -> None:
    """Looking twice at the same step adds nothing; the last block is the forecast."""
    trails = Trails()
    for step in (0, 0, 1, 1, 2):
        trails.update([tank(step)])
    assert trails.observed(tank()) == [tank(step).observed for step in range(3)]
    trend = line_with(screen(render_streams(answer(tank(2)), trails)), "hall/tank-1").split()[-1]
    assert len(trend) == 4


def test_trails_forget_rows_that_are_shown_no_more() -> None:
    """Memory follows the screen, not the plant."""
    trails = Trails(length=5)
    for step in range(50):
        trails.update([tank(step, number=step)])
    assert len(trails._observed) == len(trails._residuals) == len(trails._steps) == 1
    for step in range(50):
        trails.update([tank(step)])
    assert len(trails.observed(tank())) == 5


def test_a_residual_out_of_the_ordinary_is_marked() -> None:
    """Four times the median of those before is surprising; the usual is not, nor is anything at the beginning."""
    trails = Trails()
    for step in range(12):
        trails.update([tank(step)])
        assert not trails.is_surprising(tank(step))
    spike = tank(12, observed=2.5)
    trails.update([spike])
    assert trails.is_surprising(spike)


def test_the_head_and_the_foot_say_how_the_daemon_fares() -> None:
    """State, broker, rate, latency and how much is shown."""
    text = screen(render_streams(answer(tank(), total=1200), Trails()))
    assert text.startswith("● forecasting")
    assert "plant:1883 · 240 readings/s · 4.1 ms to forecast · 3 refused" in text
    assert "1 of 1,200 streams" in text
    assert "metrics at http://127.0.0.1:9464/metrics" in text


def test_the_head_tells_of_readings_that_came_late_or_twice() -> None:
    """Of all fleets together."""
    told = with_fleets(tanks=FleetStatus(counts=LATE), pumps=FleetStatus(counts=LATE))
    text = screen(render_streams(answer(tank(), status=told), Trails(), width=120), 120)
    assert "4.1 ms to forecast · 24 late (45 s on average), 6 twice" in text


def test_a_daemon_that_went_away_leaves_its_last_rows_and_the_reason() -> None:
    """The table stays, the head says what is wrong."""
    text = screen(render_streams(answer(tank()), Trails(), gone="control.sock: connection refused"))
    assert text.startswith("○ no answer: control.sock: connection refused")
    assert "240 readings/s" not in text
    assert "hall/tank-1" in text


@settings(deadline=None, max_examples=40)
@given(
    stream=st.text(min_size=1, max_size=80),
    feature=st.text(min_size=1, max_size=40),
    value=st.one_of(st.none(), st.floats()),
    width=st.integers(60, 200),
)
def test_no_content_breaks_the_frame(stream: str, feature: str, value: float | None, width: int) -> None:
    """Whatever ids and values come, no line is wider than the screen, and none wraps."""
    trails = Trails()
    rows = [tank(step, stream=stream, feature=feature, observed=value, forecast=value) for step in range(3)]
    for row in rows:
        trails.update([row])
    text = screen(render_streams(answer(rows[-1]), trails, width=width), width)
    assert len(text.splitlines()) == 11
    assert "\x1b" not in text


@pytest.mark.parametrize("width", [60, 80, 100, 160, 400])
def test_the_table_fits_the_screen(width: int) -> None:
    """Nothing is cut at 80 columns with usual names; wider screens get longer trends, 60 columns none."""
    trails = Trails()
    for step in range(100):
        trails.update([tank(step)])
    text = screen(render_streams(answer(tank(99)), trails, width=width), width)
    assert max(len(line) for line in text.splitlines()) <= width
    assert "…" not in "".join(text.splitlines(keepends=True)[2:])  # of the line of rates the end may wait


def test_the_table_fits_the_height() -> None:
    """A thousand rows on a screen of 24 lines leave room for head and foot."""
    rows = [tank(number=n) for n in range(1000)]
    text = screen(render_streams(answer(*rows, total=1000), Trails(), height=24))
    assert len(text.splitlines()) <= 24
    assert "14 of 1,000 streams" in text


LONG = "subscription 'plant/load/+/telemetry': expected QoS 1, got Not authorized (135)"


@pytest.mark.parametrize("gone", ["", LONG])
def test_a_long_reason_is_told_whole_and_takes_its_lines_from_the_table(gone: str) -> None:
    """All of why it does not forecast can be read at 80 columns, and the foot still stands on the screen."""
    deaf = msgspec.structs.replace(STATUS, broker=msgspec.structs.replace(STATUS.broker, deaf=LONG))
    rows = [tank(number=n) for n in range(1000)]
    text = screen(render_streams(answer(*rows, total=1000, status=deaf), Trails(), height=24, gone=gone))
    assert len(text.splitlines()) <= 24
    assert LONG in " ".join(text.split())
    assert text.splitlines()[-1] == "metrics at http://127.0.0.1:9464/metrics"


def test_degradation_is_not_what_is_cut_on_a_narrow_screen() -> None:
    """It stands before the figures that can wait."""
    status = msgspec.structs.replace(
        with_fleets(tanks=FleetStatus(counts=LATE)), degraded=["checkpoint", "storage_busy"]
    )
    text = screen(render_streams(answer(tank(), status=status), Trails()))
    assert "degraded: checkpoint, storage_busy" in text


def test_a_daemon_that_is_not_there_is_unreachable(tmp_path: Path) -> None:
    """The command ends with a sentence, not with an empty table."""
    with pytest.raises(Unreachable):
        ask_streams(tmp_path / SOCKET_NAME, StreamsQuery())


def test_fleets_are_groups_where_there_are_several() -> None:
    """Five streams of one id can be told apart; one fleet needs no heading."""
    rows = [tank(fleet=fleet, stream="boiler1") for fleet in ("hall", "yard")]
    text = screen(render_streams(answer(*rows, total=2), Trails()))
    assert [line.split()[0] for line in text.splitlines()[4:8]] == ["hall", "●", "yard", "●"]
    assert "tanks\n" not in screen(render_streams(answer(tank()), Trails()))


def test_headings_take_their_lines_from_the_table() -> None:
    """The foot still stands on the screen."""
    rows = [tank(fleet=f"fleet-{n}", number=n) for n in range(100)]
    assert len(screen(render_streams(answer(*rows, total=100), Trails(), height=24)).splitlines()) <= 24


def test_steps_are_told_once_each_as_lines_or_json() -> None:
    """Looking twice at the same step tells nothing new; the daemon's own names are in the JSON."""
    looks = iter([answer(tank(1)), answer(tank(1), tank(1, number=2)), answer(tank(2))])
    texts = list(tell_until(looks, line_of))
    assert [text.split()[2] for text in texts] == ["hall/tank-1", "hall/tank-2", "hall/tank-1"]
    assert "observed=1.548 expected=1.538 residual=+0.0100 next=1.584 skill=62% quality=sure" in texts[0]
    told = msgspec.json.decode(json_of(tank(1)))
    assert told["observed"] - told["predicted"] == pytest.approx(told["residual"])


def tell_until(looks: Iterator[StreamsAnswer], render: Callable[[StreamRow], str]) -> Iterator[str]:
    """What is told until there are no more looks."""
    with contextlib.suppress(RuntimeError):  # what a generator makes of StopIteration
        yield from tell_steps(lambda: next(looks), render, 0.0)


def test_a_daemon_that_restarts_is_waited_for_and_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    """Lines go on when it is back."""
    looks: Iterator[StreamsAnswer | None] = iter([answer(tank(1)), None, None, answer(tank(2))])

    def ask() -> StreamsAnswer:
        found = next(looks)
        if found is None:
            raise Unreachable("gone")
        return found

    with contextlib.suppress(RuntimeError):
        assert len(list(itertools.islice(tell_steps(ask, line_of, 0.0), 2))) == 2
    assert capsys.readouterr().err == "no answer: gone\n"


def test_pages_are_turned_within_what_there_is() -> None:
    """Forwards to the last page and no further, backwards, and out."""
    first = StreamsQuery(limit=24)
    second = turn_page(first, "n", 30, 12)
    assert second is not None
    assert second.offset == 12
    assert turn_page(first, "p", 30, 12) == turn_page(first, "", 30, 12) == first
    assert turn_page(second, "\x1b[5~", 30, 12) == first
    last = msgspec.structs.replace(first, offset=24)
    assert turn_page(last, " ", 30, 6) == last
    assert turn_page(first, "q", 30, 12) is None


def test_a_stream_that_is_cut_stands_on_the_next_page() -> None:
    """A page counts only streams of which all features are shown; a screen too low for one shows it all the same."""
    rows = [tank(number=n, feature=feature) for n in range(9) for feature in ("pressure", "temperature")]
    asked = answer(*rows, total=9)
    shown = rows_within(asked, width=80, height=17)
    assert (len(shown), whole_streams(asked, shown)) == (7, 3)
    assert len(rows_within(asked, width=80, height=1)) == 1


def test_a_crossing_is_told_in_words() -> None:
    """In a unit that suits it, with both bounds and how likely; on the lines, and at the foot of the screen."""
    coming = CrossingRow(
        side="above", value=8.2, within="1h", open=True, probability=0.83, early_s=660.0, median_s=840.0, late_s=1320.0
    )
    beyond = CrossingRow(side="below", value=1.0, within="1h", open=True, crossed=True, probability=1.0)
    quiet = CrossingRow(side="above", value=9.9, within="1h", probability=0.01)
    row = tank(crossings=[beyond, coming, quiet], lower=1.4, upper=1.6)
    words = "rises above 8.2 bar in 14 min (11 … 22), P = 0.83"
    assert line_of(row).endswith(f"band=1.400…1.600 is below 1 bar {words}")
    assert line_with(screen(render_streams(answer(row), Trails())), "rises above").strip() == (
        f"hall/tank-1 pressure {words}"
    )
    assert "9.9" not in line_of(row)
