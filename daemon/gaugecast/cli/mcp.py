"""`gaugecast mcp`: what the console knows, as tools for assistants."""

from __future__ import annotations

import importlib.util

from gaugecast.cli.place import ConfigFile, read_settings
from gaugecast.errors import ConfigError


def mcp_command(config: ConfigFile = None) -> None:
    """Answer an assistant over standard input and output, by the Model Context Protocol. Needs the extra `mcp`.

    Its tools are the questions of the API: how the daemon fares, which streams there are, what was observed and
    expected of one, what will be crossed when, what was strange and why (`events`, `explain`, `replay`: as it was known
    then), which models forecast, what was refused. They change nothing.
    An assistant starts it by itself, with this as its command:

        gaugecast mcp -c /etc/gaugecast/gaugecast.toml
    """
    settings = read_settings(config)
    if importlib.util.find_spec("mcp") is None:
        raise ConfigError("the Model Context Protocol needs its SDK: pip install 'gaugecast[mcp]'")
    from gaugecast.console.assistants import serve_tools  # the SDK, which the base install lacks
    from gaugecast.service.showing import world_of

    serve_tools(world_of(settings))
