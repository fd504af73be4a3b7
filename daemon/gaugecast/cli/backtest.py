"""`gaugecast backtest`: how well would it have forecast this history, learning as it went? Or: alarmed?"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn
from rich.table import Table

from gaugecast.cli.backtest_alarms import backtest_alarms
from gaugecast.cli.backtest_horizons import backtest_horizons_command
from gaugecast.cli.figures import figure_grid, keep_figures, show_skill, wide_console
from gaugecast.cli.options import split_names
from gaugecast.cli.place import fleet_called
from gaugecast.cli.sources import StreamOption, fleet_of_model
from gaugecast.cli.train import Terminal
from gaugecast.config.duration import ahead_text
from gaugecast.errors import ConfigError
from gaugecast.fleet import Fleet
from gaugecast.history import FileColumns, read_inputs
from gaugecast.model import Model, load_model
from gaugecast.pipeline.fits import check_fits
from gaugecast.records import Input

if TYPE_CHECKING:
    from gaugecast.learn.backtest.run import Report

History = tuple[Fleet, list[list[Input]]]
_MOST_HORIZONS = 6  # rows of the table


def backtest_command(
    given: typer.Context,
    files: Annotated[
        list[Path] | None, typer.Argument(help="A CSV with a header and a time column; of a detector several.")
    ] = None,
    ledger: Annotated[Path | None, typer.Option(help="Instead: the state directory of a daemon.")] = None,
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help="Take the fleet from here, rather than from the file.")
    ] = None,
    fleet: Annotated[str | None, typer.Option(help="Which fleet, where there are several.")] = None,
    features: Annotated[str | None, typer.Option(help="Columns, `a,b,c`; default: all that hold numbers.")] = None,
    time_column: Annotated[str | None, typer.Option(help="Where the time is; default: time, date, t, …")] = None,
    stream_column: StreamOption = "",
    horizon: Annotated[int | None, typer.Option(min=1, max=1000, help="Steps ahead to forecast and score.")] = None,
    horizons: Annotated[
        str, typer.Option(help="Instead: forecast at these distances, `1h,24h,48h`, by experts and their mixture.")
    ] = "",
    protocol: Annotated[
        str, typer.Option(help="Score with --horizons as papers do: `fsnet` or `adapt-z`, means over 1…H.")
    ] = "",
    levels: Annotated[str, typer.Option(help="Of the intervals, with --horizons.")] = "0.8,0.95",
    threshold: Annotated[
        list[str] | None, typer.Option(help="With --horizons: foretell crossings, `pressure>8.2@1h`; again for more.")
    ] = None,
    network: Annotated[bool, typer.Option(help="With --horizons: the LSTM is among the experts.")] = True,
    learning: Annotated[str, typer.Option(help="`lockstep`: learn as it goes; `off`: weights stay.")] = "lockstep",
    model: Annotated[
        Path | None,
        typer.Option(help="Begin with these weights rather than new ones; or the directory of detectors to score."),
    ] = None,
    label: Annotated[
        str, typer.Option(help="Of a detector: column that is 1 where something was wrong, to score its alarms by.")
    ] = "",
    warm_up: Annotated[bool, typer.Option("--warm-up", help="Train on the train rows before anything else.")] = False,
    train_rows: Annotated[float, typer.Option(min=0, help="Rows to train on; below 1: a share of all.")] = 0,
    validation_rows: Annotated[float, typer.Option(min=0, help="Rows after those, to stop the training by.")] = 0,
    test_rows: Annotated[
        float | None, typer.Option(min=0, help="Rows after those, to score; default: the rest.")
    ] = None,
    standardise: Annotated[
        bool, typer.Option(help="Errors in deviations of the train rows (without any: of the scored ones).")
    ] = True,
    units: Annotated[str, typer.Option(help="LSTM layers of new weights, `64` or `64,32`.")] = "64",
    seed: Annotated[int, typer.Option(help="Of everything random: the same seed, the same figures.")] = 0,
    json_file: Annotated[
        Path | None,
        typer.Option("--json", metavar="FILE", help="Write the figures here; `-`: to stdout, and the table to stderr."),
    ] = None,
    plots: Annotated[Path | None, typer.Option(help="Write pictures and an HTML page into this folder.")] = None,
) -> None:
    """Forecast some history as the daemon would have, learning as it goes, and score it beside simple forecasters.

    Each step is forecast before it is learned from. Beside the network stand persistence (the last value), the value
    a day ago, and a linear model that learns too. The figures of docs/accuracy.md, for instance:

        gaugecast backtest ETTh2.csv --train-rows 2880 --validation-rows 720 \\
            --test-rows 10800

    Where --model is a directory of `gaugecast autoencoder`, its detectors are scored instead: alarms against a label,
    row by row, beside always alarming. Rows that a detector learned from do not count.

        gaugecast backtest SKAB/valve1/*.csv --model runs/valve1 --label anomaly \\
            --plots report/
    """
    from gaugecast.learn.autoencoder.saved import holds_detector
    from gaugecast.learn.backtest.run import backtest
    from gaugecast.learn.backtest.split import Split

    console = wide_console(stderr=str(json_file) == "-")
    if label or (model is not None and holds_detector(model)):
        backtest_alarms(
            given, Terminal(console), files=files or [], model=model, label=label, time_column=time_column or "",
            json_file=json_file, plots=plots,
        )  # fmt: skip
        return
    file = _only(files or [])
    weights = None if model is None else load_model(model)
    columns = FileColumns(time_column or "", stream_column)
    source, batches = _history(file, ledger, config, fleet, features, columns, weights)
    name = (file or ledger or Path(source.name)).stem
    if horizons or protocol:
        backtest_horizons_command(
            console, source, batches, name=name, protocol=protocol,
            split=Split(train_rows, validation_rows, test_rows, standardise),
            horizons=horizons, levels=levels, thresholds=threshold or (), network=network, units=_units(units),
            seed=seed, json_file=json_file, plots=plots,
        )  # fmt: skip
        return
    kind = _learning(learning, taught=warm_up or model is not None)
    bars = ("{task.description}", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*bars, console=console, transient=True) as bar:
        task = bar.add_task("training" if warm_up else "forecasting", total=sum(map(len, batches)))
        report = backtest(
            source if horizon is None else replace(source, horizon=horizon),
            batches,
            Split(train_rows, validation_rows, test_rows, standardise),
            model=weights,
            warm_up=warm_up,
            learning=kind,
            units=_units(units),
            seed=seed,
            progress=lambda done: bar.update(task, description="forecasting", advance=done),
        )
    _show(console, report, name)
    if json_file is not None:
        from gaugecast.learn.backtest.score_rows import result_rows

        keep_figures(result_rows(report, name), json_file, console.print)
    if plots is not None:
        console.print(f"report: {_draw(report, plots)}")


def _only(files: list[Path]) -> Path | None:
    if len(files) > 1:
        raise ConfigError(f"backtest: one file of forecasts expected, got {len(files)}: each is a history of its own")
    return files[0] if files else None


def _learning(asked: str, *, taught: bool) -> Literal["off", "lockstep"]:
    if asked == "lockstep":
        return "lockstep"
    if asked != "off":
        raise ConfigError(f"--learning: off or lockstep expected, got {asked!r}")
    if not taught:
        raise ConfigError(
            "--learning off: new weights that never learn only repeat the last value; add --warm-up "
            "with --train-rows, or --model"
        )
    return "off"


def _history(
    file: Path | None,
    ledger: Path | None,
    config: Path | None,
    name: str | None,
    features: str | None,
    columns: FileColumns,
    model: Model | None,
) -> History:
    """The fleet and its history, from a file or a ledger."""
    if (file is None) == (ledger is None):
        raise ConfigError("backtest: a CSV file or --ledger DIRECTORY expected, one of the two")
    known = None if config is None else _configured(config, name)
    if ledger is not None:
        found, batches = _of_ledger(ledger, known, name)
    else:
        assert file is not None
        columns = replace(columns, features=split_names(features or ""))
        found = known or fleet_of_model(file, columns, name, model)
        batches = list(read_inputs(file, found, columns))
    if model is not None:
        check_fits(model, found)
    return found, batches


def _configured(config: Path, name: str | None) -> Fleet:
    from gaugecast.config import load_settings, resolve_fleets

    return fleet_called(resolve_fleets(load_settings(config, os.environ)), name)


def _of_ledger(directory: Path, known: Fleet | None, name: str | None) -> History:
    """A ledger's readings, and its newest configuration of the fleet unless a file gave one."""
    from gaugecast.events import FleetConfigured
    from gaugecast.pipeline.solo import concerns
    from gaugecast.service.opening import open_reader

    configured: dict[str, Fleet] = {}
    taken: list[Sequence[Input]] = []
    with open_reader(directory) as ledger:
        for batch in ledger.replay(0):
            taken.append(batch.inputs)
            for one in batch.inputs:
                if isinstance(event := one.event, FleetConfigured):
                    configured[one.fleet] = Fleet.from_json(event.spec)
    fleet = known or fleet_called(tuple(configured.values()), name)
    kept = ([one for one in inputs if concerns(one, (fleet.name,))] for inputs in taken)
    return fleet, [inputs for inputs in kept if inputs]


def _units(text: str) -> tuple[int, ...]:
    try:
        layers = tuple(int(part) for part in text.split(","))
    except ValueError:
        layers = ()
    if not layers or min(layers) < 1:
        raise ConfigError(f"--units: numbers such as 64 or 64,32 expected, got {text!r}")
    return layers


def _show(console: Console, report: Report, name: str) -> None:
    from gaugecast.learn.backtest.score_rows import protocol_of

    console.print(f"[bold]{name}[/bold]: {protocol_of(report)}")
    console.print(_overall(report))
    if report.fleet.horizon > 1:
        console.print(_by_horizon(report))
    console.print(_by_feature(report))


def _overall(report: Report) -> Table:
    """A row a forecaster, one step ahead."""
    from gaugecast.learn.pages.html import show

    table = figure_grid("one step ahead", "start", "learning", "MSE", "MAE", "skill")
    for made in report.forecasters:
        first = made.scores[0].overall
        figures = (show(first.mse), show(first.mae), show_skill(first.skill))
        table.add_row(made.model, made.start or "–", made.learning, *figures)
    return table


def _by_horizon(report: Report) -> Table:
    """A row a horizon, a few of them, and the mean over all."""
    from gaugecast.learn.pages.html import show

    last = report.fleet.horizon
    shown = sorted({1, *(max(1, round(last * share / (_MOST_HORIZONS - 1))) for share in range(1, _MOST_HORIZONS))})
    table = figure_grid("MSE, ahead", *(f"{f.model}\n{f.start}".strip() for f in report.forecasters))
    for h in shown:
        table.add_row(
            ahead_text(h, report.fleet.period_ns),
            *(show(made.scores[h - 1].overall.mse) for made in report.forecasters),
        )
    means = (sum(score.overall.mse for score in made.scores) / last for made in report.forecasters)
    table.add_row(f"mean to {ahead_text(last, report.fleet.period_ns)}", *(show(mean) for mean in means))
    return table


def _by_feature(report: Report) -> Table:
    from gaugecast.learn.pages.html import show

    table = figure_grid("MSE, one step ahead", *(f"{f.model}\n{f.start}".strip() for f in report.forecasters))
    for name in report.names:
        table.add_row(name, *(show(f.scores[0].per_feature[name].mse) for f in report.forecasters))
    return table


def _draw(report: Report, directory: Path) -> Path:
    from gaugecast.learn.backtest.drawing import draw_plots
    from gaugecast.learn.backtest.page import write_page

    page = directory / "report.html"
    pictures: Sequence[Path] = draw_plots(report, directory)
    write_page(report, pictures, page)
    return page
