"""`--help` of every command, read on terminals of 80 and 120 columns."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from typing import Any

import pytest
import typer.main

from gaugecast.cli.help import WIDEST, paragraphs
from gaugecast.cli.main import app


def commands(group: Any, above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The words of every command and group."""
    yield above
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*above, name))
        else:
            yield (*above, name)


ALL = list(commands(typer.main.get_command(app)))
every_command = pytest.mark.parametrize("words", ALL, ids=lambda words: " ".join(words) or "gaugecast")


def help_of(words: tuple[str, ...], width: int, monkeypatch: pytest.MonkeyPatch) -> str:
    """What a terminal of that width shows, without its colours."""
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("NO_COLOR", "1")
    command: Any = typer.main.get_command(app)
    for word in words:
        command = command.commands[word]
    context = typer.Context(command, info_name=" ".join(("gaugecast", *words)), **command.context_settings)
    return str(command.get_help(context))


@every_command
@pytest.mark.parametrize("width", [80, 120])
def test_no_line_breaks_before_it_is_full(words: tuple[str, ...], width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Within a paragraph the next line's first word never had room on the line before, and nothing is too wide."""
    shown = min(width, WIDEST) - 2
    lines = help_of(words, width, monkeypatch).splitlines()
    assert max(map(len, lines)) <= shown
    text = lines[2 : next(i for i, line in enumerate(lines) if line in ("Options", "Arguments"))]
    for line, after in itertools.pairwise(text):
        if line and after and not after.startswith(" "):
            assert len(line) + 1 + len(after.split()[0]) > shown, line


@every_command
def test_what_options_are_for_has_half_the_terminal(words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """However long the names are; on 80 columns the boxes of old left 23."""
    for line in help_of(words, 80, monkeypatch).splitlines():
        assert not line.strip() or len(line) - len(line.lstrip()) <= 32, line


@every_command
def test_every_argument_and_option_says_what_it_is_for(words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """A name and a type alone teach nothing."""
    for line in re.findall(r"^  (?=[A-Z[-])(.*)$", help_of(words, 120, monkeypatch), re.MULTILINE):
        assert re.search(r"  \w|  `", line) or len(line) > 26, line
    assert "[required]" not in help_of(words, 120, monkeypatch).replace(". [required]", "")


def test_examples_stay_line_by_line() -> None:
    """So that they can be copied; paragraphs are joined, whatever breaks their source has."""
    text = """One
    two.

        gaugecast a \\
            --b
    """
    assert list(paragraphs(text)) == [("One two.", False), ("gaugecast a \\\n    --b", True)]
