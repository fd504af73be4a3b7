"""`gaugecast evaluate`: how right the anomalies would have been on labelled files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from gaugecast.cli.figures import NOTHING, figure_grid, keep_figures
from gaugecast.cli.options import split_names
from gaugecast.cli.sources import FeaturesOption, TimeOption
from gaugecast.cli.train import Terminal
from gaugecast.watching import AnomalySettings

if TYPE_CHECKING:
    from gaugecast.history import FileColumns
    from gaugecast.learn.evaluate.boards import Windows
    from gaugecast.learn.evaluate.figures import AlarmFigures
    from gaugecast.learn.evaluate.run import Watched


def evaluate_command(
    files: Annotated[list[Path], typer.Argument(help="CSV or Parquet files of the same columns, each a stream.")],
    label: Annotated[str, typer.Option(help="Column that is 1 where something was wrong.")] = "",
    ignore: Annotated[str, typer.Option(help="Columns that are not fed, comma between.")] = "",
    features: FeaturesOption = "",
    time_column: TimeOption = "",
    healthy: Annotated[
        int, typer.Option(min=0, help="First rows of each file that are known to be healthy; 0 = that is found out.")
    ] = 0,
    hold: Annotated[int, typer.Option(min=1, help="Steps that something is strange before it is told.")] = 5,
    false_alarms: Annotated[
        float | None, typer.Option(min=0.0, help="Say which tolerance gives at most so many, a stream and week.")
    ] = None,
    nab_windows: Annotated[
        Path | None, typer.Option(help="NAB's combined_windows.json: score as its board does, standard profile.")
    ] = None,
    change_points: Annotated[
        str, typer.Option(help="Column that is 1 where the state changed: score as SKAB does, a minute behind each.")
    ] = "",
    page: Annotated[Path | None, typer.Option("--page", "-o", help="Write a page of HTML here, with pictures.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the figures here, too; `-` = here.")] = None,
) -> None:
    """Let files go through the pipeline as live streams, and hold what would have been told against their labels.

    Rows behind the healthy ones are judged: F1, false alarms as a share of usual rows, labelled rows that were missed;
    and of the raw score the areas that streaming boards compare.

    SKAB's protocol:

        gaugecast evaluate valve1/*.csv --label anomaly --healthy 400 \\
            --ignore changepoint

    Of a file of your own:

        gaugecast evaluate plant.csv --label fault --false-alarms 1 -o report.html

    NAB's:

        gaugecast evaluate NAB/realKnownCause/*.csv \\
            --nab-windows NAB/labels/combined_windows.json
    """
    from gaugecast.history import FileColumns
    from gaugecast.learn.evaluate.boards import labelled, read_windows
    from gaugecast.learn.evaluate.figures import at_most, figures_of, together
    from gaugecast.learn.evaluate.run import watch_files

    ignored = (*split_names(ignore), *filter(None, [change_points]))
    columns = FileColumns(time_column, "", split_names(features))
    terminal = Terminal(Console(soft_wrap=True))
    settings = AnomalySettings(healthy=healthy, hold=hold)
    _, watched = watch_files(files, columns, settings, label=label, ignore=ignored)
    windows = [] if nab_windows is None else read_windows(nab_windows, files)
    if nab_windows is not None and not label:
        watched = labelled(watched, windows)
    parts = [figures_of(one, healthy) for one in watched]
    total = together(parts)
    shown = [*parts, total] if len(parts) > 1 else parts
    _show(terminal, shown)
    nab, lines = None, []
    if nab_windows is not None:
        nab, line = _by_nab(watched, windows, hold)
        lines.append(line)
    if change_points:
        nab, line = _by_changes(files, watched, columns, change_points, healthy)
        lines.append(line)
    if false_alarms is not None:
        lines.append(_sentence(at_most(watched, healthy, hold=hold, a_week=false_alarms), false_alarms))
    for line in lines:
        terminal.say(line)
    if page is not None:
        from gaugecast.learn.evaluate.page import write_evaluation

        write_evaluation(watched, shown, lines, page)
        terminal.say(f"page: {page}")
    if json_file is not None:
        rows = [one.as_row() for one in (*parts, total)]
        keep_figures([*rows[:-1], {**rows[-1], "nab": nab}], json_file, terminal.say)


def _by_nab(watched: list[Watched], windows: list[Windows], hold: int) -> tuple[float, str]:
    from gaugecast.learn.evaluate.boards import nab_score

    found = nab_score(watched, windows, hold=hold)
    return found.fixed, (
        f"NAB, standard profile: {found.fixed:.1f} as it stands, {found.best:.1f} with the best tolerance, "
        f"{found.tolerance:g}"
    )


def _by_changes(
    files: list[Path], watched: list[Watched], columns: FileColumns, change_points: str, skip: int
) -> tuple[float, str]:
    from gaugecast.learn.autoencoder.rows import read_rows
    from gaugecast.learn.evaluate.boards import change_point_score

    rows = [read_rows(file, columns, label=change_points).labels for file in files]
    score = change_point_score(watched, [one for one in rows if one is not None], skip)
    return score, f"change points, NAB's standard profile as SKAB takes it: {score:.1f}"


def _show(terminal: Terminal, parts: list[AlarmFigures]) -> None:
    heads = ("F1", "false alarms", "missed", "events", "false a week", "ROC-AUC", "PR-AUC", "VUS-PR")
    grid = figure_grid("file", *heads)
    for one in parts:
        a_week = one.false_events / one.weeks if one.weeks > 0.0 else None
        grid.add_row(
            one.name, _figure(one.rows.f1), _share(one.rows.false_alarm_share), _share(one.rows.missed_share),
            f"{one.events:,}",
            NOTHING if a_week is None else f"{a_week:.3g}", _figure(one.roc_auc), _figure(one.pr_auc),
            _figure(one.vus_pr),
        )  # fmt: skip
    terminal.console.print(grid)


def _sentence(found: tuple[float, AlarmFigures] | None, a_week: float) -> str:
    if found is None:
        return f"no tolerance gives at most {a_week:g} false alarms a stream and week"
    tolerance, figures = found
    share = figures.rows.missed_share
    missed = "" if share is None else f", and {share:.0%} of the labelled rows missed"
    return f"tolerance = {tolerance:g}: {figures.false_events} false alarms in {figures.weeks:.3g} weeks{missed}"


def _figure(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.3f}"


def _share(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.1%}"
