"""docs/commands.md, written out from the commands themselves: `python -m gaugecast.cli.reference FILE`."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import typer.main

from gaugecast.cli.main import app
from gaugecast.config.reference import write_after

BEGIN = "<!-- from here on written by `python -m gaugecast.cli.reference docs/commands.md` -->\n"


def render_commands() -> str:
    """Every command, its arguments and options, in the order of `gaugecast --help`."""
    return "\n".join(_sections(typer.main.get_command(app), ())) + "\n"


def _sections(group: Any, above: Sequence[str]) -> Iterator[str]:
    """Commands and groups are click's, or typer's own copy of it, by version: told apart by what they have."""
    for name, command in group.commands.items():
        words = (*above, name)
        if hasattr(command, "commands"):
            if command.invoke_without_command:
                yield from _section(command, words)
            yield from _sections(command, words)
        else:
            yield from _section(command, words)


def _section(command: Any, words: Sequence[str]) -> Iterator[str]:
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    options = [p for p in command.params if p.param_type_name == "option"]
    called = " ".join(p.name.upper() if p.required else f"[{p.name.upper()}]" for p in arguments)
    yield f"\n### `{' '.join(('gaugecast', *words, called)).strip()}`\n"
    yield inspect.cleandoc(command.help or "")
    if not command.params:
        return
    yield "\n| | default | |"
    yield "|---|---|---|"
    for one in arguments:
        yield f"| {one.name.upper()} | {_default(one)} | {one.help or ''} |"
    for one in options:
        names = ", ".join(f"`{name}`" for name in sorted(one.opts, key=len, reverse=True))
        yield f"| {names} | {_default(one)} | {one.help or ''} |"


def _default(parameter: Any) -> str:
    if parameter.required:
        return "needed"
    absent = parameter.default is None or parameter.default == "" or getattr(parameter, "is_flag", False)
    return "–" if absent else f"`{parameter.default}`"


if __name__ == "__main__":
    write_after(Path(sys.argv[1]), BEGIN, render_commands())
