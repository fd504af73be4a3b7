"""What commands print for scripts, and nothing beside it on standard output."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from gaugecast.cli.figures import keep_figures
from gaugecast.cli.tune import trial_to_json
from gaugecast.learn.tune.search import Tried


def test_figures_go_into_a_file_or_to_standard_output(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same text; where it is a file, it is made with its folders, and named."""
    said: list[str] = []
    keep_figures([{"mse": 0.5}], tmp_path / "deep" / "figures.json", said.append)
    assert said == [f"figures: {tmp_path / 'deep' / 'figures.json'}"]
    keep_figures([{"mse": 0.5}], Path("-"), said.append)
    printed = capsys.readouterr().out
    assert printed == (tmp_path / "deep" / "figures.json").read_text()
    assert json.loads(printed) == [{"mse": 0.5}]


def test_a_trial_is_told_without_its_course() -> None:
    """Settings, errors and costs."""
    tried = Tried(3, {"units": "16"}, 0.1, math.inf, None, 1200, 1.5, 256, 2.0, forecast=[1.0], observed=[1.0])
    told = trial_to_json(tried)
    assert told.keys() == {f for f in Tried.__slots__ if f not in ("forecast", "observed")}
    assert (told["number"], told["params"], told["validation"]) == (3, {"units": "16"}, math.inf)
