"""The command line: `gaugecast COMMAND`."""

from gaugecast.cli.main import main

__all__ = ["main"]
