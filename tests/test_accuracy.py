"""The accuracy program: what it keeps, how it judges, what it writes; and skill on a recorded series."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from accuracy import page
from accuracy.gaps import AFTER, WAYS, _row, gap_lines, next_steps, ways_of
from accuracy.horizons import _crossings, _named, thresholds_of
from accuracy.places import keep_rows
from accuracy.runs import ETT, load, split_of
from accuracy.table import verdicts
from gaugecast.learn.backtest.crossing_score import CrossingScore, crossing_row
from gaugecast.learn.backtest.run import backtest
from gaugecast.learn.backtest.split import Split
from gaugecast.testing import SECOND, fleet_of, model_for, reading
from gaugecast_sim.replay import ReplayError, find_csv


def row_of(mse: float, *, name: str = "ETTh2", start: str = "cold", learning: str = "lockstep") -> dict[str, Any]:
    """A figure of the network, one step ahead."""
    per = {"OT": {"mse": mse, "mae": 0.1, "skill": 0.2}}
    first = {"set": name, "protocol": "p", "model": "lstm", "start": start, "learning": learning}
    return first | {"horizon": 1, "mse": mse, "mae": 0.3, "skill": 0.2, "count": 9, "per_feature": per}


def ett(name: str) -> Path:
    """A file of the set; a CI must have it, a laptop need not."""
    try:
        return find_csv(f"ETT/{name}.csv")
    except ReplayError as exc:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"the ETT data set is not here: {exc}")


def test_a_new_figure_replaces_the_old_one_and_leaves_the_others(tmp_path: Path) -> None:
    """Rows are alike where set, protocol, model, start, learning and horizon are."""
    place = tmp_path / "build" / "accuracy.json"
    keep_rows([row_of(0.4), row_of(0.5, learning="beside")], place)
    kept = keep_rows([row_of(0.3), row_of(0.2, name="ETTh1")], place)
    assert [(r["set"], r["learning"], r["mse"]) for r in kept] == [
        ("ETTh2", "lockstep", 0.3),
        ("ETTh2", "beside", 0.5),
        ("ETTh1", "lockstep", 0.2),
    ]
    assert json.loads(place.read_text()) == kept


def test_bounds_are_held_against_the_learning_network_alone() -> None:
    """Warm and cold each have their own; frozen weights and other sets have none."""
    rows = [row_of(0.3121, start="warm-up"), row_of(0.3199), row_of(0.9, learning="off"), row_of(0.9, name="ETTh1")]
    assert [(v.holds, "bound 0.3" in v.text) for v in verdicts("ETTh2", rows)] == [(False, True), (True, True)]


def test_the_page_gets_its_tables_from_the_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever stood between their marks is gone, the rest stays: so do tables of which nothing was run."""
    figures, target = tmp_path / "accuracy.json", tmp_path / "accuracy.md"
    keep_rows([row_of(0.3079)], figures)
    target.write_text(page.PAGE.read_text())
    monkeypatch.setattr(page, "PLACE", figures)
    monkeypatch.setattr(page, "PAGE", target)
    assert page.main() == 0
    text = target.read_text()
    assert "| gaugecast, cold start: no warm-up at all | – | 0.3079 / 0.3000 |" in text
    assert "| OT | 0.3079 |" in text
    assert text.startswith("# Accuracy")
    assert "frozen after warm-up |" not in text
    assert "begun anew" in text


def test_thresholds_are_rows_of_their_own_and_have_their_figures(tmp_path: Path) -> None:
    """Two a set, from what training rows know; neither replaces the other, and the tables have a line of each."""
    fleet = fleet_of("pq", period_ns=3600 * SECOND)
    marks = thresholds_of(fleet, [reading(i, 0.0, float(i)) for i in range(101)])
    assert [(one.feature, one.side, one.value, one.within) for one in marks] == [
        ("q", "above", 90.0, 24), ("q", "below", 10.0, 24),
    ]  # fmt: skip
    about = {"set": "ETTh2", "protocol": "adapt-z", "start": "cold", "learning": "lockstep"}
    score = CrossingScore(marks[0], 9, 0.2, 0.1, 0.375, (), 3, 2, 7200.0, 0.5)
    rows = [_named(about | crossing_row(replace(score, threshold=mark))) for mark in marks]
    kept = keep_rows(rows, tmp_path / "accuracy.json")
    assert [row["brier"] for row in kept] == [0.1, 0.1]
    lines = list(_crossings(kept, ("ETTh2", "adapt-z", "lockstep")))
    assert lines[0] == ("q above 90.0", "9", "0.200", "0.1000", "0.38", "3", "2", "2 h", "0.50")
    assert len(lines) == 2


def test_ways_through_a_gap_differ_and_end_in_a_table() -> None:
    """Begun anew it says the last value; rolled through, and stepped with the last value, something else each."""
    fleet = fleet_of("p")
    rows = [reading(i, 20 + np.sin(i / 3)) for i in range(60)]
    model, gone = model_for(fleet, warmup_steps=3), {"": set(), "3": {40, 41, 42}}
    said = {way: next_steps(one, model, rows, gone=gone) for way, one in ways_of(fleet).items()}
    assert said["reset"]["3"][43, 0] == 20 + np.sin(43 / 3)
    assert len({float(by_stream["3"][43, 0]) for by_stream in said.values()}) == 3
    assert np.isnan(said["hold"]["3"][40:43]).all()
    assert np.array_equal(said["bridge"][""][:40], said["bridge"]["3"][:40])
    errors = [_row("ETTh2", way, 3, after, np.array([[0.5]])) for way in WAYS for after in AFTER]
    lines = gap_lines(errors)
    assert lines[0] == "| ETTh2, 3 rows missing | 1 | 2 | 4 | 8 | 24 |"
    assert lines[-1] == "| persistence | 0.2500 | 0.2500 | 0.2500 | 0.2500 | 0.2500 |"
    assert len(lines) == 2 + len(WAYS)


def test_only_the_papers_sets_have_the_papers_split() -> None:
    """Any other file is split by shares."""
    assert split_of("ETTh1") == ETT
    assert ETT.borders(17_420) == (2880, 3600, 14_400)
    assert split_of("boiler").borders(1000) == (200, 250, 1000)


@pytest.mark.long
@pytest.mark.keras
def test_a_recorded_series_is_forecast_better_than_its_last_value_within_weeks() -> None:
    """ETTh1 from no weights at all: skill above 0 over rows 300 to 800, and no variable far below."""
    fleet, batches = load(ett("ETTh1"), Split(0, 0, 800))
    report = backtest(fleet, batches, Split(0, 300, 500), units=(32,), with_baselines=False)
    (score,) = report.forecasters[0].scores
    assert score.overall.count == 500 * 7
    assert score.overall.skill is not None
    assert score.overall.skill > 0.02
    assert min(one.skill or 0.0 for one in score.per_feature.values()) > -0.05
