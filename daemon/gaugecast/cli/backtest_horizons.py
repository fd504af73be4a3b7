"""`gaugecast backtest --horizons 1h,24h,48h`: forecasts of listed horizons, with intervals, scored as papers do."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn
from rich.table import Table

from gaugecast.cli.backtest_crossings import crossings_table, reliability_table, threshold_of
from gaugecast.cli.figures import keep_figures
from gaugecast.config.duration import duration_text, parse_duration_ns
from gaugecast.errors import ConfigError
from gaugecast.fleet import Fleet
from gaugecast.records import Input

if TYPE_CHECKING:
    from gaugecast.learn.backtest.horizon_run import HorizonReport
    from gaugecast.learn.backtest.split import Split


def backtest_horizons_command(
    console: Console,
    fleet: Fleet,
    batches: Sequence[list[Input]],
    *,
    name: str,
    protocol: str,
    split: Split,
    horizons: str,
    levels: str,
    thresholds: Sequence[str],
    network: bool,
    units: tuple[int, ...],
    seed: int,
    json_file: Path | None,
    plots: Path | None = None,
) -> None:
    """Score persistence, the linear expert, the network and their mixture at these horizons, and print it.

    Raises:
        ConfigError: A horizon is no multiple of the period, or a level is not between 0 and 1.
    """
    from gaugecast.learn.backtest.horizon_run import backtest_horizons, horizon_rows

    listed = horizons_of(horizons or duration_text(fleet.period_ns), fleet.period_ns)
    marks = [threshold_of(text, fleet) for text in thresholds]
    columns = ("{task.description}", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        inputs = sum(map(len, batches))
        parts = (*(["network"] if network else []), "experts", *(["crossings"] if marks else []))
        tasks = {what: bar.add_task(what, total=inputs) for what in parts}
        (made,) = backtest_horizons(
            fleet,
            batches,
            protocols=[protocol] if protocol else (),
            split=split,
            horizons=listed,
            levels=levels_of(levels),
            thresholds=marks,
            network=network,
            units=units,
            seed=seed,
            progress=lambda what, done: bar.advance(tasks[what], done),
        )
    _show(console, made, name)
    if json_file is not None:
        keep_figures(horizon_rows(made, name), json_file, console.print)
    if plots is not None:
        console.print(f"report: {_draw(made, name, plots)}")


def _draw(made: HorizonReport, name: str, directory: Path) -> Path:
    from gaugecast.learn.backtest.horizon_drawing import draw_horizon_plots
    from gaugecast.learn.backtest.horizon_page import write_horizon_page

    page = directory / "report.html"
    write_horizon_page(made, draw_horizon_plots(made, directory), page, name=name)
    return page


def horizons_of(text: str, period_ns: int) -> tuple[int, ...]:
    """Ticks of `1h,24h,48h`.

    Raises:
        ConfigError: A horizon is no multiple of the period.
    """
    spans = [parse_duration_ns(part.strip()) for part in text.split(",")]
    for span in spans:
        if span < period_ns or span % period_ns:
            raise ConfigError(
                f"--horizons: multiples of the period {duration_text(period_ns)} expected, got {duration_text(span)}"
            )
    return tuple(span // period_ns for span in spans)


def levels_of(text: str) -> tuple[float, ...]:
    """Levels of intervals, rising, of `0.8,0.95`.

    Raises:
        ConfigError: One is not between 0.5 and 0.999.
    """
    try:
        levels = sorted({float(part) for part in text.split(",")})
    except ValueError:
        levels = []
    if not levels or not 0.5 <= levels[0] <= levels[-1] <= 0.999:
        raise ConfigError(f"--levels: numbers from 0.5 to 0.999 such as 0.8,0.95 expected, got {text!r}")
    return tuple(levels)


def _show(console: Console, made: HorizonReport, name: str) -> None:
    from gaugecast.learn.backtest.score_rows import protocol_of

    what = f"{made.protocol}: " if made.protocol else ""
    console.print(f"[bold]{name}[/bold]: {what}{protocol_of(made.report)}, cold start")
    console.print(_errors(made))
    if any(made.intervals.values()):
        console.print(_intervals(made))
    console.print(_leads(made))
    if made.crossings:
        console.print(crossings_table(made.crossings, made.report.fleet.period_ns))
        console.print(reliability_table(made.crossings))


def _errors(made: HorizonReport) -> Table:
    """A row a horizon: MSE and MAE of each model; with a protocol as means over all horizons up to it."""
    table = Table("MSE / MAE, mean 1…H" if made.protocol else "MSE / MAE, ahead", *made.scores)
    for h in made.listed:
        cells = []
        for model, scores in made.scores.items():
            at = next(one for one in scores if one.horizon == h).overall
            mse, mae = made.mean_to(model, h) if made.protocol else (at.mse, at.mae)
            cells.append(f"{mse:.4f} / {mae:.4f}")
        table.add_row(_span(made, h), *cells)
    return table


def _intervals(made: HorizonReport) -> Table:
    table = Table("intervals of the mixture", "nominal")
    for head in ("covered", "worst window", "width", "Winkler", "pinball"):
        table.add_column(head, justify="right")
    for h in made.listed:
        for one in made.intervals[h]:
            worst = "–" if one.worst is None else f"{one.worst:.1%}"
            figures = (f"{one.width:.3f}", f"{one.winkler:.3f}", f"{one.pinball:.4f}")
            table.add_row(_span(made, h), f"{one.nominal:.0%}", f"{one.coverage:.2%}", worst, *figures)
    return table


def _leads(made: HorizonReport) -> Table:
    from gaugecast.forecast.horizons.rows import LEADS

    table = Table("leads, share of steps", *LEADS)
    for h in made.listed:
        table.add_row(_span(made, h), *(f"{share:.0%}" for share in made.leads[h]))
    return table


def _span(made: HorizonReport, horizon: int) -> str:
    return duration_text(horizon * made.report.fleet.period_ns)
