"""`gaugecast schema`: what the messages look like, for programs."""

from __future__ import annotations

import json
import os
from typing import Annotated, Any

import typer

from gaugecast import __version__
from gaugecast.cli.place import ConfigFile
from gaugecast.config import Settings, load_settings, resolve_fleets
from gaugecast.config.find import find_config
from gaugecast.errors import ConfigError
from gaugecast.outputs.asyncapi import document
from gaugecast.outputs.schemas import schemas_of


def schema_command(
    name: Annotated[str | None, typer.Argument(help="Only this message, such as `forecast`. [default: all]")] = None,
    config: ConfigFile = None,
    asyncapi: Annotated[bool, typer.Option("--asyncapi", help="An AsyncAPI 3.0 document of all topics.")] = False,
) -> None:
    """Print JSON Schemas of the messages that a configuration publishes, or an AsyncAPI document of them.

    They are made from the types that write the messages. Those of `flat` messages name the fleet's own numbers.
    """
    settings = load_settings(find_config(config, os.environ), os.environ)
    made = asyncapi_of(settings) if asyncapi else schemas_of(resolve_fleets(settings))
    if name is not None:
        if asyncapi or name not in made:
            raise ConfigError(f"one of {', '.join(schemas_of(resolve_fleets(settings)))} expected, got {name}")
        made = made[name]
    typer.echo(json.dumps(made, indent=2, ensure_ascii=False))


def asyncapi_of(settings: Settings) -> dict[str, Any]:
    """The AsyncAPI document of a configuration."""
    mqtt = settings.mqtt.publishing
    return document(
        resolve_fleets(settings),
        broker=f"{mqtt.host}:{mqtt.port}",
        status_topic=settings.mqtt.own_status_topic,
        version=__version__,
        secure=mqtt.tls is not None,
    )
