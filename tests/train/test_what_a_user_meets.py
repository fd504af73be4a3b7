"""What somebody who comes from the Keras tutorials meets: nothing silent, nothing cut, and what was learned is kept."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from typer.testing import CliRunner

from gaugecast.cli.figures import figure_grid
from gaugecast.cli.main import app
from gaugecast.config.training import Train
from gaugecast.errors import ConfigError, ModelError
from gaugecast.history import FileColumns, fleet_of_file
from gaugecast.learn.fit.initial import initial_model, manifest_for
from gaugecast.learn.fit.start import manifest_of
from gaugecast.learn.history.sources import record
from gaugecast.learn.train.explain import explain_array, explain_rows, input_names, layer_table
from gaugecast.learn.train.job import run_training
from gaugecast.learn.train.run_directory import write_run
from gaugecast.learn.train.task import Listener, Silent, Task, Trained
from gaugecast.model import load_model, save_model
from train.series import fleet_of, waves, write_csv

SMALL: dict[str, Any] = {"units": [4], "epochs": 2, "segment": 10, "learning_rate": 0.01}


def several_tanks(path: Path, rows: int = 60) -> Path:
    """Three tanks in one file, with a label."""
    lines = ["time,tank,level,anomaly"]
    for i in range(rows):
        lines += [f"{1_767_225_600 + 60 * i},{tank},{i % 7 + shift}.5,{i % 2}" for shift, tank in enumerate("abc")]
    path.write_text("\n".join(lines) + "\n")
    return path


def test_labels_are_not_forecast_unless_they_are_named(tmp_path: Path) -> None:
    """Of a file that no configuration knows, whatever the case of the name."""
    path = several_tanks(tmp_path / "tanks.csv")
    assert [f.name for f in fleet_of_file(path).features] == ["level"]
    named = fleet_of_file(path, FileColumns(features=("level", "anomaly")))
    assert [f.name for f in named.features] == ["level", "anomaly"]


def test_rows_that_are_left_out_are_told_with_what_may_be_meant(tmp_path: Path) -> None:
    """Two thirds of a file go where its streams are not told apart; a column for that stands there."""
    path, columns = several_tanks(tmp_path / "tanks.csv"), FileColumns()
    fleet = fleet_of_file(path, columns)
    told = explain_rows([path], fleet, columns, record([path], fleet, columns, tmp_path / "scratch"))
    assert told == [
        "60 rows of 1 stream, features level",
        "120 of 180 rows left out: late, or a time that came before; if `tank` tells streams apart: "
        "--stream-column tank",
        "not forecast, for they look like labels: anomaly (--features names what is)",
    ]
    apart = FileColumns(stream="tank")
    told = explain_rows([path], fleet, apart, record([path], fleet, apart, tmp_path / "apart"))
    assert told[0] == "180 rows of 3 streams, features level"
    assert len(told) == 2


def test_bridged_ticks_are_no_rows_and_streams_that_are_cut_are_told(tmp_path: Path) -> None:
    """A gap of two, and a batch of four with one stream."""
    fleet = fleet_of("level")
    path = tmp_path / "one.csv"
    path.write_text("time,level\n" + "".join(f"{1_767_225_600 + 60 * i},{i}\n" for i in range(40) if i not in (7, 8)))
    recording = record([path], fleet, FileColumns(), tmp_path / "scratch", bridge=3)
    rows = explain_rows([path], fleet, FileColumns(), recording)
    assert rows[:2] == [
        "38 rows of 1 stream, features level",
        "2 missing ticks in short gaps bridged: steps that teach nothing",
    ]
    manifest = manifest_for(fleet, units=(4,))
    (cut,) = (line for line in explain_array(Train(batch_size=4), recording, manifest, fleet) if "batch size" in line)
    assert cut.startswith("batch size 4, but 1 stretch without a gap: the longest are cut until there are 4")
    assert not any("batch size" in line for line in explain_array(Train(), recording, manifest, fleet))


def test_each_input_of_a_row_has_a_name_and_each_layer_a_shape() -> None:
    """As many names as numbers, for each scaling and both kinds of rows; parameters add up."""
    for rows in ("joint", "per_feature"):
        fleet = fleet_of("level", "heat", rows=rows)
        manifest = manifest_for(fleet, units=(8, 4))
        names = input_names(fleet, manifest)
        assert len(names) == manifest.input_size == len(set(names))
        model = initial_model(manifest, seed=0)
        counted = sum(int(size.replace(",", "")) for _, _, size in layer_table(manifest, 1, 24))
        assert counted == sum(weight.size for weight in model.weights.values())
    assert names[:3] == ["level", "move from the step before", "sine of the hour"]
    assert names[-2:] == ["1 for level", "1 for heat"]


def test_no_figure_is_cut_on_80_columns() -> None:
    """The longest numbers that a training gives, whole; what is long in the first column is folded."""
    with Path("/dev/null").open("w") as sink:
        console = Console(width=80, file=sink, record=True)
        grid = figure_grid("part", "ahead", "MSE", "MAE", "RMSE", "MASE", "skill /\npersistence")
        grid.add_row("a-stream-with-a-very-long-name", "1500ms", *["2.171e-05"] * 4, "-1,758.3%")
        console.print(grid)
        text = console.export_text()
    assert text.count("2.171e-05") == 4
    assert "-1,758.3%" in text
    assert "…" not in text


class EndsInEpoch(Silent):
    """Ctrl-C in the midst of an epoch."""

    def __init__(self, number: int) -> None:
        self.left = number
        self.stage = ""

    def begin(self, what: str, total: int | None) -> None:
        self.stage = what

    def epoch(self, epoch: Any) -> None:
        self.left -= 1

    def advance(self, done: int) -> None:
        if self.stage == "training" and self.left == 1:
            raise KeyboardInterrupt


def train_on(path: Path, listener: Listener | None = None, **settings: Any) -> Trained:
    """Train on one file that no configuration knows."""
    more = {name: settings.pop(name) for name in ("begin", "plot_states") if name in settings}
    return run_training(Task((path,), Train(**{**SMALL, **settings}), **more), listener)


@pytest.fixture(scope="module")
def wave_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """400 rows of two features."""
    return write_csv(tmp_path_factory.mktemp("series") / "waves.csv", waves(400))


@pytest.fixture(scope="module")
def ended(wave_file: Path) -> Trained:
    """A training of nine epochs that was ended in the third."""
    return train_on(wave_file, EndsInEpoch(3), epochs=9)


@pytest.mark.keras
def test_a_training_that_is_ended_by_hand_keeps_the_best_so_far(wave_file: Path, ended: Trained) -> None:
    """The weights of the epochs before, judged as ever; in the first epoch there is nothing to keep."""
    assert ended.fit.interrupted
    assert len(ended.fit.epochs) == 2
    assert "ended by hand in epoch 3" in ended.verdict
    assert ended.judged["test"].horizons[0].overall.count > 0
    with pytest.raises(KeyboardInterrupt):
        train_on(wave_file, EndsInEpoch(1), epochs=9)


@pytest.mark.keras
def test_the_command_says_that_it_kept_them_and_exits_as_a_shell_expects(
    wave_file: Path, ended: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """130, with the run directory written; for scripts the figures are on standard output, alone."""
    monkeypatch.setattr("gaugecast.learn.train.job.run_training", lambda *_: ended)
    done = CliRunner().invoke(app, ["train", str(wave_file), "-o", str(tmp_path / "out")])
    assert done.exit_code == 130
    assert "the best weights so far are kept" in done.output
    assert load_model(tmp_path / "out").manifest.version == ended.model.manifest.version
    told = json.loads(CliRunner().invoke(app, ["train", str(wave_file), "-o", str(tmp_path / "more"), "--json"]).stdout)
    assert (told["version"], told["interrupted"]) == (ended.model.manifest.version, True)
    kept = json.loads((tmp_path / "more" / "metrics.json").read_text())
    assert told["parts"]["test"]["horizons"][0]["overall"] == kept["parts"]["test"]["horizons"][0]["overall"]


def test_the_command_says_that_there_was_nothing_to_keep(
    wave_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """130, and no run directory."""

    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("gaugecast.learn.train.job.run_training", interrupted)
    done = CliRunner().invoke(app, ["train", str(wave_file), "-o", str(tmp_path / "out")])
    assert done.exit_code == 130
    assert "before the first epoch was over: nothing is kept" in done.output
    assert not (tmp_path / "out").exists()


@pytest.mark.long
@pytest.mark.keras
def test_a_run_is_gone_on_with_its_optimiser_and_all(wave_file: Path, tmp_path: Path) -> None:
    """Two epochs and two more are four, to the bit, at a constant rate; another shape is refused."""
    steady: dict[str, Any] = {"schedule": "constant", "test": 0.0}
    whole = train_on(wave_file, epochs=4, **steady)
    settings = Train(**{**SMALL, "epochs": 2, **steady})
    write_run(train_on(wave_file, epochs=2, **steady), settings, tmp_path / "first")
    more = train_on(wave_file, epochs=2, begin=tmp_path / "first", **steady)
    assert [e.train for e in more.fit.epochs] == pytest.approx([e.train for e in whole.fit.epochs[2:]], rel=1e-6)
    with pytest.raises(ConfigError, match=r"--from: .* another shape: layers: expected .*units=4.*got .*units=5"):
        train_on(wave_file, epochs=2, begin=tmp_path / "first", units=[5], **steady)


@pytest.mark.long
@pytest.mark.keras
def test_a_gru_is_trained_and_served_by_its_engine(wave_file: Path, tmp_path: Path) -> None:
    """It learns, its weights come back from its .keras file, and the report names its layers."""
    from gaugecast.learn.keras_models.importing import import_keras

    trained = train_on(wave_file, cell="gru", epochs=12, scaling="standard", early_stop=0, plot_states=True)
    overall = trained.judged["test"].horizons[0].overall
    assert overall.skill is not None
    assert overall.skill > 0.3
    page = write_run(trained, Train(**SMALL, cell="gru"), tmp_path / "out").read_text()
    assert "GRU 4" in page
    assert "What the units follow" in page
    assert (tmp_path / "out" / "states.png").exists()
    fleet = fleet_of("level", "heat")
    back = import_keras(tmp_path / "out" / "model.keras", fleet)
    for name, weight in trained.model.weights.items():
        np.testing.assert_array_equal(back.weights[name], weight)


@pytest.mark.keras
def test_a_model_says_warming_for_as_long_as_it_needs(tmp_path: Path) -> None:
    """What hangs on a cue far back is not known after eight steps."""
    from train.series import cued

    path = write_csv(tmp_path / "cue.csv", {"x": cued(1200, period=20)})
    trained = train_on(path, units=[8], epochs=1, scaling="standard", test=0.0)
    assert trained.model.manifest.warmup_steps >= 8
    recipe, windowed = trained.model.manifest.recipe, Train(scaling="standard", look_back=12)
    assert manifest_of(windowed, trained.fleet, recipe, configured=False).warmup_steps == 12


def test_forecasts_of_a_file_are_written_as_a_file(tmp_path: Path) -> None:
    """A line a row, two horizons, in the sensor's unit: an untrained model repeats the last value."""
    path = write_csv(tmp_path / "waves.csv", waves(30))
    fleet = fleet_of_file(path)
    save_model(initial_model(manifest_for(fleet, units=(4,)), seed=0), tmp_path / "run")
    words = ["predict", str(path), "--model", str(tmp_path / "run"), "--horizon", "2", "-o", str(tmp_path / "out.csv")]
    ended = CliRunner().invoke(app, words)
    assert ended.exit_code == 0, ended.output
    with (tmp_path / "out.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["stream", "time", "level+1", "heat+1", "level+2", "heat+2"]
    assert (len(rows), rows[0]["stream"], rows[0]["time"]) == (30, "waves", "2026-01-01T00:00:00Z")
    assert float(rows[20]["level+1"]) == pytest.approx(waves(30)["level"][20], abs=0.1)


def test_a_backtest_of_given_weights_takes_the_fleet_as_they_have_it(tmp_path: Path) -> None:
    """The file's name is not the fleet's; columns come in the model's order, and --fleet is heeded."""
    path = write_csv(tmp_path / "history.csv", waves(40))
    fleet = fleet_of("heat", "level")
    save_model(initial_model(manifest_for(fleet, units=(4,)), seed=0), tmp_path / "run")
    words = ["backtest", str(path), "--model", str(tmp_path / "run"), "--learning", "off", "--test-rows", "10"]
    ended = CliRunner().invoke(app, [*words, "--fleet", "plant"])
    assert ended.exit_code == 0, ended.output
    assert re.search(r"heat.*\n.*level", ended.output)
    ended = CliRunner().invoke(app, [*words, "--fleet", "ships"])
    assert isinstance(ended.exception, ModelError)
    assert "ships" in str(ended.exception)


def test_a_folder_without_a_whole_model_is_refused_in_words(tmp_path: Path) -> None:
    """With what was expected of a forecaster, or of a detector, not with an error number."""
    config, place = tmp_path / "gaugecast.toml", tmp_path / "detector"
    config.write_text(
        f'[mqtt]\nhost = "localhost"\n[storage]\ndirectory = "{tmp_path}"\n[fleet.plant]\nsubscribe = ["a/{{b}}"]\n'
        'period = "1s"\n[fleet.plant.features.x]\n'
    )
    place.mkdir()
    ended = CliRunner().invoke(app, ["models", "import", str(place), "-c", str(config)])
    assert str(ended.exception).endswith("model.json: expected a readable file: No such file or directory")
    (place / "detector.json").write_text("{}")
    ended = CliRunner().invoke(app, ["models", "import", str(place), "-c", str(config)])
    assert "detector.json: expected what `gaugecast autoencoder` writes" in str(ended.exception)


@pytest.mark.keras
def test_what_rebuilds_its_window_is_not_taken_for_a_forecaster(tmp_path: Path) -> None:
    """As many steps out as in; whoever knows better says so."""
    import keras

    from gaugecast.learn.keras_models.importing import import_keras

    layers = keras.layers
    stack = [layers.LSTM(3), layers.RepeatVector(6), layers.LSTM(3, return_sequences=True), layers.Dense(2)]
    net = keras.Sequential([keras.Input((6, 2)), *stack])
    net.save(tmp_path / "own.keras")
    fleet = fleet_of("level", "heat")
    with pytest.raises(ModelError, match=r"it gives 6 steps of 2 features from 6 steps of as many, as an autoencoder"):
        import_keras(tmp_path / "own.keras", fleet)
    assert import_keras(tmp_path / "own.keras", fleet, forecaster=True).manifest.decode_steps == 6


@pytest.mark.keras
def test_rows_without_times_are_drawn_by_their_number(tmp_path: Path) -> None:
    """Not by dates of 1970; the stream has its name."""
    from gaugecast.learn.pages import drawing

    path = tmp_path / "sine.csv"
    path.write_text("x\n" + "\n".join(repr(float(np.sin(0.3 * i))) for i in range(200)) + "\n")
    task = Task((path,), Train(**SMALL, scaling="minmax"), columns=FileColumns(time="none"))
    trained, plt = run_training(task), drawing.load_pyplot()
    judged = trained.judged["test"]
    figure = drawing.draw_forecast(
        plt, judged.course, judged.forecasts, trained.fleet, rows=judged.counted, timed=trained.timed
    )
    assert figure.axes[-1].get_xlabel() == "row"
    assert figure.axes[-1].get_xlim()[1] < 2000
    assert figure.get_suptitle() == "stream sine"
    curves = drawing.draw_curves(plt, {"training": [1.0, 0.1]}, kept=2)
    assert curves.axes[0].get_yscale() == "log"
    plt.close("all")
    assert json.dumps(trained.judged["test"].to_json())
