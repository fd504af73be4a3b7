"""`gaugecast run`: the daemon."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from gaugecast.cli.place import LOG_FORMAT, ConfigFile, LogFormat, read_settings
from gaugecast.logs import configure


def run_command(
    config: ConfigFile = None,
    log_level: Annotated[str, typer.Option(help="debug, info, warning or error.")] = "info",
    log_format: LogFormat = "auto",
) -> None:
    """Forecast: read from the broker, step the models, publish, until SIGTERM.

    A broker that is down does not end it: the daemon waits for it and says so in its metrics and status.
    """
    settings = read_settings(config)
    configure(log_level, log_format)
    os.environ[LOG_FORMAT] = log_format  # for the learner, if there is one
    from gaugecast.service.daemon import run  # what only the daemon needs is imported only here

    run(settings)
