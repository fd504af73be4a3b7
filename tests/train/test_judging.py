"""What a report may say of a part, and what it must not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gaugecast.history import FileColumns
from gaugecast.learn.fit.batches import Span
from gaugecast.learn.fit.initial import initial_model, manifest_for
from gaugecast.learn.history.sources import record
from gaugecast.learn.pages.html import show_share
from gaugecast.learn.score.judging import judge, yardstick
from train.series import fleet_of, waves, write_csv

FLEET = fleet_of("level", "heat")


@pytest.mark.parametrize(("season", "told"), [(25, True), (0, False), (1440, False)])
def test_seasonal_skill_is_told_only_where_rows_are_a_season_apart(tmp_path: Path, season: int, told: bool) -> None:
    """Else it would be the skill over persistence once more, under another name; 0 is a day's, 1,440 minutes."""
    recording = record([write_csv(tmp_path / "tank.csv", waves(200))], FLEET, FileColumns(), tmp_path / "scratch")
    model = initial_model(manifest_for(FLEET, units=(4,)), seed=0)
    measure = yardstick(recording, Span(0.0, 0.7), np.arange(2))

    judged = judge(model, FLEET, recording, {"test": Span(0.7, 1.0)}, horizon=1, season=season, measure=measure)

    (first,) = judged["test"].horizons
    each = [first.overall, *first.per_feature.values()]
    assert [figures.skill_seasonal is not None for figures in each] == [told] * 3


def test_a_share_that_rounds_to_nothing_has_no_minus() -> None:
    """Next to others, −0.0 % reads as a loss."""
    assert show_share(-0.0003) == "+0.0%"
    assert show_share(-0.0106) == "-1.1%"
