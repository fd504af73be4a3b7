"""The autoencoder as a detector: fitted by one command, scored by another; its files, its scores, its refusals."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from gaugecast.cli.main import app
from gaugecast.cli.sources import read_table
from gaugecast.config.autoencoding import Autoencoder
from gaugecast.errors import ConfigError, ModelError
from gaugecast.history import FileColumns
from gaugecast.learn.autoencoder.detector import Calibration, Detector, Rebuilder, weight_shapes
from gaugecast.learn.autoencoder.fitting import fit_files
from gaugecast.learn.autoencoder.judging import Judgement, judge_files, result_rows, total_counts
from gaugecast.learn.autoencoder.rows import read_rows
from gaugecast.learn.autoencoder.saved import load_detector
from gaugecast.learn.score.alarms import AlarmCounts
from gaugecast.records import Bool, Float64
from train.series import waves, write_csv

pytestmark = pytest.mark.keras
SMALL = Autoencoder(window=8, encoder=[6, 4], decoder=[6], hold=3)
OPTIONS = (
    "--window=8", "--encoder=6,4", "--decoder=6", "--hold=3", "--epochs=2", "--train-rows=200", "--ignore=fault",
)  # fmt: skip
STANDSTILL = slice(300, 320)


def write_waves(path: Path, *, rows: int = 400, seed: int = 0) -> Path:
    """Two waves of which 20 rows stand still, and say so in a column `fault`."""
    columns = waves(rows, seed=seed)
    fault = np.zeros(rows)
    fault[STANDSTILL] = 1.0
    for series in columns.values():
        series[STANDSTILL] = series[STANDSTILL.start]
    return write_csv(path, {**columns, "fault": fault})


def run(*words: object) -> str:
    """What a command prints, run in this process; whatever it raises comes through."""
    return CliRunner().invoke(app, list(map(str, words)), catch_exceptions=False).output


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A file, another one, and the first once more."""
    directory = tmp_path_factory.mktemp("files")
    seeds = {"one": 0, "other": 1, "again": 0}
    return [write_waves(directory / f"{name}.csv", seed=seed) for name, seed in seeds.items()]


@pytest.fixture(scope="module")
def fitted(files: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory that `gaugecast autoencoder` leaves for the three."""
    directory = tmp_path_factory.mktemp("fitted") / "out"
    output = run("autoencoder", *files, "-o", directory, *OPTIONS)
    assert "one: 200 rows of 2 features, 2 epochs" in output
    return directory


def detector_of(*, threshold: float = 1.0, settings: Autoencoder = SMALL) -> Detector:
    """A detector of two features with weights of no meaning."""
    rng = np.random.default_rng(0)
    weights = {n: rng.normal(0, 0.3, s).astype(np.float32) for n, s in weight_shapes(settings, 2).items()}
    return Detector(settings, Calibration(("level", "heat"), (10.0, 40.0), (2.0, 3.0), threshold, 1, 0.1), weights)


def judgement(alarms: list[int], labels: list[int] | None, *, learned: int = 0) -> Judgement:
    """Of rows a second apart."""
    said: Bool = np.array(alarms, bool)
    wrong = None if labels is None else np.array(labels, bool)
    return Judgement("x", np.arange(len(said)), said.astype(float), said, 0.5, learned, wrong)


def test_scores_count_rows_after_the_training_part() -> None:
    """F1, false alarms of the usual rows, misses of the labelled ones; rows that were learned do not count."""
    one = judgement([1, 1, 0, 1, 0, 1, 0, 1], [1, 1, 1, 1, 1, 0, 0, 0], learned=2)
    assert one.counts == AlarmCounts(hit=1, false_alarm=2, missed=2, quiet=1)
    assert (one.counts.f1, one.counts.false_alarm_share, one.counts.missed_share) == pytest.approx(
        (1 / 3, 2 / 3, 2 / 3)
    )
    assert (one.judged, one.alarmed) == (6, 3)


def test_files_are_scored_over_all_their_rows_together() -> None:
    """Beside them always alarming, which misses nothing and spares nothing; `null` where there is nothing to share."""
    both = [judgement([1, 0, 0, 0], [1, 1, 0, 0]), judgement([0, 0], [0, 0])]
    rows = {(row["set"], row["model"]): row for row in result_rows([*both[:1], replace(both[1], name="y")])}
    assert total_counts(both) == AlarmCounts(hit=1, missed=1, quiet=4)
    assert rows["all", "autoencoder"]["f1"] == pytest.approx(2 / 3)
    assert rows["y", "autoencoder"]["missed_share"] is None
    always = rows["all", "always alarm"]
    assert (always["f1"], always["false_alarm_share"], always["missed_share"]) == (0.5, 1.0, 0.0)


def test_an_alarm_wants_several_unusual_windows_in_a_row() -> None:
    """The third of three raises it, one usual window ends it, and nothing that comes later bears on it."""
    error: Float64 = np.array([np.nan, 2, 2, 0, 2, 2, 2, 2, 1, 2])
    alarms = detector_of().alarms(error)
    assert alarms.tolist() == [False] * 6 + [True, True, False, False]
    for t in range(1, len(error)):
        assert detector_of().alarms(error[:t]).tolist() == alarms[:t].tolist()


def test_errors_hang_on_the_window_that_ends_at_the_row() -> None:
    """None before the first whole one; rows that come later change nothing; short files have none at all."""
    values = np.random.default_rng(1).normal((10, 40), (2, 3), (30, 2))
    error = detector_of().errors(values)
    assert np.isnan(error[:7]).all()
    assert np.isfinite(error[7:]).all()
    np.testing.assert_array_equal(detector_of().errors(values[:20]), error[:20])
    assert np.isnan(detector_of().errors(values[:5])).all()


@pytest.mark.long
def test_numpy_rebuilds_what_keras_rebuilds(fitted: Path) -> None:
    """Encoder and decoder, saved apart, make the whole; and what is saved without code computes the same."""
    import keras

    nets = [keras.saving.load_model(fitted / "one" / f"{n}.keras") for n in ("encoder", "decoder", "autoencoder")]
    encoder, decoder, whole = nets
    x = np.random.default_rng(0).normal(size=(11, 8, 2)).astype(np.float32)
    theirs = whole(x).numpy()
    np.testing.assert_allclose(decoder(encoder(x)).numpy(), theirs, atol=1e-6)
    detector, _ = load_detector(fitted / "one")
    np.testing.assert_allclose(Rebuilder(detector.settings, 2, detector.weights).rebuild(x), theirs, atol=1e-5)


@pytest.mark.long
def test_a_seed_gives_the_same_detector_whatever_was_fitted_before(fitted: Path) -> None:
    """To the bit; another file gives another one."""
    one, other, again = ((fitted / name / "weights.npz").read_bytes() for name in ("one", "other", "again"))
    assert one == again
    assert one != other


@pytest.mark.long
def test_the_manifest_tells_how_it_came_to_be(fitted: Path) -> None:
    """All settings, what was fed and learned, and the versions; the label was not fed."""
    manifest = json.loads((fitted / "one" / "detector.json").read_text())
    assert (
        manifest["settings"]
        == Autoencoder(**SMALL.model_dump() | {"epochs": 2, "train_rows": 200, "ignore": ["fault"]}).model_dump()
    )
    assert manifest["calibration"]["features"] == ["level", "heat"]
    assert (manifest["origin"]["file"], manifest["origin"]["rows"]) == ("one", 200)
    assert set(manifest["versions"]) == {"gaugecast", "keras", "tensorflow", "numpy", "python"}


def test_backtest_scores_and_draws(files: list[Path], fitted: Path, tmp_path: Path) -> None:
    """A table with always alarming beside it, figures as JSON, a picture, and a page that needs nothing else."""
    figures, plots = tmp_path / "figures.json", tmp_path / "plots"
    given = ("--model", fitted, "--label", "fault", "--json", figures, "--plots", plots)
    output = run("backtest", *files, *given)
    assert "Always alarming has F1 0.182, false alarms 100.0%, missed 0.0%" in output
    rows = json.loads(figures.read_text())
    assert [row["set"] for row in rows] == ["one", "other", "again", "all", "all"]
    assert [row["rows"] for row in rows] == [200, 200, 200, 600, 600]
    assert rows[3]["hit"] + rows[3]["missed"] == 60
    assert sorted(p.name for p in plots.iterdir()) == ["errors.png", "loss.png", "reconstruction.png", "report.html"]
    page = (plots / "report.html").read_text()
    assert page.count("data:image/png;base64,") == 3
    assert "http" not in page


def test_without_labels_alarms_are_counted(files: list[Path], fitted: Path, tmp_path: Path) -> None:
    """And nothing is scored."""
    run("backtest", files[0], "--model", fitted, "--json", tmp_path / "figures.json")
    one, *_ = json.loads((tmp_path / "figures.json").read_text())
    assert {"alarms", "rows"} <= set(one)
    assert "f1" not in one


def test_rows_that_were_learned_are_known_again(files: list[Path], fitted: Path, tmp_path: Path) -> None:
    """Also where the file has grown; of another file, one detector for all, every row is judged."""
    grown = write_waves(tmp_path / "one.csv", rows=401)
    shutil.copy(files[0], tmp_path / "copy.csv")
    judged = judge_files([tmp_path / "copy.csv", files[1]], fitted / "one", label="fault")
    assert [one.judged for one in judged] == [200, 400]
    rows = read_rows(grown, FileColumns(features=("level", "heat")))
    same = read_rows(files[0], FileColumns(features=("level", "heat")))
    _, origin = load_detector(fitted / "one")
    assert origin.learned_of(same) == 200
    assert (
        origin.learned_of(replace(rows, at=np.append(same.at, 0), values=np.append(same.values, [[0, 0]], axis=0)))
        == 200
    )
    assert origin.learned_of(replace(same, values=same.values + 1e-9)) == 0


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["{one}", "--label", "fault"], "a directory of `gaugecast autoencoder` expected, got none"),
        (["{one}", "--model", "{empty}", "--label", "fault"], "`gaugecast autoencoder` expected, got"),
        (["--model", "{fitted}", "--label", "fault"], "files expected"),
        (["{one}", "--model", "{fitted}", "--units", "8"], "--units: nothing that a detector heeds"),
        (["{empty}/new.csv", "--model", "{fitted}"], "detector.json in it, or in new/"),
        (["{one}", "--model", "{fitted}", "--label", "absent"], "expected a column 'absent'"),
        (["{one}", "--model", "{fitted}", "--label", "heat"], "was fed 'heat', so it knows what it is asked"),
        (["{one}", "{other}"], "one file of forecasts expected, got 2"),
    ],
)
def test_what_cannot_be_scored_is_said(
    files: list[Path], fitted: Path, tmp_path: Path, words: list[str], complaint: str
) -> None:
    """Before anything is computed, with what was expected."""
    places = {"one": files[0], "other": files[1], "fitted": fitted, "empty": tmp_path}
    with pytest.raises(ConfigError, match=complaint):
        run("backtest", *(word.format_map(places) for word in words))


@pytest.mark.parametrize(
    ("name", "before", "after", "complaint"),
    [
        ("weights.npz", b"encoder", b"Encoder", "expected sha256"),
        ("detector.json", b'"format": 1', b'"format": 2', "format: expected 1, got 2"),
        ("detector.json", b'"window": 8', b'"window": 1', "window"),
        ("detector.json", b'"level",', b"", "a centre and a spread for each of 1 features"),
        ("detector.json", b'"sha256"', b'"sha255"', "missing required field"),
    ],
)
def test_a_damaged_detector_is_refused(
    fitted: Path, tmp_path: Path, name: str, before: bytes, after: bytes, complaint: str
) -> None:
    """Before its weights are parsed."""
    place = tmp_path / "one"
    shutil.copytree(fitted / "one", place)
    content = (place / name).read_bytes()
    assert before in content
    (place / name).write_bytes(content.replace(before, after, 1))
    with pytest.raises(ModelError, match=complaint):
        load_detector(place)


def test_settings_come_from_a_file_and_options_win(tmp_path: Path) -> None:
    """The table `[autoencoder]` has the same keys; a row is held for all windows with it unless said otherwise."""
    (tmp_path / "own.toml").write_text("[autoencoder]\nwindow = 12\nencoder = [32, 16, 8]\nhold = 4\n")
    settings, _ = read_table(tmp_path / "own.toml", "autoencoder", Autoencoder, {"hold": "2", "error": "squared"}, None)
    assert settings == Autoencoder(window=12, encoder=[32, 16, 8], hold=2, error="squared")
    assert (settings.windows_held, Autoencoder(window=12).windows_held) == (2, 11)
    with pytest.raises(ConfigError, match="--encoder"):
        read_table(None, "autoencoder", Autoencoder, {"encoder": "0"}, None)


def test_files_that_cannot_be_fitted_are_refused(tmp_path: Path) -> None:
    """Too few rows, with the number that is needed; two of one name; a directory in which something lies."""
    short = write_csv(tmp_path / "short.csv", {"x": np.arange(5.0)})
    with pytest.raises(ConfigError, match="too few rows: expected at least 12 to train windows of 10 on, got 5"):
        fit_files([short], Autoencoder(), FileColumns(), tmp_path / "out")
    with pytest.raises(ConfigError, match="found 'short' more than once"):
        fit_files([short, tmp_path / "other" / "short.csv"], Autoencoder(), FileColumns(), tmp_path / "out")
    with pytest.raises(ConfigError, match="a new or empty directory"):
        run("autoencoder", short, "-o", tmp_path)
