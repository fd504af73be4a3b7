"""`gaugecast train` on small series: what it builds, that it learns, that it can be served, and what it refuses."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gaugecast.config.training import Train
from gaugecast.errors import ConfigError
from gaugecast.forecast.expert import Expert
from gaugecast.history import FileColumns
from gaugecast.learn.fit.start import recipe_of
from gaugecast.learn.keras_models.importing import import_keras
from gaugecast.learn.train.job import load_history, run_training
from gaugecast.learn.train.run_directory import check_free, write_run
from gaugecast.learn.train.task import Silent, Task, Trained
from gaugecast.model import load_model
from train.series import cued, fleet_of, waves, write_csv

pytestmark = pytest.mark.keras
START_S = 1_767_225_600  # of the files: 2026-01-01
SMALL: dict[str, Any] = {"units": [6], "epochs": 2, "segment": 6, "batch_size": 4, "learning_rate": 0.01}


def train_on(path: Path, columns: FileColumns | None = None, **settings: Any) -> Trained:
    """Train on one file that no configuration knows."""
    return run_training(Task((path,), Train(**{**SMALL, **settings}), columns=columns or FileColumns()))


@pytest.fixture(scope="module")
def wave_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """400 rows of two features."""
    return write_csv(tmp_path_factory.mktemp("series") / "waves.csv", waves(400))


@pytest.mark.long
def test_the_same_seed_gives_the_same_weights(wave_file: Path) -> None:
    """To the bit, dropout included; another seed gives others."""
    settings: dict[str, Any] = {"dropout": 0.2, "recurrent_dropout": 0.2, "epochs": 1}
    one, same, other = (train_on(wave_file, **settings, seed=seed).model for seed in (4, 4, 5))
    assert one.manifest.version == same.manifest.version
    assert one.manifest.version != other.manifest.version


@pytest.mark.parametrize(
    "scaling", ["difference", "running", *(pytest.param(s, marks=pytest.mark.long) for s in ("standard", "minmax"))]
)
def test_each_scaling_learns_the_waves(wave_file: Path, scaling: str) -> None:
    """Better than the last value on rows never seen, in the sensor's unit."""
    trained = train_on(wave_file, scaling=scaling, epochs=30, segment=10, learning_rate=0.03, early_stop=0)
    overall = trained.judged["test"].horizons[0].overall
    assert overall.skill is not None
    assert overall.skill > 0.5
    assert trained.judged["test"].horizons[0].per_feature["heat"].rmse < 1.0


def test_scaling_is_fitted_on_the_training_part_only(tmp_path: Path) -> None:
    """What comes after it may lie anywhere: the fitted numbers do not know it."""
    calm = np.tile([1.0, 3.0], 200)
    wild = np.where(np.arange(400) < 280, calm, 1e6)
    train, fitted = Train(scaling="standard"), []
    for name, x in (("calm", calm), ("wild", wild)):
        task = Task((write_csv(tmp_path / f"{name}.csv", {"x": x}),), train)
        fleet, recording = load_history(task, Silent(), tmp_path / name)
        fitted.append(recipe_of(train, fleet, recording, timed=True))
    assert fitted[0].centre == fitted[1].centre == (2.0,)
    assert fitted[0].spread == fitted[1].spread == (1.0,)


VARIANTS: dict[str, dict[str, Any]] = {
    "stack": {"units": [7, 5], "layer_norm": True, "activation": "relu", "scaling": "standard"},
    "learned start": {"learn_initial": True, "scaling": "standard"},
    "headless": {"head": "none", "units": [2], "scaling": "standard", "activation": "linear"},
    "windowed": {"look_back": 8, "scaling": "minmax"},
    "windowed sequence": {"look_back": 8, "target": "sequence", "shuffle": False},
    "many to one": {"target": "last"},
    "repeat": {"decoder": "repeat", "horizon": 4, "decoder_units": [5]},
    "repeat windowed": {"decoder": "repeat", "horizon": 3, "look_back": 6, "scaling": "standard"},
    "closed loop": {"horizon": 4},
    "huber decay": {"loss": "huber", "weight_decay": 0.01, "l2": 1e-4, "clip_value": 0.5},
    "pinball rmsprop": {"loss": "pinball", "quantile": 0.8, "optimizer": "rmsprop", "schedule": "plateau"},
    "mae one lane": {"loss": "mae", "batch_size": 1, "schedule": "constant", "validation": 0, "test": 0.2},
}


@pytest.mark.parametrize(
    "name",
    [
        name if number % 3 == 0 else pytest.param(name, marks=pytest.mark.long)
        for number, name in enumerate(sorted(VARIANTS))
    ],
)
def test_each_form_trains_and_is_served(wave_file: Path, tmp_path: Path, name: str) -> None:
    """The run directory's model loads, makes an expert, and its figures are finite for each horizon."""
    settings = Train(**{**SMALL, **VARIANTS[name], "epochs": 1})
    trained = run_training(Task((wave_file,), settings))
    write_run(trained, settings, tmp_path / "run")
    model = load_model(tmp_path / "run")
    Expert(trained.fleet, model, 4)
    assert model.manifest.look_back == settings.look_back
    figures = json.loads((tmp_path / "run" / "metrics.json").read_text())["parts"]["test"]["horizons"]
    assert [h["horizon"] for h in figures] == list(range(1, settings.horizon + 1))
    assert all(h["overall"]["count"] > 50 and np.isfinite(h["overall"]["mse"]) for h in figures)
    if model.manifest.recipe.centre:  # such a file can be taken for a user's own: it is the same model
        again = import_keras(tmp_path / "run" / "model.keras", replace(trained.fleet, rows=model.manifest.rows))
        assert again.manifest.recipe.centre == model.manifest.recipe.centre
        assert again.weights.keys() == model.weights.keys()
        assert all(np.array_equal(again.weights[n], w) for n, w in model.weights.items())


def test_a_run_directory_has_all_that_is_promised(wave_file: Path, tmp_path: Path) -> None:
    """Model, `.keras` file, figures, curves, pictures and one report that works offline."""
    settings = Train(**SMALL, seed=3)
    trained = run_training(Task((wave_file,), settings))
    report = write_run(trained, settings, tmp_path / "run")
    wanted = {"model.json", "weights.npz", "model.keras", "metrics.json", "curves.csv", "settings.json"}
    assert wanted | {"loss.png", "forecast.png", "report.html"} <= {p.name for p in (tmp_path / "run").iterdir()}
    text = report.read_text()
    assert "http" not in text
    assert text.count("data:image/png;base64,") == 2
    provenance = load_model(tmp_path / "run").manifest.provenance
    assert {f"train.{key}" for key in Train.model_fields} <= set(provenance)
    assert (provenance["seed"], len(str(provenance["data_sha256"]))) == (3, 64)
    with pytest.raises(ConfigError, match="expected a new or empty directory"):
        check_free(tmp_path / "run")


@pytest.mark.parametrize("rows", [10])
def test_ten_rows_train(tmp_path: Path, rows: int) -> None:
    """Stateful and in windows of three, as the tutorials have it."""
    path = tmp_path / "ten.csv"
    path.write_text("x\n" + "\n".join(str(10 * i) for i in range(1, rows + 1)) + "\n")
    for settings in ({}, {"look_back": 3, "scaling": "minmax"}):
        trained = train_on(path, FileColumns(time="none"), **settings)
        assert trained.model.manifest.features == (("x", "forecast"),)


def test_too_few_rows_are_refused_with_the_least_number(tmp_path: Path) -> None:
    """And with that number, training begins."""
    settings: dict[str, Any] = {"look_back": 9, "scaling": "standard"}
    with pytest.raises(
        ConfigError, match=r"expected at least (\d+) in the longest stream \(windows of 9.*got 10"
    ) as found:
        train_on(write_csv(tmp_path / "few.csv", {"x": np.arange(10.0)}), **settings)
    least = int(str(found.value).split("at least ")[1].split()[0])
    enough = write_csv(tmp_path / "enough.csv", {"x": np.arange(float(least))})
    assert train_on(enough, **settings).judged["test"].rows >= 1
    with pytest.raises(ConfigError, match="too few rows"):
        train_on(write_csv(tmp_path / "short.csv", {"x": np.arange(least - 1.0)}), **settings)


@pytest.mark.long
@pytest.mark.parametrize("form", ["stateful", "windowed"])
def test_memory_pays(tmp_path: Path, form: str) -> None:
    """An echo of a cue that lies further back than the look-back: only the carried state can know it."""
    path = write_csv(tmp_path / "cued.csv", {"x": cued(3200, period=16)})
    settings: dict[str, Any] = {
        "units": [16], "scaling": "standard", "clock": False, "learning_rate": 0.02, "early_stop": 0, "seed": 1,
    }  # fmt: skip
    if form == "stateful":
        settings |= {"segment": 48, "batch_size": 4, "epochs": 50}
    else:
        settings |= {"look_back": 6, "batch_size": 32, "epochs": 10}
    judged = train_on(path, **settings).judged["test"]
    observed, made = judged.course.observed[:, 0], judged.forecasts[:, 0, 0]
    rows = np.arange(judged.counted.start, judged.counted.stop)
    minutes = (judged.course.at[rows] // 10**9 - START_S) // 60
    echoes = rows[minutes % 16 == 8]
    right = np.mean((np.sign(made[echoes - 1]) == np.sign(observed[echoes])) & (np.abs(made[echoes - 1]) > 0.5))
    assert right > 0.95 if form == "stateful" else right < 0.3


def test_gaps_and_absent_cells_break_no_training(tmp_path: Path) -> None:
    """Rows left out begin a new stretch; empty cells have no weight."""
    columns = waves(400)
    columns["heat"][50:80] = np.nan
    path = write_csv(tmp_path / "gaps.csv", columns)
    lines = path.read_text().splitlines()
    path.write_text("\n".join(lines[:120] + lines[150:]) + "\n")
    trained = train_on(path)
    assert np.isfinite(trained.judged["test"].horizons[0].overall.mse)


def test_a_configured_fleet_gets_a_model_that_fits_it(wave_file: Path) -> None:
    """Names, period and rows are the fleet's."""
    fleet = replace(fleet_of("level", "heat", rows="per_feature"), name="tanks")
    manifest = run_training(Task((wave_file,), Train(**SMALL), fleet=fleet)).model.manifest
    assert (manifest.fleet, manifest.rows, manifest.period_s) == ("tanks", "per_feature", 60.0)


def test_parquet_gives_the_model_that_csv_gives(wave_file: Path, tmp_path: Path) -> None:
    """The same fleet, and the same rows to the bit: the seed does the rest."""
    parquet, csv = (pytest.importorskip(f"pyarrow.{name}") for name in ("parquet", "csv"))
    parquet.write_table(csv.read_csv(wave_file), tmp_path / "waves.parquet")
    files = (wave_file, tmp_path / "waves.parquet")
    read = [load_history(Task((file,), Train(**SMALL)), Silent(), tmp_path / file.suffix[1:]) for file in files]
    assert read[0][0] == read[1][0]
    assert read[0][1].digest() == read[1][1].digest()


def test_streams_of_one_file_are_told_apart_by_a_column(tmp_path: Path) -> None:
    """Two tanks in one file are two streams in one batch."""
    lines = ["time,tank,x"]
    for i in range(200):
        lines += [f"{i * 60},{tank},{np.sin(i / 4) + k}" for k, tank in enumerate("ab")]
    path = tmp_path / "tanks.csv"
    path.write_text("\n".join(lines) + "\n")
    trained = train_on(path, FileColumns(stream="tank", features=("x",)), batch_size=2)
    assert trained.model.manifest.provenance["data_streams"] == 2
