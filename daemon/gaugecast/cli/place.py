"""Which configuration a command means, and the daemon that it tells of."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gaugecast.config.find import PLACES, find_config, salvage
from gaugecast.config.load import load_settings
from gaugecast.config.schema import Http, Settings
from gaugecast.control import SOCKET_NAME
from gaugecast.errors import ConfigError, WrongUse

if TYPE_CHECKING:
    from gaugecast.fleet import Fleet

ConfigFile = Annotated[
    Path | None, typer.Option("--config", "-c", metavar="PATH", help=f"The configuration file. [default: {PLACES}]")
]
ConfigFiles = Annotated[
    list[Path] | None,
    typer.Option("--config", "-c", metavar="PATH", help=f"The configuration file, or several. [default: {PLACES}]"),
]
LOG_FORMAT = "GAUGECAST_LOG_FORMAT"
LogFormat = Annotated[
    str,
    typer.Option(
        envvar=LOG_FORMAT, show_envvar=False,
        help=f"plain, journal, json (an object a line), or auto: what suits stderr; also by {LOG_FORMAT}.",
    ),
]  # fmt: skip


def read_settings(config: Path | None) -> Settings:
    """The settings of the file that is meant.

    Raises:
        ConfigError: There is none, or it is wrong.
    """
    return load_settings(find_config(config, os.environ), os.environ)


def nearest_of(directory: Path) -> Path:
    """The directory, or the nearest one above it that is there."""
    return next(place for place in (directory, *directory.absolute().parents) if os.path.lexists(place))


def is_ours(directory: Path) -> bool:
    """Whether this user can write it, or make it."""
    return os.access(nearest_of(directory), os.W_OK | os.X_OK)


@dataclass(frozen=True, slots=True)
class DaemonPlace:
    """Where to ask for a running daemon.

    Attributes:
        fault: What is wrong with the file now; a daemon that read it before runs all the same.
    """

    directory: Path
    http: Http
    fault: ConfigError | None = None

    @property
    def socket(self) -> Path:
        """The control socket."""
        return self.directory / SOCKET_NAME


def find_daemon(config: Path | None) -> DaemonPlace:
    """Where the daemon is that was started with the file that is meant; a file that is broken by now will do.

    Raises:
        ConfigError: There is no file, or it cannot be read at all.
    """
    path = find_config(config, os.environ)
    try:
        settings = load_settings(path, os.environ)
    except ConfigError as exc:
        try:
            return DaemonPlace(*salvage(path, os.environ), exc)
        except OSError:
            raise exc from None
    return DaemonPlace(settings.storage.directory, settings.http)


def fleet_called(fleets: Sequence[Fleet], name: str | None, *, option: str = "--fleet") -> Fleet:
    """The fleet of that name, or the only one where none is named.

    Args:
        option: What the name was given by.

    Raises:
        WrongUse: There is no such fleet, or there are several and none was named.
    """
    found = [fleet for fleet in fleets if name in (None, fleet.name)]
    if len(found) != 1:
        known = ", ".join(fleet.name for fleet in fleets)
        raise WrongUse(f"{option}: expected one of {known}, got {name or 'none'}")
    return found[0]
