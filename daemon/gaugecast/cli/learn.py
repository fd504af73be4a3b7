"""`gaugecast learn`: the learner, where it is a unit of its own."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from gaugecast.cli.place import ConfigFile, LogFormat, read_settings
from gaugecast.logs import configure


def learn_command(
    config: ConfigFile = None,
    parent: Annotated[
        int | None, typer.Option(help="Process id of the daemon that started this; the learner ends with it.")
    ] = None,
    log_level: Annotated[str, typer.Option(help="debug, info, warning or error.")] = "info",
    log_format: LogFormat = "auto",
) -> None:
    """Learn beside the daemon: follow its ledger, train, hand weights over. Started by `run` if learning.mode is child.

    Needs TensorFlow. Takes at most learning.cpu cores; if it fails, forecasts go on with the weights that are in force.
    """
    settings = read_settings(config)
    configure(log_level, log_format)
    from gaugecast.service.learning import learn  # imports TensorFlow only when it first learns

    learn(settings, parent=parent)
    sys.stderr.flush()
    os._exit(0)  # all that was learned is in files; TensorFlow's own end takes seconds, and the daemon waits for it
