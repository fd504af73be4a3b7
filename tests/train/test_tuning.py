"""`gaugecast tune`: the classic comparison of units, and a search that goes on where it was ended."""

from __future__ import annotations

import io
import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

import gaugecast.learn.tune.search as search_module
from gaugecast.cli.tune import show_trials
from gaugecast.config.training import Train
from gaugecast.config.tuning import Tune
from gaugecast.errors import ConfigError
from gaugecast.history import FileColumns
from gaugecast.learn.train.task import Silent, Task
from gaugecast.learn.tune.report import table_rows, write_report
from gaugecast.learn.tune.search import SearchEnded, Tried, _suggest, describe_point, grid, points_left, tune
from gaugecast.model import load_model

pytestmark = pytest.mark.keras


def sine_file(directory: Path, rows: int) -> Path:
    """sin(x) for x = 0, 0.1, 0.2, …"""
    path = directory / "sine.csv"
    path.write_text("x\n" + "\n".join(repr(float(np.sin(0.1 * i))) for i in range(rows)) + "\n")
    return path


def search(path: Path, tuning: Tune, directory: Path, **settings: object) -> list[Tried]:
    """Tune on one file whose rows are ticks."""
    train = Train.model_validate({"scaling": "minmax", "test": 0.0, "validation": 0.2, "segment": 8, **settings})
    return tune(Task((path,), train, columns=FileColumns(time="none")), tuning, directory, Silent())


@pytest.mark.long
def test_units_16_32_and_64_on_a_sine(tmp_path: Path) -> None:
    """The classic: 0…100 by 0.1, look-back 10, scored on held-out rows; more units cost more and all of them learn."""
    tuning = Tune(sampler="grid", units=[16, 32, 64])
    tried = search(sine_file(tmp_path, 1000), tuning, tmp_path / "out", look_back=10, epochs=6, learning_rate=0.01)
    assert [t.params["units"] for t in tried] == ["16", "32", "64"]
    assert all(t.validation < 0.01 for t in tried)
    for one, other in itertools.pairwise(tried):
        assert (one.parameters, one.stream_bytes) < (other.parameters, other.stream_bytes)
    report = write_report(tried, tmp_path / "out")
    assert report.read_text().count("data:image/png;base64,") == 3
    best = min(tried, key=lambda t: t.validation)
    manifest = load_model(tmp_path / "out" / "best").manifest
    assert manifest.layers[0].units == int(best.params["units"])
    assert {f"tune.{key}" for key in Tune.model_fields} <= set(manifest.provenance)
    assert manifest.provenance["trial"] == best.number


@pytest.mark.long
def test_a_search_goes_on_where_it_was_ended(tmp_path: Path) -> None:
    """Trials of an earlier run count, and are not done again."""
    path, out = sine_file(tmp_path, 80), tmp_path / "out"
    wide: dict[str, Any] = {"units": [2, 3], "learning_rate": [0.001, 0.1], "segment": [8, 16]}
    first = search(path, Tune(trials=2, **wide), out, epochs=1)
    more = search(path, Tune(trials=4, **wide), out, epochs=1)
    assert [t.number for t in more] == [0, 1, 2, 3]
    assert more[:2] == first
    write_report(more, out)
    assert (out / "grid.png").exists() == (len({t.params["segment"] for t in more}) > 1)


@pytest.mark.parametrize("sampler", ["tpe", "random", "grid"])
def test_nothing_is_tried_twice_and_the_search_ends_when_all_is_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sampler: Any
) -> None:
    """Trainings are costly, and the same one would say the same; resumed searches included."""

    def no_training(trial: Any, task: Task, tuning: Tune, *_: object, done: list[Tried]) -> Tried:
        params = describe_point(_suggest(trial, tuning))
        tried = Tried(len(done), params, 1.0, float(len(done)), None, 1, 1.0, 1, 0.0, [], [])
        trial.set_user_attr("tried", json.dumps({k: getattr(tried, k) for k in Tried.__slots__}))
        return tried

    monkeypatch.setattr("gaugecast.learn.tune.search._try", no_training)
    path = sine_file(tmp_path, 40)
    for trials in (5, 99):
        tuning = Tune(sampler=sampler, trials=trials, units=[2, 3], layers=[1, 2], segment=[8, 16])
        tried = search(path, tuning, tmp_path / "out")
    points = [tuple(sorted(t.params.items())) for t in tried]
    assert len(points) == len(set(points)) == (2 + 4) * 2
    assert [t.number for t in tried] == list(range(12))


def shown(trials: list[Tried]) -> list[str]:
    """The lines of the table on a terminal of 80 columns."""
    written = io.StringIO()
    show_trials(Console(width=80, file=written), trials)
    return written.getvalue().splitlines()


def test_the_table_in_the_terminal_fits_80_columns_with_every_figure_whole() -> None:
    """The widest that a search gives; what was tried is wrapped, a figure never is."""
    trials = [
        Tried(
            100 + k, {"units": f"128-{64 + k}", "learning_rate": 0.00123 * (k + 1), "dropout": 0.1 * k, "look_back": k},
            1.234e-5 / (k + 1), 0.0001234 * (k + 1), -0.2345 * k, 123_456 + k, 12.45 + k, 10_000 + k, 10.0, [], [],
        )
        for k in range(3)
    ]  # fmt: skip
    lines = shown(trials)
    assert max(map(len, lines)) <= 80
    for row in table_rows(trials):
        (line,) = (line for line in lines if line.split()[:1] == row[:1])
        assert set(line.split()) >= {row[0], *row[2:8]}
    for whole in ("units 128-66,", "learning_rate", "0.00369,", "dropout 0.2,", "look_back 2"):
        assert any(whole in line for line in lines)


def test_what_all_trials_share_stands_beneath_the_table() -> None:
    """A column of one figure tells nothing; of a single trial all is told."""
    trials = [Tried(k, {"epochs": k + 1}, 0.5, 0.25, 0.1 * k, 4321, 1.0 + k, 987, 1.0, [], []) for k in range(2)]
    lines = shown(trials)
    assert lines[-1].strip() == "the same in all trials: parameters 4,321, bytes a stream 987"
    assert "987" not in "".join(lines[:-1])
    assert not any("the same" in line for line in shown(trials[:1]))


def test_a_search_without_a_validation_part_is_refused(tmp_path: Path) -> None:
    """Else it would rank by the training error, under another name."""
    with pytest.raises(ConfigError, match="tune ranks trials by the validation part"):
        search(sine_file(tmp_path, 80), Tune(units=[2]), tmp_path / "out", validation=0.0)


def test_settings_that_do_not_go_together_are_refused_before_anything_is_trained(tmp_path: Path) -> None:
    """Not in the midst of the search."""
    began: list[Tried] = []
    train = Train(scaling="minmax", stateful=True, test=0.0)
    task = Task((sine_file(tmp_path, 80),), train, columns=FileColumns(time="none"))
    tuning = Tune(sampler="grid", units=[2], look_back=[0, 10])
    with pytest.raises(ConfigError, match=r"trial .*look_back.*stateful training on overlapping windows"):
        tune(task, tuning, tmp_path / "out", Silent(), on_trial=began.append)
    assert began == []


def test_a_grid_that_is_not_tried_in_full_says_so() -> None:
    """And says nothing where it is."""
    tuning = Tune(sampler="grid", units=[2, 3, 4], epochs=[1, 2], trials=4)
    assert points_left(tuning).startswith("the grid has 6 points, of which the first 4 are tried")
    assert points_left(tuning.model_copy(update={"trials": 6})) == ""


def test_trials_are_ranked_by_all_horizons_that_are_asked_for(tmp_path: Path) -> None:
    """The error is the mean over them, not that of the next step."""
    (one,) = search(sine_file(tmp_path, 120), Tune(units=[2]), tmp_path / "out", horizon=3, epochs=1)
    figures = json.loads((tmp_path / "out" / "best" / "metrics.json").read_text())["parts"]["validation"]["horizons"]
    assert one.validation == pytest.approx(np.mean([figure["overall"]["mse"] for figure in figures]))
    assert len(figures) == 3


@pytest.mark.long
def test_a_search_that_is_ended_by_hand_keeps_what_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The trial under way does not count, and is made anew when the search goes on."""
    path, real, calls = sine_file(tmp_path, 60), search_module._try, []

    def ended_in_the_second(*words: Any, **named: Any) -> Tried:
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(*words, **named)

    monkeypatch.setattr(search_module, "_try", ended_in_the_second)
    tuning = Tune(sampler="grid", units=[2, 3])
    with pytest.raises(SearchEnded) as caught:
        search(path, tuning, tmp_path / "out", epochs=1)
    assert [tried.params["units"] for tried in caught.value.trials] == ["2"]
    assert [tried.params["units"] for tried in search(path, tuning, tmp_path / "out", epochs=1)] == ["2", "3"]


def test_a_grid_has_every_combination_once() -> None:
    """Each layer's units on their own, for each number of layers."""
    points = list(grid(Tune(sampler="grid", units=[8, 16], layers=[1, 2], epochs=[1, 2])))
    assert len(points) == (2 + 4) * 2 == len({tuple(sorted(point.items())) for point in points})
