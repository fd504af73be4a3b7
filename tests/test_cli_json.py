"""What commands print for scripts, and nothing beside it on standard output."""

from __future__ import annotations

import json
import math
import tomllib
from pathlib import Path

import pytest

from gaugecast.cli.discover import accepted, found_to_json
from gaugecast.cli.figures import keep_figures
from gaugecast.cli.tune import trial_to_json
from gaugecast.learn.tune.search import Tried
from gaugecast.payloads.discovery import Came, propose
from support.payloads import NOW_NS
from test_discover import heard_of


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


def test_what_was_discovered_is_told_to_scripts() -> None:
    """As it would be written; with the topics that it reads, and those that it does not."""
    heard = heard_of("plant/a/tele", "plant/b/tele", level=1.5) | {"noise/x": [Came(NOW_NS, b"hello")]}
    stanzas, left_out = accepted(propose(heard), heard)
    told = json.loads(json.dumps(found_to_json(stanzas, left_out, heard)))
    (fleet,) = told["fleets"]
    assert (told["messages"], told["topics"]) == (7, 3)
    assert (fleet["topics"], fleet["features"], fleet["every"]) == (["plant/a/tele", "plant/b/tele"], ["level"], "10s")
    assert tomllib.loads(fleet["toml"])["fleet"].keys() == {fleet["name"]}
    assert [one["topic"] for one in told["left_out"]] == ["noise/x"]
