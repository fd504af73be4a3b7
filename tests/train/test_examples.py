"""The classic programs of docs/examples, each held against `gaugecast train` with its settings, rows and first weights.

From the same first weights both take the same steps of descent but for roundings: the scores on held-out rows differ by
a hundred-thousandth. They must agree within `TOLERANCE`, and be scores of something learned. Fewer epochs than the
programs run by themselves are enough for that.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gaugecast.config.autoencoding import Autoencoder
from gaugecast.config.training import Train
from gaugecast.history import FileColumns
from gaugecast.learn.autoencoder.fitting import fit_files
from gaugecast.learn.autoencoder.judging import judge_files
from gaugecast.learn.fit.initial import initial_model
from gaugecast.learn.keras_models.file import to_keras
from gaugecast.learn.train.job import run_training
from gaugecast.learn.train.task import Task, Trained
from gaugecast.records import Float64

pytestmark = pytest.mark.keras
EXAMPLES = Path(__file__).resolve().parents[2] / "docs" / "examples"
#: Most that two scores may differ by, as a share.
TOLERANCE = 1e-3
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
    return run_training(Task((path,), train, columns=FileColumns(time="none")))


def begin_alike(net: Any, trained: Trained) -> Any:
    """The program's network with the weights that `train` began with."""
    first = initial_model(trained.model.manifest, seed=0)
    assert [w.shape for w in net.get_weights()] == [w.shape for w in to_keras(first).get_weights()]
    net.set_weights(to_keras(first).get_weights())
    return net


def check_alike(ours: float, theirs: float, bar: float) -> None:
    """Below the bar, and the same within the tolerance."""
    assert ours < bar
    assert ours == pytest.approx(theirs, rel=TOLERANCE)


@pytest.mark.long
def test_three_steps_forecast_the_fourth(tmp_path: Path) -> None:
    """After 70, 80, 90 comes the same from both, about 100."""
    example = load_example("windowed_regression")
    trained = train_series(
        tmp_path, example.SERIES, look_back=3, units=[50], activation="relu", scaling="minmax", epochs=150,
        batch_size=6, learning_rate=0.001, test=0.1, clip_norm=0.0,
    )  # fmt: skip
    ours = float(trained.judged["test"].forecasts[8, 0, 0])  # made at 90, of the row that was held out
    assert ours == pytest.approx(100.0, abs=8.0)
    assert ours == pytest.approx(example.run(begin_alike(example.make_network(), trained), epochs=150), rel=TOLERANCE)


@pytest.mark.long
def test_stateful_with_resets(tmp_path: Path) -> None:
    """Batch size 1, the state carried through each epoch."""
    example = load_example("stateful_resets")
    series = example.make_series()
    trained = train_series(tmp_path, series, units=[16], scaling="standard", segment=25, epochs=5, learning_rate=0.01)
    ours = trained.judged["test"].horizons[0].per_feature["x0"].mse
    persistence = float(np.mean(np.diff(series[599:]) ** 2))
    check_alike(ours, example.run(begin_alike(example.make_network(), trained), epochs=5), persistence)


@pytest.mark.long
def test_next_step_of_two_features(tmp_path: Path) -> None:
    """Many-to-many over windows, the series shifted by one as target."""
    example = load_example("next_step")
    series = example.make_series()
    trained = train_series(
        tmp_path, series, look_back=20, stride=20, shuffle=False, target="sequence", units=[16], scaling="minmax",
        epochs=10, batch_size=8, learning_rate=0.01,
    )  # fmt: skip
    ours = trained.judged["test"].horizons[0].overall.mse
    persistence = float(np.mean((np.diff(series[599:], axis=0) / series[:600].std(axis=0)) ** 2))
    check_alike(ours, example.run(begin_alike(example.make_network(), trained), epochs=10), persistence)


@pytest.mark.long
def test_closed_loop_ten_steps_ahead(tmp_path: Path) -> None:
    """Forecasts fed back as readings, after the state was adjusted on what is known, from the same origins."""
    example = load_example("closed_loop")
    series = example.make_series()
    trained = train_series(
        tmp_path, series, units=[24], scaling="standard", segment=50, epochs=10, horizon=10, learning_rate=0.01
    )
    origins = np.array(example.ORIGINS)
    judged = trained.judged["test"]
    tenth = judged.forecasts[origins, 9, 0] - judged.course.observed[origins + 10, 0]
    ours = float(np.mean(np.square(tenth / series[:600].std())))
    check_alike(ours, example.run(begin_alike(example.make_network(), trained), epochs=10), 0.1)


@pytest.mark.long
@pytest.mark.parametrize("units", [16, 32, 64])
def test_sine_with_units_16_32_and_64(tmp_path: Path, units: int) -> None:
    """Each number of units, on rows that were held out."""
    example = load_example("sine_units")
    trained = train_series(
        tmp_path, example.make_series(), look_back=10, shuffle=False, units=[units], scaling="minmax", epochs=3,
        learning_rate=0.01, test=0.2,
    )  # fmt: skip
    ours = trained.judged["test"].horizons[0].overall.mse
    check_alike(ours, example.run(begin_alike(example.make_network(units), trained), epochs=3), 0.02)


@pytest.mark.long
def test_autoencoder_finds_the_standstill(tmp_path: Path) -> None:
    """The same errors at every row; windows with the fault are rebuilt many times worse, and alarmed at."""
    example = load_example("autoencoder")
    path = tmp_path / "waves.csv"
    path.write_text("x\n" + "\n".join(map(repr, example.make_series().tolist())) + "\n")
    settings = Autoencoder(
        window=20, encoder=[16], decoder=[16], error="squared", epochs=20, learning_rate=0.005, early_stop=0,
        validation=0.0, train_rows=600,
    )  # fmt: skip
    fit_files([path], settings, FileColumns(time="none"), tmp_path / "out")
    (judged,) = judge_files([path], tmp_path / "out", time="none")
    theirs = example.run(example.make_network(), epochs=20)
    np.testing.assert_allclose(judged.error[19:], theirs, rtol=TOLERANCE)
    assert judged.error[715:730].mean() > 10 * judged.error[600:700].mean()
    assert judged.alarms[720:730].all()
    assert not judged.alarms[620:700].any()
