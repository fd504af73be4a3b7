"""`gaugecast tune`: search for settings by many trainings."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer
from pydantic import create_model
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table as Grid

from gaugecast.cli.figures import wide_console
from gaugecast.cli.options import with_options
from gaugecast.cli.sources import (
    ConfigOption,
    FeaturesOption,
    FleetOption,
    History,
    ScratchOption,
    StreamOption,
    TimeOption,
    read_table,
    read_task,
)
from gaugecast.config.table import Table
from gaugecast.config.training import Train
from gaugecast.config.tuning import Tune
from gaugecast.errors import ExitCode

if TYPE_CHECKING:
    from gaugecast.learn.tune.search import Tried

#: Narrow heads for those columns of the report's table that 80 columns have room for.
_HEADS = ("trial", "tried", "train\nMSE", "validation\nMSE", "skill", "para-\nmeters", "µs a\nstep", "bytes a\nstream")
_ALWAYS = 4
#: Of what was tried; where it is longer, each setting has a line of its own.
_TRIED_WIDTH = 21
#: Keys of `Train` that are options here, too: those that are not searched under the same name.
FIXED = {name: (field.annotation, field) for name, field in Train.model_fields.items() if name not in Tune.model_fields}
FixedOptions = create_model("FixedOptions", __base__=Table, **FIXED)  # type: ignore[call-overload]

OutOption = Annotated[
    Path | None,
    typer.Option("--out", "-o", help="Directory of the search; one that exists is gone on with. [default: runs/tune]"),
]


def _tune(
    history: History,
    config: ConfigOption = None,
    fleet: FleetOption = None,
    out: OutOption = None,
    features: FeaturesOption = "",
    time_column: TimeOption = "",
    stream_column: StreamOption = "",
    scratch: ScratchOption = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="For scripts: the trials, the best first; all else goes to stderr.")
    ] = False,
    options: dict[str, Any] | None = None,
) -> None:
    """Search for settings: train again and again, judge each on the validation part, show what units buy and cost.

    The search lies in a file of the directory and goes on where it was ended. The test part is never looked at. What
    is searched is given as lists; all else is as in [train], and each of its keys is an option here, too. Ctrl-C ends
    the search, keeps the trials that are done, and exits with 130.

    Examples:

        gaugecast tune ETTh2.csv --units 16,32,64 --learning-rate 0.001,0.01
        gaugecast tune sine.csv --sampler grid --units 16,32,64 --look-back 10
    """
    given = options or {}
    searched = {key: value for key, value in given.items() if key in Tune.model_fields}
    fixed = {key: value for key, value in given.items() if key not in Tune.model_fields}
    tuning, _ = read_table(config, "tune", Tune, searched, None)
    task = read_task(
        history, fixed, config=config, fleet=fleet, features=features, time_column=time_column,
        stream_column=stream_column, scratch=scratch,
    )  # fmt: skip
    from gaugecast.learn.train.task import Silent
    from gaugecast.learn.tune.report import HEAD, table_rows, write_report
    from gaugecast.learn.tune.search import SearchEnded, points_left, tune

    console = wide_console(stderr=as_json)
    directory = out or Path("runs/tune")
    began = time.monotonic()
    with Progress(
        TextColumn("trials"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=console, transient=True
    ) as bar:
        shown = bar.add_task("trials", total=tuning.trials)

        def note(tried: Tried) -> None:
            bar.update(shown, completed=tried.number + 1)
            number, what, *figures = table_rows([tried])[0]
            told = ", ".join(f"{name} {figure}" for name, figure in zip(HEAD[2:5], figures, strict=False))
            bar.console.print(f"trial {number}: {what}: {told}", highlight=False)

        left = points_left(tuning)
        if left:
            bar.console.print(left, highlight=False)
        ended = False
        try:
            trials = tune(task, tuning, directory, Silent(), on_trial=note)
        except SearchEnded as exc:
            trials, ended = exc.trials, True
    if ended:
        console.print(f"ended by hand after {len(trials)} trials; the same command with -o {directory} goes on")
    if not trials:
        raise typer.Exit(ExitCode.INTERRUPTED)
    if as_json:
        typer.echo(
            msgspec.json.encode([trial_to_json(one) for one in sorted(trials, key=lambda t: t.validation)]).decode()
        )
    else:
        show_trials(console, trials)
    written = write_report(trials, directory, left=left)
    console.print(f"{time.monotonic() - began:.0f} s; best in {directory / 'best'}; report: {written}", highlight=False)
    if ended:
        raise typer.Exit(ExitCode.INTERRUPTED)


def trial_to_json(tried: Tried) -> dict[str, Any]:
    """One trial without its course."""
    names = ("number", "params", "train", "validation", "skill", "parameters", "step_us", "stream_bytes", "seconds")
    return {name: getattr(tried, name) for name in names}


def show_trials(console: Console, trials: Sequence[Tried]) -> None:
    """The best trial first, 80 columns wide: costs that all trials share are said once, beneath."""
    from gaugecast.learn.tune.report import HEAD, table_rows

    rows = table_rows(trials)
    columns = list(zip(*rows, strict=True))[: len(_HEADS)]
    shared = [i for i, cells in enumerate(columns) if i >= _ALWAYS and len(rows) > 1 and len(set(cells)) == 1]
    grid = Grid(box=SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0))
    for i, head in enumerate(_HEADS):
        if i not in shared:
            grid.add_column(head, no_wrap=head != "tried", overflow="fold")
    long = any(len(row[1]) > _TRIED_WIDTH for row in rows)
    for row in rows:
        row[1] = row[1].replace(", ", ",\n") if long else row[1]
        grid.add_row(*(row[i] for i in range(len(_HEADS)) if i not in shared))
    console.print(grid)
    if shared:
        told = ", ".join(f"{HEAD[i]} {rows[0][i]}" for i in shared)
        console.print(f"the same in all trials: {told}", highlight=False)


class _Options(Tune, FixedOptions):  # type: ignore[misc, valid-type]
    """All options of the command: what is searched, then what is fixed."""


tune_command = with_options(_Options, _tune, panel="Search and training")
