"""`gaugecast backtest --horizons`: what it scores, by which rows, and that its figures are what they say."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from gaugecast.cli.backtest_horizons import horizons_of, levels_of
from gaugecast.cli.main import app
from gaugecast.errors import ConfigError
from gaugecast.learn.backtest.ahead import Told, tell
from gaugecast.learn.backtest.interval_score import interval_scores
from gaugecast.learn.backtest.protocols import split_by
from gaugecast.learn.score.course import Course
from gaugecast.records import Float64

HOUR_NS = 3600 * 10**9


def course_of(values: Float64) -> Course:
    """Hourly values (T, G) without gaps."""
    ticks = np.arange(len(values))
    return Course("a", ticks * HOUR_NS, ticks, values)


def told_of(forecast: Float64, reach: float) -> Told:
    """The next step forecast like this (T, G), with one interval of 80 % so far on either side."""
    steps, features = forecast.shape
    bounds = np.full((steps, 1, features, 1), reach, np.float32)
    moves = np.zeros((steps, 1, features, 4), np.float32)
    return Told(np.array([1]), np.array([0.8]), forecast, forecast[:, None], moves, bounds, bounds, np.ones((1, 4)))


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An hourly wave over the day, with noise."""
    path = tmp_path_factory.mktemp("history") / "plant.csv"
    rng = np.random.default_rng(5)
    values = 20 + 5 * np.sin(np.arange(500) * 2 * np.pi / 24) + rng.normal(size=500)
    lines = [f"{1_735_689_600 + 3600 * i},{value:.6f}" for i, value in enumerate(values)]
    path.write_text("t,flow\n" + "\n".join(lines) + "\n")
    return path


def test_protocols_score_the_rows_that_papers_score() -> None:
    """Of the hourly ETT files, to the row; of other files shares."""
    assert split_by("fsnet", 17_420).borders(17_420) == (2880, 3600, 14_400)
    assert split_by("adapt-z", 17_420).borders(17_420) == (10_452, 12_290, 17_420)
    assert split_by("fsnet", 1000).borders(1000) == (200, 250, 1000)
    with pytest.raises(ConfigError, match="fsnet or adapt-z expected, got 'esnet'"):
        split_by("esnet", 1000)


def test_figures_of_intervals_are_what_they_say() -> None:
    """Four errors against a reach of 1: three are covered, one lies one beyond."""
    values = np.array([[0.0], [1.0], [-2.0], [1.0], [0.0]])
    (one,) = interval_scores([course_of(values)], [told_of(np.zeros((5, 1)), 1.0)], place=0, deviation=np.ones(1))
    assert (one.horizon, one.nominal, one.count, one.worst) == (1, 0.8, 4, None)
    assert one.coverage == 0.75
    assert one.width == 2.0
    assert one.winkler == pytest.approx(2.0 + 2.0 / 0.2 * 0.25)
    # Both bounds, four targets: tail times the way to the bound, and 1 − tail times what lies beyond.
    lower = [0.1 * 2, 0.9 * 1, 0.1 * 2, 0.1 * 1]
    upper = [0.1 * 0, 0.1 * 3, 0.1 * 0, 0.1 * 1]
    assert one.pinball == pytest.approx((sum(lower) + sum(upper)) / 8)


def test_the_worst_window_is_one_in_which_the_series_moves() -> None:
    """Still stretches cover everything, and are not counted."""
    rng = np.random.default_rng(1)
    values = np.concatenate([rng.normal(size=501), np.zeros(500), 3 * rng.normal(size=500)])[:, None]
    (one,) = interval_scores([course_of(values)], [told_of(np.zeros_like(values), 1.0)], place=0, deviation=np.ones(1))
    expected = (np.abs(values[1001:]) <= 1.0).mean()
    assert one.worst == pytest.approx(expected)


def test_what_is_told_rests_on_what_was_there() -> None:
    """Everything after a row may be noise: what was told up to it does not change by a bit."""
    rng = np.random.default_rng(2)
    values = rng.normal(size=(200, 2)).cumsum(axis=0)
    noisy = values.copy()
    noisy[150:] = 100.0
    one, other = (
        tell([course_of(v)], None, HOUR_NS, horizons=(1, 5), levels=(0.8,))[0].forecast for v in (values, noisy)
    )
    assert one[:150].tobytes() == other[:150].tobytes()
    assert one[160].tobytes() != other[160].tobytes()


def test_the_command_scores_a_file(history: Path, tmp_path: Path) -> None:
    """Without the network, in seconds: a wave is forecast better than by the last value, and the figures are kept."""
    kept = tmp_path / "figures.json"
    words = ["--protocol", "adapt-z", "--horizons", "1h,6h", "--levels", "0.9", "--no-network", "--json", str(kept)]
    shown = CliRunner().invoke(app, ["backtest", str(history), *words], catch_exceptions=False).stdout
    rows = {(row["model"], row["horizon"]): row for row in json.loads(kept.read_text())}
    assert set(rows) == {(model, h) for model in ("mix", "linear", "persistence") for h in (1, 6)}
    assert rows["mix", 6]["horizon_mean"] < 0.6 * rows["persistence", 6]["horizon_mean"]
    assert rows["mix", 1]["mse"] == rows["mix", 1]["horizon_mean"]
    assert 0.7 < rows["mix", 6]["coverage"] <= 1.0
    assert "adapt-z" in shown
    assert "worst window" in shown


def test_horizons_without_a_protocol_are_only_those_that_are_listed(history: Path, tmp_path: Path) -> None:
    """A day ahead costs no more than an hour."""
    kept = tmp_path / "figures.json"
    words = ["--horizons", "1d", "--train-rows", "200", "--no-network", "--json", str(kept)]
    CliRunner().invoke(app, ["backtest", str(history), *words], catch_exceptions=False)
    assert {row["horizon"] for row in json.loads(kept.read_text())} == {1, 24}


def test_a_report_is_one_page_with_pictures_by_horizon(history: Path, tmp_path: Path) -> None:
    """Error, coverage with width, and the band over what came; all within the file, by duration."""
    pytest.importorskip("matplotlib")
    words = ["--protocol", "adapt-z", "--horizons", "1h,6h", "--no-network", "--plots", str(tmp_path / "report")]
    words += ["--threshold", "flow>24@6h"]
    shown = CliRunner().invoke(app, ["backtest", str(history), *words], catch_exceptions=False).stdout
    assert "report.html" in shown.replace("\n", "")
    assert {path.name for path in (tmp_path / "report").iterdir()} == {
        "errors.png", "intervals.png", "bands.png", "report.html",
    }  # fmt: skip
    page = (tmp_path / "report" / "report.html").read_text()
    assert page.count("data:image/png;base64") == 3
    assert "<td>6h</td>" in page
    assert "flow above 24" in page
    assert "http" not in page.replace("<!doctype html>", "")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--horizons", "90m"], "multiples of the period 1h expected, got 90m"),
        (["--horizons", "10d", "--protocol", "fsnet"], "horizons of at most 96 steps expected, got 240"),
        (["--horizons", "1h", "--levels", "95"], "numbers from 0.5 to 0.999"),
        (["--horizons", "1h", "--protocol", "other"], "fsnet or adapt-z expected"),
    ],
)
def test_what_makes_no_sense_is_refused(history: Path, words: list[str], message: str) -> None:
    """With what was expected and what came."""
    with pytest.raises(ConfigError, match=message):
        CliRunner().invoke(app, ["backtest", str(history), "--no-network", *words], catch_exceptions=False)


def test_horizons_and_levels_are_read() -> None:
    """In ticks of the period, and rising."""
    assert horizons_of("1h, 1d", HOUR_NS) == (1, 24)
    assert levels_of("0.95,0.8") == (0.8, 0.95)
