"""`gaugecast autoencoder`: fit reconstruction detectors to usual rows, and save them."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from gaugecast.cli.options import split_names, with_options
from gaugecast.cli.sources import FeaturesOption, TimeOption, read_table
from gaugecast.cli.train import Terminal
from gaugecast.config.autoencoding import Autoencoder

if TYPE_CHECKING:
    from gaugecast.learn.autoencoder.fitting import Fitted


def _autoencoder(
    files: Annotated[list[Path], typer.Argument(help="CSV or Parquet files, a detector for each.")],
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help="TOML file with a table [autoencoder] of the options below.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", help="New directory; for several files a folder each. [default: runs/autoencoder-TIME]"
        ),
    ] = None,
    features: FeaturesOption = "",
    time_column: TimeOption = "",
    options: dict[str, Any] | None = None,
) -> None:
    """Fit an LSTM encoder-decoder to each file's first rows, so that what it cannot rebuild afterwards is an alarm.

    The directory has the detector (detector.json, weights.npz), and encoder, decoder and both as .keras files.
    `gaugecast backtest --model` scores it on labelled files and draws its errors.

    SKAB's protocol:

        gaugecast autoencoder SKAB/valve1/*.csv --train-rows 400 -o runs/valve1

        gaugecast backtest SKAB/valve1/*.csv --model runs/valve1 --label anomaly
    """
    settings, _ = read_table(config, "autoencoder", Autoencoder, options or {}, None)
    from gaugecast.history import FileColumns
    from gaugecast.learn.autoencoder.fitting import fit_files
    from gaugecast.learn.train.run_directory import check_free

    directory = out or Path("runs") / f"autoencoder-{time.strftime('%Y%m%d-%H%M%S')}"
    check_free(directory)
    columns = FileColumns(time_column, "", split_names(features))
    terminal = Terminal(Console(soft_wrap=True))
    with terminal.bar:
        terminal.begin("training", len(files) * settings.epochs)
        fit_files(
            files, settings, columns, directory,
            on_file=lambda fitted: terminal.say(_sentence(fitted)),
            on_epoch=lambda file, epoch: terminal.advance(file * settings.epochs + epoch),
        )  # fmt: skip
    named = " ".join(map(str, files)) if len(files) <= 2 else "FILES"
    terminal.say(f"score it: gaugecast backtest {named} --model {directory} --label COLUMN")


def _sentence(fitted: Fitted) -> str:
    found = fitted.calibration
    return (
        f"{fitted.name}: {fitted.rows:,} rows of {len(found.features)} features, {found.epochs_run} epochs, "
        f"error {found.loss:.3g}, threshold {found.threshold:.3g}"
    )


autoencoder_command = with_options(Autoencoder, _autoencoder, panel="Network and threshold")
