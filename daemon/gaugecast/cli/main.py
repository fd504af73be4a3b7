"""The commands and the one place where errors become exit codes."""

from __future__ import annotations

import sys
import traceback
from typing import Annotated

import typer

from gaugecast import __version__
from gaugecast.cli.help import use_our_help
from gaugecast.cli.lazily import Place, lazy_group
from gaugecast.errors import ExitCode, GaugecastError

#: In the order of `--help`. None is imported before it is asked for.
COMMANDS = {
    "run": Place("gaugecast.cli.run:run_command", "Forecast, until told to stop: the daemon."),
    "check": Place("gaugecast.cli.check:check_command", "Say whether the configuration is right, and what comes."),
    "init": Place("gaugecast.cli.init:init_command", "Write a configuration file with every setting explained."),
    "cluster": Place("gaugecast.cli.cluster:cluster_app", "Run partitions on several machines, by Ray."),
    "split": Place("gaugecast.cli.split:split_command", "Cut a configuration into several, a daemon each."),
    "schema": Place("gaugecast.cli.schema:schema_command", "Print schemas of the messages, or an AsyncAPI document."),
    "discover": Place("gaugecast.cli.discover:discover_command", "Listen to a broker and propose a configuration."),
    "test": Place("gaugecast.cli.try_cases:try_command", "Try the configuration on messages, without a broker."),
    "demo": Place("gaugecast.cli.demo:demo_command", "See it at work on simulated tanks; nothing of it stays."),
    "watch": Place("gaugecast.cli.watch:watch", "Watch the streams live: observed, expected, residual, skill."),
    "status": Place("gaugecast.cli.status:status", "Tell how the running daemon fares."),
    "console": Place("gaugecast.cli.console:console_command", "Serve the page that shows what the daemon does."),
    "mcp": Place("gaugecast.cli.mcp:mcp_command", "Answer an assistant: what the console knows, as tools."),
    "streams": Place("gaugecast.cli.streams:streams_app", "List, show, rename, reset and forget streams."),
    "events": Place("gaugecast.cli.anomalies:events_app", "List what is wrong with which streams now, and why."),
    "silence": Place("gaugecast.cli.silence:silence_command", "Want no noise of a stream's anomalies for a while."),
    "fleet": Place("gaugecast.cli.fleet:fleet_app", "Forget what is left of a fleet; refit its limits."),
    "export": Place("gaugecast.cli.export:export_command", "Write what was observed and forecast as CSV or Parquet."),
    "quarantine": Place("gaugecast.cli.quarantine:quarantine_command", "List readings that were refused, and why."),
    "history": Place("gaugecast.cli.history:history_app", "Load the past of streams that are new here."),
    "explain": Place("gaugecast.cli.explain:explain_command", "Say what was known of a stream at an instant, and why."),
    "replay": Place("gaugecast.cli.replay:replay_command", "Forecast again, and compare with what was published."),
    "backtest": Place("gaugecast.cli.backtest:backtest_command", "Score forecasts of history beside simple ones."),
    "predict": Place("gaugecast.cli.predict:predict_command", "Forecast after each row of a file."),
    "state": Place("gaugecast.cli.state:state_command", "Show what a stream's network remembers."),
    "backup": Place("gaugecast.cli.backup:backup_command", "Copy all state, verified, while the daemon runs."),
    "restore": Place("gaugecast.cli.backup:restore_command", "Put a backup in the place of all state."),
    "models": Place("gaugecast.cli.models:models_app", "List, import, copy, try, promote and remove models."),
    "learn": Place("gaugecast.cli.learn:learn_command", "Train the fleets' models beside a running daemon."),
    "train": Place("gaugecast.cli.train:train_command", "Train a model by hand on recorded history."),
    "tune": Place("gaugecast.cli.tune:tune_command", "Search for settings by many trainings."),
    "autoencoder": Place("gaugecast.cli.autoencoder:autoencoder_command", "Fit detectors of what is unusual."),
    "evaluate": Place("gaugecast.cli.evaluate:evaluate_command", "Score anomalies on labelled files."),
    "version": Place("gaugecast.cli.main:version_command", "Print the version."),
}

app = typer.Typer(
    name="gaugecast",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    epilog="Begin with: gaugecast discover, gaugecast check --online, gaugecast run. See it at work: gaugecast demo.",
)


def version_command() -> None:
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


use_our_help(app)
app.info.cls = lazy_group(COMMANDS)


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
