"""Scores of boards, by hand."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from gaugecast.cli.main import app
from gaugecast.errors import ConfigError
from gaugecast.learn.evaluate.boards import change_point_score, labelled, nab_score, read_windows
from gaugecast.learn.evaluate.ranges import vus_pr
from gaugecast.learn.evaluate.run import Watched
from gaugecast.records import Bool
from test_evaluate import BREAKS, MENDED
from test_evaluate import labelled as written

SECOND = 10**9
AT = np.arange(1000) * SECOND
WINDOW = (400 * SECOND, 499 * SECOND)


def told(spans: Sequence[tuple[int, int]]) -> Watched:
    """A thousand rows with events from one row up to another."""
    score, is_open = np.full(1000, 0.1), np.zeros(1000, bool)
    for begin, end in spans:
        is_open[begin:end] = True
        score[begin:end] = 2.0
    return Watched("x", AT, score, is_open, None)


def test_nab_counts_the_first_detection_in_a_window_and_each_false_one() -> None:
    """100 for all at once, 0 for silence, half way for the middle, and a false alarm far away costs 0.11 of a hit."""
    assert nab_score([told([(400, 450)])], [[WINDOW]], hold=1).fixed == pytest.approx(100.0)
    assert nab_score([told([])], [[WINDOW]], hold=1).fixed == 0.0
    middle = nab_score([told([(450, 460)])], [[WINDOW]], hold=1).fixed
    assert middle == pytest.approx(50 * (1 + 0.8483 / 0.9866), abs=0.1)
    assert nab_score([told([(400, 410), (470, 480)])], [[WINDOW]], hold=1).fixed == pytest.approx(100.0)
    far = nab_score([told([(200, 210), (400, 410)])], [[WINDOW]], hold=1).fixed
    assert far == pytest.approx(100.0 - 50 * 0.11)
    near = nab_score([told([(400, 410), (500, 510)])], [[WINDOW]], hold=1).fixed
    assert 99.0 < near < 100.0
    assert nab_score([told([(10, 20), (400, 410)])], [[WINDOW]], hold=1).fixed == pytest.approx(100.0)  # probation


def test_nab_s_optimiser_takes_one_tolerance_for_all_files() -> None:
    """What is told twice as strange as the limit bears a tolerance below 2."""
    silent = told([])
    silent.score[420:440] = 0.7
    found = nab_score([told([(400, 450)]), silent], [[WINDOW], [WINDOW]], hold=3)
    assert found.fixed == pytest.approx(50.0)
    assert found.best > 85.0
    assert found.tolerance < 0.7


def test_windows_are_read_by_folder_and_name(tmp_path: Path) -> None:
    """As NAB writes them; whoever is not named is told."""
    path = tmp_path / "windows.json"
    path.write_text(json.dumps({"real/a.csv": [["1970-01-01 00:06:40.000000", "1970-01-01 00:08:19.000000"]]}))
    assert read_windows(path, [Path("x/real/a.csv")]) == [[WINDOW]]
    (one,) = labelled([told([])], [[WINDOW]])
    assert one.labels is not None
    assert np.flatnonzero(one.labels).tolist() == list(range(400, 500))
    with pytest.raises(ConfigError, match="the windows of real/b"):
        read_windows(path, [Path("real/b.csv")])
    path.write_text("[]")
    with pytest.raises(ConfigError, match="expected windows by file"):
        read_windows(path, [Path("real/a.csv")])


def rows(*places: int) -> Bool:
    """Flags of a thousand rows."""
    flags = np.zeros(1000, bool)
    flags[list(places)] = True
    return flags


def test_change_points_are_answered_within_a_minute() -> None:
    """Each change of an alarm is an answer: at once is 100, none 0; what stands alone costs 0.11."""
    assert change_point_score([told([(400, 500)])], [rows(400, 500)], 0) == pytest.approx(100.0, abs=0.1)
    assert change_point_score([told([])], [rows(400, 500)], 0) == 0.0
    assert change_point_score([told([(400, 700)])], [rows(400)], 0) == pytest.approx(100.0 - 50 * 0.11, abs=0.1)
    half = change_point_score([told([(430, 1000)])], [rows(400)], 0)
    assert half == pytest.approx(50 * (1 + (1 - 0.11) / 2), abs=0.2)
    assert change_point_score([told([(100, 120), (400, 1000)])], [rows(400)], 300) == pytest.approx(100.0, abs=0.1)


def test_ranges_that_are_found_exactly_fill_the_area_and_noise_does_not() -> None:
    """A score that is the label itself; one beside the range is worth more than one far away; without labels none."""
    wrong = np.zeros(2000, bool)
    wrong[1000:1100] = True
    near, far = np.zeros(2000), np.zeros(2000)
    near[1110:1200] = 1.0
    far[100:190] = 1.0
    exact, beside, away = (vus_pr(score, wrong) for score in (wrong.astype(float), near, far))
    assert exact is not None
    assert beside is not None
    assert away is not None
    assert exact > beside > away
    assert vus_pr(near, np.zeros(2000, bool)) is None


def test_the_command_scores_as_boards_do_and_writes_a_page(tmp_path: Path) -> None:
    """With windows in place of a label, and a column of changes."""
    folder = tmp_path / "plant"
    folder.mkdir()
    file, page, figures = written(folder), tmp_path / "report" / "page.html", tmp_path / "figures.json"
    begin, end = (f"2023-11-14 22:{13 + (20 + row) // 60}:{(20 + row) % 60:02}" for row in (BREAKS, MENDED))
    windows = tmp_path / "windows.json"
    windows.write_text(json.dumps({"plant/one.csv": [[begin, end]]}))
    asked = ["--ignore", "noted", "--healthy", "200", "--nab-windows", str(windows), "--change-points", "fault"]
    done = CliRunner().invoke(app, ["evaluate", str(file), *asked, "-o", str(page), "--json", str(figures)])
    assert done.exit_code == 0, done.output
    assert "NAB, standard profile" in done.output
    assert "change points" in done.output
    assert page.read_text().count("data:image/png;base64,") == 1
    (row, total) = json.loads(figures.read_text())
    assert row["f1"] > 0.6
    assert 0.0 < row["pr_auc"] <= 1.0
    assert total["nab"] is not None
