"""The accuracy program's simulated plant, and the intervals that forecasts are held against."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from accuracy import plant, plant_crossings
from accuracy.peer import around_the_last_value, narrower
from accuracy.plant_crossings import crossing_verdicts, run_crossings, worst_tenth
from gaugecast.fleet import Threshold
from gaugecast.forecast.horizons.layout import HorizonLayout
from gaugecast.learn.backtest.horizon_run import HorizonReport
from gaugecast.learn.score.course import Course
from gaugecast.records import Float64


def waves(steps: int, streams: int) -> Float64:
    """A cycle of twelve steps with noise, two features (T, N, 2)."""
    rng, phase = np.random.default_rng(1), 2 * np.pi * np.arange(steps) / 12
    made: Float64 = 2.5 + np.sin(phase)[:, None, None] + 0.1 * rng.normal(size=(steps, streams, 2))
    return made


def test_forecasts_of_the_plant_are_held_against_the_best_of_the_simple_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    """A line a forecaster; what is asked counts over the whole run alone."""
    monkeypatch.setattr(plant, "AHEAD", 64)
    monkeypatch.setattr(plant, "SINCE", {0: "cold"})
    series = waves(200, 3)
    said = plant.run_ahead(series, every=4)
    assert np.array_equal(said.made["persistence"][5], series[20])
    assert np.allclose(said.made["running mean"][5], series[:21].mean(axis=0))
    assert np.array_equal(said.target[5], series[84])
    rows = plant.score_ahead(said, series.std(axis=0))
    (verdict,) = plant.ahead_verdicts(rows)
    mse = {row["model"]: row["mse"] for row in rows}
    assert verdict[0] == (mse["mix"] <= 0.85 * min(mse[name] for name in plant.SIMPLE))
    lines = plant.plant_lines(rows)
    assert lines[0] == "| an hour ahead | from the start |"
    assert len([line for line in lines if line]) == 2 + len(plant.TITLES)


def test_crossings_of_the_tanks_are_scored_by_threshold_and_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Against the rate of all tanks, and against that of each."""
    marks = (Threshold("pressure", True, 3.2, 6), Threshold("temperature", False, 1.8, 6))
    monkeypatch.setattr(plant_crossings, "MARKS", marks)
    rows = run_crossings(waves(600, 2))
    assert [row["model"] for row in rows] == [
        "pressure above 3.2 within 0 min", "temperature below 1.8 within 0 min", plant_crossings.POOLED
    ]  # fmt: skip
    whole = rows[-1]
    assert whole["count"] == rows[0]["count"] + rows[1]["count"]
    assert sum(d["cases"] for d in whole["reliability"]) == whole["count"]
    assert min(row["brier_skill"] for row in rows) > 0.3
    verdicts = list(crossing_verdicts(rows))
    assert [holds for holds, _ in verdicts] == [worst_tenth(row) <= 0.1 for row in rows]
    assert len(plant_crossings.crossing_lines(rows)) == 2 + len(rows)


def test_intervals_are_held_against_those_of_the_last_value_at_the_same_coverage() -> None:
    """Half as wide at the same coverage is half as wide; what covers nine of ten says so."""
    rng = np.random.default_rng(2)
    values = rng.normal(size=(1500, 1)).cumsum(axis=0)
    course = Course("s", np.arange(1500), np.arange(1500), values)
    layout = HorizonLayout.of((1, 2), 3600 * 10**9)
    peer = around_the_last_value(course, layout, 0.9)
    error = np.full((1500, 2, 1), np.nan)
    error[:-1, 0], error[:-2, 1] = np.diff(values, axis=0), values[2:] - values[:-2]
    told = SimpleNamespace(
        horizons=layout.horizons, x=values, forecast=values[:, None] + 0.5 * np.nan_to_num(error),
        below=0.5 * peer.below[..., None], above=0.5 * peer.above[..., None],
    )  # fmt: skip
    report = SimpleNamespace(courses=[course], deviation=np.ones(1), scored=slice(200, 1500))
    made = cast(HorizonReport, cast(Any, SimpleNamespace(report=report, told=[told])))
    for place in (0, 1):
        share, plain, coverage = narrower(made, peer, place)
        assert share == pytest.approx(0.5, abs=0.01)
        assert plain == pytest.approx(0.5)
        assert coverage == pytest.approx(0.9, abs=0.02)
