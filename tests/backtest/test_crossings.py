"""Scores of foretold crossings, and the option that asks for them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from gaugecast.cli.backtest_crossings import threshold_of
from gaugecast.cli.main import app
from gaugecast.errors import ConfigError
from gaugecast.fleet import Fleet, Threshold
from gaugecast.learn.backtest.crossing_run import Foretold
from gaugecast.learn.backtest.crossing_score import crossing_scores
from gaugecast.learn.score.course import Course
from gaugecast.testing import SECOND, fleet_of

MARK = Threshold("p", True, 5.0, 10)


def fleet_with(mark: Threshold) -> Fleet:
    """One feature, one threshold."""
    return fleet_of("p", horizons=(1,), thresholds=(mark,))


def course_of(values: list[float]) -> Course:
    """Once a second, without gaps."""
    ticks = np.arange(len(values))
    return Course("a", ticks * SECOND, ticks, np.array(values)[:, None])


def told_of(likely: list[float], opened: list[int], values: list[float]) -> Foretold:
    """What was foretold at each step."""
    column = [np.array(one)[:, None] for one in (likely, likely, np.array(opened) > 0, np.array(values) >= 5.0)]
    return Foretold(*column)


def test_a_perfect_prophet_has_all_the_skill() -> None:
    """One who always says the rate has none."""
    values = [0.0] * 30 + [9.0] * 5 + [0.0] * 30
    happened = [float(any(v >= 5 for v in values[t + 1 : t + 11])) for t in range(len(values))]
    fleet, course = fleet_with(MARK), course_of(values)
    nothing = [0] * len(values)
    (perfect,) = crossing_scores(fleet, [course], [told_of(happened, nothing, values)])
    assert (perfect.brier, perfect.skill) == (0.0, 1.0)
    assert perfect.count == 30 + 20  # neither those beyond, nor those whose reach lies beyond the end
    assert perfect.rate == 10 / 50
    (dull,) = crossing_scores(fleet, [course], [told_of([perfect.rate] * len(values), nothing, values)])
    assert dull.skill == pytest.approx(0.0)
    assert [part.cases for part in dull.reliability] == [0, 0, 50, 0, 0, 0, 0, 0, 0, 0]
    assert dull.reliability[2].happened == pytest.approx(0.2)


def test_lead_time_and_false_alarms_are_counted_by_event() -> None:
    """Told four steps before it happens; told once for nothing; once not told."""
    values = [0.0] * 20 + [9.0] * 3 + [0.0] * 20 + [9.0] + [0.0] * 6
    opened = [0] * 5 + [1] * 5 + [0] * 6 + [1] * 8 + [0] * (len(values) - 24)
    (one,) = crossing_scores(fleet_with(MARK), [course_of(values)], [told_of([0.5] * len(values), opened, values)])
    assert (one.crossings, one.foretold, one.lead_s) == (2, 1, 4.0)
    assert one.false_alarms == pytest.approx(1 / (len(values) / (7 * 86_400)))


def test_downwards_is_upwards_upside_down() -> None:
    """The same figures of the mirrored series."""
    rng = np.random.default_rng(1)
    values = rng.normal(scale=4.0, size=200)
    likely = rng.random(200).tolist()
    up = told_of(likely, [0] * 200, values.tolist())
    (above,) = crossing_scores(fleet_with(MARK), [course_of(values.tolist())], [up])
    (below,) = crossing_scores(fleet_with(Threshold("p", False, -5.0, 10)), [course_of((-values).tolist())], [up])
    assert (above.brier, above.rate, above.crossings) == (below.brier, below.rate, below.crossings)


def test_the_option_is_read() -> None:
    """Feature, side, value and reach; with spaces or without."""
    fleet = fleet_of("pq")
    assert threshold_of("p>8.2@1m", fleet) == Threshold("p", True, 8.2, 60)
    assert threshold_of("q < -1e3 @ 5s", fleet) == Threshold("q", False, -1000.0, 5)
    for wrong in ("z>1@1m", "p>1", "p=1@1m", "p>1@1500ms", "p>1-2@1m"):
        with pytest.raises(ConfigError, match="--threshold"):
            threshold_of(wrong, fleet)


def test_the_command_scores_thresholds(tmp_path: Path) -> None:
    """Ramps over an hour of minutes: they are foretold, and the figures are kept."""
    rng = np.random.default_rng(5)
    values = np.arange(900) % 60 + rng.normal(size=900)
    lines = [f"{1_735_689_600 + 60 * i},{value:.4f}" for i, value in enumerate(values)]
    file, kept = tmp_path / "plant.csv", tmp_path / "figures.json"
    file.write_text("t,flow\n" + "\n".join(lines) + "\n")
    words = ["--horizons", "1m,10m", "--train-rows", "300", "--threshold", "flow>50@20m", "--no-network", "--json"]
    shown = CliRunner().invoke(app, ["backtest", str(file), *words, str(kept)], catch_exceptions=False).stdout
    (row,) = [row for row in json.loads(kept.read_text()) if row["model"] == "crossing"]
    assert row["brier_skill"] > 0.3
    assert row["foretold"] >= 8
    assert "flow > 50" in shown
    assert "cases" in shown, "nothing is cut at 80 columns"
