"""What console and assistants are shown: the state directory, the control socket, and pipelines of their own."""

from __future__ import annotations

from pathlib import Path

from gaugecast.config.schema import Loop, Settings
from gaugecast.console.views import World
from gaugecast.control import SOCKET_NAME
from gaugecast.service.explaining import Explaining
from gaugecast.service.forecasting import Forecasts
from gaugecast.service.looking_back import LookingBack
from gaugecast.service.opening import open_past


def world_of(settings: Settings) -> World:
    """By a daemon's configuration."""
    return world_at(Path(settings.source), settings.storage.directory, settings.loop)


def world_at(config: Path, directory: Path, limits: Loop) -> World:
    """Of a configuration file, a state directory, and the daemon's limits."""
    return World(
        config,
        directory,
        directory / SOCKET_NAME,
        look_back=LookingBack(directory, limits),
        explain=Explaining(directory, limits),
        forecaster=Forecasts(directory, limits),
        open_reader=open_past,
    )
