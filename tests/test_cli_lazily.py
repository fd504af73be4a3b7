"""Commands are imported when they are asked for, and each that prints a table prints JSON, too."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
import typer.main

from gaugecast.cli.main import COMMANDS, app
from test_help import ALL

#: What only a daemon, a configuration or a computation needs.
HEAVY = {"numpy", "pydantic", "paho", "prometheus_client", "structlog", "tensorflow", "gaugecast.pipeline"}
#: They print no table: files, a sentence, lines of their own, or what is JSON already.
WITHOUT_TABLE = {
    ("console",), ("mcp",), ("schema",),
    *((word,) for word in ("run", "init", "demo", "export", "predict", "restore", "learn", "split")),
    *(("cluster", word) for word in ("run", "drain", "stop")),
    ("autoencoder",), ("version",), ("test",), ("history", "load"),
    *(("streams", word) for word in ("rename", "forget", "reset")), ("fleet", "forget"), ("fleet", "refit"),
    ("events", "acknowledge"),
    *(("models", word) for word in ("show", "import", "copy", "shadow", "promote", "rollback", "remove")),
}  # fmt: skip


def imported_by(*words: str) -> set[str]:
    """What has been imported when a command is over."""
    program = (
        "import json, sys\n"
        f"sys.argv = ['gaugecast', *{list(words)!r}]\n"
        "from gaugecast.cli import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print(json.dumps(sorted(sys.modules)), file=sys.stderr)"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    return set(json.loads(ran.stderr.splitlines()[-1]))


@pytest.mark.parametrize("word", ["--help", "--version"])
def test_what_only_tells_imports_nothing_heavy(word: str) -> None:
    """Nobody waits a second for a list of commands."""
    assert not imported_by(word) & HEAVY


def test_a_command_imports_no_other() -> None:
    """`status` asks a daemon: it needs the configuration, and nothing that computes."""
    found = imported_by("status", "-c", "/nowhere/gaugecast.toml")
    others = {place.where.partition(":")[0] for name, place in COMMANDS.items() if name not in ("status", "version")}
    assert not found & others
    assert not found & (HEAVY - {"pydantic"})


def test_the_list_of_commands_says_what_each_is_for_in_a_line() -> None:
    """On 80 columns."""
    assert [
        name for name, place in COMMANDS.items() if not place.summary.endswith(".") or len(place.summary) > 60
    ] == []


def test_each_command_that_prints_a_table_prints_json_too() -> None:
    """Those that do not print one are named."""
    without = set()
    for words in ALL:
        command: Any = typer.main.get_command(app)
        for word in words:
            command = command.commands[word]
        if not hasattr(command, "commands") and not any("--json" in one.opts for one in command.params):
            without.add(words)
    assert without == WITHOUT_TABLE
