"""`gaugecast init`: write a configuration to begin with."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gaugecast.config.template import render_template
from gaugecast.errors import ConfigError


def init_command(
    path: Annotated[Path, typer.Argument(help="Where to write it.")] = Path("gaugecast.toml"),
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it exists.")] = False,
) -> None:
    """Write a complete configuration file: every setting with its default and what it is for, and an example fleet."""
    write_template(path, replace=force)
    typer.echo(f"Wrote {path}. Next: edit [mqtt] and [fleet.tanks], then: gaugecast check --online -c {path}")


def write_template(path: Path, *, replace: bool = False) -> None:
    """Write the template.

    Raises:
        ConfigError: The file exists and is not to be replaced, or cannot be written.
    """
    try:
        with path.open("w" if replace else "x", encoding="utf-8") as file:
            file.write(render_template())
    except FileExistsError as exc:
        raise ConfigError(f"{path} exists already; --force replaces it") from exc
    except OSError as exc:
        raise ConfigError(f"{path}: cannot be written: {exc.strerror}") from exc
