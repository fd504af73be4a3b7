"""The commands and the one place where errors become exit codes."""

from __future__ import annotations

import sys
import traceback
from typing import Annotated

import typer

from gaugecast import __version__
from gaugecast.cli.autoencoder import autoencoder_command
from gaugecast.cli.backtest import backtest_command
from gaugecast.cli.backup import backup_command, restore_command
from gaugecast.cli.check import check_command
from gaugecast.cli.demo import demo_command
from gaugecast.cli.discover import discover_command
from gaugecast.cli.export import export_command
from gaugecast.cli.help import use_our_help
from gaugecast.cli.history import history_app
from gaugecast.cli.init import init_command
from gaugecast.cli.learn import learn_command
from gaugecast.cli.models import models_app
from gaugecast.cli.predict import predict_command
from gaugecast.cli.quarantine import quarantine_command
from gaugecast.cli.replay import replay_command
from gaugecast.cli.run import run_command
from gaugecast.cli.state import state_command
from gaugecast.cli.status import status
from gaugecast.cli.streams import streams_app
from gaugecast.cli.train import train_command
from gaugecast.cli.try_cases import try_command
from gaugecast.cli.tune import tune_command
from gaugecast.cli.watch import watch
from gaugecast.errors import ExitCode, GaugecastError

app = typer.Typer(
    name="gaugecast",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    epilog="Begin with: gaugecast init, gaugecast check --online, gaugecast run. See it at work: gaugecast demo.",
)


def _version() -> None:
    """Print the version."""
    typer.echo(__version__)


def _say_version(asked: bool) -> None:
    if asked:
        typer.echo(f"gaugecast {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version, and end.", callback=_say_version, is_eager=True)
    ] = False,
) -> None:
    """Forecast sensor streams where they flow: MQTT readings in, one stateful LSTM a stream, forecasts out."""


app.command("run")(run_command)
app.command("check")(check_command)
app.command("init")(init_command)
app.command("discover")(discover_command)
app.command("test")(try_command)
app.command("demo")(demo_command)
app.command("watch")(watch)
app.command("status")(status)
app.add_typer(streams_app, name="streams")
app.command("export")(export_command)
app.command("quarantine")(quarantine_command)
app.add_typer(history_app, name="history")
app.command("replay")(replay_command)
app.command("backtest")(backtest_command)
app.command("predict")(predict_command)
app.command("state")(state_command)
app.command("backup")(backup_command)
app.command("restore")(restore_command)
app.add_typer(models_app, name="models")
app.command("learn")(learn_command)
app.command("train")(train_command)
app.command("tune")(tune_command)
app.command("autoencoder")(autoencoder_command)
app.command("version")(_version)
use_our_help(app)


def main() -> None:
    """Run a command; a `GaugecastError` becomes a line on stderr and its exit code."""
    try:
        app(prog_name="gaugecast")  # also as `python -m gaugecast`
    except GaugecastError as exc:
        print(f"gaugecast: {exc}", file=sys.stderr)
        sys.exit(exc.exit_code)
    except Exception:  # a defect must be told from a bad configuration: systemd restarts the one, not the other
        traceback.print_exc()
        sys.exit(ExitCode.DEFECT)
