"""`gaugecast backtest` of detectors: alarms held against labels."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from gaugecast.cli.figures import figure_grid, keep_figures
from gaugecast.cli.train import Terminal
from gaugecast.errors import ConfigError

if TYPE_CHECKING:
    from gaugecast.learn.autoencoder.judging import Judgement

#: Options of `gaugecast backtest` that mean something for detectors; the others are of forecasts.
_TAKEN = {"files", "model", "label", "time_column", "json_file", "plots"}


def backtest_alarms(
    given: typer.Context,
    terminal: Terminal,
    *,
    files: list[Path],
    model: Path | None,
    label: str,
    time_column: str,
    json_file: Path | None,
    plots: Path | None,
) -> None:
    """Let saved detectors speak about files, and score them where there are labels.

    Raises:
        ConfigError: No detector, no files, or an option that has no meaning for detectors.
    """
    from gaugecast.learn.autoencoder.judging import judge_files, result_rows
    from gaugecast.learn.autoencoder.saved import holds_detector

    if model is None or not holds_detector(model):
        found = "none" if model is None else str(model)
        raise ConfigError(
            f"--label: --model with a directory of `gaugecast autoencoder` expected, got {found}: labels score "
            "detectors, not forecasts"
        )
    if not files:
        raise ConfigError("backtest: files expected, for a detector reads no ledger")
    _refuse_others(given)
    with terminal.bar:
        terminal.begin("scoring", len(files))
        judged = judge_files(files, model, label=label, time=time_column, tick=terminal.advance)
    _show(terminal, judged)
    if json_file is not None:
        keep_figures(result_rows(judged), json_file, terminal.say)
    if plots is not None:
        from gaugecast.learn.autoencoder.page import write_page

        terminal.say(f"report: {write_page(judged, plots, lead=_lead(judged, model, label))}")


def _refuse_others(given: typer.Context) -> None:
    for option in given.command.params:
        name = option.name or ""
        source = given.get_parameter_source(name)
        if name not in _TAKEN and source is not None and source.name == "COMMANDLINE":
            raise ConfigError(
                f"{option.opts[0]}: nothing that a detector heeds, for its settings are those it was fitted with; "
                "expected only --label, --time-column, --json and --plots beside --model"
            )


def _show(terminal: Terminal, judged: list[Judgement]) -> None:
    from gaugecast.learn.autoencoder.judging import total_counts
    from gaugecast.learn.autoencoder.page import HEAD, beside, labelled, table_rows

    grid = figure_grid(HEAD[0], *HEAD[1:])
    *rows, total = table_rows(judged)
    for row in rows:
        grid.add_row(*row)
    grid.add_section()
    grid.add_row(*total)
    terminal.console.print(grid)
    if labelled(judged):
        terminal.say(beside(total_counts(judged)))


def _lead(judged: list[Judgement], model: Path, label: str) -> str:
    learned = sorted({one.learned for one in judged})
    rows = f"the first {learned[0]:,}" if len(learned) == 1 else f"the first {learned[0]:,} to {learned[-1]:,}"
    said = f"; {rows} rows of each were learned, and are not judged" if learned[-1] else ""
    files = "1 file" if len(judged) == 1 else f"{len(judged)} files"
    return f"Detector {model} on {files}, label {label or 'none'}{said}"
