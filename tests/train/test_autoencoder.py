"""The autoencoder as a detector: its files, its scores, its refusals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from gaugecast.cli.main import app
from gaugecast.config.autoencoding import Autoencoder
from gaugecast.errors import ConfigError
from gaugecast.learn.autoencoder import Counts, Judgement, judge_files, total_counts
from gaugecast.learn.train.sources import Columns
from train.series import waves, write_csv

pytestmark = pytest.mark.keras
SMALL = Autoencoder(window=8, encoder=[6, 4], decoder=[6], epochs=2, train_rows=200, label="fault")


def labelled_file(directory: Path) -> Path:
    """400 rows of which 300 to 320 stand still, and say so."""
    columns = waves(400)
    for series in columns.values():
        series[300:320] = series[300]
    return write_csv(directory / "valve.csv", {**columns, "fault": (np.arange(400) // 20 == 15).astype(float)})


def test_scores_count_rows_after_the_training_part() -> None:
    """F1, false alarms of the usual rows, misses of the labelled ones; rows that were learned do not count."""
    error = np.array([9.0, 9, 0, 9, 0, 9, 0, 9])
    labels = np.array([1, 1, 1, 1, 1, 0, 0, 0], bool)
    counts = Judgement("x", np.arange(8), error, 1.0, 2, labels).counts
    assert counts == Counts(hit=1, false_alarm=2, missed=2, quiet=1)
    assert (counts.f1, counts.false_alarm_share, counts.missed_share) == pytest.approx((1 / 3, 2 / 3, 2 / 3))
    assert total_counts([]) == Counts()


def test_encoder_and_decoder_are_saved_apart_and_make_the_whole(tmp_path: Path) -> None:
    """What the two files compute after each other is what the third computes."""
    import keras

    judge_files([labelled_file(tmp_path)], SMALL, Columns(), directory=tmp_path / "out")
    load = keras.saving.load_model
    encoder, decoder, whole = (
        load(tmp_path / "out" / "valve" / f"{n}.keras") for n in ("encoder", "decoder", "autoencoder")
    )
    x = np.random.default_rng(0).normal(size=(3, 8, 2)).astype(np.float32)
    np.testing.assert_allclose(decoder(encoder(x)).numpy(), whole(x).numpy(), atol=1e-6)


def test_the_label_is_not_fed(tmp_path: Path) -> None:
    """Two features, not three; the same seed gives the same errors."""
    path = labelled_file(tmp_path)
    one, same = (judge_files([path], SMALL, Columns())[0] for _ in range(2))
    assert one.labels is not None
    assert one.labels.sum() == 20
    np.testing.assert_array_equal(one.error, same.error)


def test_the_command_leaves_figures_picture_and_report(tmp_path: Path) -> None:
    """Scored over all files together, offline to read."""
    path, out = labelled_file(tmp_path), tmp_path / "out"
    given = ["--label", "fault", "--train-rows", "200", "--window", "8", "--encoder", "4", "--decoder", "4"]
    ended = CliRunner().invoke(app, ["autoencoder", str(path), "-o", str(out), "--epochs", "1", *given])
    assert ended.exit_code == 0, ended.output
    assert "F1" in ended.output
    assert {"metrics.json", "errors.png", "report.html"} <= {p.name for p in out.iterdir()}


def test_too_few_rows_are_refused(tmp_path: Path) -> None:
    """With the number that is needed."""
    path = write_csv(tmp_path / "short.csv", {"x": np.arange(5.0)})
    with pytest.raises(ConfigError, match="too few rows: expected at least 12 to train windows of 10 on, got 5"):
        judge_files([path], Autoencoder(), Columns())
