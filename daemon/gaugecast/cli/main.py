"""The commands and the one place where errors become exit codes."""

from __future__ import annotations

import sys
import traceback

import typer

from gaugecast import __version__
from gaugecast.cli.autoencoder import autoencoder_command
from gaugecast.cli.backtest import backtest_command
from gaugecast.cli.backup import backup_command
from gaugecast.cli.check import check_command
from gaugecast.cli.demo import demo_command
from gaugecast.cli.discover import discover_command
from gaugecast.cli.help import use_our_help
from gaugecast.cli.init import init_command
from gaugecast.cli.learn import learn_command
from gaugecast.cli.models import models_app
from gaugecast.cli.quarantine import quarantine_command
from gaugecast.cli.replay import replay_command
from gaugecast.cli.run import run_command
from gaugecast.cli.status import status
from gaugecast.cli.train import train_command
from gaugecast.cli.tune import tune_command
from gaugecast.cli.watch import watch
from gaugecast.errors import ExitCode, GaugecastError

app = typer.Typer(
    name="gaugecast",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Forecast sensor streams where they flow: MQTT readings in, one stateful LSTM a stream, forecasts out.",
    epilog="Begin with: gaugecast init, gaugecast check --online, gaugecast run. See it at work: gaugecast demo.",
)


def _version() -> None:
    """Print the version."""
    typer.echo(__version__)


app.command("run")(run_command)
app.command("check")(check_command)
app.command("init")(init_command)
app.command("discover")(discover_command)
app.command("demo")(demo_command)
app.command("watch")(watch)
app.command("status")(status)
app.command("quarantine")(quarantine_command)
app.command("replay")(replay_command)
app.command("backtest")(backtest_command)
app.command("backup")(backup_command)
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
        app()
    except GaugecastError as exc:
        print(f"gaugecast: {exc}", file=sys.stderr)
        sys.exit(exc.exit_code)
    except Exception:  # a defect must be told from a bad configuration: systemd restarts the one, not the other
        traceback.print_exc()
        sys.exit(ExitCode.DEFECT)
