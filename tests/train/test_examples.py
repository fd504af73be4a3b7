"""The classic programs of docs/examples, each beside `train` with the same settings: both learn the same thing."""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gaugecast.config.autoencoding import Autoencoder
from gaugecast.config.training import Train
from gaugecast.learn.autoencoder import judge_files
from gaugecast.learn.train.job import Task, Trained, run_training
from gaugecast.learn.train.judging import walk
from gaugecast.learn.train.recording import Recording
from gaugecast.learn.train.sources import Columns
from gaugecast.records import Float64

pytestmark = pytest.mark.keras
EXAMPLES = Path(__file__).resolve().parents[2] / "docs" / "examples"
#: Both errors are small; which of them is smaller hangs on the first weights, so they agree within this factor.
FACTOR = 12.0
CLASSIC: dict[str, Any] = {"schedule": "constant", "early_stop": 0, "validation": 0.0, "test": 0.25}


def load_example(name: str) -> Any:
    """The program as a module."""
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def train_series(directory: Path, series: Float64, **settings: Any) -> Trained:
    """`gaugecast train` on a series whose rows are ticks."""
    rows = series if series.ndim == 2 else series[:, None]
    path = directory / "series.csv"
    names = ",".join(f"x{i}" for i in range(rows.shape[1]))
    path.write_text("\n".join([names, *(",".join(map(repr, row)) for row in rows.tolist())]) + "\n")
    train = Train.model_validate({**CLASSIC, **settings})
    return run_training(Task((path,), train, columns=Columns(time="none")))


def test_three_steps_forecast_the_fourth(tmp_path: Path) -> None:
    """After 70, 80, 90 comes about 100, from both."""
    series = np.arange(10.0, 101.0, 10.0)
    trained = train_series(
        tmp_path, series, look_back=3, units=[50], activation="relu", scaling="minmax", epochs=300, batch_size=6,
        learning_rate=0.001, test=0.1, clip_norm=0.0,
    )  # fmt: skip
    recording = Recording(tmp_path / "again", 1, trained.fleet.period_ns)
    recording.add("one", np.arange(9) * trained.fleet.period_ns, series[:9, None])
    _, forecasts = walk(trained.model, trained.fleet, recording, "one", 0, 9, horizon=1)
    assert load_example("windowed_regression").run() == pytest.approx(100.0, abs=8.0)
    assert float(forecasts[-1, 0, 0]) == pytest.approx(100.0, abs=8.0)


def test_stateful_with_resets(tmp_path: Path) -> None:
    """Batch size 1, the state carried through each epoch: errors of the same order, far below persistence's."""
    example = load_example("stateful_resets")
    series = example.make_series()
    trained = train_series(tmp_path, series, units=[16], scaling="standard", segment=25, epochs=15, learning_rate=0.01)
    persistence = float(np.mean(np.diff(series[599:]) ** 2))
    ours = trained.judged["test"].horizons[0].per_feature["x0"].mse
    check_alike(ours, example.run(), persistence)


def test_next_step_of_two_features(tmp_path: Path) -> None:
    """Many-to-many over windows, the series shifted by one as target."""
    example = load_example("next_step")
    series = example.make_series()
    trained = train_series(
        tmp_path, series, look_back=20, stride=20, target="sequence", units=[16], scaling="minmax", epochs=30,
        batch_size=8, learning_rate=0.01,
    )  # fmt: skip
    persistence = float(np.mean((np.diff(series[599:], axis=0) / series[:600].std(axis=0)) ** 2))
    check_alike(trained.judged["test"].horizons[0].overall.mse, example.run(), persistence)


def test_closed_loop_ten_steps_ahead(tmp_path: Path) -> None:
    """Forecasts fed back as readings, after the state was adjusted on what is known."""
    example = load_example("closed_loop")
    trained = train_series(
        tmp_path, example.make_series(), units=[24], scaling="standard", segment=50, epochs=40, horizon=10,
        learning_rate=0.01,
    )  # fmt: skip
    tenth = trained.judged["test"].horizons[-1]
    assert tenth.horizon == 10
    assert tenth.overall.mse < 0.1
    assert example.run() < 0.1


def test_sine_with_units_16_32_and_64(tmp_path: Path) -> None:
    """Each number of units reaches an error of the same order by both ways."""
    example = load_example("sine_units").run(choices=(16, 64))
    for units, error in example.items():
        trained = train_series(
            tmp_path, np.sin(np.arange(0, 100, 0.1)), look_back=10, units=[units], scaling="minmax", epochs=6,
            learning_rate=0.01, test=0.2,
        )  # fmt: skip
        assert error < 0.02
        check_alike(trained.judged["test"].horizons[0].overall.mse, error, 0.02)


def check_alike(ours: float, theirs: float, bar: float) -> None:
    """Both below the bar, and of the same order."""
    assert ours < bar
    assert theirs < bar
    assert abs(math.log(ours / theirs)) < math.log(FACTOR)


def test_autoencoder_finds_the_standstill(tmp_path: Path) -> None:
    """Windows with the fault are rebuilt many times worse, by both."""
    example = load_example("autoencoder")
    path = tmp_path / "waves.csv"
    path.write_text("x\n" + "\n".join(map(repr, example.make_series().tolist())) + "\n")
    settings = Autoencoder(
        window=20, encoder=[16], decoder=[16], epochs=40, learning_rate=0.005, early_stop=0, validation=0.0,
        train_rows=600,
    )  # fmt: skip
    (judged,) = judge_files([path], settings, Columns(time="none"))
    ours = judged.error[715:730].mean() / judged.error[600:700].mean()
    assert example.run() > 10
    assert ours > 10
    assert judged.alarms[715:730].all()
    assert not judged.alarms[620:700].any()
