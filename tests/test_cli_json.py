"""What commands print for scripts, and nothing beside it on standard output."""

from __future__ import annotations

import json
import math
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

from gaugecast.cli.discover import accepted, found_to_json
from gaugecast.cli.figures import keep_figures
from gaugecast.cli.main import app
from gaugecast.cli.tune import trial_to_json
from gaugecast.learn.tune.search import Tried
from gaugecast.payloads.discovery import Came, propose
from support.payloads import NOW_NS
from test_discover import heard_of


def test_figures_go_into_a_file_or_to_standard_output(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same text; where it is a file, it is made with its folders, and named."""
    said: list[str] = []
    keep_figures([{"mse": 0.5}], tmp_path / "deep" / "figures.json", said.append)
    assert said == [f"figures: {tmp_path / 'deep' / 'figures.json'}"]
    keep_figures([{"mse": 0.5}], Path("-"), said.append)
    printed = capsys.readouterr().out
    assert printed == (tmp_path / "deep" / "figures.json").read_text()
    assert json.loads(printed) == [{"mse": 0.5}]


def test_a_trial_is_told_without_its_course() -> None:
    """Settings, errors and costs."""
    tried = Tried(3, {"units": "16"}, 0.1, math.inf, None, 1200, 1.5, 256, 2.0, forecast=[1.0], observed=[1.0])
    told = trial_to_json(tried)
    assert told.keys() == {f for f in Tried.__slots__ if f not in ("forecast", "observed")}
    assert (told["number"], told["params"], told["validation"]) == (3, {"units": "16"}, math.inf)


#: Commands that print no table: what they say is a sentence, or a file's own format.
SENTENCES = {
    "run": "the log", "learn": "the log", "init": "a file's name", "test": "a sentence for each case that is wrong",
    "demo": "a screen for people", "fleet forget": "a sentence", "streams rename": "a sentence",
    "streams forget": "a sentence", "streams reset": "a sentence", "export": "CSV or Parquet", "predict": "CSV",
    "history load": "a sentence", "restore": "sentences", "models show": "JSON", "models import": "a sentence",
    "models copy": "a sentence", "models shadow": "a sentence", "models promote": "a sentence",
    "models rollback": "a sentence", "models remove": "a sentence", "autoencoder": "a sentence for each file",
    "version": "a word",
}  # fmt: skip


def commands(group: Any, above: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Every command that does something, with the words that it is called by."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*above, name))
        else:
            yield " ".join((*above, name)), command


def test_every_command_that_prints_a_table_prints_json_too() -> None:
    """A new one either has `--json` or is named above, with what it prints instead."""
    found = dict(commands(typer.main.get_command(app)))
    silent = {words for words, command in found.items() if not any("--json" in each.opts for each in command.params)}
    assert silent == SENTENCES.keys()


def test_what_was_discovered_is_told_to_scripts() -> None:
    """As it would be written; with the topics that it reads, and those that it does not."""
    heard = heard_of("plant/a/tele", "plant/b/tele", level=1.5) | {"noise/x": [Came(NOW_NS, b"hello")]}
    stanzas, left_out = accepted(propose(heard), heard)
    told = json.loads(json.dumps(found_to_json(stanzas, left_out, heard)))
    (fleet,) = told["fleets"]
    assert (told["messages"], told["topics"]) == (7, 3)
    assert (fleet["topics"], fleet["features"], fleet["every"]) == (["plant/a/tele", "plant/b/tele"], ["level"], "10s")
    assert tomllib.loads(fleet["toml"])["fleet"].keys() == {fleet["name"]}
    assert [one["topic"] for one in told["left_out"]] == ["noise/x"]
