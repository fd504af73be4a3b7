"""`gaugecast train`: fit a model to recorded history, judge it, and leave a run directory."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from gaugecast.cli.figures import figure_grid, wide_console
from gaugecast.cli.options import with_options
from gaugecast.cli.sources import (
    ConfigOption,
    FeaturesOption,
    FleetOption,
    History,
    ScratchOption,
    StreamOption,
    TimeOption,
    read_task,
)
from gaugecast.config.duration import ahead_text
from gaugecast.config.training import Train
from gaugecast.errors import ExitCode

if TYPE_CHECKING:
    from gaugecast.learn.fit.fitting import Epoch
    from gaugecast.learn.train.task import Trained

OutOption = Annotated[
    Path | None, typer.Option("--out", "-o", help="New directory for the run. [default: runs/FLEET-TIME]")
]
BeginOption = Annotated[
    Path | None,
    typer.Option("--from", help="Go on from this run: its weights, its optimiser, and its settings but for options."),
]
BoardOption = Annotated[Path | None, typer.Option("--tensorboard", help="Write the loss curves here, for TensorBoard.")]

StatesOption = Annotated[
    bool, typer.Option("--plot-states", help="Draw the hidden states over the series, and what each unit follows.")
]

JsonOption = Annotated[
    bool, typer.Option("--json", help="For scripts: the figures as one JSON object; all else goes to stderr.")
]

_TITLE = "means over the features, in deviations of the training part"


class Terminal:
    """Shows progress bars, and a line an epoch."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.bar = Progress(
            TextColumn("{task.description:<10}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
            console=console, transient=True,
        )  # fmt: skip
        self._task: TaskID | None = None
        self.on_epoch: Callable[[Epoch], None] = lambda _: None

    def say(self, line: str) -> None:
        """Print a line."""
        self.bar.console.print(escape(line))

    def begin(self, what: str, total: int | None) -> None:
        """A new bar in the place of the last."""
        if self._task is not None:
            self.bar.remove_task(self._task)
        self._task = self.bar.add_task(what, total=total)

    def advance(self, done: int) -> None:
        """Move the bar."""
        if self._task is not None:
            self.bar.update(self._task, completed=done)

    def epoch(self, epoch: Epoch) -> bool | None:
        """Print the curve as it grows."""
        self.on_epoch(epoch)
        held_out = "" if epoch.validation is None else f"  validation {epoch.validation:.5g}"
        self.say(f"epoch {epoch.number:3d}  training {epoch.train:.5g}{held_out}  rate {epoch.rate:.2g}")
        return None


def _train(
    history: History,
    config: ConfigOption = None,
    fleet: FleetOption = None,
    out: OutOption = None,
    begin: BeginOption = None,
    features: FeaturesOption = "",
    time_column: TimeOption = "",
    stream_column: StreamOption = "",
    scratch: ScratchOption = None,
    tensorboard: BoardOption = None,
    plot_states: StatesOption = False,
    as_json: JsonOption = False,
    options: dict[str, Any] | None = None,
) -> None:
    """Train a model by hand on recorded history, and judge it by the code that the daemon runs.

    Stateful by default: each stream's rows in order, the state carried from segment to segment, truncated
    back-propagation. With --look-back it learns from windows, each from zero state. Both can be served. The run
    directory has the model (`gaugecast models import`), the same as a .keras file, figures, pictures and a report.

    Ctrl-C ends the training, keeps the best weights so far, and exits with 130.

    There is no --bidirectional: such a layer reads the series backwards as well, so it needs the future.

    Every option below is also a key of [train] in the configuration; an option wins.

    Examples:

        gaugecast train ETTh2.csv --epochs 10
        gaugecast train -c gaugecast.toml /var/lib/gaugecast --units 64,32
        gaugecast train sine.csv --look-back 10 --scaling minmax --units 16
    """
    task = read_task(
        history, options or {}, config=config, fleet=fleet, features=features, time_column=time_column,
        stream_column=stream_column, scratch=scratch, begin=begin,
    )  # fmt: skip
    from gaugecast.learn.train.begin import Checkpoint
    from gaugecast.learn.train.job import run_training
    from gaugecast.learn.train.run_directory import check_free, figures_of, write_run

    # of a fleet that no configuration knows, the name is the first file's
    directory = out or Path("runs") / f"{task.name}-{time.strftime('%Y%m%d-%H%M%S')}"
    check_free(directory)
    checkpoint = Checkpoint(directory.with_name(directory.name + ".unfinished"))
    task = replace(task, plot_states=plot_states, checkpoint=checkpoint)
    terminal = Terminal(wide_console(stderr=as_json))
    with terminal.bar, curves_to(tensorboard) as note:
        terminal.on_epoch = note
        try:
            trained = run_training(task, terminal)
        except KeyboardInterrupt:
            terminal.say("ended by hand before the first epoch was over: nothing is kept")
            raise
    written = write_run(trained, task.train, directory)
    checkpoint.drop()
    if as_json:
        version, interrupted = trained.model.manifest.version, trained.fit.interrupted
        told = {"fleet": trained.fleet.name, "version": version, "directory": str(directory), "report": str(written)}
        typer.echo(msgspec.json.encode({**told, "interrupted": interrupted, **figures_of(trained)}).decode())
    else:
        _show(terminal.console, trained, written)
    if trained.fit.interrupted:
        raise typer.Exit(ExitCode.INTERRUPTED)


@contextmanager
def curves_to(directory: Path | None) -> Iterator[Callable[[Epoch], None]]:
    """What writes each epoch's losses and rate where TensorBoard finds them; nothing without a directory."""
    if directory is None:
        yield lambda _: None
        return
    from gaugecast.learn.fit.backend import load_tensorflow

    tf, _ = load_tensorflow()
    writer = tf.summary.create_file_writer(str(directory))
    scalars = tf.compat.v1.SummaryMetadata(
        plugin_data=tf.compat.v1.SummaryMetadata.PluginData(plugin_name="scalars"), data_class=1
    )

    def note(epoch: Epoch) -> None:
        with writer.as_default(step=epoch.number):
            for name, value in (("train", epoch.train), ("validation", epoch.validation), ("rate", epoch.rate)):
                if value is not None:  # `tf.summary.scalar` asks for the package tensorboard
                    tf.summary.write(name, float(value), metadata=scalars)

    yield note
    writer.close()


def _show(console: Console, trained: Trained, written: Path) -> None:
    from gaugecast.learn.pages.html import FIGURE_HEAD, figure_cells

    grid = figure_grid("part", "ahead", *(head.replace(" / ", " /\n") for head in FIGURE_HEAD), title=_TITLE)
    for part, judged in trained.judged.items():
        shown = {1, trained.fleet.horizon} if len(judged.horizons) > 6 else {h.horizon for h in judged.horizons}
        for one in judged.horizons:
            if one.horizon in shown:
                span = ahead_text(one.horizon, trained.fleet.period_ns, timed=trained.timed)
                grid.add_row(part, span, *figure_cells(one.overall))
    console.print(grid)
    console.print(escape(trained.verdict))
    if trained.fit.interrupted:
        console.print("ended by hand: the best weights so far are kept")
    console.print(
        f"{trained.seconds:.0f} s; model {trained.model.manifest.version} in {written.parent}", highlight=False
    )
    console.print(f"report: {written}", highlight=False)


train_command = with_options(Train, _train, panel="Model and training")
