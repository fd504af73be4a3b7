"""`gaugecast autoencoder`: fit a reconstruction detector to usual rows, and score it where files are labelled."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table as Grid

from gaugecast.cli.options import with_options
from gaugecast.cli.sources import FeaturesOption, TimeOption, read_table
from gaugecast.config.autoencoding import Autoencoder

if TYPE_CHECKING:
    from gaugecast.learn.autoencoder import Counts, Judgement

HEAD = ("file", "rows judged", "F1", "false alarms", "missed", "threshold")


def _autoencoder(
    files: Annotated[list[Path], typer.Argument(help="CSV or Parquet files, each fitted and judged on its own.")],
    config: Annotated[Path | None, typer.Option("--config", "-c", help="TOML file with a table of options.")] = None,
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Directory for networks, figures, picture and report.")
    ] = Path("runs/autoencoder"),
    features: FeaturesOption = "",
    time_column: TimeOption = "",
    options: dict[str, Any] | None = None,
) -> None:
    """Fit an LSTM encoder-decoder to each file's first rows; what it cannot rebuild afterwards is an alarm.

    With --label, alarms are scored row by row over all files together: F1, false alarms as a share of the usual
    rows, misses as a share of the labelled ones. Always alarming has F1 0.70 on SKAB, so look at all three.

    Example, SKAB's protocol: gaugecast autoencoder SKAB/valve1/*.csv --label anomaly --train-rows 400
    """
    settings, _ = read_table(config, "autoencoder", Autoencoder, options or {}, None)
    from gaugecast.learn.autoencoder import judge_files, total_counts
    from gaugecast.learn.train.sources import Columns

    console = Console(soft_wrap=True)
    columns = Columns(time_column, "", tuple(name.strip() for name in features.split(",") if name.strip()))
    judged = judge_files(
        files, settings, columns, directory=out, on_file=lambda one: console.print(f"{one.name}: {_sentence(one)}")
    )
    total = total_counts(judged)
    written = _write(judged, total, settings, out)
    grid = Grid(*HEAD)
    for row in _rows(judged, total):
        grid.add_row(*row)
    if settings.label:
        console.print(grid)
    console.print(f"report: {written}", highlight=False)


def _sentence(one: Judgement) -> str:
    return f"{int(one.alarms[one.learned :].sum())} alarms in {len(one.error) - one.learned} rows"


def _rows(judged: list[Judgement], total: Counts) -> list[list[str]]:
    rows = [
        [one.name, str(len(one.error) - one.learned), *_cells(one.counts), f"{one.threshold:.3g}"] for one in judged
    ]
    return [*rows, ["all", str(sum(len(one.error) - one.learned for one in judged)), *_cells(total), ""]]


def _cells(counts: Counts) -> list[str]:
    return [f"{counts.f1:.3f}", f"{counts.false_alarm_share:.1%}", f"{counts.missed_share:.1%}"]


def _write(judged: list[Judgement], total: Counts, settings: Autoencoder, directory: Path) -> Path:
    from gaugecast.learn.autoencoder import draw_errors
    from gaugecast.learn.train import drawing, report

    directory.mkdir(parents=True, exist_ok=True)
    plt = drawing.load_pyplot()
    picture = drawing.save(plt, draw_errors(plt, judged), directory / "errors.png")
    figures = {
        "f1": total.f1, "false_alarm_share": total.false_alarm_share, "missed_share": total.missed_share,
        "settings": settings.model_dump(),
    }  # fmt: skip
    (directory / "metrics.json").write_text(json.dumps(figures, indent=2) + "\n")
    parts = []
    if settings.label:
        cells = _cells(total)
        parts += [report.tiles(zip(("F1", "false alarms", "missed"), cells, strict=True))]
        parts += [report.table(HEAD, _rows(judged, total), last_is_sum=True)]
    parts += [report.heading("Reconstruction error"), report.picture(picture, "reconstruction error over time")]
    path = directory / "report.html"
    lead = f"windows of {settings.window}, encoder {settings.encoder}, decoder {settings.decoder}"
    path.write_text(report.page("LSTM autoencoder", lead, parts))
    return path


autoencoder_command = with_options(Autoencoder, _autoencoder, panel="Network and threshold")
