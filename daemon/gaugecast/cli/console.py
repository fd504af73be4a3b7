"""`gaugecast console`: the page that shows what the daemon does, and the API behind it."""

from __future__ import annotations

import signal
from typing import Annotated

import typer

from gaugecast.cli.place import ConfigFile, LogFormat, read_settings
from gaugecast.errors import ConfigError
from gaugecast.logs import configure


def console_command(
    config: ConfigFile = None,
    parent: Annotated[
        int | None, typer.Option(help="Process id of the daemon that started this; the console ends with it.")
    ] = None,
    log_level: Annotated[str, typer.Option(help="debug, info, warning or error.")] = "info",
    log_format: LogFormat = "auto",
) -> None:
    """Serve the console, a page to keep open, and the API at /api/v1, until SIGTERM. Needs the extra `console`.

    It reads the ledger and asks the daemon; it may be started, stopped and left running as one likes. Where it listens,
    who may look, and who may change models and streams, `[console]` says. Started by `run` if [console] enabled.
    """
    from gaugecast.service.children import NO_CONSOLE, end_with, has_console

    settings = read_settings(config)
    if not has_console():
        raise ConfigError(NO_CONSOLE)
    configure(log_level, log_format)
    if parent is not None and not end_with(parent, by=signal.SIGTERM):
        return
    from gaugecast.console.server import serve  # starlette and uvicorn, which the base install lacks
    from gaugecast.service.showing import world_of

    serve(settings, world_of(settings))
