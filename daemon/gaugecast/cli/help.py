"""What `--help` looks like: flowing text, examples as they stand, options in two columns whatever the terminal's width.

Typer's own boxes give each of name, opposite, type and help a column of its own; on 80 columns that leaves 23 to the
last one, and text with line breaks is broken twice.
"""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Iterator
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

WIDEST = 100  # columns; longer lines are hard to read
_NAMES = 26  # columns of names; help of longer ones begins on a line of its own
#: What libraries call a value, which changes by version: `<int range>`, `INTEGER RANGE`.
_KIND = re.compile(r" <?(path|str|text|int|integer|float)( range)?>?$", re.IGNORECASE)
_SETTINGS = {"max_content_width": WIDEST, "help_option_names": ["-h", "--help"]}
_METAVARS = {"path": "PATH", "int": "N", "integer": "N", "float": "X"}


class HelpfulCommand(TyperCommand):
    """A command whose help is ours."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Usage, text, arguments and options."""
        _write(self, ctx, formatter)


class Group(TyperGroup):
    """A group of commands whose help is ours."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Usage, text, options, and what each command is for."""
        _write(self, ctx, formatter)
        rows = [(_named(name), self.summary(name)) for name in self.list_commands(ctx)]
        _write_rows(formatter, "Commands", rows)
        if self.epilog:
            formatter.write_paragraph()
            formatter.write_text(self.epilog)

    def summary(self, name: str) -> str:
        """What one of its commands is for."""
        return _first_paragraph(self.commands[name].help or "")


def use_our_help(app: typer.Typer) -> None:
    """Let all commands and groups below `app` show their help by this module."""
    app.info.cls = Group
    app.info.context_settings = _SETTINGS
    for command in app.registered_commands:
        command.cls = HelpfulCommand
        command.context_settings = {**(command.context_settings or {}), **_SETTINGS}
    for group in app.registered_groups:
        group.cls = Group
        if group.typer_instance is not None:
            use_our_help(group.typer_instance)


def paragraphs(text: str) -> Iterator[tuple[str, bool]]:
    """A docstring's paragraphs, and whether each is an example: indented, kept line by line."""
    for paragraph in inspect.cleandoc(text).split("\n\n"):
        if paragraph.startswith("    "):
            yield "\n".join(line.removeprefix("    ") for line in paragraph.splitlines()), True
        else:
            yield " ".join(paragraph.split()), False


def _write(command: Any, ctx: Any, formatter: Any) -> None:
    arguments = [called(p, "") for p in command.get_params(ctx) if p.param_type_name == "argument"]
    after = ["COMMAND …"] if isinstance(command, Group) else arguments
    formatter.write_usage(ctx.command_path, " ".join(["[OPTIONS]", *after]))
    for text, example in paragraphs(command.help or ""):
        formatter.write_paragraph()
        if example:
            formatter.write("".join(f"    {line}\n" for line in text.splitlines()))
        else:
            formatter.write_text(text)
    sections: dict[str, list[tuple[str, str]]] = {}
    for parameter in command.get_params(ctx):
        record = parameter.get_help_record(ctx)
        if record is not None:
            usual = "Arguments" if parameter.param_type_name == "argument" else "Options"
            section = getattr(parameter, "rich_help_panel", None) or usual
            sections.setdefault(section, []).append((_named(called(parameter, record[0])), " ".join(record[1].split())))
    for title, rows in sections.items():
        _write_rows(formatter, title, rows)


def _write_rows(formatter: Any, title: str, rows: list[tuple[str, str]]) -> None:
    formatter.write_paragraph()
    formatter.write(f"{_styled(title, bold=True)}\n")
    formatter.indent()
    formatter.write_dl(rows, col_max=_NAMES)
    formatter.dedent()


def called(parameter: Any, name: str) -> str:
    """How a page shows a parameter: `FILE…`, `[PATH]`, `-c, --config PATH`, `--clock / --no-clock`.

    Args:
        name: An option as the library would show it.
    """
    if parameter.param_type_name == "argument":
        name = parameter.name.upper() + ("…" if parameter.nargs == -1 else "")
        return name if parameter.required else f"[{name}]"
    return _KIND.sub(lambda kind: f" {_METAVARS.get(kind[1].lower(), 'TEXT')}", name)


def _first_paragraph(text: str) -> str:
    return next(paragraphs(text))[0]


def _named(name: str) -> str:
    return _styled(name, fg="cyan")


def _styled(text: str, **style: Any) -> str:
    """Click takes the colours out where the output is no terminal."""
    return text if "NO_COLOR" in os.environ else typer.style(text, **style)
