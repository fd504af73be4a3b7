"""Manual pages and completion, as a package ships them."""

from __future__ import annotations

import gzip
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer.main

from gaugecast.cli.main import app
from gaugecast.cli.manual import completion_script, render_commands_page, render_settings_page, write_shared_files
from gaugecast.errors import ExitCode
from test_help import ALL


def test_every_command_and_exit_code_is_on_the_page() -> None:
    """The same commands as `--help` has, in the same order."""
    page = render_commands_page()
    sections = [line.split() for line in re.findall(r"^\.SS gaugecast (.*)", page, re.MULTILINE)]
    leaves = [words for words in ALL if _does_something(_command(words))]

    assert [tuple(words[: len(leaf)]) for words, leaf in zip(sections, leaves, strict=True)] == leaves
    assert re.findall(r"^\.B (\d+)$", page, re.MULTILINE) == [str(int(code)) for code in ExitCode]


def _command(words: tuple[str, ...]) -> Any:
    command: Any = typer.main.get_command(app)
    for word in words:
        command = command.commands[word]
    return command


def _does_something(command: Any) -> bool:
    """A command, or a group that is one by itself, too."""
    return not hasattr(command, "commands") or bool(command.invoke_without_command)


@pytest.mark.parametrize("page", [render_commands_page, render_settings_page])
def test_roff_takes_the_page_without_a_complaint(page: object) -> None:
    """No line begins with a request that was meant as text."""
    if shutil.which("groff") is None:
        pytest.skip("groff is not installed")
    ran = subprocess.run(
        ["groff", "-K", "utf8", "-man", "-ww", "-Tutf8"], input=page(), capture_output=True, text=True, check=True  # type: ignore[operator]
    )  # fmt: skip
    assert ran.stderr == ""
    assert "`" not in ran.stdout


def test_a_package_finds_everything_where_the_system_looks_for_it(tmp_path: Path) -> None:
    """Twice the same bytes, too: packages are to be reproducible."""
    files = write_shared_files(tmp_path)
    first = [path.read_bytes() for path in files]

    assert [path.read_bytes() for path in write_shared_files(tmp_path)] == first
    assert {str(path.relative_to(tmp_path)) for path in files} == {
        "man/man1/gaugecast.1.gz",
        "man/man5/gaugecast.toml.5.gz",
        "bash-completion/completions/gaugecast",
        "zsh/vendor-completions/_gaugecast",
        "fish/vendor_completions.d/gaugecast.fish",
    }
    assert gzip.decompress(first[0]).startswith(b".TH gaugecast 1")
    assert completion_script("zsh").startswith("#compdef gaugecast\n")


def test_bash_completes_commands_and_options(tmp_path: Path) -> None:
    """Through the very script, with a `gaugecast` on the path."""
    program = tmp_path / "gaugecast"
    program.write_text(f"#!/bin/sh\nexec {sys.executable} -c 'from gaugecast.cli import main; main()' \"$@\"\n")
    program.chmod(0o755)
    script = tmp_path / "script"
    script.write_text(completion_script("bash"))
    ask = (
        f'PATH="{tmp_path}:$PATH"; . {script}; COMP_WORDS=({{}}); COMP_CWORD=$((${{{{#COMP_WORDS[@]}}}} - 1)); '
        '_gaugecast_completion gaugecast; echo "${{COMPREPLY[*]}}"'
    )
    for words, expected in (("gaugecast st", {"status"}), ("gaugecast status --js", {"--json"})):
        said = subprocess.run(["bash", "-c", ask.format(words)], capture_output=True, text=True, check=True)
        assert expected <= set(said.stdout.split()), said
