"""`gaugecast evaluate`: labelled files through the pipeline, and the figures of what was told."""

from __future__ import annotations

import csv
import json
import os
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from gaugecast.cli.main import app
from gaugecast.errors import ConfigError
from gaugecast.history import FileColumns
from gaugecast.learn.evaluate.figures import at_most, figures_of, together
from gaugecast.learn.evaluate.run import Watched, watch_files
from gaugecast.learn.score.alarms import AlarmCounts
from gaugecast.watching import AnomalySettings

SETTINGS = AnomalySettings(healthy=200, settle=10)
BREAKS, MENDED, ROWS = 400, 440, 600


def labelled(directory: Path, name: str = "one", seed: int = 1) -> Path:
    """Two waves with noise; from BREAKS to MENDED the first lies 6 higher, and the label says so."""
    rng = np.random.default_rng(seed)
    turn = np.arange(ROWS) / 3
    p = 10 + np.sin(turn) + 0.2 * rng.normal(size=ROWS)
    q = 50 + 2 * np.cos(turn) + 0.3 * rng.normal(size=ROWS)
    wrong = (np.arange(ROWS) >= BREAKS) & (np.arange(ROWS) < MENDED)
    path = directory / f"{name}.csv"
    with path.open("w", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(("time", "p", "q", "noted", "fault"))
        for t in range(ROWS):
            row = (p[t] + 6 * wrong[t], q[t], 0.5, int(wrong[t]))
            lines.writerow((1_700_000_000 + t, *(f"{value:.6g}" for value in row)))
    return path


def watched(files: list[Path]) -> list[Watched]:
    """What would have been told of them."""
    return watch_files(files, FileColumns("", "", ()), SETTINGS, label="fault", ignore=("noted",))[1]


def test_a_labelled_fault_is_found_and_scored(tmp_path: Path) -> None:
    """An event at it, few rows besides, and a raw score that tells the two apart."""
    (one,) = watched([labelled(tmp_path)])
    figures = figures_of(one, 200)
    assert figures.rows.f1 is not None
    assert figures.rows.f1 > 0.6
    assert (figures.events, figures.false_events) == (1, 0)
    assert figures.roc_auc is not None
    assert figures.roc_auc > 0.9
    assert len(one.began) == 1
    assert BREAKS <= one.began[0] < BREAKS + 10


def test_files_are_judged_as_if_each_were_alone(tmp_path: Path) -> None:
    """They are streams of one fleet; figures of all are over their rows together."""
    files = [labelled(tmp_path, "one"), labelled(tmp_path, "two", seed=2)]
    pair = watched(files)
    (alone,) = watched(files[1:])
    assert np.array_equal(pair[1].score, alone.score, equal_nan=True)
    parts = [figures_of(each, 200) for each in pair]
    total = together(parts)
    assert total.rows.hit == sum(part.rows.hit for part in parts)
    assert sum(asdict(total.rows).values()) == 2 * (ROWS - 200)


def test_files_of_other_columns_are_refused(tmp_path: Path) -> None:
    """One fleet has one set of features."""
    other = tmp_path / "other.csv"
    other.write_text("time,p,fault\n0,1,0\n1,2,0\n2,3,1\n")
    with pytest.raises(ConfigError, match="the columns of one expected, p, q; got p"):
        watched([labelled(tmp_path), other])


def test_figures_of_rows_and_events() -> None:
    """By hand: three rows found of four, one false event of two rows."""
    at = np.arange(10) * 10**9
    wrong = np.array([0, 0, 1, 1, 1, 1, 0, 0, 0, 0], bool)
    said = np.array([0, 0, 0, 1, 1, 1, 0, 1, 1, 0], bool)
    score = np.array([0.1, 0.2, 0.9, 2.0, 2.0, 2.0, 0.3, 1.2, 1.3, 0.1])
    figures = figures_of(Watched("x", at, score, said, wrong), 0)
    assert figures.rows == AlarmCounts(hit=3, false_alarm=2, missed=1, quiet=4)
    assert (figures.events, figures.false_events) == (2, 1)
    assert figures.rows.f1 == pytest.approx(6 / 9)
    assert figures.rows.false_alarm_share == pytest.approx(2 / 6)
    assert figures.rows.missed_share == pytest.approx(1 / 4)
    assert figures.roc_auc == pytest.approx((6 * 4 - 2) / 24)
    assert figures.pr_auc == pytest.approx((3 * 1.0 + (4 / 6 + 3 / 5) / 2) / 4)


def test_a_tolerance_is_found_for_a_number_of_false_alarms() -> None:
    """The least that suffices; none where none does."""
    at = np.arange(1000) * 3600 * 10**9
    score = np.full(1000, 0.1)
    for begin in range(100, 1000, 200):
        score[begin : begin + 20] = 1.3
    one = Watched("x", at, score, np.zeros(1000, bool), np.zeros(1000, bool))
    found = at_most([one], 0, hold=3, a_week=0.0)
    assert found is not None
    assert found[0] == 1.35
    assert at_most([Watched("x", at, score * 100, one.open, one.labels)], 0, hold=3, a_week=0.0) is None


def test_the_command_prints_a_table_and_writes_figures(tmp_path: Path) -> None:
    """With the tolerance that was asked for."""
    figures = tmp_path / "figures.json"
    asked = ["--label", "fault", "--ignore", "noted", "--healthy", "200", "--false-alarms", "1", "--json", str(figures)]
    done = CliRunner().invoke(app, ["evaluate", str(labelled(tmp_path)), *asked])
    assert done.exit_code == 0, done.output
    assert "one" in done.output
    assert "tolerance = " in done.output
    (row, total) = json.loads(figures.read_text())
    assert (row["file"], total["file"]) == ("one", "all")
    assert row["f1"] > 0.6


@pytest.mark.long
def test_skab_is_as_good_as_promised() -> None:
    """Valve1, thresholds as shipped: F1 of 0.78 at least, at no more than 20 % false alarms."""
    place = Path(os.environ.get("GAUGECAST_DATA", Path(__file__).parents[2] / "shared" / "data")) / "SKAB" / "valve1"
    if not place.is_dir():
        if os.environ.get("CI"):
            pytest.fail(f"SKAB expected in {place}")
        pytest.skip(f"SKAB is not in {place}")
    settings = AnomalySettings(healthy=400)
    _, told = watch_files(
        sorted(place.glob("*.csv")), FileColumns("", "", ()), settings, label="anomaly", ignore=("changepoint",)
    )
    total = together([figures_of(one, 400) for one in told])
    assert total.rows.f1 is not None
    assert total.rows.false_alarm_share is not None
    assert total.rows.f1 >= 0.78
    assert total.rows.false_alarm_share <= 0.20
