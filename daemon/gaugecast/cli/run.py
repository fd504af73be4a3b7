"""`gaugecast run`: the daemon."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from gaugecast.config import load_settings
from gaugecast.logs import configure


def run_command(
    config: Annotated[Path, typer.Option("--config", "-c", help="The configuration file.")] = Path("gaugecast.toml"),
    log_level: Annotated[str, typer.Option(help="debug, info, warning or error.")] = "info",
) -> None:
    """Forecast: read from the broker, step the models, publish, until SIGTERM.

    Exit codes: 0 asked to stop, 78 bad configuration, 74 storage failed, 70 a defect. A broker that is down is
    none of these: the daemon waits for it and says so in its metrics and status.
    """
    settings = load_settings(config, os.environ)
    configure(log_level)
    from gaugecast.service.daemon import run  # what only the daemon needs is imported only here

    run(settings)
